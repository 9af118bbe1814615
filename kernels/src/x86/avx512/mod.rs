//! AVX-512 with VNNI.

use crate::portable::shared_kernels;

mod attention;
mod half;
mod head;
pub(crate) mod mixed;
mod ternary;

pub(crate) use super::avx2::build_tables;
pub(crate) use crate::portable::{build_fives, fives_dots};
pub(crate) use attention::{attention_mix, attention_scores};
pub(crate) use half::{dot_f16, narrow_f16, widen_f16};
pub(crate) use head::{head_high_dots, head_low_dot};
pub(crate) use ternary::{dense_dots, multiply, two_bit_dots};

/// Whether this CPU has the features that the kernels below are compiled with.
pub(crate) fn is_supported() -> bool {
	is_x86_feature_detected!("avx512f")
		&& is_x86_feature_detected!("avx512bw")
		&& is_x86_feature_detected!("avx512vl")
		&& is_x86_feature_detected!("avx512vnni")
		&& super::avx2::is_supported()
}

shared_kernels!(#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]);
