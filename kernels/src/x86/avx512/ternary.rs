//! Linear layers.

use crate::ternary::{Block, MAX_COLS, PANEL_ROWS, STEP_COLS};
use core::arch::x86_64::*;

/// Groups of four columns in a step, at two bits each in a byte.
const PLANES: usize = 4;

// Plane `p` is not shifted down: its products carry a factor of 4^p, at most 64. One 32-bit lane
// gets a quarter of a row's products of a code in 0..=2 and a value in -127..=127.
const _: () = assert!((MAX_COLS / PLANES) as i64 * 2 * 64 * 127 <= i32::MAX as i64);

/// See [`crate::portable::panel_dots`].
///
/// Per block: one load, four masks, and `4 T` dot products with a broadcast of four values. The
/// masks leave plane `p` at bits `2p`; the sums are divided by `4^p` once, which is exact.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c")]
pub(crate) fn panel_dots<const T: usize>(
	blocks: &[Block],
	q: [&[i8]; T],
	sums: [i32; T],
) -> [[i32; PANEL_ROWS]; T] {
	for q in q {
		assert_eq!(q.len(), blocks.len() * STEP_COLS);
	}
	let masks: [__m512i; PLANES] = [
		_mm512_set1_epi8(0x03),
		_mm512_set1_epi8(0x0c),
		_mm512_set1_epi8(0x30),
		_mm512_set1_epi8(0xc0_u8 as i8),
	];
	let mut sums_by_plane = [[_mm512_setzero_si512(); PLANES]; T];
	for (step, block) in blocks.iter().enumerate() {
		// SAFETY: a block has 64 bytes, aligned to 64.
		let packed = unsafe { _mm512_load_si512(block.0.as_ptr().cast()) };
		for p in 0..PLANES {
			let plane = _mm512_and_si512(packed, masks[p]);
			for t in 0..T {
				// SAFETY: `16 step + 16 <= q[t].len()` by the assertion above, and `p <= 3`.
				let four = unsafe {
					q[t].as_ptr()
						.add(step * STEP_COLS + 4 * p)
						.cast::<i32>()
						.read_unaligned()
				};
				let four = _mm512_set1_epi32(four);
				sums_by_plane[t][p] = _mm512_dpbusd_epi32(sums_by_plane[t][p], plane, four);
			}
		}
	}
	let mut dots = [[0; PANEL_ROWS]; T];
	for t in 0..T {
		let [p0, p1, p2, p3] = sums_by_plane[t];
		let low = _mm512_add_epi32(p0, _mm512_srai_epi32::<2>(p1));
		let high = _mm512_add_epi32(_mm512_srai_epi32::<4>(p2), _mm512_srai_epi32::<6>(p3));
		// Codes are weights plus one: Σ (c - 1) q = Σ c q - Σ q.
		let codes = _mm512_add_epi32(low, high);
		let dot = _mm512_sub_epi32(codes, _mm512_set1_epi32(sums[t]));
		// SAFETY: there are sixteen elements of four bytes.
		unsafe { _mm512_storeu_si512(dots[t].as_mut_ptr().cast(), dot) };
	}
	dots
}
