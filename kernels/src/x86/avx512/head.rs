//! The head in eight bits.

use crate::head::{BLOCK_COLS, BLOCK_ROWS, Block, MAX_COLS, PART_COLS, Part};
use crate::memory::prefetch_ahead;
use core::arch::x86_64::*;

// High halves of bytes are not shifted down: they carry a factor of 16. One 32-bit lane gets half of
// a row's products.
const _: () = assert!((MAX_COLS / 2) as i64 * 16 * 15 * 127 <= i32::MAX as i64);

/// Tokens multiplied at once.
const TILE_TOKENS: usize = 8;

/// See [`crate::portable::head_high_dots`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn head_high_dots(blocks: &[Block], tokens: &[&[i8]], out: &mut [[i32; BLOCK_ROWS]]) {
	let (eights, tokens_rest) = tokens.as_chunks::<TILE_TOKENS>();
	let (eights_out, out_rest) = out.as_chunks_mut::<TILE_TOKENS>();
	for (tokens, out) in eights.iter().zip(eights_out) {
		*out = high_dots(blocks, tokens);
	}
	let (pairs, tokens_rest) = tokens_rest.as_chunks::<2>();
	let (pairs_out, out_rest) = out_rest.as_chunks_mut::<2>();
	for (tokens, out) in pairs.iter().zip(pairs_out) {
		*out = high_dots(blocks, tokens);
	}
	for (token, out) in tokens_rest.iter().zip(out_rest) {
		[*out] = high_dots(blocks, &[token]);
	}
}

/// Per block: one load and two masks; for each token two dot products.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
fn high_dots<const T: usize>(blocks: &[Block], tokens: &[&[i8]; T]) -> [[i32; BLOCK_ROWS]; T] {
	let (low_mask, high_mask) = (_mm512_set1_epi8(15), _mm512_set1_epi8(0xf0_u8 as i8));
	let tokens = tokens.map(|q| {
		assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
		q.as_chunks::<BLOCK_COLS>().0
	});
	let mut sums = [[_mm512_setzero_si512(); 2]; T];
	for (i, block) in blocks.iter().enumerate() {
		prefetch_ahead(block);
		// SAFETY: a block has 64 bytes.
		let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
		let (low, high) = (
			_mm512_and_si512(bytes, low_mask),
			_mm512_and_si512(bytes, high_mask),
		);
		for (sums, q) in sums.iter_mut().zip(tokens) {
			// SAFETY: a token has as many chunks as there are blocks.
			let q = unsafe { q.get_unchecked(i) };
			let four = |i: usize| {
				_mm512_set1_epi32(i32::from_le_bytes(
					[q[i], q[i + 1], q[i + 2], q[i + 3]].map(|q| q as u8),
				))
			};
			sums[0] = _mm512_dpbusd_epi32(sums[0], low, four(0));
			sums[1] = _mm512_dpbusd_epi32(sums[1], high, four(4));
		}
	}
	sums.map(|sums| {
		let dot = _mm512_add_epi32(sums[0], _mm512_srai_epi32::<4>(sums[1]));
		let mut dots = [0; BLOCK_ROWS];
		// SAFETY: there are sixteen elements of four bytes.
		unsafe { _mm512_storeu_si512(dots.as_mut_ptr().cast(), dot) };
		dots
	})
}

/// See [`crate::portable::head_low_dot`]: in 256 bits, as a part is that wide.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
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
		sums[0] = _mm256_dpbusd_epi32(sums[0], _mm256_and_si256(bytes, low_mask), first);
		sums[1] = _mm256_dpbusd_epi32(sums[1], _mm256_and_si256(bytes, high_mask), second);
	}
	let total = _mm256_add_epi32(sums[0], _mm256_srai_epi32::<4>(sums[1]));
	let half = _mm_add_epi32(
		_mm256_castsi256_si128(total),
		_mm256_extracti128_si256::<1>(total),
	);
	let quarter = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
	_mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32::<1>(quarter)))
}
