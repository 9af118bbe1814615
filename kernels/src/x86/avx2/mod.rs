//! AVX2 with F16C.

use crate::portable::shared_kernels;

mod attention;
mod half;
mod head;
pub(crate) mod lookup;
mod ternary;
mod vector;

pub(crate) use crate::portable::{build_fives, fives_dots};
pub(crate) use attention::{attention_mix, attention_scores};
pub(crate) use half::{dot_f16, narrow_f16, widen_f16};
pub(crate) use head::{head_high_dots, head_low_dot};
pub(crate) use ternary::{build_tables, dense_dots, multiply, two_bit_dots};
pub(crate) use vector::{prefetch, reduce};

/// Whether this CPU has the features that the kernels below are compiled with.
pub(crate) fn is_supported() -> bool {
	is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c")
}

shared_kernels!(#[target_feature(enable = "avx2,f16c")]);
