//! Rotary embedding and attention.

use super::{Backend, PARALLEL_WORK, kernel, whole_rows};
use crate::{
	pool::Disjoint,
	rope::{RopePairing, RopeTable},
	scalar::AttentionShape,
};
use job::Job;

mod job;
mod parts;
mod scratch;

/// Rows in a page of the cache of keys or values: for each head, one after the other.
pub const KV_PAGE_ROWS: usize = 64;

/// Tokens of one sequence, at consecutive positions, and what they attend to.
#[derive(Clone, Copy, Debug)]
pub struct AttentionJob<'a> {
	/// Queries, `heads * head_dim` elements per token.
	pub q: &'a [f32],
	/// Pages of keys as half-precision bits: row `i` is row `i % KV_PAGE_ROWS` of page `i / KV_PAGE_ROWS`. A page has
	/// for each of `kv_heads` heads its rows of `head_dim` elements, so that what a head reads lies together. There are
	/// at least `past + tokens` rows; what comes after them is not used.
	pub keys: &'a [&'a [u16]],
	/// Pages of values, likewise.
	pub values: &'a [&'a [u16]],
	/// Rows before that of the first token.
	pub past: usize,
}

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

	/// Puts a row of keys or values of all heads into a page, as [`store_halves`](Self::store_halves) converts it.
	///
	/// # Panics
	///
	/// If `x` is not whole heads, `page` has not [`KV_PAGE_ROWS`] rows of as many elements, or `row` is not one of
	/// them.
	pub fn store_row(&self, x: &[f32], head_dim: usize, page: &mut [u16], row: usize) {
		whole_rows(x.len(), head_dim);
		assert_eq!(
			page.len(),
			KV_PAGE_ROWS * x.len(),
			"page does not fit the row"
		);
		assert!(row < KV_PAGE_ROWS, "row {row} of {KV_PAGE_ROWS}");
		let heads = page.chunks_exact_mut(KV_PAGE_ROWS * head_dim);
		for (x, rows) in x.chunks_exact(head_dim).zip(heads) {
			let out = &mut rows[row * head_dim..][..head_dim];
			kernel!(self, narrow_f16(x, out));
		}
	}

	/// Causal attention: token `i` of `q` reads the first `past + i + 1` rows of the cache.
	///
	/// `q` and `out` have `heads * head_dim` elements per token; `keys` and `values` are pages of
	/// half-precision bits, see [`AttentionJob`]. Each head is [`crate::scalar::attention_head`]: pages
	/// change no bit.
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
		keys: &[&[u16]],
		values: &[&[u16]],
		shape: AttentionShape,
		past: usize,
		out: &mut [f32],
	) {
		let job = AttentionJob {
			q,
			keys,
			values,
			past,
		};
		self.attention_batch(&[job], shape, out);
	}

	/// As [`attention`](Self::attention) for several sequences, with one wait for the threads when there
	/// is work enough for all; the outputs of the jobs stand one after the other in `out`.
	///
	/// # Panics
	///
	/// As [`attention`](Self::attention).
	pub fn attention_batch(
		&self,
		jobs: &[AttentionJob<'_>],
		shape: AttentionShape,
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
		let (mut start, mut work) = (0, 0);
		let mut checked = Vec::with_capacity(jobs.len());
		for job in jobs {
			let tokens = whole_rows(job.q.len(), heads * head_dim);
			let rows = job.past + tokens;
			assert!(holds(job.keys, rows, stride), "keys do not fit the shape");
			assert!(
				holds(job.values, rows, stride),
				"values do not fit the shape"
			);
			checked.push(Job {
				backend: self,
				shape,
				input: *job,
				tokens,
				start,
			});
			start += job.q.len();
			work += job.q.len() * rows;
		}
		assert_eq!(out.len(), start, "output does not fit the queries");
		parts::run(self, &checked, work >= PARALLEL_WORK, &Disjoint::new(out));
	}
}

/// Whether pages hold the first `rows` rows of `stride` elements.
fn holds(pages: &[&[u16]], rows: usize, stride: usize) -> bool {
	let needed = rows.div_ceil(KV_PAGE_ROWS);
	pages.len() >= needed
		&& pages[..needed]
			.iter()
			.all(|page| page.len() >= KV_PAGE_ROWS * stride)
}
