//! Matrix times matrix, some tokens by dot products and some by table lookup at the same time.
//!
//! Dot products of bytes keep two of Zen 4's four vector pipes busy, and permutations run on others. Three
//! ternary weights have 27 values: a register holds what each of them contributes for one token, in 16-bit
//! lanes, and permuting it by the weights of 32 rows gives 96 products. So most of a tile's tokens are
//! multiplied and two are looked up, in one loop.

use super::ternary::broadcast;
use crate::ternary::{
	PANEL_ROWS,
	codes::{BLOCK_COLS, BLOCK_STEPS, Step},
};
use core::arch::x86_64::*;

/// Steps of four columns that are threes of columns too.
pub(crate) const STEPS: usize = 3;
/// The threes of columns: the first three of each step, and what is left.
const THREES: usize = 4;
/// Threes of columns in a block.
const BLOCK_THREES: usize = BLOCK_STEPS / STEPS * THREES;
/// Most tokens of a tile: of 32 registers, the sums of five tokens take 20 and those of two that are looked up 4.
pub(crate) const TILE_TOKENS: usize = 7;
/// Tokens of a tile that are looked up, its last ones. Measured: two of six or seven are fastest.
pub(crate) const LOOKED_UP: usize = 2;
/// Those that are multiplied.
const MULTIPLIED: usize = TILE_TOKENS - LOOKED_UP;

const _: () = assert!(BLOCK_STEPS.is_multiple_of(STEPS));
// A block's sums fit 16 bits. Those of tables do not, since codes are weights plus one, but they wrap around, and what
// they have too much is taken off before they are read.
const _: () = assert!(BLOCK_COLS * 127 <= i16::MAX as usize);
// A table's values fit.
const _: () = assert!(3 * 2 * 127 <= i16::MAX as usize);

/// What three columns contribute to a row, by its three codes `c`: lane `c[0] + 3 c[1] + 9 c[2]`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Table([i16; 32]);

/// The tables of a token for a block of columns.
pub(crate) type Tables = [Table; BLOCK_THREES];

/// The lanes of tables that rows need: of rows 0..16 in the lower halves and rows 16..32 in the upper ones, then the
/// same of the other 32.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Lanes([[u32; 16]; 2]);

/// Of a panel for a block of columns.
pub(crate) type BlockLanes = [Lanes; BLOCK_THREES];

pub(crate) const NO_TABLES: Tables = [Table([0; 32]); BLOCK_THREES];
pub(crate) const NO_LANES: BlockLanes = [Lanes([[0; 16]; 2]); BLOCK_THREES];

/// The lanes of unpacked codes, whose steps are a multiple of [`STEPS`].
///
/// Per three steps of 32 rows: twelve dot products, and eight operations that put rows in halves.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn lanes(steps: &[Step], lanes: &mut BlockLanes) {
	let zero = _mm512_setzero_si512();
	let places = broadcast(&[1, 3, 9, 0]);
	let place_of_left = [
		broadcast(&[0, 0, 0, 1]),
		broadcast(&[0, 0, 0, 3]),
		broadcast(&[0, 0, 0, 9]),
	];
	let lanes = lanes.as_chunks_mut::<THREES>().0;
	for (steps, lanes) in steps.as_chunks::<STEPS>().0.iter().zip(lanes) {
		for half in 0..2 {
			let mut left = [zero; 2];
			for (i, step) in steps.iter().enumerate() {
				// SAFETY: a step has 64 rows of four bytes, and `half` is at most 1.
				let (lower, upper) = unsafe {
					let rows = step.as_ptr().add(32 * half);
					(
						_mm512_loadu_si512(rows.cast()),
						_mm512_loadu_si512(rows.add(16).cast()),
					)
				};
				let above = _mm512_slli_epi32::<16>(_mm512_dpbusd_epi32(zero, upper, places));
				store(
					&mut lanes[i].0[half],
					_mm512_dpbusd_epi32(above, lower, places),
				);
				left[0] = _mm512_dpbusd_epi32(left[0], lower, place_of_left[i]);
				left[1] = _mm512_dpbusd_epi32(left[1], upper, place_of_left[i]);
			}
			let left = _mm512_or_si512(left[0], _mm512_slli_epi32::<16>(left[1]));
			store(&mut lanes[STEPS].0[half], left);
		}
	}
}

/// For pairs of bytes, the codes of lanes at two places; 3 for a byte that is not to count.
const fn codes_of_lanes(first: u32, second: u32) -> [i8; 64] {
	let mut codes = [0; 64];
	let mut i = 0;
	while i < 64 {
		let (lane, place) = (i / 2, if i % 2 == 0 { first } else { second });
		if lane < 27 && place < 3 {
			codes[i] = (lane / 3_usize.pow(place) % 3) as i8;
		}
		i += 1;
	}
	codes
}
static FIRST_TWO: [i8; 64] = codes_of_lanes(0, 1);
static THIRD: [i8; 64] = codes_of_lanes(2, 3);
static LEFT: [[i8; 64]; STEPS] = [
	codes_of_lanes(3, 0),
	codes_of_lanes(3, 1),
	codes_of_lanes(3, 2),
];

/// The tables of a token's values in a block, with zeros after them: for codes, which are weights plus one. Returns the
/// sum of the values.
///
/// Per four tables: nine multiplications, six shuffles, five additions.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn fill(q: &[i8], tables: &mut Tables) -> i32 {
	let (first, second) = (_mm512_set1_epi16(0x0100), _mm512_set1_epi16(0x0302));
	let (first_two, third) = (load(&FIRST_TWO), load(&THIRD));
	let left_codes = [load(&LEFT[0]), load(&LEFT[1]), load(&LEFT[2])];
	let steps = q.as_chunks::<4>().0.as_chunks::<STEPS>().0;
	for (steps, tables) in steps.iter().zip(tables.as_chunks_mut::<THREES>().0) {
		let mut left = _mm512_setzero_si512();
		for (i, step) in steps.iter().enumerate() {
			let values = broadcast(step);
			let pairs = [
				_mm512_shuffle_epi8(values, first),
				_mm512_shuffle_epi8(values, second),
			];
			let sums = _mm512_add_epi16(
				_mm512_maddubs_epi16(first_two, pairs[0]),
				_mm512_maddubs_epi16(third, pairs[1]),
			);
			store(&mut tables[i].0, sums);
			left = _mm512_add_epi16(left, _mm512_maddubs_epi16(left_codes[i], pairs[1]));
		}
		store(&mut tables[STEPS].0, left);
	}
	q.iter().map(|q| i32::from(*q)).sum()
}

/// Tokens that pass together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile {
	/// The first one, and how many: at most [`TILE_TOKENS`], more than are looked up.
	pub(crate) first: usize,
	pub(crate) count: usize,
	/// For those that are looked up, the sum of the values in the block.
	pub(crate) values: [i32; LOOKED_UP],
}

/// Adds products of codes and values, as [`crate::portable::multiply`], for tiles of tokens.
///
/// `q` and `sums` are of all tokens, the values of the block with zeros after them. Each tile has `tables`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn multiply(
	steps: &[Step],
	lanes: &BlockLanes,
	q: &[[i8; BLOCK_COLS]],
	tiles: &[Tile],
	tables: &[[Tables; LOOKED_UP]],
	sums: &mut [[i32; PANEL_ROWS]],
) {
	for (tile, tables) in tiles.iter().zip(tables) {
		let (q, sums) = (&q[tile.first..], &mut sums[tile.first..][..tile.count]);
		match tile.count - LOOKED_UP {
			1 => multiply_tile::<1>(steps, lanes, q, tables, tile.values, sums),
			2 => multiply_tile::<2>(steps, lanes, q, tables, tile.values, sums),
			3 => multiply_tile::<3>(steps, lanes, q, tables, tile.values, sums),
			4 => multiply_tile::<4>(steps, lanes, q, tables, tile.values, sums),
			_ => multiply_tile::<MULTIPLIED>(steps, lanes, q, tables, tile.values, sums),
		}
	}
}

/// All rows by `M` tokens that are multiplied, and by those looked up.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
fn multiply_tile<const M: usize>(
	steps: &[Step],
	lanes: &BlockLanes,
	q: &[[i8; BLOCK_COLS]],
	tables: &[Tables; LOOKED_UP],
	values: [i32; LOOKED_UP],
	sums: &mut [[i32; PANEL_ROWS]],
) {
	assert!(sums.len() == M + LOOKED_UP);
	let zero = _mm512_setzero_si512();
	let (of_products, of_found) = sums.split_at_mut(M);
	let mut products = [[zero; PANEL_ROWS / 16]; M];
	let mut found = [[zero; PANEL_ROWS / 32]; LOOKED_UP];
	let steps = steps.as_chunks::<STEPS>().0;
	let q: &[[[[i8; 4]; STEPS]; BLOCK_STEPS / STEPS]] =
		q.as_flattened().as_chunks().0.as_chunks().0.as_chunks().0;
	let q: &[_; M] = q[..M].as_array().expect("cut to this length");
	assert!(steps.len() <= BLOCK_STEPS / STEPS);
	let lanes = lanes.as_chunks::<THREES>().0;
	let tables = [
		tables[0].as_chunks::<THREES>().0,
		tables[1].as_chunks::<THREES>().0,
	];
	for (i, ((steps, lanes), (first, second))) in steps
		.iter()
		.zip(lanes)
		.zip(tables[0].iter().zip(tables[1]))
		.enumerate()
	{
		for (s, step) in steps.iter().enumerate() {
			let mut codes = [zero; PANEL_ROWS / 16];
			for (rows, codes) in codes.iter_mut().enumerate() {
				// SAFETY: a step has 256 bytes, and `rows` is at most 3.
				*codes = unsafe { _mm512_loadu_si512(step.as_ptr().add(16 * rows).cast()) };
			}
			for (products, q) in products.iter_mut().zip(q) {
				// SAFETY: there are no more steps than in a block, as asserted.
				let four = broadcast(&unsafe { q.get_unchecked(i) }[s]);
				for (products, codes) in products.iter_mut().zip(codes) {
					*products = _mm512_dpbusd_epi32(*products, codes, four);
				}
			}
			look_up(&mut found, &lanes[s], [&first[s], &second[s]]);
		}
		look_up(&mut found, &lanes[STEPS], [&first[STEPS], &second[STEPS]]);
	}
	for (products, sums) in products.iter().zip(of_products) {
		for (products, sums) in products.iter().zip(sums.as_chunks_mut::<16>().0) {
			store(sums, _mm512_add_epi32(load(sums), *products));
		}
	}
	for ((found, sums), values) in found.iter().zip(of_found).zip(values) {
		let excess = _mm512_set1_epi16(values as i16);
		let values = _mm512_set1_epi32(values);
		for (found, sums) in found.iter().zip(sums.as_chunks_mut::<32>().0) {
			let found = _mm512_sub_epi16(*found, excess);
			let lower = _mm512_srai_epi32::<16>(_mm512_slli_epi32::<16>(found));
			let upper = _mm512_srai_epi32::<16>(found);
			for (found, sums) in [lower, upper].iter().zip(sums.as_chunks_mut::<16>().0) {
				// Of codes, as the others are.
				let found = _mm512_add_epi32(*found, values);
				store(sums, _mm512_add_epi32(load(sums), found));
			}
		}
	}
}

/// Adds what three columns contribute to rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
fn look_up(
	found: &mut [[__m512i; PANEL_ROWS / 32]; LOOKED_UP],
	lanes: &Lanes,
	tables: [&Table; LOOKED_UP],
) {
	let lanes = [load(&lanes.0[0]), load(&lanes.0[1])];
	for (found, table) in found.iter_mut().zip(tables) {
		let table = load(&table.0);
		for (found, lanes) in found.iter_mut().zip(lanes) {
			*found = _mm512_add_epi16(*found, _mm512_permutexvar_epi16(lanes, table));
		}
	}
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
fn load<T, const N: usize>(values: &[T; N]) -> __m512i {
	const { assert!(size_of::<[T; N]>() == size_of::<__m512i>()) };
	// SAFETY: there are 64 bytes.
	unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
fn store<T, const N: usize>(to: &mut [T; N], values: __m512i) {
	const { assert!(size_of::<[T; N]>() == size_of::<__m512i>()) };
	// SAFETY: there are 64 bytes, and what is stored here are integers.
	unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), values) }
}
