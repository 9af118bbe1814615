//! Which models exist and which answers were checked. Its types are in `aria_primitives::provenance`; the pallet is not here yet.

#![cfg_attr(not(feature = "std"), no_std)]
