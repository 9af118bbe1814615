//! Sixteen tokens by weights that are five in a byte: what five columns contribute to sixteen tokens is looked up by the
//! byte itself, so that nothing is unpacked.

pub(crate) use crate::x86::avx2::lookup::LANES;
use crate::{
	ternary::{
		PANEL_ROWS,
		fives::{GROUP_COLS, Group, TURNS},
	},
	x86::avx2::lookup::Columns,
};
use core::arch::x86_64::*;

/// Groups whose tables are in the first-level cache together, while all rows pass: 24 KiB.
pub(crate) const TOGETHER: usize = 3;

/// Sixteen tokens' sums, or what they have in a table.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct Lanes([i16; LANES]);

pub(crate) const NO_LANES: Lanes = Lanes([0; LANES]);

/// For some groups, what each byte contributes. Entries of bytes that do not occur are not written.
#[repr(C, align(64))]
pub(crate) struct Tables([[Lanes; 256]; TOGETHER]);

impl Tables {
	pub(crate) fn new() -> Box<Self> {
		Box::new(Self([[NO_LANES; 256]; TOGETHER]))
	}

	/// Makes table `at` one of zeros.
	pub(crate) fn clear(&mut self, at: usize) {
		self.0[at] = [NO_LANES; 256];
	}
}

/// Fills table `at` for group `group` of a turn of twenty columns.
///
/// 122 additions, as many subtractions, and the stores of both, which bound it.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c,bmi2")]
pub(crate) fn fill(turn: &[Columns; GROUP_COLS], group: usize, tables: &mut Tables, at: usize) {
	assert!(group < TURNS);
	let shift = _mm_cvtsi32_si128(24 - 8 * group as i32);
	let column = |columns: &Columns| {
		// SAFETY: columns have 64 bytes.
		let four = unsafe { _mm512_loadu_si512(columns.as_ptr().cast()) };
		_mm512_cvtepi32_epi16(_mm512_srai_epi32::<24>(_mm512_sll_epi32(four, shift)))
	};
	let [a, b, c] = [column(&turn[0]), column(&turn[1]), column(&turn[2])];
	let [d, e] = [column(&turn[3]), column(&turn[4])];
	// Magnitudes 81a + 27b + 9c + 3d + e: those below five, then nine by nine.
	let table = &mut tables.0[at];
	let zero = _mm256_setzero_si256();
	let (d_minus_e, d_plus_e) = (_mm256_sub_epi16(d, e), _mm256_add_epi16(d, e));
	for (magnitude, sum) in [zero, e, d_minus_e, d, d_plus_e].into_iter().enumerate() {
		put(table, magnitude, sum);
	}
	let around = |sum, c| [_mm256_sub_epi16(sum, c), sum, _mm256_add_epi16(sum, c)];
	let [b0, b1, b2] = around(b, c);
	let [a0, a1, a2] = around(a, b).map(|high| around(high, c));
	let [[a0, a1, a2], [a3, a4, a5], [a6, a7, a8]] = [a0, a1, a2];
	let nines = [c, b0, b1, b2, a0, a1, a2, a3, a4, a5, a6, a7, a8];
	for (i, sum) in nines.into_iter().enumerate() {
		let first = 5 + 9 * i;
		for (j, sum) in around(sum, d).into_iter().enumerate() {
			put(table, first + 3 * j, _mm256_sub_epi16(sum, e));
			put(table, first + 3 * j + 1, sum);
			put(table, first + 3 * j + 2, _mm256_add_epi16(sum, e));
		}
	}
}

/// The sums of a magnitude and of its negative.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c,bmi2")]
fn put(table: &mut [Lanes; 256], magnitude: usize, sum: __m256i) {
	let (positive, negative) = table.split_at_mut(128);
	let minus = _mm256_sub_epi16(_mm256_setzero_si256(), sum);
	for (half, sum) in [(positive, sum), (negative, minus)] {
		// SAFETY: lanes have 32 bytes and are aligned to as many.
		unsafe { _mm256_store_si256(half[magnitude].0.as_mut_ptr().cast(), sum) };
	}
}

/// Adds what groups contribute to a panel's rows, in the order of their bytes. The caller ensures that sums fit 16
/// bits.
///
/// Per row: three lookups, a load and a store of its sum.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c,bmi2")]
pub(crate) fn look_up(
	tables: &Tables,
	groups: [&Group; TOGETHER],
	found: &mut [Lanes; PANEL_ROWS],
) {
	let [first, second, third] = groups.map(|group| group.as_chunks::<8>().0);
	for (i, found) in found.as_chunks_mut::<8>().0.iter_mut().enumerate() {
		let bytes = [first[i], second[i], third[i]].map(u64::from_le_bytes);
		look_up_row::<0>(tables, bytes, found);
		look_up_row::<1>(tables, bytes, found);
		look_up_row::<2>(tables, bytes, found);
		look_up_row::<3>(tables, bytes, found);
		look_up_row::<4>(tables, bytes, found);
		look_up_row::<5>(tables, bytes, found);
		look_up_row::<6>(tables, bytes, found);
		look_up_row::<7>(tables, bytes, found);
	}
}

/// Adds what the bytes of a row contribute.
///
/// In assembly: a compiler makes three instructions, or four, of the rotation and the mask that take a byte times 32 from
/// eight, and the loop is bound by how many instructions there are.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c,bmi2")]
fn look_up_row<const ROW: usize>(tables: &Tables, bytes: [u64; TOGETHER], found: &mut [Lanes; 8]) {
	const { assert!(ROW < 8 && size_of::<Lanes>() == 32 && TOGETHER == 3) };
	let sum: __m256i;
	// SAFETY: the features are enabled. Only tables are read, and one of eight lanes is read and written, which are
	// aligned to 32 bytes: offsets are a byte times 32, and multiples of a table's 8192 bytes.
	unsafe {
		core::arch::asm!(
			"vmovdqa64 {sum}, [{found} + {at}]",
			"rorx {offset}, {first}, {shift}",
			"and {offset:e}, 0x1fe0",
			"vpaddw {sum}, {sum}, [{tables} + {offset}]",
			"rorx {offset}, {second}, {shift}",
			"and {offset:e}, 0x1fe0",
			"vpaddw {sum}, {sum}, [{tables} + {offset} + 8192]",
			"rorx {offset}, {third}, {shift}",
			"and {offset:e}, 0x1fe0",
			"vpaddw {sum}, {sum}, [{tables} + {offset} + 16384]",
			"vmovdqa64 [{found} + {at}], {sum}",
			tables = in(reg) tables,
			found = in(reg) found,
			first = in(reg) bytes[0],
			second = in(reg) bytes[1],
			third = in(reg) bytes[2],
			offset = out(reg) _,
			sum = out(ymm_reg) sum,
			at = const 32 * ROW,
			shift = const (8 * ROW + 64 - 5) % 64,
			options(nostack),
		);
	}
	let _ = sum;
}

/// Adds what was looked up to the sums of each token, of rows in order, and sets it to zero.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c,bmi2")]
pub(crate) fn fold(found: &mut [Lanes; PANEL_ROWS], sums: &mut [[i32; PANEL_ROWS]; LANES]) {
	for sixteen in 0..PANEL_ROWS / 16 {
		// Fours of rows stand sixteen apart: see `fives::position`.
		let rows: [__m256i; 16] = core::array::from_fn(|row| {
			let found = &found[sixteen * 4 + row / 4 * 16 + row % 4];
			// SAFETY: lanes have 32 bytes and are aligned to as many.
			unsafe { _mm256_load_si256(found.0.as_ptr().cast()) }
		});
		for (rows, sums) in transpose(rows).into_iter().zip(&mut *sums) {
			let sums: *mut __m512i = sums.as_chunks_mut::<16>().0[sixteen].as_mut_ptr().cast();
			// SAFETY: sixteen elements of four bytes.
			unsafe {
				let wide = _mm512_cvtepi16_epi32(rows);
				_mm512_storeu_si512(sums, _mm512_add_epi32(_mm512_loadu_si512(sums), wide));
			}
		}
	}
	*found = [NO_LANES; PANEL_ROWS];
}

/// Turns sixteen rows of sixteen lanes into columns: lanes, pairs, fours and halves change places.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c,bmi2")]
fn transpose(rows: [__m256i; 16]) -> [__m256i; 16] {
	// Within each half of a register, the lower or the upper lanes of two in turn.
	let pairs: [__m256i; 16] = core::array::from_fn(|i| match i % 2 {
		0 => _mm256_unpacklo_epi16(rows[i], rows[i + 1]),
		_ => _mm256_unpackhi_epi16(rows[i - 1], rows[i]),
	});
	let fours: [__m256i; 16] = core::array::from_fn(|i| {
		let first = i / 4 * 4 + i / 2 % 2;
		match i % 2 {
			0 => _mm256_unpacklo_epi32(pairs[first], pairs[first + 2]),
			_ => _mm256_unpackhi_epi32(pairs[first], pairs[first + 2]),
		}
	});
	let eights: [__m256i; 16] = core::array::from_fn(|i| {
		let first = i / 8 * 8 + i / 2 % 4;
		match i % 2 {
			0 => _mm256_unpacklo_epi64(fours[first], fours[first + 4]),
			_ => _mm256_unpackhi_epi64(fours[first], fours[first + 4]),
		}
	});
	core::array::from_fn(|i| match i / 8 {
		0 => _mm256_permute2x128_si256::<0x20>(eights[i], eights[i + 8]),
		_ => _mm256_permute2x128_si256::<0x31>(eights[i - 8], eights[i]),
	})
}
