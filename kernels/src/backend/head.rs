//! Logits.

use super::{Backend, kernel, whole_rows};
use crate::{
	head::{BLOCK_ROWS, HeadMatrix},
	pool::Disjoint,
	quant::QuantizedActivations,
	scalar,
};

impl Backend {
	/// Logits from half-precision rows: `out[token * rows + row] = row · x[token]`.
	///
	/// `rows` is a matrix of IEEE 754 half bits with `cols` columns.
	///
	/// # Panics
	///
	/// If `cols` is 0, or the shapes do not fit: whole rows, whole tokens, and the output.
	pub fn head_f16(&self, rows: &[u16], cols: usize, x: &[f32], out: &mut [f32]) {
		self.head(rows, cols, x, out, |row, buffer, each| {
			if x.len() == cols {
				each(0, kernel!(self, dot_f16(row, x)));
				return;
			}
			// Several tokens share the conversion, which is exact.
			buffer.resize(cols, 0.0);
			kernel!(self, widen_f16(row, buffer));
			for (token, x) in x.chunks_exact(cols).enumerate() {
				each(token, kernel!(self, dot(buffer, x)));
			}
		});
	}

	/// As [`head_f16`](Self::head_f16) with rows in single precision.
	///
	/// # Panics
	///
	/// As [`head_f16`](Self::head_f16).
	pub fn head_f32(&self, rows: &[f32], cols: usize, x: &[f32], out: &mut [f32]) {
		self.head(rows, cols, x, out, |row, _, each| {
			for (token, x) in x.chunks_exact(cols).enumerate() {
				each(token, kernel!(self, dot(row, x)));
			}
		});
	}

	/// Splits the rows of a head over threads; `dots` reports a row's product with each token.
	fn head<W: Sync>(
		&self,
		rows: &[W],
		cols: usize,
		x: &[f32],
		out: &mut [f32],
		dots: impl Fn(&[W], &mut Vec<f32>, &mut dyn FnMut(usize, f32)) + Sync,
	) {
		let count = whole_rows(rows.len(), cols);
		let tokens = whole_rows(x.len(), cols);
		assert_eq!(out.len(), tokens * count, "output does not fit the head");
		let out = Disjoint::new(out);
		self.split(count, rows.len() * tokens, |range| {
			let mut buffer = Vec::new();
			for row in range {
				dots(
					&rows[row * cols..][..cols],
					&mut buffer,
					&mut |token, dot| {
						// SAFETY: each row is in one range, so this element has one writer.
						unsafe { out.part(token * count + row, 1)[0] = dot };
					},
				);
			}
		});
	}

	/// Logits from a head in eight bits: `out[token * rows + row] = (Σ n q / a) scale[row]`.
	///
	/// # Panics
	///
	/// If the shapes do not fit: `a.cols() == head.cols()`, `out.len() == a.tokens() * head.rows()`.
	pub fn head_int8(&self, head: &HeadMatrix, a: &QuantizedActivations, out: &mut [f32]) {
		let (rows, tokens) = (head.rows(), a.tokens);
		assert_eq!(head.cols(), a.cols, "activations do not fit the head");
		assert_eq!(out.len(), tokens * rows, "output does not fit the head");
		let values: Vec<(&[i8], i32)> = (0..tokens).map(|t| head_values(head, a, t)).collect();
		let each: Vec<&[i8]> = values.iter().map(|(q, _)| *q).collect();
		let out = Disjoint::new(out);
		self.split(rows.div_ceil(BLOCK_ROWS), rows * a.cols * tokens, |runs| {
			let mut high = vec![[0; BLOCK_ROWS]; tokens];
			for run in runs {
				let first = run * BLOCK_ROWS;
				let count = BLOCK_ROWS.min(rows - first);
				kernel!(self, head_high_dots(head.run(run), &each, &mut high));
				for (token, (q, offset)) in values.iter().enumerate() {
					// SAFETY: each run is in one range, so its rows have one writer.
					let out = unsafe { out.part(token * rows + first, count) };
					for (i, out) in out.iter_mut().enumerate() {
						let low = kernel!(self, head_low_dot(head.parts(first + i), q));
						let dot = join(high[token][i], low, *offset);
						*out = scalar::rescale(dot, a.inv[token], head.scales(run)[i]);
					}
				}
			}
		});
	}
}

/// A token's values, padded as the planes, and what to subtract from products with them.
pub(super) fn head_values<'a>(
	head: &HeadMatrix,
	a: &'a QuantizedActivations,
	token: usize,
) -> (&'a [i8], i32) {
	let q = &a.padded(token)[..head.padded_cols()];
	(q, head.offset(q, a.sums[token]))
}

/// The product of a row from those of its planes. The sum of all terms fits, see [`crate::head`].
pub(super) fn join(high: i32, low: i32, offset: i32) -> i32 {
	high.wrapping_mul(16).wrapping_add(low).wrapping_sub(offset)
}
