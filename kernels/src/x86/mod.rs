//! Kernels for x86-64.
//!
//! A function with `#[target_feature]` may run only where `is_supported` of its module is true;
//! [`crate::Backend`] holds that proof.

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod avx512vbmi;
pub(crate) mod avxvnni;
