//! NEON, which every AArch64 has.

use crate::portable::shared_kernels;
use std::arch::is_aarch64_feature_detected;

mod half;
mod head;
mod ternary;

// The common text is compiled with NEON on every AArch64.
pub(crate) use crate::{
	attention::portable::{attention_mix, attention_scores},
	portable::{build_fives, fives_dots, narrow_f16},
};
pub(crate) use half::{dot_f16, widen_f16};
pub(crate) use head::{head_high_dots, head_low_dot, nibbles};
pub(crate) use ternary::{build_tables, dense_dots, multiply, two_bit_dots};

/// Whether this CPU has the features that the kernels below are compiled with.
pub(crate) fn is_supported() -> bool {
	is_aarch64_feature_detected!("neon")
}

shared_kernels!(#[target_feature(enable = "neon")]);
