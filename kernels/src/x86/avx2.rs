//! AVX2 with F16C.

use crate::{
	portable::float_kernels,
	scalar::{LANES, reduce_lanes},
	ternary::{Block, MAX_COLS, PANEL_ROWS, STEP_COLS},
};
use core::arch::x86_64::*;

/// Whether this CPU has the features that the kernels below are compiled with.
pub(crate) fn is_supported() -> bool {
	is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c")
}

float_kernels!(#[target_feature(enable = "avx2,f16c")]);

/// Steps whose products are added in 16 bits before they are widened.
const FOLD_STEPS: usize = 16;

// One 16-bit lane gets, per step and plane, two products of a code in 0..=2 and a value in
// -127..=127, over four planes.
const _: () = assert!(FOLD_STEPS as i64 * 4 * 2 * 2 * 127 <= i16::MAX as i64);
// One 32-bit lane gets all products of a row.
const _: () = assert!(MAX_COLS as i64 * 2 * 127 <= i32::MAX as i64);

/// See [`crate::portable::panel_dots`].
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn panel_dots<const T: usize>(
	blocks: &[Block],
	q: [&[i8]; T],
	sums: [i32; T],
) -> [[i32; PANEL_ROWS]; T] {
	for q in q {
		assert_eq!(q.len(), blocks.len() * STEP_COLS);
	}
	let mask = _mm256_set1_epi8(3);
	let ones = _mm256_set1_epi16(1);
	// Rows 0..8 and 8..16 of each token.
	let mut total = [[_mm256_setzero_si256(); 2]; T];
	for (chunk, blocks) in blocks.chunks(FOLD_STEPS).enumerate() {
		// One half at a time: four planes and the sums of four tokens fit the registers.
		for half in 0..2 {
			let mut partial = [_mm256_setzero_si256(); T];
			for (i, block) in blocks.iter().enumerate() {
				let column = (chunk * FOLD_STEPS + i) * STEP_COLS;
				// SAFETY: `half` is 0 or 1, and a block has 64 bytes, aligned to 64.
				let packed = unsafe { _mm256_load_si256(block.0.as_ptr().add(32 * half).cast()) };
				let planes = [
					_mm256_and_si256(packed, mask),
					_mm256_and_si256(_mm256_srli_epi16::<2>(packed), mask),
					_mm256_and_si256(_mm256_srli_epi16::<4>(packed), mask),
					_mm256_and_si256(_mm256_srli_epi16::<6>(packed), mask),
				];
				for (partial, q) in partial.iter_mut().zip(q) {
					for (p, plane) in planes.iter().enumerate() {
						// SAFETY: `column + 16 <= q.len()` by the assertion above, and `p <= 3`.
						let four = unsafe { q.as_ptr().add(column + 4 * p).cast::<i32>() };
						// SAFETY: as above; the read needs no alignment.
						let four = _mm256_set1_epi32(unsafe { four.read_unaligned() });
						let products = _mm256_maddubs_epi16(*plane, four);
						*partial = _mm256_add_epi16(*partial, products);
					}
				}
			}
			for (total, partial) in total.iter_mut().zip(partial) {
				let wide = _mm256_madd_epi16(partial, ones);
				total[half] = _mm256_add_epi32(total[half], wide);
			}
		}
	}
	let mut dots = [[0; PANEL_ROWS]; T];
	for t in 0..T {
		let sum = _mm256_set1_epi32(sums[t]);
		for half in 0..2 {
			// Codes are weights plus one: Σ (c - 1) q = Σ c q - Σ q.
			let dot = _mm256_sub_epi32(total[t][half], sum);
			let out = &mut dots[t][8 * half..][..8];
			// SAFETY: the slice has eight elements of four bytes.
			unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), dot) };
		}
	}
	dots
}

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
