//! The head in eight bits.

use crate::head::{BLOCK_COLS, BLOCK_ROWS, Block, MAX_COLS, PART_COLS, Part};
use crate::memory::prefetch_ahead;
use core::arch::x86_64::*;

// High halves of bytes are not shifted down: they carry a factor of 16. One 32-bit lane gets half of
// a row's products.
const _: () = assert!((MAX_COLS / 2) as i64 * 16 * 15 * 127 <= i32::MAX as i64);

/// See [`crate::portable::head_high_dots`].
///
/// Per block: two loads, four masks and four dot products.
#[target_feature(enable = "avxvnni,avx2,f16c")]
pub(crate) fn head_high_dots(blocks: &[Block], tokens: &[&[i8]], out: &mut [[i32; BLOCK_ROWS]]) {
	for (q, out) in tokens.iter().zip(out) {
		*out = high_dots(blocks, q);
	}
}

#[target_feature(enable = "avxvnni,avx2,f16c")]
fn high_dots(blocks: &[Block], q: &[i8]) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
	let (low_mask, high_mask) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0xf0_u8 as i8));
	// Rows 0..8 and 8..16, of the low and of the high halves of bytes.
	let mut sums = [[_mm256_setzero_si256(); 2]; 2];
	for (block, q) in blocks.iter().zip(q.as_chunks::<BLOCK_COLS>().0) {
		prefetch_ahead(block);
		let four =
			|i: usize| i32::from_le_bytes([q[i], q[i + 1], q[i + 2], q[i + 3]].map(|q| q as u8));
		let (first, second) = (_mm256_set1_epi32(four(0)), _mm256_set1_epi32(four(4)));
		for (half, sums) in sums.iter_mut().enumerate() {
			// SAFETY: `half` is 0 or 1, and a block has 64 bytes.
			let bytes = unsafe { _mm256_loadu_si256(block.as_ptr().add(32 * half).cast()) };
			sums[0] = _mm256_dpbusd_avx_epi32(sums[0], _mm256_and_si256(bytes, low_mask), first);
			sums[1] = _mm256_dpbusd_avx_epi32(sums[1], _mm256_and_si256(bytes, high_mask), second);
		}
	}
	let mut dots = [0; BLOCK_ROWS];
	for (dots, sums) in dots.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
		let dot = _mm256_add_epi32(sums[0], _mm256_srai_epi32::<4>(sums[1]));
		// SAFETY: there are eight elements of four bytes.
		unsafe { _mm256_storeu_si256(dots.as_mut_ptr().cast(), dot) };
	}
	dots
}

/// See [`crate::portable::head_low_dot`].
#[target_feature(enable = "avxvnni,avx2,f16c")]
pub(crate) fn head_low_dot(parts: &[Part], q: &[i8]) -> i32 {
	assert_eq!(q.len(), parts.len() * PART_COLS);
	let (low_mask, high_mask) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0xf0_u8 as i8));
	let mut sums = [_mm256_setzero_si256(); 2];
	for (part, q) in parts.iter().zip(q.as_chunks::<PART_COLS>().0) {
		// SAFETY: a part has 32 bytes, and `q` 64.
		let (bytes, first, second) = unsafe {
			(
				_mm256_loadu_si256(part.as_ptr().cast()),
				_mm256_loadu_si256(q.as_ptr().cast()),
				_mm256_loadu_si256(q.as_ptr().add(32).cast()),
			)
		};
		sums[0] = _mm256_dpbusd_avx_epi32(sums[0], _mm256_and_si256(bytes, low_mask), first);
		sums[1] = _mm256_dpbusd_avx_epi32(sums[1], _mm256_and_si256(bytes, high_mask), second);
	}
	let total = _mm256_add_epi32(sums[0], _mm256_srai_epi32::<4>(sums[1]));
	let half = _mm_add_epi32(
		_mm256_castsi256_si128(total),
		_mm256_extracti128_si256::<1>(total),
	);
	let quarter = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
	_mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32::<1>(quarter)))
}
