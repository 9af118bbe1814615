//! Linear layers.

use crate::memory::prefetch_ahead;
use crate::ternary::{
	MAX_COLS, PANEL_ROWS,
	codes::Step,
	dense::{FOLD_GROUPS, GROUP_TRIPLES, Group, HIGH, Table},
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
/// Per block: one load, four masks, and four dot products with a broadcast of four values. The
/// masks leave plane `p` at bits `2p`; the sums are divided by `4^p` once, which is exact.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn two_bit_dots(blocks: &[Block], q: &[i8], sum: i32) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * BLOCK_COLS);
	let masks: [__m512i; PLANES] = [
		_mm512_set1_epi8(0x03),
		_mm512_set1_epi8(0x0c),
		_mm512_set1_epi8(0x30),
		_mm512_set1_epi8(0xc0_u8 as i8),
	];
	let mut sums = [_mm512_setzero_si512(); PLANES];
	for (block, q) in blocks.iter().zip(q.as_chunks::<BLOCK_COLS>().0) {
		prefetch_ahead(block);
		// SAFETY: a block has 64 bytes.
		let packed = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
		let codes = together(masks.map(|mask| _mm512_and_si512(packed, mask)));
		for (p, four) in q.as_chunks::<4>().0.iter().enumerate() {
			sums[p] = _mm512_dpbusd_epi32(sums[p], codes[p], broadcast(four));
		}
	}
	let [p0, p1, p2, p3] = sums;
	let low = _mm512_add_epi32(p0, _mm512_srai_epi32::<2>(p1));
	let high = _mm512_add_epi32(_mm512_srai_epi32::<4>(p2), _mm512_srai_epi32::<6>(p3));
	// Codes are weights plus one: Σ (c - 1) q = Σ c q - Σ q.
	let dot = _mm512_sub_epi32(_mm512_add_epi32(low, high), _mm512_set1_epi32(sum));
	let mut dots = [0; BLOCK_ROWS];
	// SAFETY: there are sixteen elements of four bytes.
	unsafe { _mm512_storeu_si512(dots.as_mut_ptr().cast(), dot) };
	dots
}

/// Values that are all computed before what follows. Zen 4 gives instructions to its pipes as they come: operations of
/// two kinds in turns, such as masks and dot products, wait for the same ones.
#[inline]
#[target_feature(enable = "avx512f")]
fn together(values: [__m512i; 4]) -> [__m512i; 4] {
	let [mut a, mut b, mut c, mut d] = values;
	// SAFETY: no instruction is in it.
	unsafe {
		core::arch::asm!(
			"/* {a} {b} {c} {d} */",
			a = inout(zmm_reg) a,
			b = inout(zmm_reg) b,
			c = inout(zmm_reg) c,
			d = inout(zmm_reg) d,
			options(pure, nomem, nostack, preserves_flags),
		);
	}
	[a, b, c, d]
}

/// Four values in all lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(super) fn broadcast(four: &[i8; 4]) -> __m512i {
	_mm512_set1_epi32(i32::from_le_bytes(four.map(|q| q as u8)))
}

/// See [`crate::portable::dense_dots`] and the AVX2 kernel: this one takes all 64 rows at once.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn dense_dots(
	groups: &[Group],
	tables: &[Table],
	corrections: &[i32; PANEL_ROWS],
) -> [i32; PANEL_ROWS] {
	assert_eq!(tables.len(), groups.len() * GROUP_TRIPLES);
	let nibble = _mm512_set1_epi8(15);
	let zero = _mm512_setzero_si512();
	let join = _mm512_set1_epi16(1 | (HIGH as i16) << 8);
	let mut dots = *corrections;
	let tables = tables.as_chunks::<GROUP_TRIPLES>().0;
	for (groups, tables) in groups.chunks(FOLD_GROUPS).zip(tables.chunks(FOLD_GROUPS)) {
		// Of each sixteen rows, the first eight and the others.
		let mut sums = [zero; 2];
		for (group, tables) in groups.iter().zip(tables) {
			prefetch_ahead(group);
			let load = |part: usize| {
				debug_assert!(64 * part + 64 <= size_of::<Group>());
				// SAFETY: `part` is at most 4, and a group has 320 bytes.
				unsafe { _mm512_loadu_si512(group.as_ptr().add(64 * part).cast()) }
			};
			let mut signs = load(0);
			let (mut low, mut high) = (zero, zero);
			for (pair, tables) in tables.as_chunks::<2>().0.iter().enumerate() {
				let bytes = load(pair + 1);
				for (i, table) in tables.iter().enumerate() {
					// SAFETY: a table has 32 bytes.
					let (table_low, table_high) = unsafe {
						let table = table.as_ptr().cast::<__m128i>();
						(_mm_loadu_si128(table), _mm_loadu_si128(table.add(1)))
					};
					let magnitude = if i == 0 {
						_mm512_and_si512(bytes, nibble)
					} else {
						_mm512_and_si512(_mm512_srli_epi16::<4>(bytes), nibble)
					};
					// All bits of a byte whose first bit is set.
					let inverse = _mm512_movm_epi8(_mm512_movepi8_mask(signs));
					signs = _mm512_add_epi8(signs, signs);
					let part = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table_low), magnitude);
					low = _mm512_add_epi8(low, _mm512_xor_si512(part, inverse));
					let part = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table_high), magnitude);
					high = _mm512_add_epi8(high, _mm512_xor_si512(part, inverse));
				}
			}
			let first = _mm512_unpacklo_epi8(low, high);
			let second = _mm512_unpackhi_epi8(low, high);
			sums[0] = _mm512_add_epi16(sums[0], _mm512_maddubs_epi16(join, first));
			sums[1] = _mm512_add_epi16(sums[1], _mm512_maddubs_epi16(join, second));
		}
		for (part, sums) in sums.into_iter().enumerate() {
			let sixteens: [[i16; 8]; 4] = {
				let mut out = [[0; 8]; 4];
				// SAFETY: there are 32 elements of two bytes.
				unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sums) };
				out
			};
			for (sixteen, sums) in sixteens.iter().enumerate() {
				for (dot, sum) in dots[16 * sixteen + 8 * part..].iter_mut().zip(sums) {
					*dot += i32::from(*sum);
				}
			}
		}
	}
	dots
}

/// Tokens multiplied at once: with all 64 rows, 24 sums, four registers of codes and four of values.
/// Dot products then are all that takes vector slots.
const TILE_TOKENS: usize = 6;

/// See [`crate::portable::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn multiply(steps: &[Step], q: &[i8], stride: usize, sums: &mut [[i32; PANEL_ROWS]]) {
	for (tile, sums) in sums.chunks_mut(TILE_TOKENS).enumerate() {
		let q = &q[tile * TILE_TOKENS * stride..];
		match sums.len() {
			1 => multiply_tile::<1>(steps, q, stride, sums),
			2 => multiply_tile::<2>(steps, q, stride, sums),
			3 => multiply_tile::<3>(steps, q, stride, sums),
			4 => multiply_tile::<4>(steps, q, stride, sums),
			5 => multiply_tile::<5>(steps, q, stride, sums),
			_ => multiply_tile::<TILE_TOKENS>(steps, q, stride, sums),
		}
	}
}

/// All rows by `T` tokens.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
fn multiply_tile<const T: usize>(
	steps: &[Step],
	q: &[i8],
	stride: usize,
	sums: &mut [[i32; PANEL_ROWS]],
) {
	assert!(sums.len() == T);
	let q: [&[[i8; 4]]; T] =
		core::array::from_fn(|t| q[t * stride..][..4 * steps.len()].as_chunks().0);
	let mut tile = [[_mm512_setzero_si512(); PANEL_ROWS / 16]; T];
	for (tile, sums) in tile.iter_mut().zip(&*sums) {
		for (rows, tile) in tile.iter_mut().enumerate() {
			// SAFETY: there are 64 elements of four bytes, and `rows` is at most 3.
			*tile = unsafe { _mm512_loadu_si512(sums.as_ptr().add(16 * rows).cast()) };
		}
	}
	for (i, step) in steps.iter().enumerate() {
		let codes = core::array::from_fn::<_, 4, _>(|rows| {
			// SAFETY: a step has 256 bytes, and `rows` is at most 3.
			unsafe { _mm512_loadu_si512(step.as_ptr().add(16 * rows).cast()) }
		});
		for (tile, q) in tile.iter_mut().zip(q) {
			// SAFETY: `q` is as long as `steps`.
			let four = broadcast(unsafe { q.get_unchecked(i) });
			for (tile, codes) in tile.iter_mut().zip(codes) {
				*tile = _mm512_dpbusd_epi32(*tile, codes, four);
			}
		}
	}
	for (tile, sums) in tile.iter().zip(sums) {
		for (rows, tile) in tile.iter().enumerate() {
			// SAFETY: there are 64 elements of four bytes, and `rows` is at most 3.
			unsafe { _mm512_storeu_si512(sums.as_mut_ptr().add(16 * rows).cast(), *tile) };
		}
	}
}
