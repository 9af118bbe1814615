//! Kernels for AArch64.
//!
//! A function with `#[target_feature]` may run only where `is_supported` of its module is true;
//! [`crate::Backend`] holds that proof.

pub(crate) mod dotprod;
pub(crate) mod i8mm;
pub(crate) mod neon;
