//! NEON with dot products and matrix products of bytes.

use crate::portable::shared_kernels;
use std::arch::is_aarch64_feature_detected;

mod ternary;

pub(crate) use super::{
	dotprod::{head_high_dots, two_bit_dots},
	neon::{
		attention_mix, attention_scores, build_fives, build_tables, dense_dots, dot_f16,
		fives_dots, head_low_dot, narrow_f16, widen_f16,
	},
};
pub(crate) use ternary::multiply;

/// Whether this CPU has the features that the kernels below are compiled with.
pub(crate) fn is_supported() -> bool {
	is_aarch64_feature_detected!("i8mm") && super::dotprod::is_supported()
}

shared_kernels!(#[target_feature(enable = "neon,dotprod,i8mm")]);
