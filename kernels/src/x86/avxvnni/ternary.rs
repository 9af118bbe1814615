//! Linear layers.

use crate::memory::prefetch_ahead;
use crate::ternary::{
	MAX_COLS, PANEL_ROWS,
	codes::Step,
	two_bit::{BLOCK_COLS, BLOCK_ROWS, Block},
};
use core::arch::x86_64::*;

/// Groups of four columns in a block, at two bits each in a byte.
const PLANES: usize = 4;

// Plane `p` is not shifted down: its products carry a factor of 4^p, at most 64. One 32-bit lane
// gets a quarter of a row's products of a code in 0..=2 and a value in -127..=127.
const _: () = assert!((MAX_COLS / PLANES) as i64 * 2 * 64 * 127 <= i32::MAX as i64);
// Or all of them, not scaled.
const _: () = assert!(MAX_COLS as i64 * 2 * 127 <= i32::MAX as i64);

/// See [`crate::portable::two_bit_dots`].
///
/// Per block: two loads, eight masks, and eight dot products with a broadcast of four values. The
/// masks leave plane `p` at bits `2p`; the sums are divided by `4^p` once, which is exact.
#[target_feature(enable = "avxvnni,avx2,f16c")]
pub(crate) fn two_bit_dots(blocks: &[Block], q: &[i8], sum: i32) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
	let masks: [__m256i; PLANES] = [
		_mm256_set1_epi8(0x03),
		_mm256_set1_epi8(0x0c),
		_mm256_set1_epi8(0x30),
		_mm256_set1_epi8(0xc0_u8 as i8),
	];
	// Rows 0..8 and 8..16.
	let mut sums = [[_mm256_setzero_si256(); PLANES]; 2];
	for (block, q) in blocks.iter().zip(q.as_chunks::<BLOCK_COLS>().0) {
		prefetch_ahead(block);
		let packed = core::array::from_fn::<_, 2, _>(|half| {
			// SAFETY: `half` is 0 or 1, and a block has 64 bytes.
			unsafe { _mm256_loadu_si256(block.as_ptr().add(32 * half).cast()) }
		});
		for (p, four) in q.as_chunks::<4>().0.iter().enumerate() {
			let four = broadcast(four);
			for (sums, packed) in sums.iter_mut().zip(packed) {
				let codes = _mm256_and_si256(packed, masks[p]);
				sums[p] = _mm256_dpbusd_avx_epi32(sums[p], codes, four);
			}
		}
	}
	let mut dots = [0; BLOCK_ROWS];
	for (dots, [p0, p1, p2, p3]) in dots.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
		let low = _mm256_add_epi32(p0, _mm256_srai_epi32::<2>(p1));
		let high = _mm256_add_epi32(_mm256_srai_epi32::<4>(p2), _mm256_srai_epi32::<6>(p3));
		// Codes are weights plus one: Σ (c - 1) q = Σ c q - Σ q.
		let dot = _mm256_sub_epi32(_mm256_add_epi32(low, high), _mm256_set1_epi32(sum));
		// SAFETY: there are eight elements of four bytes.
		unsafe { _mm256_storeu_si256(dots.as_mut_ptr().cast(), dot) };
	}
	dots
}

/// Four values in all lanes.
#[target_feature(enable = "avxvnni,avx2,f16c")]
fn broadcast(four: &[i8; 4]) -> __m256i {
	_mm256_set1_epi32(i32::from_le_bytes(four.map(|q| q as u8)))
}

/// Tokens multiplied at once: with 32 rows, twelve sums, three registers of values and one of codes
/// are all sixteen registers.
const TILE_TOKENS: usize = 3;
/// Registers of eight rows in a tile.
const TILE_ROWS: usize = 4;

/// See [`crate::portable::multiply`].
#[target_feature(enable = "avxvnni,avx2,f16c")]
pub(crate) fn multiply(steps: &[Step], q: &[i8], stride: usize, sums: &mut [[i32; PANEL_ROWS]]) {
	for (tile, sums) in sums.chunks_mut(TILE_TOKENS).enumerate() {
		let q = &q[tile * TILE_TOKENS * stride..];
		match sums.len() {
			1 => multiply_tile::<1>(steps, q, stride, sums),
			2 => multiply_tile::<2>(steps, q, stride, sums),
			_ => multiply_tile::<TILE_TOKENS>(steps, q, stride, sums),
		}
	}
}

/// All rows by `T` tokens.
#[target_feature(enable = "avxvnni,avx2,f16c")]
fn multiply_tile<const T: usize>(
	steps: &[Step],
	q: &[i8],
	stride: usize,
	sums: &mut [[i32; PANEL_ROWS]],
) {
	assert!(sums.len() == T);
	let q: [&[[i8; 4]]; T] =
		core::array::from_fn(|t| q[t * stride..][..4 * steps.len()].as_chunks().0);
	for rows in (0..PANEL_ROWS).step_by(8 * TILE_ROWS) {
		let mut tile = [[_mm256_setzero_si256(); TILE_ROWS]; T];
		for (i, step) in steps.iter().enumerate() {
			let four: [__m256i; T] = core::array::from_fn(|t| {
				// SAFETY: `q` is as long as `steps`.
				broadcast(unsafe { q[t].get_unchecked(i) })
			});
			for (r, eight) in step[rows..][..8 * TILE_ROWS]
				.as_chunks::<8>()
				.0
				.iter()
				.enumerate()
			{
				// SAFETY: eight rows of four bytes.
				let codes = unsafe { _mm256_loadu_si256(eight.as_ptr().cast()) };
				for (tile, four) in tile.iter_mut().zip(four) {
					tile[r] = _mm256_dpbusd_avx_epi32(tile[r], codes, four);
				}
			}
		}
		for (sums, tile) in sums.iter_mut().zip(tile) {
			let sums = &mut sums[rows..][..8 * TILE_ROWS];
			for (sums, tile) in sums.as_chunks_mut::<8>().0.iter_mut().zip(tile) {
				// SAFETY: there are eight elements of four bytes.
				unsafe {
					let old = _mm256_loadu_si256(sums.as_ptr().cast());
					_mm256_storeu_si256(sums.as_mut_ptr().cast(), _mm256_add_epi32(old, tile));
				}
			}
		}
	}
}
