//! Five weights in a byte.

use crate::memory::{AHEAD, prefetch_line};
use crate::ternary::{
	PANEL_ROWS, Panel,
	codes::{BLOCK_COLS, Codes},
	fives::{
		BLOCK_GROUPS, DIGITS, FOLD_GROUPS, GROUP_COLS, HIGH, PANELS, PanelBlock, TURNS, Table,
		group_values,
	},
	unpack,
};
use core::arch::x86_64::*;

/// See [`crate::portable::fives_dots`].
///
/// Per group and panel: one load, the sign as a mask and back as bytes; for each token two permutations of two
/// registers, two inversions, two additions; six operations to join the parts of six groups.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c")]
pub(crate) fn fives_dots(
	panels: PanelBlock<'_>,
	count: usize,
	tables: &[&[Table]],
	next: PanelBlock<'_>,
	sums: &mut [[[i32; PANEL_ROWS]; PANELS]],
) {
	match (tables, sums) {
		([a], [sums]) => of_panels(panels, count, [a], next, [sums]),
		([a, b], [sums_a, sums_b]) => of_panels(panels, count, [a, b], next, [sums_a, sums_b]),
		_ => unreachable!("one token or two"),
	}
}

/// Of `T` tokens.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c")]
fn of_panels<const T: usize>(
	panels: PanelBlock<'_>,
	count: usize,
	tables: [&[Table]; T],
	next: PanelBlock<'_>,
	sums: [&mut [[i32; PANEL_ROWS]; PANELS]; T],
) {
	match count {
		1 => dots::<1, T>(panels, tables, next, sums),
		2 => dots::<2, T>(panels, tables, next, sums),
		3 => dots::<3, T>(panels, tables, next, sums),
		_ => dots::<PANELS, T>(panels, tables, next, sums),
	}
}

/// Of `N` panels and `T` tokens, in registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c")]
fn dots<const N: usize, const T: usize>(
	panels: PanelBlock<'_>,
	tables: [&[Table]; T],
	next: PanelBlock<'_>,
	sums: [&mut [[i32; PANEL_ROWS]; PANELS]; T],
) {
	let len = tables[0].len();
	assert!(len <= BLOCK_GROUPS && N <= panels.together());
	assert!(tables.iter().all(|tables| tables.len() == len));
	let together = panels.together();
	let groups = panels.groups();
	assert!(groups.len() >= (len - 1) * together + N);
	let ends = groups.as_ptr().wrapping_add(len * together).cast::<u8>();
	let join = _mm512_set1_epi16(1 | (HIGH as i16) << 8);
	let zero = _mm512_setzero_si512();
	let mut sixteens = [[[zero; 2]; N]; T];
	for first in (0..len).step_by(FOLD_GROUPS) {
		let (mut low, mut high) = ([[zero; N]; T], [[zero; N]; T]);
		for i in first..len.min(first + FOLD_GROUPS) {
			let group = groups.as_ptr().wrapping_add(i * together);
			// What is beyond the end of this block is in the next.
			let ahead = AHEAD.map(|distance| {
				let ahead = group.cast::<u8>().wrapping_add(distance);
				if ahead < ends {
					return ahead;
				}
				let beyond = ahead as usize - ends as usize;
				next.groups().as_ptr().cast::<u8>().wrapping_add(beyond)
			});
			let parts: [[__m512i; 4]; T] = tables.map(|tables| {
				let table = tables[i].0.as_ptr();
				// SAFETY: a table has 256 bytes and is aligned to 64.
				core::array::from_fn(|part| unsafe {
					_mm512_load_si512(table.add(64 * part).cast())
				})
			});
			for panel in 0..N {
				for ahead in ahead {
					prefetch_line::<false>(ahead.wrapping_add(64 * panel));
				}
				// SAFETY: a group has 64 bytes, and there are as many groups as asserted above.
				let bytes = unsafe { _mm512_loadu_si512(group.add(panel).cast()) };
				let inverse = _mm512_movm_epi8(_mm512_movepi8_mask(bytes));
				for (token, parts) in parts.iter().enumerate() {
					let (low, high) = (&mut low[token][panel], &mut high[token][panel]);
					let part = _mm512_permutex2var_epi8(parts[0], bytes, parts[1]);
					*low = _mm512_add_epi8(*low, _mm512_xor_si512(part, inverse));
					let part = _mm512_permutex2var_epi8(parts[2], bytes, parts[3]);
					*high = _mm512_add_epi8(*high, _mm512_xor_si512(part, inverse));
				}
			}
		}
		for ((sixteens, low), high) in sixteens.iter_mut().zip(low).zip(high) {
			for ((sixteens, low), high) in sixteens.iter_mut().zip(low).zip(high) {
				let parts = [
					_mm512_unpacklo_epi8(low, high),
					_mm512_unpackhi_epi8(low, high),
				];
				for (sum, part) in sixteens.iter_mut().zip(parts) {
					*sum = _mm512_add_epi16(*sum, _mm512_maddubs_epi16(join, part));
				}
			}
		}
	}
	for (sixteens, sums) in sixteens.into_iter().zip(sums) {
		for (sixteens, sums) in sixteens.into_iter().zip(sums) {
			put_sixteens(sixteens, sums);
		}
	}
}

/// Adds sums of 16 bits to those of a panel's rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c")]
fn put_sixteens(sixteens: [__m512i; 2], sums: &mut [i32; PANEL_ROWS]) {
	for (half, sum) in sixteens.into_iter().enumerate() {
		let sign = _mm512_srai_epi16::<15>(sum);
		// Rows stand so that this puts them in order.
		let wide = [
			_mm512_unpacklo_epi16(sum, sign),
			_mm512_unpackhi_epi16(sum, sign),
		];
		for (quarter, wide) in wide.into_iter().enumerate() {
			// SAFETY: `at` is at most 48, and there are 64 elements of four bytes.
			unsafe {
				let at = sums.as_mut_ptr().add(16 * (2 * half + quarter)).cast();
				_mm512_storeu_si512(at, _mm512_add_epi32(_mm512_loadu_si512(at.cast()), wide));
			}
		}
	}
}

/// Weight of a digit in the tables below: a sum's low five bits then are the highest of a byte.
const SHIFT: i8 = 8;

/// For 32 magnitudes, two digits and two more and the fifth, each plus one, times [`SHIFT`].
const fn digit_pairs() -> [[[i8; 64]; 3]; 4] {
	let mut pairs = [[[0; 64]; 3]; 4];
	let mut n = 0;
	while n < 128 {
		let mut i = 0;
		while i < GROUP_COLS {
			pairs[n / 32][i / 2][n % 32 * 2 + i % 2] = (DIGITS[n][i] + 1) * SHIFT;
			i += 1;
		}
		n += 1;
	}
	pairs
}
static PAIRS: [[[i8; 64]; 3]; 4] = digit_pairs();

/// The bytes of even, or of odd, places of two registers.
const fn every_second(first: i8) -> [i8; 64] {
	let mut places = [0; 64];
	let mut i = 0;
	while i < 64 {
		places[i] = first + 2 * i as i8;
		i += 1;
	}
	places
}
static EVEN: [i8; 64] = every_second(0);
static ODD: [i8; 64] = every_second(1);

/// See [`crate::portable::build_fives`].
///
/// Per table: for each 32 magnitudes, three multiplications and three additions; eight operations to divide
/// 64 sums into bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c")]
pub(crate) fn build_fives(q: &[i8], tables: &mut [Table]) {
	let none = core::iter::repeat([0; GROUP_COLS]);
	for (table, [a, b, c, d, e]) in tables.iter_mut().zip(group_values(q).chain(none)) {
		build_table(&[a, b, c, d, e, 0], table);
	}
}

/// A table for five values, and a zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c")]
fn build_table(five: &[i8; 6], table: &mut Table) {
	let pair = |i: usize| _mm512_set1_epi16(i16::from_le_bytes([five[i] as u8, five[i + 1] as u8]));
	let pairs = [pair(0), pair(2), pair(4)];
	// Digits are one too large; parts are rounded to the nearest.
	let excess: i16 = five.iter().map(|q| i16::from(*q)).sum();
	let offset = _mm512_set1_epi16(i16::from(SHIFT) * (16 - excess));
	for (half, digits) in PAIRS.as_chunks::<2>().0.iter().enumerate() {
		let (first, second) = (
			digit_sums(&digits[0], pairs, offset),
			digit_sums(&digits[1], pairs, offset),
		);
		let high = _mm512_permutex2var_epi8(first, load(&ODD), second);
		let low = _mm512_permutex2var_epi8(first, load(&EVEN), second);
		let low = _mm512_and_si512(_mm512_srli_epi16::<3>(low), _mm512_set1_epi8(31));
		let low = _mm512_sub_epi8(low, _mm512_set1_epi8(16));
		// SAFETY: `half` is at most 1, and a table has 256 bytes.
		unsafe {
			let at = table.0.as_mut_ptr().add(64 * half);
			_mm512_storeu_si512(at.cast(), low);
			_mm512_storeu_si512(at.add(128).cast(), high);
		}
	}
}

/// Of 32 magnitudes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c")]
fn digit_sums(digits: &[[i8; 64]; 3], pairs: [__m512i; 3], offset: __m512i) -> __m512i {
	let first = _mm512_add_epi16(
		_mm512_maddubs_epi16(load(&digits[0]), pairs[0]),
		_mm512_maddubs_epi16(load(&digits[1]), pairs[1]),
	);
	let last = _mm512_maddubs_epi16(load(&digits[2]), pairs[2]);
	_mm512_add_epi16(first, _mm512_add_epi16(last, offset))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c")]
fn load(bytes: &[i8; 64]) -> __m512i {
	// SAFETY: there are 64 bytes.
	unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// For each of five columns, the codes of all magnitudes.
const fn codes() -> [[i8; 128]; GROUP_COLS] {
	let mut codes = [[0; 128]; GROUP_COLS];
	let mut n = 0;
	while n < 128 {
		let mut i = 0;
		while i < GROUP_COLS {
			codes[i][n] = DIGITS[n][i] + 1;
			i += 1;
		}
		n += 1;
	}
	codes
}
static CODES: [[i8; 128]; GROUP_COLS] = codes();

/// See [`unpack::unpack`].
///
/// Per twenty columns: four loads and eight operations to put bytes of a row beside each other; for each five
/// columns of sixteen rows a permutation, a subtraction and a store.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c")]
pub(crate) fn unpack(panel: Panel<'_>, cols: usize, block: usize, codes: &mut Codes) -> usize {
	let Panel::Fives(panel, _) = panel else {
		return unpack::unpack(panel, cols, block, codes);
	};
	let panel = panel.block(block);
	let count = BLOCK_COLS.min(cols - block * BLOCK_COLS) / 4;
	let two = _mm512_set1_epi8(2);
	let mut tables = [(two, two); GROUP_COLS];
	for (table, codes) in tables.iter_mut().zip(&CODES) {
		let halves = codes.as_chunks().0;
		*table = (load(&halves[0]), load(&halves[1]));
	}
	for (turn, steps) in codes.0[..count].chunks_mut(GROUP_COLS).enumerate() {
		let group = |i: usize| {
			// SAFETY: a group has 64 bytes.
			unsafe { _mm512_loadu_si512(panel.group(turn * TURNS + i).as_ptr().cast()) }
		};
		// Groups are padded to eight.
		let groups = [group(0), group(1), group(2), group(3)];
		let pairs = [
			_mm512_unpacklo_epi8(groups[0], groups[1]),
			_mm512_unpacklo_epi8(groups[2], groups[3]),
			_mm512_unpackhi_epi8(groups[0], groups[1]),
			_mm512_unpackhi_epi8(groups[2], groups[3]),
		];
		// Rows stand so that this puts them in order, sixteen by sixteen, four bytes each.
		let rows = [
			_mm512_unpacklo_epi16(pairs[0], pairs[1]),
			_mm512_unpackhi_epi16(pairs[0], pairs[1]),
			_mm512_unpacklo_epi16(pairs[2], pairs[3]),
			_mm512_unpackhi_epi16(pairs[2], pairs[3]),
		];
		let negative = [
			_mm512_movepi8_mask(rows[0]),
			_mm512_movepi8_mask(rows[1]),
			_mm512_movepi8_mask(rows[2]),
			_mm512_movepi8_mask(rows[3]),
		];
		for (step, codes) in steps.iter_mut().zip(tables) {
			let (first, second) = codes;
			for i in 0..4 {
				let code = _mm512_permutex2var_epi8(first, rows[i], second);
				let code = _mm512_mask_sub_epi8(code, negative[i], two, code);
				// SAFETY: a step has 256 bytes, and `i` is at most 3.
				unsafe { _mm512_storeu_si512(step.as_mut_ptr().add(16 * i).cast(), code) };
			}
		}
	}
	count
}
