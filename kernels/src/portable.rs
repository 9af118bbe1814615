//! The kernels of [`Isa::Scalar`](crate::Isa): the specification, called row by row.

use crate::{
	math,
	scalar::ternary_dot,
	ternary::{Block, PANEL_ROWS, STEP_COLS, unpack},
};

/// Defines the float kernels of a level: the specification compiled with the given attributes.
///
/// Equal bits follow from there being one text; wide registers from its sixteen lanes.
macro_rules! float_kernels {
	($(#[$attribute:meta])*) => {
		use $crate::{RopePairing, RopeTable, scalar};

		$(#[$attribute])*
		pub(crate) fn quantize_row(x: &[f32], q: &mut [i8]) -> Option<(f32, i32)> {
			scalar::quantize_row(x, q)
		}

		$(#[$attribute])*
		pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
			scalar::reduce_dot(a, b)
		}

		$(#[$attribute])*
		pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
			scalar::rms_norm(x, weight, eps, out);
		}

		$(#[$attribute])*
		pub(crate) fn rope_row(
			x: &mut [f32],
			head_dim: usize,
			table: &RopeTable,
			position: usize,
			pairing: RopePairing,
		) {
			scalar::rope_row(x, head_dim, table, position, pairing);
		}

		$(#[$attribute])*
		pub(crate) fn attention_head(
			q: &[f32],
			keys: &[f32],
			values: &[f32],
			stride: usize,
			scores: &mut [f32],
			out: &mut [f32],
		) {
			scalar::attention_head(q, keys, values, stride, scores, out);
		}

		$(#[$attribute])*
		pub(crate) fn squared_relu_mul(gate: &mut [f32], up: &[f32]) {
			scalar::squared_relu_mul(gate, up);
		}

		$(#[$attribute])*
		pub(crate) fn silu_mul(gate: &mut [f32], up: &[f32]) {
			scalar::silu_mul(gate, up);
		}
	};
}

#[cfg(target_arch = "x86_64")]
pub(crate) use float_kernels;

float_kernels!();

/// Steps unpacked at once: a buffer that stays in the first-level cache.
const UNPACK_STEPS: usize = 64;

/// Half-precision row times one token.
pub(crate) fn dot_f16(a: &[u16], b: &[f32]) -> f32 {
	scalar::reduce_dot_f16(a, b)
}

/// Half precision to single, exactly.
pub(crate) fn widen_f16(a: &[u16], out: &mut [f32]) {
	for (a, out) in a.iter().zip(out) {
		*out = math::f16_to_f32(*a);
	}
}

/// Dot products of the sixteen rows of a panel with `T` tokens of `16 * blocks.len()` values.
///
/// `sums` are the sums of the tokens' values.
pub(crate) fn panel_dots<const T: usize>(
	blocks: &[Block],
	q: [&[i8]; T],
	_sums: [i32; T],
) -> [[i32; PANEL_ROWS]; T] {
	let mut dots = [[0; PANEL_ROWS]; T];
	let mut weights = [0; UNPACK_STEPS * STEP_COLS];
	for row in 0..PANEL_ROWS {
		for (chunk, blocks) in blocks.chunks(UNPACK_STEPS).enumerate() {
			let weights = &mut weights[..blocks.len() * STEP_COLS];
			unpack(blocks, row, weights);
			for (dots, q) in dots.iter_mut().zip(q) {
				let q = &q[chunk * UNPACK_STEPS * STEP_COLS..][..weights.len()];
				dots[row] += ternary_dot(weights, q);
			}
		}
	}
	dots
}
