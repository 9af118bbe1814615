//! Half-precision rows.

use crate::{
	math,
	scalar::{LANES, reduce_lanes},
};
use core::arch::aarch64::*;

/// See [`crate::scalar::reduce_dot_f16`].
#[target_feature(enable = "neon")]
pub(crate) fn dot_f16(a: &[u16], b: &[f32]) -> f32 {
	assert_eq!(a.len(), b.len());
	let (a_chunks, a_tail) = a.as_chunks::<LANES>();
	let (b_chunks, b_tail) = b.as_chunks::<LANES>();
	let mut sums = [vdupq_n_f32(0.0); LANES / 4];
	for (x, y) in a_chunks.iter().zip(b_chunks) {
		let (x, y) = (x.as_chunks::<8>().0, y.as_chunks::<8>().0);
		for ((x, y), sums) in x.iter().zip(y).zip(sums.as_chunks_mut::<2>().0) {
			// SAFETY: both have eight elements.
			let y = unsafe { [vld1q_f32(y.as_ptr()), vld1q_f32(y.as_ptr().add(4))] };
			for ((x, y), sum) in widen(x).into_iter().zip(y).zip(sums) {
				*sum = vaddq_f32(*sum, vmulq_f32(x, y));
			}
		}
	}
	let mut lanes = [0.0; LANES];
	for (lanes, sum) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
		// SAFETY: there are four elements.
		unsafe { vst1q_f32(lanes.as_mut_ptr(), sum) };
	}
	for (lane, (x, y)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail)) {
		*lane += math::f16_to_f32(*x) * y;
	}
	reduce_lanes(lanes)
}

/// See [`crate::portable::widen_f16`].
#[target_feature(enable = "neon")]
pub(crate) fn widen_f16(a: &[u16], out: &mut [f32]) {
	assert_eq!(a.len(), out.len());
	let (a_chunks, a_tail) = a.as_chunks::<8>();
	let (out_chunks, out_tail) = out.as_chunks_mut::<8>();
	for (a, out) in a_chunks.iter().zip(out_chunks) {
		let [first, second] = widen(a);
		// SAFETY: there are eight elements.
		unsafe {
			vst1q_f32(out.as_mut_ptr(), first);
			vst1q_f32(out.as_mut_ptr().add(4), second);
		}
	}
	for (a, out) in a_tail.iter().zip(out_tail) {
		*out = math::f16_to_f32(*a);
	}
}

/// Eight halves to single precision.
#[inline]
#[target_feature(enable = "neon")]
fn widen(a: &[u16; 8]) -> [float32x4_t; 2] {
	// SAFETY: there are eight elements.
	let a = vreinterpretq_f16_u16(unsafe { vld1q_u16(a.as_ptr()) });
	[vcvt_f32_f16(vget_low_f16(a)), vcvt_high_f32_f16(a)]
}
