//! What a machine's owner allows. Its types are in `aria_primitives::consent`; the pallet is not here yet.

#![cfg_attr(not(feature = "std"), no_std)]
