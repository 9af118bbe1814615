//! Attention.

use crate::attention::attention_kernels;

attention_kernels!(#[target_feature(enable = "avx2,f16c")]);

/// Eight floats.
mod vector {
	use crate::scalar;
	use core::arch::x86_64::{__m256, _mm_loadu_si128, _mm256_cvtph_ps};

	pub(super) use crate::x86::avx2::{prefetch, reduce};
	pub(super) use core::arch::x86_64::{
		_mm256_add_ps as add, _mm256_loadu_ps as load, _mm256_mul_ps as mul,
		_mm256_set1_ps as splat, _mm256_setzero_ps as zero, _mm256_storeu_ps as store,
	};

	pub(super) const LANES: usize = 8;

	/// # Safety
	///
	/// `x` may be read for eight elements.
	#[inline]
	#[target_feature(enable = "avx2,f16c")]
	pub(super) unsafe fn half(x: *const u16) -> __m256 {
		// SAFETY: by the caller's promise.
		_mm256_cvtph_ps(unsafe { _mm_loadu_si128(x.cast()) })
	}

	#[inline]
	#[target_feature(enable = "avx2,f16c")]
	pub(super) fn widen(halves: &[u16; scalar::LANES], out: &mut [f32; scalar::LANES]) {
		crate::x86::avx2::widen_f16(halves, out);
	}
}
