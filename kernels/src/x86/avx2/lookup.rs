//! Matrix times matrix by table lookup.
//!
//! Four ternary weights have 81 values. For four columns and sixteen tokens, a table holds what each of
//! them contributes: Σ w q for all the tokens, in 16-bit lanes. A row then costs one load and one
//! addition for every sixteen tokens and four columns, where multiplying takes two multiplications
//! and two additions; filling a table costs as much as some 160 rows. T-MAC (arXiv:2407.00088) looks
//! up weights of one token by shuffles; here the tokens are the lanes, so that sums are exact in 16 bits
//! and nothing is shuffled.

use crate::ternary::{
	PANEL_ROWS,
	codes::{BLOCK_STEPS, Step},
};
use core::arch::x86_64::*;

/// Tokens of a table: one register.
pub(crate) const LANES: usize = 16;
/// Values of four ternary weights.
const ENTRIES: usize = 81;
/// Steps of four columns whose tables are in the first-level cache together, while all rows pass. Measured.
pub(crate) const GROUP: usize = 10;
/// Offsets are stored two by two.
pub(crate) const PAIRS: usize = GROUP / 2;

const _: () = assert!(BLOCK_STEPS.is_multiple_of(GROUP) && GROUP.is_multiple_of(2));

/// Sums for each token.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct Sums(pub(crate) [i16; LANES]);

/// Four columns of sixteen tokens.
pub(crate) type Columns = [[i8; 4]; LANES];

/// For each step of a group, the sums of all values of its four weights.
#[repr(C, align(64))]
pub(crate) struct Tables([[Sums; ENTRIES]; GROUP]);

/// Where the sums of a row's weights are in two tables, in bytes: in the lower and the upper half.
pub(crate) type Offsets = [u32; PANEL_ROWS];

const _: () = assert!((ENTRIES - 1) * size_of::<Sums>() <= i16::MAX as usize);

impl Tables {
	pub(crate) fn new() -> Box<Self> {
		Box::new(Self([[Sums([0; LANES]); ENTRIES]; GROUP]))
	}
}

/// The offsets of unpacked codes, two steps each; a last single step is taken for two.
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn offsets(steps: &[Step], offsets: &mut [Offsets]) {
	let places = _mm256_set1_epi32(i32::from_le_bytes([1, 3, 9, 27]));
	let bytes = _mm256_set1_epi16(size_of::<Sums>() as i16);
	for (steps, offsets) in steps.chunks(2).zip(offsets) {
		let (first, second) = (&steps[0], &steps[steps.len() - 1]);
		for (i, offsets) in offsets.as_chunks_mut::<8>().0.iter_mut().enumerate() {
			// SAFETY: a step has 256 bytes, and `i` is at most 7.
			let offset = |step: &Step| unsafe {
				let codes = _mm256_loadu_si256(step.as_ptr().add(8 * i).cast());
				_mm256_madd_epi16(_mm256_maddubs_epi16(codes, places), bytes)
			};
			let both = _mm256_or_si256(offset(first), _mm256_slli_epi32::<16>(offset(second)));
			// SAFETY: eight elements have 32 bytes.
			unsafe { _mm256_storeu_si256(offsets.as_mut_ptr().cast(), both) };
		}
	}
}

/// Fills the tables of a group: entry `a + 3 b + 9 c + 27 d` holds the sums of four columns times
/// `a - 1`, `b - 1`, `c - 1` and `d - 1`.
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn fill(columns: &[Columns; GROUP], tables: &mut Tables) {
	for (columns, table) in columns.iter().zip(&mut tables.0) {
		// SAFETY: a column has 64 bytes.
		let eight = |i: usize| unsafe { _mm256_loadu_si256(columns.as_ptr().add(8 * i).cast()) };
		let lanes = [eight(0), eight(1)];
		// The highest byte of each lane, with its sign, as sixteen lanes in the order of tokens.
		let column = |shifted: [__m256i; 2]| {
			let wide = shifted.map(|lane| _mm256_srai_epi32::<24>(lane));
			_mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(wide[0], wide[1]))
		};
		let a = column(lanes.map(|lane| _mm256_slli_epi32::<24>(lane)));
		let b = column(lanes.map(|lane| _mm256_slli_epi32::<16>(lane)));
		let c = column(lanes.map(|lane| _mm256_slli_epi32::<8>(lane)));
		let d = column(lanes);
		// The nine sums of two columns.
		let nine = |x, y| {
			let zero = _mm256_setzero_si256();
			let minus = _mm256_sub_epi16(zero, y);
			let three = |y| [_mm256_sub_epi16(y, x), y, _mm256_add_epi16(y, x)];
			[three(minus), three(zero), three(y)]
		};
		let low = nine(a, b);
		let table: &mut [[Sums; 9]] = table.as_chunks_mut().0;
		for (high, table) in nine(c, d).as_flattened().iter().zip(table) {
			for (low, entry) in low.as_flattened().iter().zip(table) {
				// SAFETY: an entry has 32 bytes, and is aligned to as many.
				unsafe {
					_mm256_store_si256(entry.0.as_mut_ptr().cast(), _mm256_add_epi16(*low, *high))
				};
			}
		}
	}
}

/// Adds what a group of steps contributes to a panel's rows. The caller ensures that sums fit 16 bits.
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn look_up(tables: &Tables, offsets: &[Offsets; PAIRS], sums: &mut [Sums; PANEL_ROWS]) {
	let tables: *const u8 = tables.0.as_ptr().cast();
	for (row, sums) in sums.iter_mut().enumerate() {
		let sums: *mut __m256i = sums.0.as_mut_ptr().cast();
		// SAFETY: sums and entries of tables are one register and aligned to it; offsets are made by
		// `offsets` from codes in 0..=2, which makes them those of one of 81 entries.
		unsafe {
			let mut sum = _mm256_load_si256(sums);
			for (pair, offsets) in offsets.iter().enumerate() {
				let both = *offsets.get_unchecked(row);
				let first = tables.add(2 * pair * size_of::<[Sums; ENTRIES]>());
				let second = first.add(size_of::<[Sums; ENTRIES]>());
				let first = first.add(usize::from(both as u16)).cast();
				let second = second.add(both as usize >> 16).cast();
				sum = _mm256_add_epi16(sum, _mm256_load_si256(first));
				sum = _mm256_add_epi16(sum, _mm256_load_si256(second));
			}
			_mm256_store_si256(sums, sum);
		}
	}
}

/// Adds 16-bit sums to wide ones and sets them to zero.
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn widen(sums: &mut [Sums], wide: &mut [[i32; LANES]]) {
	assert_eq!(sums.len(), wide.len());
	for (sums, wide) in sums.iter_mut().zip(wide) {
		for (sum, wide) in sums.0.iter_mut().zip(wide) {
			*wide += i32::from(*sum);
			*sum = 0;
		}
	}
}
