//! Linear layers.

use crate::ternary::{Block, MAX_COLS, PANEL_ROWS, STEP_COLS};
use core::arch::x86_64::*;

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
