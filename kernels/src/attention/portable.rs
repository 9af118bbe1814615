//! The kernels without vector instructions of a certain CPU.

use super::attention_kernels;

attention_kernels!();

/// Four floats: what compilers keep in one register of any CPU.
mod vector {
	use crate::{
		math,
		scalar::{self, reduce_lanes},
	};

	pub(super) const LANES: usize = 4;
	pub(super) type Vector = [f32; LANES];

	#[inline(always)]
	pub(super) fn zero() -> Vector {
		[0.0; LANES]
	}

	#[inline(always)]
	pub(super) fn splat(x: f32) -> Vector {
		[x; LANES]
	}

	/// # Safety
	///
	/// `x` may be read for four elements.
	#[inline(always)]
	pub(super) unsafe fn load(x: *const f32) -> Vector {
		// SAFETY: by the caller's promise; the read needs no more alignment than an `f32`.
		unsafe { x.cast::<Vector>().read() }
	}

	/// # Safety
	///
	/// `x` may be read for four elements.
	#[inline(always)]
	pub(super) unsafe fn half(x: *const u16) -> Vector {
		// SAFETY: by the caller's promise; the read needs no more alignment than a `u16`.
		unsafe { x.cast::<[u16; LANES]>().read() }.map(math::f16_to_f32)
	}

	/// # Safety
	///
	/// `out` may be written for four elements.
	#[inline(always)]
	pub(super) unsafe fn store(out: *mut f32, x: Vector) {
		// SAFETY: by the caller's promise; the write needs no more alignment than an `f32`.
		unsafe { out.cast::<Vector>().write(x) };
	}

	#[inline(always)]
	pub(super) fn add(x: Vector, y: Vector) -> Vector {
		[x[0] + y[0], x[1] + y[1], x[2] + y[2], x[3] + y[3]]
	}

	#[inline(always)]
	pub(super) fn mul(x: Vector, y: Vector) -> Vector {
		[x[0] * y[0], x[1] * y[1], x[2] * y[2], x[3] * y[3]]
	}

	#[inline(always)]
	pub(super) fn widen(halves: &[u16; scalar::LANES], out: &mut [f32; scalar::LANES]) {
		for (half, out) in halves.iter().zip(out) {
			*out = math::f16_to_f32(*half);
		}
	}

	/// Nothing: the CPU's own prefetching does.
	#[inline(always)]
	pub(super) fn prefetch(_row: *const u16, _width: usize) {}

	#[inline(always)]
	pub(super) fn reduce(lanes: &[[f32; scalar::LANES]; 8]) -> [f32; 8] {
		lanes.map(reduce_lanes)
	}
}
