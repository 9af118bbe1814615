//! What the attention kernels of this level and the next share.

use crate::scalar::LANES;
use core::arch::x86_64::*;

/// Elements of two bytes in a cache line.
const LINE: usize = 32;

/// Prefetches a row that will be read soon; it need not exist.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn prefetch(row: *const u16, width: usize) {
	for line in (0..width).step_by(LINE) {
		_mm_prefetch::<_MM_HINT_T1>(row.wrapping_add(line).cast());
	}
}

/// See [`crate::scalar::reduce_lanes`]: eight of them, side by side.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn reduce(lanes: &[[f32; LANES]; 8]) -> [f32; 8] {
	// Step 8, then step 4 with two results in a register: row `i` beside row `i + 4`.
	let mut fours = [_mm256_setzero_ps(); 4];
	for (i, four) in fours.iter_mut().enumerate() {
		let (a, b) = (eight(&lanes[i]), eight(&lanes[i + 4]));
		*four = _mm256_add_ps(
			_mm256_permute2f128_ps::<0x20>(a, b),
			_mm256_permute2f128_ps::<0x31>(a, b),
		);
	}
	// Step 2: the first halves of two registers and the second halves.
	let two = |x: __m256, y: __m256| {
		let (x, y) = (_mm256_castps_pd(x), _mm256_castps_pd(y));
		_mm256_add_ps(
			_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)),
			_mm256_castpd_ps(_mm256_unpackhi_pd(x, y)),
		)
	};
	let (x, y) = (two(fours[0], fours[1]), two(fours[2], fours[3]));
	// Step 1: even elements and odd ones.
	let sums = _mm256_add_ps(
		_mm256_shuffle_ps::<0b10_00_10_00>(x, y),
		_mm256_shuffle_ps::<0b11_01_11_01>(x, y),
	);
	let mut out = [0.0; 8];
	// SAFETY: `out` has eight elements.
	unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sums) };
	out
}

/// Lanes 0 to 7 plus lanes 8 to 15.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn eight(lanes: &[f32; LANES]) -> __m256 {
	// SAFETY: there are sixteen lanes.
	unsafe {
		_mm256_add_ps(
			_mm256_loadu_ps(lanes.as_ptr()),
			_mm256_loadu_ps(lanes.as_ptr().add(8)),
		)
	}
}
