//! Linear layers for many tokens; those for one are the same as with dot products.

use crate::ternary::{
	MAX_COLS, PANEL_ROWS,
	codes::{BLOCK_STEPS, Step},
};
use core::{
	arch::{aarch64::*, asm},
	mem::MaybeUninit,
	slice,
};

// One 32-bit lane gets all products of a row, of a value in -127..=127 and a code in 0..=2.
const _: () = assert!(MAX_COLS as i64 * 2 * 127 <= i32::MAX as i64);

/// Pairs of steps, eight columns each, in a block.
const STEP_PAIRS: usize = BLOCK_STEPS.div_ceil(2);
/// Pairs of rows in a panel.
const ROW_PAIRS: usize = PANEL_ROWS / 2;
/// Pairs of rows multiplied at once.
const TILE_ROW_PAIRS: usize = 8;
/// Pairs of tokens multiplied at once: with sixteen rows, 24 sums, three registers of values, and one
/// of codes for three products.
const TILE_TOKEN_PAIRS: usize = 3;

/// Two rows, or two tokens, by eight columns: `N` pairs for each pair of steps.
type Pairs<const N: usize> = [[MaybeUninit<int8x16_t>; N]; STEP_PAIRS];

/// See [`crate::portable::multiply`].
///
/// The instruction multiplies two rows by two tokens over eight columns. Codes are brought to that
/// order once for all tokens, and values once for all rows; beside an odd last step are zeros.
#[target_feature(enable = "neon,dotprod,i8mm")]
pub(crate) fn multiply(steps: &[Step], q: &[i8], stride: usize, sums: &mut [[i32; PANEL_ROWS]]) {
	let mut codes = [[MaybeUninit::uninit(); ROW_PAIRS]; STEP_PAIRS];
	let codes = pair_rows(steps, &mut codes);
	for (tile, sums) in sums.chunks_mut(2 * TILE_TOKEN_PAIRS).enumerate() {
		let q = &q[2 * TILE_TOKEN_PAIRS * tile * stride..];
		let token = |t: usize| &q[t * stride..][..4 * steps.len()];
		match sums.len() {
			1 | 2 => multiply_tile::<1>(codes, token, sums),
			3 | 4 => multiply_tile::<2>(codes, token, sums),
			_ => multiply_tile::<TILE_TOKEN_PAIRS>(codes, token, sums),
		}
	}
}

/// Pairs of rows, for each pair of steps.
#[target_feature(enable = "neon,dotprod,i8mm")]
fn pair_rows<'a>(steps: &[Step], pairs: &'a mut Pairs<ROW_PAIRS>) -> &'a [[int8x16_t; ROW_PAIRS]] {
	let count = steps.len().div_ceil(2);
	let pairs = &mut pairs[..count];
	for (steps, pairs) in steps.chunks(2).zip(&mut *pairs) {
		for (four, pairs) in pairs.as_chunks_mut::<2>().0.iter_mut().enumerate() {
			let load = |step: &Step| {
				// SAFETY: a step has 64 rows of four bytes, and `four` is at most 15.
				unsafe { vld1q_s32(step.as_ptr().add(4 * four).cast()) }
			};
			let first = load(&steps[0]);
			let second = steps.get(1).map_or(vdupq_n_s32(0), load);
			// SAFETY: two pairs are eight elements of four bytes.
			unsafe { vst2q_s32(pairs.as_mut_ptr().cast(), int32x4x2_t(first, second)) };
		}
	}
	// SAFETY: the loops above wrote every element.
	unsafe { slice::from_raw_parts(pairs.as_ptr().cast(), count) }
}

/// Pairs of tokens, for each pair of steps. A last token alone is a pair with itself.
#[inline]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn pair_tokens<'a, 'q, const P: usize>(
	token: impl Fn(usize) -> &'q [i8],
	tokens: usize,
	pairs: &'a mut [[MaybeUninit<int8x16_t>; P]],
) -> &'a [[int8x16_t; P]] {
	for p in 0..P {
		let [even, odd] = [2 * p, 2 * p + 1].map(|t| token(t.min(tokens - 1)).as_chunks::<8>());
		let whole = even.0.len();
		assert!(odd.0.len() == whole && pairs.len() == whole + usize::from(!even.1.is_empty()));
		for ((pairs, even), odd) in pairs.iter_mut().zip(even.0).zip(odd.0) {
			pairs[p].write(combine(even, odd));
		}
		if let Some(pairs) = pairs.get_mut(whole) {
			let [even, odd] = [even.1, odd.1].map(|four| {
				let mut eight = [0; 8];
				eight[..4].copy_from_slice(four);
				eight
			});
			pairs[p].write(combine(&even, &odd));
		}
	}
	// SAFETY: the loops above wrote every element.
	unsafe { slice::from_raw_parts(pairs.as_ptr().cast(), pairs.len()) }
}

/// Eight values of each of two tokens.
#[inline]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn combine(even: &[i8; 8], odd: &[i8; 8]) -> int8x16_t {
	// SAFETY: there are eight elements in each.
	unsafe { vcombine_s8(vld1_s8(even.as_ptr()), vld1_s8(odd.as_ptr())) }
}

/// All rows by up to `2 * P` tokens, whose values `token` gives.
#[target_feature(enable = "neon,dotprod,i8mm")]
fn multiply_tile<'q, const P: usize>(
	codes: &[[int8x16_t; ROW_PAIRS]],
	token: impl Fn(usize) -> &'q [i8],
	sums: &mut [[i32; PANEL_ROWS]],
) {
	assert!(sums.len().div_ceil(2) == P);
	let mut q = [[MaybeUninit::uninit(); P]; STEP_PAIRS];
	let q = pair_tokens(token, sums.len(), &mut q[..codes.len()]);
	for rows in 0..ROW_PAIRS / TILE_ROW_PAIRS {
		let mut tile = [[vdupq_n_s32(0); TILE_ROW_PAIRS]; P];
		for (codes, q) in codes.iter().zip(q) {
			let codes = &codes.as_chunks::<TILE_ROW_PAIRS>().0[rows];
			for (pair, codes) in codes.iter().enumerate() {
				for (tile, q) in tile.iter_mut().zip(q) {
					tile[pair] = matrix_product(tile[pair], *codes, *q);
				}
			}
		}
		for (t, sums) in sums.iter_mut().enumerate() {
			let fours = tile[t / 2].as_chunks::<2>().0;
			let sums = sums[2 * TILE_ROW_PAIRS * rows..].as_chunks_mut::<4>().0;
			for (sums, [first, second]) in sums.iter_mut().zip(fours) {
				let add = if t % 2 == 0 {
					vuzp1q_s32(*first, *second)
				} else {
					vuzp2q_s32(*first, *second)
				};
				// SAFETY: there are four elements.
				unsafe {
					let old = vld1q_s32(sums.as_ptr());
					vst1q_s32(sums.as_mut_ptr(), vaddq_s32(old, add));
				}
			}
		}
	}
}

/// Adds to `sums[2 * i + j]` the products of row `i` of `codes` and token `j` of `q`. Codes are below
/// 128. The standard library's intrinsic is not stable.
#[inline]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn matrix_product(mut sums: int32x4_t, codes: int8x16_t, q: int8x16_t) -> int32x4_t {
	// SAFETY: the CPU has the instruction, which reads and writes these registers only.
	unsafe {
		asm!(
			"smmla {sums:v}.4s, {codes:v}.16b, {q:v}.16b",
			sums = inout(vreg) sums,
			codes = in(vreg) codes,
			q = in(vreg) q,
			options(pure, nomem, nostack, preserves_flags),
		);
	}
	sums
}
