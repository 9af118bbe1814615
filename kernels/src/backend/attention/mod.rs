//! Rotary embedding and attention.

use super::{Backend, PARALLEL_WORK, kernel, whole_rows};
use crate::{
	pool::Disjoint,
	rope::{RopePairing, RopeTable},
	scalar::AttentionShape,
};
use job::Job;

mod job;

impl Backend {
	/// Rotates the heads of each token in place; token `i` is at `positions[i]`.
	///
	/// # Panics
	///
	/// If `x` is not `positions.len()` rows of whole heads, the table rotates more than `head_dim`
	/// elements, or a position is outside the table.
	pub fn rope(
		&self,
		x: &mut [f32],
		head_dim: usize,
		table: &RopeTable,
		positions: &[usize],
		pairing: RopePairing,
	) {
		assert!(
			table.rotary_dim() <= head_dim,
			"rotary dimension exceeds the head's"
		);
		if positions.is_empty() {
			assert!(x.is_empty(), "tokens without positions");
			return;
		}
		assert!(
			x.len().is_multiple_of(positions.len()),
			"tokens do not fit the positions"
		);
		let cols = x.len() / positions.len();
		whole_rows(cols, head_dim);
		let work = x.len();
		let x = Disjoint::new(x);
		self.split(positions.len(), work, |range| {
			for token in range {
				// SAFETY: each token is in one range.
				let x = unsafe { x.part(token * cols, cols) };
				kernel!(
					self,
					rope_row(x, head_dim, table, positions[token], pairing)
				);
			}
		});
	}

	/// Converts to half-precision bits, as keys and values are cached; see
	/// [`crate::math::f32_to_f16`] for rounding and for numbers that are too large.
	///
	/// # Panics
	///
	/// If the lengths differ.
	pub fn store_halves(&self, x: &[f32], out: &mut [u16]) {
		assert_eq!(x.len(), out.len(), "output does not fit the input");
		let len = x.len();
		let out = Disjoint::new(out);
		self.split(len, len, |range| {
			// SAFETY: the ranges of threads do not overlap.
			let out = unsafe { out.part(range.start, range.len()) };
			kernel!(self, narrow_f16(&x[range], out));
		});
	}

	/// Causal attention: token `i` of `q` reads the first `past + i + 1` rows of the cache.
	///
	/// `q` and `out` have `heads * head_dim` elements per token; `keys` and `values`, half-precision
	/// bits, `kv_heads * head_dim` per row and `past + tokens` rows. Each head is
	/// [`crate::scalar::attention_head`].
	///
	/// One token reads `4 kv_heads head_dim` bytes for each row, once, which bounds its speed;
	/// several tokens share what they read.
	///
	/// # Panics
	///
	/// If the shapes do not fit, a dimension is 0, or `heads` is not a multiple of `kv_heads`.
	pub fn attention(
		&self,
		q: &[f32],
		keys: &[u16],
		values: &[u16],
		shape: AttentionShape,
		past: usize,
		out: &mut [f32],
	) {
		let AttentionShape {
			heads,
			kv_heads,
			head_dim,
		} = shape;
		assert!(
			kv_heads > 0 && heads.is_multiple_of(kv_heads),
			"heads {heads}/{kv_heads}"
		);
		let stride = kv_heads * head_dim;
		let tokens = whole_rows(q.len(), heads * head_dim);
		assert_eq!(
			keys.len(),
			(past + tokens) * stride,
			"keys do not fit the shape"
		);
		assert_eq!(values.len(), keys.len(), "values do not fit the keys");
		assert_eq!(out.len(), q.len(), "output does not fit the queries");
		let work = q.len() * (past + tokens);
		let job = Job {
			backend: self,
			q,
			keys,
			values,
			shape,
			past,
		};
		job.run(tokens, work >= PARALLEL_WORK, &Disjoint::new(out));
	}
}
