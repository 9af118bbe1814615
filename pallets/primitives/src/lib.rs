//! Types and traits that ARIA's pallets, runtime and workers share.
//!
//! The pallets know each other only through the traits in [`traits`]; the workers know the chain only through
//! the records, receipts and commitments defined here and the runtime API in [`api`]. Everything that crosses the
//! chain's border derives `TypeInfo`, so clients need no types of ours.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod api;
pub mod consent;
pub mod energy;
pub mod merkle;
pub mod opening;
pub mod provenance;
pub mod receipt;
pub mod traits;
pub mod work;

pub use sp_core::H256;

/// Version of the numeric specification (`docs/numerics.md`) that this code implements.
pub const SPEC_VERSION: u32 = 1;

/// Root of the Merkle tree over a model's canonical manifest and tensors.
pub type ModelId = H256;

/// Account identifier of the chain: an sr25519 public key.
pub type AccountId = sp_runtime::AccountId32;
