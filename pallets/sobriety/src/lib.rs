//! Energy attestations, rated against verified work. Its types are in `aria_primitives::energy`; the pallet is not here yet.

#![cfg_attr(not(feature = "std"), no_std)]
