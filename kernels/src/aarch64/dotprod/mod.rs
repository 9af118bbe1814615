//! NEON with dot products of bytes.

use crate::portable::shared_kernels;
use std::arch::is_aarch64_feature_detected;

mod head;
mod ternary;

pub(crate) use super::neon::{
	attention_mix, attention_scores, build_fives, build_tables, dense_dots, dot_f16, fives_dots,
	head_low_dot, narrow_f16, widen_f16,
};
pub(crate) use head::head_high_dots;
pub(crate) use ternary::{multiply, two_bit_dots};

/// Whether this CPU has the features that the kernels below are compiled with.
pub(crate) fn is_supported() -> bool {
	is_aarch64_feature_detected!("dotprod") && super::neon::is_supported()
}

shared_kernels!(#[target_feature(enable = "neon,dotprod")]);
