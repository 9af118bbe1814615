//! Linear layers.

use crate::ternary::{
	MAX_COLS, PANEL_ROWS,
	codes::{BLOCK_STEPS, Step},
	dense::{DIGITS, FOLD_GROUPS, GROUP_TRIPLES, Group, HIGH, Table},
	two_bit::{BLOCK_COLS, BLOCK_ROWS, Block},
};
use core::{arch::aarch64::*, array};

/// Vectors of four rows in sixteen rows.
const FOURS: usize = 4;

/// Blocks whose products are added in 16 bits before they are widened.
const FOLD_BLOCKS: usize = 8;

// One 16-bit lane gets, per block, from each of two planes a product of a value in -127..=127 and
// a code in 0..=2 that stands at bit 0 or, four times as large, at bit 2. Two lanes are added
// before they are widened.
const _: () = assert!(2 * FOLD_BLOCKS as i64 * 2 * (4 * 2) * 127 <= i16::MAX as i64);
// One 32-bit lane gets all products of a row, half of them four times as large.
const _: () = assert!(MAX_COLS as i64 / 2 * (4 * 2) * 127 <= i32::MAX as i64);

/// The high part of a table's value counts `1 << HIGH_BITS`.
const HIGH_BITS: i32 = 5;
const _: () = assert!(HIGH == 1 << HIGH_BITS);

/// See [`crate::portable::two_bit_dots`].
///
/// Per block: five loads, four shifts, sixteen masks, four broadcasts, 32 multiplications that add.
/// Planes 1 and 3 are not shifted down by their odd two bits: their sums are divided by four at the
/// end, which is exact.
#[target_feature(enable = "neon")]
pub(crate) fn two_bit_dots(blocks: &[Block], q: &[i8], sum: i32) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
	let (mask_even, mask_odd) = (vdupq_n_u8(0b0011), vdupq_n_u8(0b1100));
	let zero = vdupq_n_s16(0);
	// Of planes 0 and 2 and of planes 1 and 3.
	let (mut even, mut odd) = ([vdupq_n_s32(0); FOURS], [vdupq_n_s32(0); FOURS]);
	for (blocks, q) in blocks
		.chunks(FOLD_BLOCKS)
		.zip(q.chunks(FOLD_BLOCKS * BLOCK_COLS))
	{
		let (mut even16, mut odd16) = ([[zero; 2]; FOURS], [[zero; 2]; FOURS]);
		for (block, q) in blocks.iter().zip(q.as_chunks::<BLOCK_COLS>().0) {
			let q = broadcasts(q);
			for rows in 0..FOURS {
				// SAFETY: `rows` is at most 3, and a block has 64 bytes.
				let low = unsafe { vld1q_u8(block.as_ptr().add(16 * rows)) };
				let high = vshrq_n_u8::<4>(low);
				add_products(&mut even16[rows], vandq_u8(low, mask_even), q[0]);
				add_products(&mut odd16[rows], vandq_u8(low, mask_odd), q[1]);
				add_products(&mut even16[rows], vandq_u8(high, mask_even), q[2]);
				add_products(&mut odd16[rows], vandq_u8(high, mask_odd), q[3]);
			}
		}
		for rows in 0..FOURS {
			even[rows] = add_columns(even[rows], even16[rows]);
			odd[rows] = add_columns(odd[rows], odd16[rows]);
		}
	}
	let mut dots = [0; BLOCK_ROWS];
	for (rows, dots) in dots.as_chunks_mut::<4>().0.iter_mut().enumerate() {
		let codes = vaddq_s32(even[rows], vshrq_n_s32::<2>(odd[rows]));
		// Codes are weights plus one: Σ (c - 1) q = Σ c q - Σ q.
		let dot = vsubq_s32(codes, vdupq_n_s32(sum));
		// SAFETY: there are four elements.
		unsafe { vst1q_s32(dots.as_mut_ptr(), dot) };
	}
	dots
}

/// Each four of sixteen values in all lanes.
#[inline]
#[target_feature(enable = "neon")]
fn broadcasts(q: &[i8; BLOCK_COLS]) -> [int8x16_t; 4] {
	// SAFETY: there are sixteen elements.
	let q = vreinterpretq_s32_s8(unsafe { vld1q_s8(q.as_ptr()) });
	[
		vdupq_laneq_s32::<0>(q),
		vdupq_laneq_s32::<1>(q),
		vdupq_laneq_s32::<2>(q),
		vdupq_laneq_s32::<3>(q),
	]
	.map(|q| vreinterpretq_s8_s32(q))
}

/// Adds products of bytes: those of the first two rows to `sums[0]`, of the others to `sums[1]`.
#[inline]
#[target_feature(enable = "neon")]
fn add_products(sums: &mut [int16x8_t; 2], codes: uint8x16_t, q: int8x16_t) {
	let codes = vreinterpretq_s8_u8(codes);
	sums[0] = vmlal_s8(sums[0], vget_low_s8(codes), vget_low_s8(q));
	sums[1] = vmlal_high_s8(sums[1], codes, q);
}

/// Adds to each of four rows its sums of four columns.
#[inline]
#[target_feature(enable = "neon")]
fn add_columns(rows: int32x4_t, sums: [int16x8_t; 2]) -> int32x4_t {
	vpadalq_s16(rows, vpaddq_s16(sums[0], sums[1]))
}

/// The digits of one place, by magnitude.
const fn digits(place: usize) -> [i8; 16] {
	let mut digits = [0; 16];
	let mut n = 0;
	while n < 16 {
		digits[n] = DIGITS[n][place];
		n += 1;
	}
	digits
}
const PLACES: [[i8; 16]; 3] = [digits(0), digits(1), digits(2)];

/// See [`crate::portable::build_tables`].
///
/// Per table: three broadcasts, six multiplications that add, and six operations to split the sums.
#[target_feature(enable = "neon")]
pub(crate) fn build_tables(q: &[i8], tables: &mut [Table]) {
	assert_eq!(q.len(), 3 * tables.len());
	// SAFETY: each has sixteen elements.
	let places = PLACES
		.each_ref()
		.map(|digits| unsafe { vld1q_s8(digits.as_ptr()) });
	for (table, q) in tables.iter_mut().zip(q.as_chunks::<3>().0) {
		let [a, b, c] = q.map(|q| vdup_n_s8(q));
		let values = |[x, y, z]: [int8x8_t; 3]| vmlal_s8(vmlal_s8(vmull_s8(x, a), y, b), z, c);
		let (first, second) = (
			values(places.map(|digits| vget_low_s8(digits))),
			values(places.map(|digits| vget_high_s8(digits))),
		);
		// Rounded to the nearest, so that what is left is in -16..=15.
		let high = vcombine_s8(
			vrshrn_n_s16::<HIGH_BITS>(first),
			vrshrn_n_s16::<HIGH_BITS>(second),
		);
		let low = vcombine_s8(vmovn_s16(first), vmovn_s16(second));
		let low = vsubq_s8(low, vshlq_n_s8::<HIGH_BITS>(high));
		// SAFETY: a table has 32 bytes.
		unsafe {
			vst1q_s8(table.as_mut_ptr(), low);
			vst1q_s8(table.as_mut_ptr().add(16), high);
		}
	}
}

/// See [`crate::portable::dense_dots`].
///
/// Per group and sixteen rows, for eight triples: five loads, four masks and four shifts for the
/// magnitudes, eight tests for the signs, sixteen look-ups, sixteen inversions, sixteen additions;
/// then six operations to widen. The tables are loaded once for all 64 rows.
#[target_feature(enable = "neon")]
pub(crate) fn dense_dots(
	groups: &[Group],
	tables: &[Table],
	corrections: &[i32; PANEL_ROWS],
) -> [i32; PANEL_ROWS] {
	/// Vectors of sixteen rows.
	const SIXTEENS: usize = PANEL_ROWS / 16;

	assert_eq!(tables.len(), groups.len() * GROUP_TRIPLES);
	let nibble = vdupq_n_u8(15);
	let zero = vdupq_n_s8(0);
	let mut dots = *corrections;
	let tables = tables.as_chunks::<GROUP_TRIPLES>().0;
	for (groups, tables) in groups.chunks(FOLD_GROUPS).zip(tables.chunks(FOLD_GROUPS)) {
		let mut sums = [[vdupq_n_s16(0); 2]; SIXTEENS];
		for (group, tables) in groups.iter().zip(tables) {
			let load = |part: usize| -> [uint8x16_t; SIXTEENS] {
				array::from_fn(|rows| {
					let at = PANEL_ROWS * part + 16 * rows;
					debug_assert!(at + 16 <= size_of::<Group>());
					// SAFETY: `part` is at most 4, so `at` is at most 304, and a group has 320
					// bytes.
					unsafe { vld1q_u8(group.as_ptr().add(at)) }
				})
			};
			let signs = load(0);
			let (mut low, mut high) = ([zero; SIXTEENS], [zero; SIXTEENS]);
			for (pair, tables) in tables.as_chunks::<2>().0.iter().enumerate() {
				let bytes = load(pair + 1);
				for (i, table) in tables.iter().enumerate() {
					let sign = vdupq_n_u8(0x80 >> (2 * pair + i));
					// SAFETY: a table has 32 bytes.
					let (table_low, table_high) =
						unsafe { (vld1q_s8(table.as_ptr()), vld1q_s8(table.as_ptr().add(16))) };
					for rows in 0..SIXTEENS {
						let magnitude = if i == 0 {
							vandq_u8(bytes[rows], nibble)
						} else {
							vshrq_n_u8::<4>(bytes[rows])
						};
						let inverse = vreinterpretq_s8_u8(vtstq_u8(signs[rows], sign));
						let part = vqtbl1q_s8(table_low, magnitude);
						low[rows] = vaddq_s8(low[rows], veorq_s8(part, inverse));
						let part = vqtbl1q_s8(table_high, magnitude);
						high[rows] = vaddq_s8(high[rows], veorq_s8(part, inverse));
					}
				}
			}
			for (sums, (low, high)) in sums.iter_mut().zip(low.into_iter().zip(high)) {
				sums[0] = vaddw_s8(sums[0], vget_low_s8(low));
				sums[0] = vaddq_s16(sums[0], vshll_n_s8::<HIGH_BITS>(vget_low_s8(high)));
				sums[1] = vaddw_high_s8(sums[1], low);
				sums[1] = vaddq_s16(sums[1], vshll_high_n_s8::<HIGH_BITS>(high));
			}
		}
		let eights = dots.as_chunks_mut::<8>().0;
		for (dots, sums) in eights.iter_mut().zip(sums.as_flattened()) {
			// SAFETY: there are eight elements.
			unsafe {
				let first = vaddw_s16(vld1q_s32(dots.as_ptr()), vget_low_s16(*sums));
				let second = vaddw_high_s16(vld1q_s32(dots.as_ptr().add(4)), *sums);
				vst1q_s32(dots.as_mut_ptr(), first);
				vst1q_s32(dots.as_mut_ptr().add(4), second);
			}
		}
	}
	dots
}

/// Tokens multiplied at once: with sixteen rows, sixteen sums, enough to hide the latency of a
/// multiplication, and three of four instructions multiply.
const TILE_TOKENS: usize = 2;

/// See [`crate::portable::multiply`].
#[target_feature(enable = "neon")]
pub(crate) fn multiply(steps: &[Step], q: &[i8], stride: usize, sums: &mut [[i32; PANEL_ROWS]]) {
	for (tile, sums) in sums.chunks_mut(TILE_TOKENS).enumerate() {
		let q = &q[tile * TILE_TOKENS * stride..];
		match sums.len() {
			1 => multiply_tile::<1>(steps, q, stride, sums),
			_ => multiply_tile::<TILE_TOKENS>(steps, q, stride, sums),
		}
	}
}

/// All rows by `T` tokens.
#[target_feature(enable = "neon")]
fn multiply_tile<const T: usize>(
	steps: &[Step],
	q: &[i8],
	stride: usize,
	sums: &mut [[i32; PANEL_ROWS]],
) {
	// Sums of products, of two columns in the end, fit 16 bits: proved beside `BLOCK_STEPS`.
	assert!(steps.len() <= BLOCK_STEPS && sums.len() == T);
	let q: [&[[i8; 4]]; T] = array::from_fn(|t| q[t * stride..][..4 * steps.len()].as_chunks().0);
	for rows in 0..PANEL_ROWS / 16 {
		let mut sums16 = [[[vdupq_n_s16(0); 2]; FOURS]; T];
		for (i, step) in steps.iter().enumerate() {
			let codes = array::from_fn::<_, FOURS, _>(|four| {
				// SAFETY: a step has 64 rows of four bytes, and `rows` and `four` are at most 3.
				unsafe { vld1q_u8(step.as_ptr().add(16 * rows + 4 * four).cast()) }
			});
			for (sums16, q) in sums16.iter_mut().zip(q) {
				// SAFETY: `q` is as long as `steps`.
				let four = unsafe { q.get_unchecked(i) };
				let four = vdupq_n_s32(i32::from_le_bytes(four.map(|q| q as u8)));
				for (sums16, codes) in sums16.iter_mut().zip(codes) {
					add_products(sums16, codes, vreinterpretq_s8_s32(four));
				}
			}
		}
		for (sums, sums16) in sums.iter_mut().zip(sums16) {
			let sums = &mut sums[16 * rows..][..16];
			for (sums, sums16) in sums.as_chunks_mut::<4>().0.iter_mut().zip(sums16) {
				// SAFETY: there are four elements.
				unsafe {
					let old = vld1q_s32(sums.as_ptr());
					vst1q_s32(sums.as_mut_ptr(), add_columns(old, sums16));
				}
			}
		}
	}
}
