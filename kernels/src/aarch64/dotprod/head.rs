//! The head in eight bits.

use super::ternary::dot_lane;
use crate::{
	aarch64::neon::nibbles,
	head::{BLOCK_COLS, BLOCK_ROWS, Block, MAX_COLS},
};
use core::arch::aarch64::*;

// One 32-bit lane gets all products of a row.
const _: () = assert!(MAX_COLS as i64 * 15 * 127 <= i32::MAX as i64);

/// See [`crate::portable::head_high_dots`].
///
/// Per block: five loads, four masks, four shifts, eight dot products.
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn head_high_dots(blocks: &[Block], tokens: &[&[i8]], out: &mut [[i32; BLOCK_ROWS]]) {
	for (q, out) in tokens.iter().zip(out) {
		*out = high_dots(blocks, q);
	}
}

#[target_feature(enable = "neon,dotprod")]
fn high_dots(blocks: &[Block], q: &[i8]) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
	// Of four rows each, of the low and of the high halves of bytes: two chains of additions.
	let mut sums = [[vdupq_n_s32(0); 2]; 4];
	for (block, q) in blocks.iter().zip(q.as_chunks::<BLOCK_COLS>().0) {
		// SAFETY: there are eight elements.
		let q = unsafe { vld1_s8(q.as_ptr()) };
		let q = vcombine_s8(q, q);
		for (rows, sums) in sums.iter_mut().enumerate() {
			// SAFETY: `rows` is at most 3, and a block has 64 bytes.
			let (low, high) = nibbles(unsafe { vld1q_u8(block.as_ptr().add(16 * rows)) });
			sums[0] = dot_lane::<0>(sums[0], low, q);
			sums[1] = dot_lane::<1>(sums[1], high, q);
		}
	}
	let mut dots = [0; BLOCK_ROWS];
	for (dots, sums) in dots.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
		// SAFETY: there are four elements.
		unsafe { vst1q_s32(dots.as_mut_ptr(), vaddq_s32(sums[0], sums[1])) };
	}
	dots
}
