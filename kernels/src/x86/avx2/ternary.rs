//! Linear layers.

use crate::memory::prefetch_ahead;
use crate::ternary::{
	MAX_COLS, PANEL_ROWS,
	codes::{BLOCK_STEPS, Step},
	dense::{DIGITS, FOLD_GROUPS, GROUP_TRIPLES, Group, HIGH, Table},
	two_bit::{BLOCK_COLS, BLOCK_ROWS, Block},
};
use core::arch::x86_64::*;

/// Blocks whose products are added in 16 bits before they are widened.
const FOLD_BLOCKS: usize = 8;

// One 16-bit lane gets, per block, from each of two planes two products of a value in -127..=127
// and a code in 0..=2 that stands at bit 0 or, four times as large, at bit 2.
const _: () = assert!(FOLD_BLOCKS as i64 * 2 * 2 * (4 * 2) * 127 <= i16::MAX as i64);
// One 32-bit lane gets all products of a row, half of them four times as large.
const _: () = assert!(MAX_COLS as i64 / 2 * (4 * 2) * 127 <= i32::MAX as i64);

/// See [`crate::portable::two_bit_dots`].
///
/// Per block: two loads, two shifts, eight masks, eight multiplications, eight additions. Planes 1
/// and 3 are not shifted down by their odd two bits: their sums are divided by four at the end,
/// which is exact.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn two_bit_dots(blocks: &[Block], q: &[i8], sum: i32) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
	let (mask_even, mask_odd) = (_mm256_set1_epi8(0b0011), _mm256_set1_epi8(0b1100));
	let ones = _mm256_set1_epi16(1);
	let zero = _mm256_setzero_si256();
	// Rows 0..8 and 8..16, of planes 0 and 2 and of planes 1 and 3.
	let (mut even, mut odd) = ([zero; 2], [zero; 2]);
	for (blocks, q) in blocks
		.chunks(FOLD_BLOCKS)
		.zip(q.chunks(FOLD_BLOCKS * BLOCK_COLS))
	{
		let (mut even16, mut odd16) = ([zero; 2], [zero; 2]);
		for (block, q) in blocks.iter().zip(q.as_chunks::<BLOCK_COLS>().0) {
			prefetch_ahead(block);
			let q = broadcasts(q);
			for half in 0..2 {
				// SAFETY: `half` is 0 or 1, and a block has 64 bytes.
				let low = unsafe { _mm256_loadu_si256(block.as_ptr().add(32 * half).cast()) };
				let high = _mm256_srli_epi16::<4>(low);
				let add = |sum: &mut __m256i, codes, q| {
					*sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(codes, q));
				};
				add(&mut even16[half], _mm256_and_si256(low, mask_even), q[0]);
				add(&mut odd16[half], _mm256_and_si256(low, mask_odd), q[1]);
				add(&mut even16[half], _mm256_and_si256(high, mask_even), q[2]);
				add(&mut odd16[half], _mm256_and_si256(high, mask_odd), q[3]);
			}
		}
		for half in 0..2 {
			even[half] = _mm256_add_epi32(even[half], _mm256_madd_epi16(even16[half], ones));
			odd[half] = _mm256_add_epi32(odd[half], _mm256_madd_epi16(odd16[half], ones));
		}
	}
	let mut dots = [0; BLOCK_ROWS];
	for (half, dots) in dots.as_chunks_mut::<8>().0.iter_mut().enumerate() {
		let codes = _mm256_add_epi32(even[half], _mm256_srai_epi32::<2>(odd[half]));
		// Codes are weights plus one: Σ (c - 1) q = Σ c q - Σ q.
		let dot = _mm256_sub_epi32(codes, _mm256_set1_epi32(sum));
		// SAFETY: there are eight elements of four bytes.
		unsafe { _mm256_storeu_si256(dots.as_mut_ptr().cast(), dot) };
	}
	dots
}

/// Each four of sixteen values in all lanes.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn broadcasts(q: &[i8; BLOCK_COLS]) -> [__m256i; 4] {
	core::array::from_fn(|p| {
		let four = [q[4 * p], q[4 * p + 1], q[4 * p + 2], q[4 * p + 3]];
		_mm256_set1_epi32(i32::from_le_bytes(four.map(|q| q as u8)))
	})
}

/// The digits of eight magnitudes as bytes `a`, `b`, `c`, 0, in the order in which packing 32-bit
/// lanes to 16 bits, within halves of a register, puts them in order.
const fn digits(first: [usize; 2]) -> [i8; 32] {
	let mut bytes = [0; 32];
	let mut i = 0;
	while i < 8 {
		let digits = DIGITS[first[i / 4] + i % 4];
		(bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2]) = (digits[0], digits[1], digits[2]);
		i += 1;
	}
	bytes
}
const DIGITS_FIRST: [i8; 32] = digits([0, 8]);
const DIGITS_SECOND: [i8; 32] = digits([4, 12]);

/// See [`crate::portable::build_tables`].
///
/// Per table: one load, fourteen operations, one store.
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn build_tables(q: &[i8], tables: &mut [Table]) {
	assert_eq!(q.len(), 3 * tables.len());
	// SAFETY: both have 32 bytes.
	let (first, second) = unsafe {
		(
			_mm256_loadu_si256(DIGITS_FIRST.as_ptr().cast()),
			_mm256_loadu_si256(DIGITS_SECOND.as_ptr().cast()),
		)
	};
	let (ones8, ones16) = (_mm256_set1_epi8(1), _mm256_set1_epi16(1));
	for (table, q) in tables.iter_mut().zip(q.as_chunks::<3>().0) {
		let three = _mm256_set1_epi32(i32::from_le_bytes([q[0] as u8, q[1] as u8, q[2] as u8, 0]));
		// Signs times values, added two by two and again: one magnitude in each 32-bit lane.
		let values = |digits| {
			let pairs = _mm256_maddubs_epi16(ones8, _mm256_sign_epi8(three, digits));
			_mm256_madd_epi16(pairs, ones16)
		};
		let values = _mm256_packs_epi32(values(first), values(second));
		let high = _mm256_srai_epi16::<5>(_mm256_add_epi16(values, _mm256_set1_epi16(16)));
		let low = _mm256_sub_epi16(values, _mm256_slli_epi16::<5>(high));
		let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(low, high));
		// SAFETY: a table has 32 bytes.
		unsafe { _mm256_storeu_si256(table.as_mut_ptr().cast(), bytes) };
	}
}

/// See [`crate::portable::dense_dots`].
///
/// Per group and 32 rows, for eight triples: 5 loads, 8 ands and 4 shifts for the magnitudes, 16
/// for the signs, 16 shuffles, 16 inversions, 16 additions; then six operations to widen.
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn dense_dots(
	groups: &[Group],
	tables: &[Table],
	corrections: &[i32; PANEL_ROWS],
) -> [i32; PANEL_ROWS] {
	assert_eq!(tables.len(), groups.len() * GROUP_TRIPLES);
	let nibble = _mm256_set1_epi8(15);
	let zero = _mm256_setzero_si256();
	// Low part times 1 and high part times 32: one multiplication joins them.
	let join = _mm256_set1_epi16(1 | (HIGH as i16) << 8);
	let mut dots = *corrections;
	let tables = tables.as_chunks::<GROUP_TRIPLES>().0;
	for (groups, tables) in groups.chunks(FOLD_GROUPS).zip(tables.chunks(FOLD_GROUPS)) {
		// Two halves of 32 rows; of each, rows 0..8 and 16..24, and the others.
		let mut sums = [[zero; 2]; 2];
		for (group, tables) in groups.iter().zip(tables) {
			prefetch_ahead(group);
			let load = |at: usize| {
				debug_assert!(at + 32 <= size_of::<Group>());
				// SAFETY: `at` is at most 288, and a group has 320 bytes.
				unsafe { _mm256_loadu_si256(group.as_ptr().add(at).cast()) }
			};
			let mut signs = [load(0), load(32)];
			let (mut low, mut high) = ([zero; 2], [zero; 2]);
			for (pair, tables) in tables.as_chunks::<2>().0.iter().enumerate() {
				let bytes = [load(64 * pair + 64), load(64 * pair + 96)];
				for (i, table) in tables.iter().enumerate() {
					// SAFETY: a table has 32 bytes.
					let (table_low, table_high) = unsafe {
						let table = table.as_ptr().cast::<__m128i>();
						(_mm_loadu_si128(table), _mm_loadu_si128(table.add(1)))
					};
					let table_low = _mm256_broadcastsi128_si256(table_low);
					let table_high = _mm256_broadcastsi128_si256(table_high);
					for half in 0..2 {
						let magnitude = if i == 0 {
							_mm256_and_si256(bytes[half], nibble)
						} else {
							_mm256_and_si256(_mm256_srli_epi16::<4>(bytes[half]), nibble)
						};
						let inverse = _mm256_cmpgt_epi8(zero, signs[half]);
						signs[half] = _mm256_add_epi8(signs[half], signs[half]);
						let part = _mm256_shuffle_epi8(table_low, magnitude);
						low[half] = _mm256_add_epi8(low[half], _mm256_xor_si256(part, inverse));
						let part = _mm256_shuffle_epi8(table_high, magnitude);
						high[half] = _mm256_add_epi8(high[half], _mm256_xor_si256(part, inverse));
					}
				}
			}
			for half in 0..2 {
				let first = _mm256_unpacklo_epi8(low[half], high[half]);
				let second = _mm256_unpackhi_epi8(low[half], high[half]);
				sums[half][0] = _mm256_add_epi16(sums[half][0], _mm256_maddubs_epi16(join, first));
				sums[half][1] = _mm256_add_epi16(sums[half][1], _mm256_maddubs_epi16(join, second));
			}
		}
		for (half, sums) in sums.iter().enumerate() {
			for (part, sums) in sums.iter().enumerate() {
				let (rows, rest) = (32 * half + 8 * part, _mm256_extracti128_si256::<1>(*sums));
				add_eight(&mut dots, rows, _mm256_castsi256_si128(*sums));
				add_eight(&mut dots, rows + 16, rest);
			}
		}
	}
	dots
}

/// Adds eight 16-bit sums to the dots of the rows from `row`.
#[target_feature(enable = "avx2,f16c")]
fn add_eight(dots: &mut [i32; PANEL_ROWS], row: usize, sums: __m128i) {
	let dots = &mut dots[row..row + 8];
	// SAFETY: there are eight elements of four bytes.
	unsafe {
		let wide = _mm256_add_epi32(
			_mm256_loadu_si256(dots.as_ptr().cast()),
			_mm256_cvtepi16_epi32(sums),
		);
		_mm256_storeu_si256(dots.as_mut_ptr().cast(), wide);
	}
}

/// Tokens multiplied at once: with sixteen rows, eight sums, two registers of codes and the token's
/// values fit the sixteen registers. Multiplications and additions then take all vector slots.
const TILE_TOKENS: usize = 4;

/// See [`crate::portable::multiply`].
#[target_feature(enable = "avx2,f16c")]
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

/// All rows by `T` tokens.
#[target_feature(enable = "avx2,f16c")]
fn multiply_tile<const T: usize>(
	steps: &[Step],
	q: &[i8],
	stride: usize,
	sums: &mut [[i32; PANEL_ROWS]],
) {
	// Sums of products fit 16 bits: proved beside `BLOCK_STEPS`.
	assert!(steps.len() <= BLOCK_STEPS && sums.len() == T);
	let q: [&[[i8; 4]]; T] =
		core::array::from_fn(|t| q[t * stride..][..4 * steps.len()].as_chunks().0);
	let ones = _mm256_set1_epi16(1);
	for rows in 0..PANEL_ROWS / 16 {
		let mut sums16 = [[_mm256_setzero_si256(); 2]; T];
		for (i, step) in steps.iter().enumerate() {
			let codes = core::array::from_fn::<_, 2, _>(|half| {
				// SAFETY: a step has 256 bytes, and `rows` is at most 3.
				unsafe { _mm256_loadu_si256(step.as_ptr().add(16 * rows + 8 * half).cast()) }
			});
			for (sums16, q) in sums16.iter_mut().zip(q) {
				// SAFETY: `q` is as long as `steps`.
				let four = unsafe { q.get_unchecked(i) };
				let four = _mm256_set1_epi32(i32::from_le_bytes(four.map(|q| q as u8)));
				for (sums16, codes) in sums16.iter_mut().zip(codes) {
					*sums16 = _mm256_add_epi16(*sums16, _mm256_maddubs_epi16(codes, four));
				}
			}
		}
		for (sums, sums16) in sums.iter_mut().zip(sums16) {
			let sums = &mut sums[16 * rows..][..16];
			for (sums, sums16) in sums.as_chunks_mut::<8>().0.iter_mut().zip(sums16) {
				let wide = _mm256_madd_epi16(sums16, ones);
				// SAFETY: there are eight elements of four bytes.
				unsafe {
					let old = _mm256_loadu_si256(sums.as_ptr().cast());
					_mm256_storeu_si256(sums.as_mut_ptr().cast(), _mm256_add_epi32(old, wide));
				}
			}
		}
	}
}
