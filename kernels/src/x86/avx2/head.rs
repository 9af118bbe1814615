//! The head in eight bits.

use crate::head::{BLOCK_COLS, BLOCK_ROWS, Block, PART_COLS, Part};
use crate::memory::prefetch_ahead;
use core::arch::x86_64::*;

/// Blocks, or parts, whose products are added in 16 bits before they are widened.
const FOLD: usize = 4;

// One 16-bit lane gets, per block and per part, two times two products of a value in 0..=15 and one
// in -127..=127.
const _: () = assert!(FOLD as i64 * 2 * 2 * 15 * 127 <= i16::MAX as i64);

/// See [`crate::portable::head_high_dots`].
///
/// Per block: two loads, two shifts, four masks, four multiplications, four additions.
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn head_high_dots(blocks: &[Block], tokens: &[&[i8]], out: &mut [[i32; BLOCK_ROWS]]) {
	for (q, out) in tokens.iter().zip(out) {
		*out = high_dots(blocks, q);
	}
}

#[target_feature(enable = "avx2,f16c")]
fn high_dots(blocks: &[Block], q: &[i8]) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
	let ones = _mm256_set1_epi16(1);
	// Rows 0..8 and 8..16.
	let mut total = [_mm256_setzero_si256(); 2];
	for (blocks, q) in blocks.chunks(FOLD).zip(q.chunks(FOLD * BLOCK_COLS)) {
		let mut sums = [_mm256_setzero_si256(); 2];
		for (block, q) in blocks.iter().zip(q.as_chunks::<BLOCK_COLS>().0) {
			prefetch_ahead(block);
			let four = |i: usize| {
				i32::from_le_bytes([q[i], q[i + 1], q[i + 2], q[i + 3]].map(|q| q as u8))
			};
			let (first, second) = (_mm256_set1_epi32(four(0)), _mm256_set1_epi32(four(4)));
			for (half, sum) in sums.iter_mut().enumerate() {
				// SAFETY: `half` is 0 or 1, and a block has 64 bytes.
				let bytes = unsafe { _mm256_loadu_si256(block.as_ptr().add(32 * half).cast()) };
				let (low, high) = nibbles(bytes);
				*sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(low, first));
				*sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(high, second));
			}
		}
		for (total, sum) in total.iter_mut().zip(sums) {
			*total = _mm256_add_epi32(*total, _mm256_madd_epi16(sum, ones));
		}
	}
	let mut dots = [0; BLOCK_ROWS];
	for (dots, total) in dots.as_chunks_mut::<8>().0.iter_mut().zip(total) {
		// SAFETY: there are eight elements of four bytes.
		unsafe { _mm256_storeu_si256(dots.as_mut_ptr().cast(), total) };
	}
	dots
}

/// See [`crate::portable::head_low_dot`].
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn head_low_dot(parts: &[Part], q: &[i8]) -> i32 {
	assert_eq!(q.len(), parts.len() * PART_COLS);
	let ones = _mm256_set1_epi16(1);
	let mut total = _mm256_setzero_si256();
	for (parts, q) in parts.chunks(FOLD).zip(q.chunks(FOLD * PART_COLS)) {
		let mut sum = _mm256_setzero_si256();
		for (part, q) in parts.iter().zip(q.as_chunks::<PART_COLS>().0) {
			// SAFETY: a part has 32 bytes, and `q` 64.
			let (bytes, first, second) = unsafe {
				(
					_mm256_loadu_si256(part.as_ptr().cast()),
					_mm256_loadu_si256(q.as_ptr().cast()),
					_mm256_loadu_si256(q.as_ptr().add(32).cast()),
				)
			};
			let (low, high) = nibbles(bytes);
			sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(low, first));
			sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(high, second));
		}
		total = _mm256_add_epi32(total, _mm256_madd_epi16(sum, ones));
	}
	let half = _mm_add_epi32(
		_mm256_castsi256_si128(total),
		_mm256_extracti128_si256::<1>(total),
	);
	let quarter = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
	_mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32::<1>(quarter)))
}

/// The low and the high half of each byte.
#[target_feature(enable = "avx2,f16c")]
fn nibbles(bytes: __m256i) -> (__m256i, __m256i) {
	let mask = _mm256_set1_epi8(15);
	(
		_mm256_and_si256(bytes, mask),
		_mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask),
	)
}
