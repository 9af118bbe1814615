//! Exact ternary (1.58-bit) linear algebra for CPUs.
//!
//! A model re-executed on another machine must give the same bits, so this crate has one readable
//! specification, [`scalar`] (with [`math`]), and SIMD kernels that are bit-equal to it: integers
//! carry the matrix products, and what stays in `f32` uses only `+ - * /` and `sqrt` in a fixed
//! order. `docs/numerics.md` is the same specification in words.
//!
//! - [`TernaryMatrix`]: weights in {-1, 0, 1} in 1.67 or two bits each, with one scale per matrix,
//!   or one for each block of columns of a row.
//! - [`HeadMatrix`]: the head in eight bits, and exact best tokens from four of them.
//! - [`QuantizedActivations`]: one signed byte per activation, with one scale per token
//!   or block.
//! - [`Backend`]: an instruction set chosen once, a thread pool, and the operations of a transformer
//!   layer. The result does not depend on the instruction set, on the number of
//!   threads, nor on how tokens are grouped into batches.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use aria_kernels::{Backend, Isa, QuantizedActivations, TernaryMatrix};
//!
//! let backend = Backend::new(Isa::detect(), 1);
//! let weights = TernaryMatrix::from_ternary(&[1; 2 * 32], 2, 32, 0.5, backend.packing())?;
//! let mut activations = QuantizedActivations::new();
//! backend.quantize(&[1.0; 32], 32, &mut activations)?;
//! let mut out = [0.0; 2];
//! backend.linear(&weights, &activations, &mut out);
//! assert_eq!(out, [16.0, 16.0]);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without the feature `std` there is the specification alone, for `no_std` programs. With it, the crate also
//! compiles for `wasm32-unknown-unknown`: one thread, the specification's kernels, and memory from the allocator.
//!
//! # Assumptions
//!
//! The floating-point environment is the default one: round to nearest even, subnormals kept.
//! Results are specified for finite inputs; the payload of a NaN is not.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod math;
pub mod rope;
pub mod scalar;

#[cfg(all(feature = "std", target_arch = "aarch64"))]
mod aarch64;
#[cfg(feature = "std")]
mod attention;
#[cfg(feature = "std")]
pub mod backend;
#[cfg(feature = "std")]
pub mod head;
#[cfg(feature = "std")]
pub mod isa;
#[cfg(feature = "std")]
mod memory;
#[cfg(feature = "std")]
pub mod pool;
#[cfg(feature = "std")]
mod portable;
#[cfg(feature = "std")]
pub mod quant;
#[cfg(feature = "std")]
pub mod ternary;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86;

pub use rope::{RopePairing, RopeTable};
pub use scalar::AttentionShape;

#[cfg(feature = "std")]
pub use backend::{AttentionJob, Backend, Best, KV_PAGE_ROWS};
#[cfg(feature = "std")]
pub use head::{Candidate, HeadError, HeadMatrix};
#[cfg(feature = "std")]
pub use isa::{Isa, IsaError};
#[cfg(feature = "std")]
pub use memory::Halves;
#[cfg(feature = "std")]
pub use pool::Pool;
#[cfg(feature = "std")]
pub use quant::{NonFinite, QuantizedActivations};
#[cfg(feature = "std")]
pub use ternary::{
	I2Block, Observer, PackError, PackOptions, Packing, Q2Block, RowOrder, TernaryMatrix,
};
