//! Linear layers.

use crate::ternary::{
	MAX_COLS, PANEL_ROWS,
	codes::Step,
	two_bit::{BLOCK_COLS, BLOCK_ROWS, Block},
};
use core::{
	arch::{aarch64::*, asm},
	array,
};

/// Vectors of four rows in sixteen rows.
const FOURS: usize = 4;

// Codes are bytes with a sign to the instruction. Plane 1 stands at bit 2, plane 2 at bit 4.
const _: () = assert!(2 << 4 <= i8::MAX as i32);
// One 32-bit lane gets a quarter of a row's products of a value in -127..=127 and a code in 0..=2,
// sixteen times as large; or half of them, not scaled.
const _: () = assert!((MAX_COLS / 4) as i64 * (2 << 4) * 127 <= i32::MAX as i64);
const _: () = assert!((MAX_COLS / 2) as i64 * 2 * 127 <= i32::MAX as i64);
// Or all of them, not scaled.
const _: () = assert!(MAX_COLS as i64 * 2 * 127 <= i32::MAX as i64);

/// See [`crate::portable::two_bit_dots`].
///
/// Per block: five loads, twelve masks, four shifts, and sixteen dot products with a lane of the
/// values. Only plane 3 is shifted down, where a sign would be; the sums of planes 1 and 2 are
/// divided by 4 and 16 once, which is exact.
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn two_bit_dots(blocks: &[Block], q: &[i8], sum: i32) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
	let masks = [vdupq_n_u8(0x03), vdupq_n_u8(0x0c), vdupq_n_u8(0x30)];
	// For four rows each: of planes 0 and 3, of plane 1, of plane 2.
	let mut sums = [[vdupq_n_s32(0); 3]; FOURS];
	for (block, q) in blocks.iter().zip(q.as_chunks::<BLOCK_COLS>().0) {
		// SAFETY: there are sixteen elements.
		let q = unsafe { vld1q_s8(q.as_ptr()) };
		for (rows, sums) in sums.iter_mut().enumerate() {
			// SAFETY: `rows` is at most 3, and a block has 64 bytes.
			let packed = unsafe { vld1q_u8(block.as_ptr().add(16 * rows)) };
			let [p0, p1, p2] = masks.map(|mask| vandq_u8(packed, mask));
			let p3 = vshrq_n_u8::<6>(packed);
			sums[0] = dot_lane::<0>(sums[0], p0, q);
			sums[1] = dot_lane::<1>(sums[1], p1, q);
			sums[2] = dot_lane::<2>(sums[2], p2, q);
			sums[0] = dot_lane::<3>(sums[0], p3, q);
		}
	}
	let mut dots = [0; BLOCK_ROWS];
	for (dots, [p03, p1, p2]) in dots.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
		let p12 = vaddq_s32(vshrq_n_s32::<2>(p1), vshrq_n_s32::<4>(p2));
		// Codes are weights plus one: Σ (c - 1) q = Σ c q - Σ q.
		let dot = vsubq_s32(vaddq_s32(p03, p12), vdupq_n_s32(sum));
		// SAFETY: there are four elements.
		unsafe { vst1q_s32(dots.as_mut_ptr(), dot) };
	}
	dots
}

/// Adds to each of four rows its four codes times the four values of a lane of `q`. Codes are below
/// 128. The standard library's intrinsic is not stable.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn dot_lane<const LANE: i32>(
	mut sums: int32x4_t,
	codes: uint8x16_t,
	q: int8x16_t,
) -> int32x4_t {
	// SAFETY: the CPU has the instruction, which reads and writes these registers only.
	unsafe {
		asm!(
			"sdot {sums:v}.4s, {codes:v}.16b, {q:v}.4b[{lane}]",
			sums = inout(vreg) sums,
			codes = in(vreg) codes,
			q = in(vreg) q,
			lane = const LANE,
			options(pure, nomem, nostack, preserves_flags),
		);
	}
	sums
}

/// Tokens multiplied at once: with sixteen rows, sixteen sums, a register of codes or two and four of
/// values. A load then feeds three dot products.
const TILE_TOKENS: usize = 4;

/// See [`crate::portable::multiply`].
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn multiply(steps: &[Step], q: &[i8], stride: usize, sums: &mut [[i32; PANEL_ROWS]]) {
	for (tile, sums) in sums.chunks_mut(TILE_TOKENS).enumerate() {
		let q = &q[tile * TILE_TOKENS * stride..];
		match sums.len() {
			1 => multiply_tile::<1>(steps, q, stride, sums),
			2 => multiply_tile::<2>(steps, q, stride, sums),
			3 => multiply_tile::<3>(steps, q, stride, sums),
			_ => multiply_tile::<TILE_TOKENS>(steps, q, stride, sums),
		}
	}
}

/// All rows by `T` tokens, four steps at a time.
#[target_feature(enable = "neon,dotprod")]
fn multiply_tile<const T: usize>(
	steps: &[Step],
	q: &[i8],
	stride: usize,
	sums: &mut [[i32; PANEL_ROWS]],
) {
	assert!(sums.len() == T);
	let q: [&[i8]; T] = array::from_fn(|t| &q[t * stride..][..4 * steps.len()]);
	let (steps, tail) = steps.as_chunks::<4>();
	for rows in 0..PANEL_ROWS / 16 {
		let mut tile = [[vdupq_n_s32(0); FOURS]; T];
		for (i, steps) in steps.iter().enumerate() {
			let q = q.map(|q| {
				// SAFETY: `q` has sixteen elements for each four steps.
				unsafe { vld1q_s8(q.as_ptr().add(16 * i)) }
			});
			add_step::<T, 0>(&mut tile, &steps[0], rows, &q);
			add_step::<T, 1>(&mut tile, &steps[1], rows, &q);
			add_step::<T, 2>(&mut tile, &steps[2], rows, &q);
			add_step::<T, 3>(&mut tile, &steps[3], rows, &q);
		}
		for (i, step) in tail.iter().enumerate() {
			let q = q.map(|q| {
				let four = q[16 * steps.len() + 4 * i..].as_chunks::<4>().0[0];
				vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(four.map(|q| q as u8))))
			});
			add_step::<T, 0>(&mut tile, step, rows, &q);
		}
		for (sums, tile) in sums.iter_mut().zip(tile) {
			let sums = &mut sums[16 * rows..][..16];
			for (sums, tile) in sums.as_chunks_mut::<4>().0.iter_mut().zip(tile) {
				// SAFETY: there are four elements.
				unsafe {
					let old = vld1q_s32(sums.as_ptr());
					vst1q_s32(sums.as_mut_ptr(), vaddq_s32(old, tile));
				}
			}
		}
	}
}

/// Sixteen rows of a step, from row `16 * rows`, by lane `LANE` of each token's values.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn add_step<const T: usize, const LANE: i32>(
	tile: &mut [[int32x4_t; FOURS]; T],
	step: &Step,
	rows: usize,
	q: &[int8x16_t; T],
) {
	debug_assert!(rows < PANEL_ROWS / 16);
	for four in 0..FOURS {
		// SAFETY: a step has 64 rows of four bytes, and `rows` and `four` are at most 3.
		let codes = unsafe { vld1q_u8(step.as_ptr().add(16 * rows + 4 * four).cast()) };
		for (tile, q) in tile.iter_mut().zip(q) {
			tile[four] = dot_lane::<LANE>(tile[four], codes, *q);
		}
	}
}
