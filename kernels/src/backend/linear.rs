//! Quantised activations and linear layers.

use super::{Backend, kernel, whole_rows};
use crate::{
	pool::Disjoint,
	quant::{NonFinite, QuantizedActivations},
	scalar,
	ternary::{PANEL_ROWS, TernaryMatrix},
};

/// Tokens that share one read of the weights.
const TILE_TOKENS: usize = 4;

impl Backend {
	/// Quantises `x`, rows of `cols` activations, one row per token.
	///
	/// # Errors
	///
	/// [`NonFinite`] names the first infinity or NaN; `out` then holds no tokens.
	///
	/// # Panics
	///
	/// If `cols` is 0 or `x` is not whole rows.
	pub fn quantize(
		&self,
		x: &[f32],
		cols: usize,
		out: &mut QuantizedActivations,
	) -> Result<(), NonFinite> {
		let tokens = whole_rows(x.len(), cols);
		out.resize(tokens, cols);
		let q = Disjoint::new(&mut out.q);
		let inv = Disjoint::new(&mut out.inv);
		let sums = Disjoint::new(&mut out.sums);
		self.split(tokens, x.len(), |range| {
			for token in range {
				// SAFETY: each token is in one range, and has its own part of each buffer.
				let (q, inv, sum) = unsafe {
					(
						q.part(token * cols, cols),
						inv.part(token, 1),
						sums.part(token, 1),
					)
				};
				// A zero scale marks a bad row: a good one is always positive.
				(inv[0], sum[0]) =
					kernel!(self, quantize_row(&x[token * cols..][..cols], q)).unwrap_or((0.0, 0));
			}
		});
		if out.inv.contains(&0.0) {
			out.clear();
			let index = x.iter().position(|x| !x.is_finite()).unwrap_or(0);
			return Err(NonFinite { index });
		}
		Ok(())
	}

	/// `out[token * rows + row] = (Σ w q / a) scale`.
	///
	/// # Panics
	///
	/// If the shapes do not fit: `a.cols() == w.cols()`, `out.len() == a.tokens() * w.rows()`.
	pub fn linear(&self, w: &TernaryMatrix, a: &QuantizedActivations, out: &mut [f32]) {
		let (rows, cols, tokens) = (w.rows(), w.cols(), a.tokens);
		assert_eq!(a.cols, cols, "activations do not fit the matrix");
		assert_eq!(out.len(), tokens * rows, "output does not fit the matrix");
		let out = Disjoint::new(out);
		self.split(rows.div_ceil(PANEL_ROWS), rows * cols * tokens, |panels| {
			for panel in panels {
				let mut token = 0;
				while token < tokens {
					token += match tokens - token {
						1 => self.tile::<1>(w, a, panel, token, &out),
						2 => self.tile::<2>(w, a, panel, token, &out),
						3 => self.tile::<3>(w, a, panel, token, &out),
						_ => self.tile::<TILE_TOKENS>(w, a, panel, token, &out),
					};
				}
			}
		});
	}

	/// One panel by `T` tokens from `token`; returns `T`. Panels given to threads differ.
	fn tile<const T: usize>(
		&self,
		w: &TernaryMatrix,
		a: &QuantizedActivations,
		panel: usize,
		token: usize,
		out: &Disjoint<'_, f32>,
	) -> usize {
		let q = core::array::from_fn(|t| &a.q[(token + t) * a.cols..][..a.cols]);
		let sums = core::array::from_fn(|t| a.sums[token + t]);
		let dots = kernel!(self, panel_dots::<T>(w.panel(panel), q, sums));
		let first = panel * PANEL_ROWS;
		let count = PANEL_ROWS.min(w.rows() - first);
		for (t, dots) in dots.iter().enumerate() {
			// SAFETY: each panel is in one thread's range, so its rows are written by one thread.
			let out = unsafe { out.part((token + t) * w.rows() + first, count) };
			for (out, dot) in out.iter_mut().zip(dots) {
				*out = scalar::rescale(*dot, a.inv[token + t], w.scale());
			}
		}
		T
	}
}
