//! AVX-512 with VNNI and VBMI: what `avx512` has, and five weights in a byte.

mod fives;
pub(crate) mod fives_many;

pub(crate) use super::avx512::*;
// These shadow the glob import above.
pub(crate) use fives::{build_fives, fives_dots, unpack};

/// Whether this CPU has the features that the kernels below are compiled with.
pub(crate) fn is_supported() -> bool {
	is_x86_feature_detected!("avx512vbmi")
		&& is_x86_feature_detected!("bmi2")
		&& super::avx512::is_supported()
}
