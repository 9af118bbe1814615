//! Logits.

use super::{Backend, kernel, whole_rows};
use crate::pool::Disjoint;

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
}
