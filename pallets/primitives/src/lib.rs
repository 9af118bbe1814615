//! Types and traits that ARIA's pallets, runtime and workers share.
//!
//! The pallets know each other only through the traits in [`traits`]; the workers know the chain only through
//! the records, receipts and commitments defined here and the runtime API in [`api`]. Everything that crosses the
//! chain's border derives `TypeInfo`, so clients need no types of ours.
//!
//! # Features
//!
//! Without any, this crate is `no_std` and knows nothing of Substrate: receipts, Merkle trees, and the byte layouts of
//! traces and of models' identities compile for a browser as they are.
//!
//! - `std`: the standard library.
//! - `verify`: signatures can be checked, by this code.
//! - `sp-core`: accounts and signatures are the chain's own types ([`sr25519`]).
//! - `chain`: for pallets and the runtime: [`traits`], the runtime API of [`api`], and signatures checked by the node.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod api;
pub mod consent;
pub mod energy;
pub mod identity;
pub mod merkle;
pub mod opening;
pub mod provenance;
pub mod receipt;
pub mod sr25519;
pub mod trace;
#[cfg(feature = "chain")]
pub mod traits;
pub mod work;

pub use primitive_types::H256;
pub use sr25519::AccountId;

/// Version of the numeric specification (`docs/numerics.md`) that this code implements.
pub const SPEC_VERSION: u32 = 1;

/// Root of the Merkle tree over a model's canonical manifest and tensors ([`identity`]).
pub type ModelId = H256;
