//! Half-precision rows.

use crate::{
	math,
	scalar::{LANES, reduce_lanes},
};
use core::arch::x86_64::*;

/// See [`crate::scalar::reduce_dot_f16`].
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn dot_f16(a: &[u16], b: &[f32]) -> f32 {
	assert_eq!(a.len(), b.len());
	let (a_chunks, a_tail) = a.as_chunks::<LANES>();
	let (b_chunks, b_tail) = b.as_chunks::<LANES>();
	let mut sums = [_mm256_setzero_ps(); 2];
	for (x, y) in a_chunks.iter().zip(b_chunks) {
		for (half, sum) in sums.iter_mut().enumerate() {
			// SAFETY: `half` is 0 or 1, and both chunks have sixteen elements.
			let (x, y) = unsafe {
				(
					_mm_loadu_si128(x.as_ptr().add(8 * half).cast()),
					_mm256_loadu_ps(y.as_ptr().add(8 * half)),
				)
			};
			*sum = _mm256_add_ps(*sum, _mm256_mul_ps(_mm256_cvtph_ps(x), y));
		}
	}
	let mut lanes = [0.0; LANES];
	for (half, sum) in sums.iter().enumerate() {
		// SAFETY: `half` is 0 or 1, and there are sixteen lanes.
		unsafe { _mm256_storeu_ps(lanes.as_mut_ptr().add(8 * half), *sum) };
	}
	for (lane, (x, y)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail)) {
		*lane += math::f16_to_f32(*x) * y;
	}
	reduce_lanes(lanes)
}

/// See [`crate::portable::widen_f16`].
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn widen_f16(a: &[u16], out: &mut [f32]) {
	assert_eq!(a.len(), out.len());
	let (a_chunks, a_tail) = a.as_chunks::<8>();
	let (out_chunks, out_tail) = out.as_chunks_mut::<8>();
	for (a, out) in a_chunks.iter().zip(out_chunks) {
		// SAFETY: both chunks have eight elements.
		unsafe {
			let wide = _mm256_cvtph_ps(_mm_loadu_si128(a.as_ptr().cast()));
			_mm256_storeu_ps(out.as_mut_ptr(), wide);
		}
	}
	for (a, out) in a_tail.iter().zip(out_tail) {
		*out = math::f16_to_f32(*a);
	}
}

/// See [`crate::math::f32_to_f16`].
///
/// The conversion makes infinities of finite numbers that are too large: those are limited before.
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn narrow_f16(x: &[f32], out: &mut [u16]) {
	assert_eq!(x.len(), out.len());
	let (x_chunks, x_tail) = x.as_chunks::<8>();
	let (out_chunks, out_tail) = out.as_chunks_mut::<8>();
	let largest = _mm256_set1_ps(math::MAX_HALF);
	let sign = _mm256_set1_ps(-0.0);
	let infinity = _mm256_set1_ps(f32::INFINITY);
	for (x, out) in x_chunks.iter().zip(out_chunks) {
		// SAFETY: the chunk has eight elements.
		let x = unsafe { _mm256_loadu_ps(x.as_ptr()) };
		let magnitude = _mm256_andnot_ps(sign, x);
		// The second operand is the result when one is not a number.
		let limited = _mm256_min_ps(largest, magnitude);
		let infinite = _mm256_cmp_ps::<_CMP_EQ_OQ>(magnitude, infinity);
		let limited = _mm256_blendv_ps(limited, infinity, infinite);
		let limited = _mm256_or_ps(limited, _mm256_and_ps(sign, x));
		let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(limited);
		// SAFETY: the chunk has eight elements of two bytes.
		unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), halves) };
	}
	for (x, out) in x_tail.iter().zip(out_tail) {
		*out = math::f32_to_f16(*x);
	}
}
