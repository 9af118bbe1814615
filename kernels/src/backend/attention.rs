//! Rotary embedding and attention.

use super::{Backend, PARALLEL_WORK, kernel, whole_rows};
use crate::{
	pool::Disjoint,
	rope::{RopePairing, RopeTable},
	scalar::AttentionShape,
};

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

	/// Causal attention: token `i` of `q` reads the first `past + i + 1` rows of the cache.
	///
	/// `q` and `out` have `heads * head_dim` elements per token, `keys` and `values`
	/// `kv_heads * head_dim` per row, `past + tokens` rows.
	///
	/// # Panics
	///
	/// If the shapes do not fit, a dimension is 0, or `heads` is not a multiple of `kv_heads`.
	pub fn attention(
		&self,
		q: &[f32],
		keys: &[f32],
		values: &[f32],
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
		let out = Disjoint::new(out);
		let tasks = tokens * heads;
		let job = |thread: usize, threads: usize| {
			let mut scores = vec![0.0; past + tokens];
			// Interleaved, because later tokens read more rows.
			for task in (thread..tasks).step_by(threads) {
				let (token, head) = (task / heads, task % heads);
				let first = head / (heads / kv_heads) * head_dim;
				// SAFETY: a task belongs to one thread and has its own part.
				let out = unsafe { out.part(task * head_dim, head_dim) };
				kernel!(
					self,
					attention_head(
						&q[task * head_dim..][..head_dim],
						&keys[first..],
						&values[first..],
						stride,
						&mut scores[..past + token + 1],
						out,
					)
				);
			}
		};
		if q.len() * (past + tokens) < PARALLEL_WORK {
			job(0, 1)
		} else {
			self.pool.run(job)
		}
	}
}
