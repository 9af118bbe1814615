//! The head in eight bits.

use crate::head::{BLOCK_COLS, BLOCK_ROWS, Block, PART_COLS, Part};
use core::arch::aarch64::*;

/// Blocks, or parts, whose products are added in 16 bits before they are widened.
const FOLD: usize = 4;

// One 16-bit lane gets, per block, two products of a value in 0..=15 and one in -127..=127; per part,
// four.
const _: () = assert!(FOLD as i64 * 4 * 15 * 127 <= i16::MAX as i64);

/// See [`crate::portable::head_high_dots`].
///
/// Per block: four loads, four masks, four shifts, two broadcasts, sixteen multiplications that add.
#[target_feature(enable = "neon")]
pub(crate) fn head_high_dots(blocks: &[Block], tokens: &[&[i8]], out: &mut [[i32; BLOCK_ROWS]]) {
	for (q, out) in tokens.iter().zip(out) {
		*out = high_dots(blocks, q);
	}
}

#[target_feature(enable = "neon")]
fn high_dots(blocks: &[Block], q: &[i8]) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
	// Of four rows each.
	let mut total = [vdupq_n_s32(0); 4];
	for (blocks, q) in blocks.chunks(FOLD).zip(q.chunks(FOLD * BLOCK_COLS)) {
		let mut sums = [[vdupq_n_s16(0); 2]; 4];
		for (block, q) in blocks.iter().zip(q.as_chunks::<BLOCK_COLS>().0) {
			// SAFETY: there are eight elements.
			let q = vreinterpret_s32_s8(unsafe { vld1_s8(q.as_ptr()) });
			let first = vreinterpretq_s8_s32(vdupq_lane_s32::<0>(q));
			let second = vreinterpretq_s8_s32(vdupq_lane_s32::<1>(q));
			for (rows, sums) in sums.iter_mut().enumerate() {
				// SAFETY: `rows` is at most 3, and a block has 64 bytes.
				let (low, high) = nibbles(unsafe { vld1q_u8(block.as_ptr().add(16 * rows)) });
				add_products(sums, low, first);
				add_products(sums, high, second);
			}
		}
		for (total, sums) in total.iter_mut().zip(sums) {
			// Widened first: the sum of two lanes need not fit.
			*total = vaddq_s32(
				*total,
				vpaddq_s32(vpaddlq_s16(sums[0]), vpaddlq_s16(sums[1])),
			);
		}
	}
	let mut dots = [0; BLOCK_ROWS];
	for (dots, total) in dots.as_chunks_mut::<4>().0.iter_mut().zip(total) {
		// SAFETY: there are four elements.
		unsafe { vst1q_s32(dots.as_mut_ptr(), total) };
	}
	dots
}

/// See [`crate::portable::head_low_dot`].
#[target_feature(enable = "neon")]
pub(crate) fn head_low_dot(parts: &[Part], q: &[i8]) -> i32 {
	assert_eq!(q.len(), parts.len() * PART_COLS);
	let mut total = vdupq_n_s32(0);
	for (parts, q) in parts.chunks(FOLD).zip(q.chunks(FOLD * PART_COLS)) {
		let mut sums = [vdupq_n_s16(0); 2];
		for (part, q) in parts.iter().zip(q.as_chunks::<PART_COLS>().0) {
			for half in 0..2 {
				// SAFETY: `half` is 0 or 1; a part has 32 bytes, and `q` 64.
				let (bytes, first, second) = unsafe {
					(
						vld1q_u8(part.as_ptr().add(16 * half)),
						vld1q_s8(q.as_ptr().add(16 * half)),
						vld1q_s8(q.as_ptr().add(32 + 16 * half)),
					)
				};
				let (low, high) = nibbles(bytes);
				add_products(&mut sums, low, first);
				add_products(&mut sums, high, second);
			}
		}
		total = vpadalq_s16(vpadalq_s16(total, sums[0]), sums[1]);
	}
	vaddvq_s32(total)
}

/// The low and the high half of each byte.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn nibbles(bytes: uint8x16_t) -> (uint8x16_t, uint8x16_t) {
	(vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes))
}

/// Adds products of bytes: those of the first half to `sums[0]`, of the second to `sums[1]`.
#[inline]
#[target_feature(enable = "neon")]
fn add_products(sums: &mut [int16x8_t; 2], values: uint8x16_t, q: int8x16_t) {
	let values = vreinterpretq_s8_u8(values);
	sums[0] = vmlal_s8(sums[0], vget_low_s8(values), vget_low_s8(q));
	sums[1] = vmlal_high_s8(sums[1], values, q);
}
