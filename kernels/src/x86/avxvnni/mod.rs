//! AVX-VNNI: dot products of bytes in 256 bits, on CPUs that need not have AVX-512.

use crate::portable::shared_kernels;

mod head;
mod ternary;

pub(crate) use super::avx2::{
	attention_mix, attention_scores, build_tables, dense_dots, dot_f16, narrow_f16, widen_f16,
};
pub(crate) use crate::portable::{build_fives, fives_dots};
pub(crate) use head::{head_high_dots, head_low_dot};
pub(crate) use ternary::{multiply, two_bit_dots};

/// Whether this CPU has the features that the kernels below are compiled with.
pub(crate) fn is_supported() -> bool {
	is_x86_feature_detected!("avxvnni") && super::avx2::is_supported()
}

shared_kernels!(#[target_feature(enable = "avxvnni,avx2,f16c")]);
