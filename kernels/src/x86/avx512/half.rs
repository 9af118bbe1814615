//! Half-precision rows.

use crate::{
	math,
	scalar::{LANES, reduce_lanes},
};
use core::arch::x86_64::*;

/// See [`crate::scalar::reduce_dot_f16`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn dot_f16(a: &[u16], b: &[f32]) -> f32 {
	assert_eq!(a.len(), b.len());
	let (a_chunks, a_tail) = a.as_chunks::<LANES>();
	let (b_chunks, b_tail) = b.as_chunks::<LANES>();
	let mut sum = _mm512_setzero_ps();
	for (x, y) in a_chunks.iter().zip(b_chunks) {
		// SAFETY: both chunks have sixteen elements.
		let (x, y) = unsafe {
			(
				_mm256_loadu_si256(x.as_ptr().cast()),
				_mm512_loadu_ps(y.as_ptr()),
			)
		};
		sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_cvtph_ps(x), y));
	}
	let mut lanes = [0.0; LANES];
	// SAFETY: there are sixteen lanes.
	unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), sum) };
	for (lane, (x, y)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail)) {
		*lane += math::f16_to_f32(*x) * y;
	}
	reduce_lanes(lanes)
}

/// See [`crate::portable::widen_f16`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn widen_f16(a: &[u16], out: &mut [f32]) {
	crate::x86::avx2::widen_f16(a, out);
}

/// See [`crate::math::f32_to_f16`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn narrow_f16(x: &[f32], out: &mut [u16]) {
	crate::x86::avx2::narrow_f16(x, out);
}
