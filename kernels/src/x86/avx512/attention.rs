//! Attention.

use crate::attention::attention_kernels;

attention_kernels!(#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]);

/// Sixteen floats.
mod vector {
	use crate::scalar;
	use core::arch::x86_64::*;

	pub(super) use crate::x86::avx2::{prefetch, reduce};
	pub(super) use core::arch::x86_64::{
		_mm512_add_ps as add, _mm512_loadu_ps as load, _mm512_mul_ps as mul,
		_mm512_set1_ps as splat, _mm512_setzero_ps as zero, _mm512_storeu_ps as store,
	};

	pub(super) const LANES: usize = 16;

	/// # Safety
	///
	/// `x` may be read for sixteen elements.
	#[inline]
	#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
	pub(super) unsafe fn half(x: *const u16) -> __m512 {
		// SAFETY: by the caller's promise.
		_mm512_cvtph_ps(unsafe { _mm256_loadu_si256(x.cast()) })
	}

	#[inline]
	#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
	pub(super) fn widen(halves: &[u16; scalar::LANES], out: &mut [f32; scalar::LANES]) {
		// SAFETY: both have sixteen elements.
		unsafe {
			let wide = _mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast()));
			_mm512_storeu_ps(out.as_mut_ptr(), wide);
		}
	}
}
