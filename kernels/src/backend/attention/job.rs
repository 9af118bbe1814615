//! Attention of some tokens of one sequence: a head on one thread, or all heads in steps.

use super::{
	AttentionJob, KV_PAGE_ROWS,
	scratch::{OWN, SHARED, with_memory},
};
use crate::{
	attention::{PREFETCH_ROWS, TILE_ROWS, Tile},
	backend::{Backend, kernel},
	pool::{Disjoint, share},
	scalar::{AttentionShape, LANES, attention_scale},
};
use std::ops::Range;

/// Queries that share each widened row, if there are as many.
const TILE_QUERIES: usize = 16;
/// Positions that a thread takes for all heads before it goes on: they stay in the second-level cache.
const BLOCK: usize = 64;
/// Columns of values that one thread takes at least: a cache line.
const STRIP: usize = 32;

// Tiles and blocks start where pages do, and none crosses into the next page.
const _: () = assert!(KV_PAGE_ROWS.is_multiple_of(TILE_ROWS) && KV_PAGE_ROWS.is_multiple_of(BLOCK));

/// Which half of the cache.
#[derive(Clone, Copy)]
enum Cache {
	Keys,
	Values,
}

/// Some consecutive tokens.
#[derive(Clone, Copy)]
pub(super) struct Tokens {
	first: usize,
	count: usize,
}

/// The tokens of one sequence, their shapes checked.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
	pub(super) backend: &'a Backend,
	pub(super) shape: AttentionShape,
	pub(super) input: AttentionJob<'a>,
	pub(super) tokens: usize,
	/// Where its outputs start.
	pub(super) start: usize,
}

pub(super) fn on_threads(backend: &Backend, parallel: bool, f: impl Fn(usize, usize) + Sync) {
	if parallel {
		let parts = backend.threads();
		backend.pool.run(parts, |part| f(part, parts));
	} else {
		f(0, 1);
	}
}

/// Parts of a range of positions, each within one tile of a page.
fn tiles(positions: Range<usize>) -> impl Iterator<Item = Range<usize>> {
	let numbers = positions.start / TILE_ROWS..positions.end.div_ceil(TILE_ROWS);
	numbers.map(move |number| {
		let first = number * TILE_ROWS;
		positions.start.max(first)..positions.end.min(first + TILE_ROWS)
	})
}

impl Job<'_> {
	/// Tokens whose queries are computed together.
	fn each(&self) -> usize {
		(TILE_QUERIES / self.group()).max(1)
	}

	/// Tiles of tokens.
	pub(super) fn tiles(&self) -> usize {
		self.tokens.div_ceil(self.each())
	}

	/// The tokens of a tile.
	pub(super) fn tile(&self, index: usize) -> Tokens {
		let first = index * self.each();
		Tokens {
			first,
			count: self.each().min(self.tokens - first),
		}
	}

	/// Query heads that share a key and value head.
	fn group(&self) -> usize {
		self.shape.heads / self.shape.kv_heads
	}

	/// Rows of the cache that token `token` reads.
	fn len(&self, token: usize) -> usize {
		self.input.past + token + 1
	}

	/// Rows of the cache that some of the tokens read.
	fn longest(&self, tokens: Tokens) -> usize {
		self.len(tokens.first + tokens.count - 1)
	}

	/// One key and value head, all steps.
	pub(super) fn whole_head(&self, tokens: Tokens, head: usize, out: &Disjoint<'_, f32>) {
		let head_dim = self.shape.head_dim;
		let padded = head_dim.next_multiple_of(LANES);
		let rows = tokens.count * self.group();
		let len = self.longest(tokens);
		let stride = len.next_multiple_of(TILE_ROWS);
		let queries = rows * padded;
		let needed = queries + rows * stride + self.scratch(rows);
		with_memory(&OWN, needed, |memory| {
			let (q, memory) = memory.split_at_mut(queries);
			let (scores, scratch) = memory.split_at_mut(rows * stride);
			self.gather(tokens, head, q);
			self.scores(q, head, 0..len, scratch, |row, t, part| {
				scores[row * stride + t..][..part.len()].copy_from_slice(part);
			});
			for (row, scores) in scores.chunks_exact_mut(stride).enumerate() {
				let len = self.len(tokens.first + row / self.group());
				kernel!(self.backend, softmax(&mut scores[..len]));
			}
			// The queries are not needed any more.
			let sums = q;
			sums.fill(0.0);
			let common = self.len(tokens.first);
			self.mix(head, 0..head_dim, 0..common, scores, stride, scratch, sums);
			self.mix_rest(tokens, head, 0..head_dim, scores, stride, scratch, sums);
			self.put(tokens, head, 0..head_dim, sums, out);
		});
	}

	/// All heads, with all threads in the same step.
	pub(super) fn in_steps(&self, tokens: Tokens, parallel: bool, out: &Disjoint<'_, f32>) {
		let AttentionShape {
			kv_heads, head_dim, ..
		} = self.shape;
		let padded = head_dim.next_multiple_of(LANES);
		let rows = tokens.count * self.group();
		let len = self.longest(tokens);
		let stride = len.next_multiple_of(TILE_ROWS);
		let (queries, head_scores) = (rows * padded, rows * stride);
		with_memory(&SHARED, kv_heads * (queries + head_scores), |memory| {
			let (q, scores) = memory.split_at_mut(kv_heads * queries);
			for (head, q) in q.chunks_exact_mut(queries).enumerate() {
				self.gather(tokens, head, q);
			}
			let all = Disjoint::new(scores);
			on_threads(self.backend, parallel, |thread, threads| {
				with_memory(&OWN, self.scratch(rows), |scratch| {
					for part in share(len.div_ceil(BLOCK) * kv_heads, thread, threads) {
						let (block, head) = (part / kv_heads, part % kv_heads);
						let positions = block * BLOCK..len.min((block + 1) * BLOCK);
						let q = &q[head * queries..][..queries];
						self.scores(q, head, positions, scratch, |row, t, part| {
							let start = head * head_scores + row * stride + t;
							// SAFETY: a thread has its own positions of a head, and they have their
							// own places.
							unsafe { all.part(start, part.len()) }.copy_from_slice(part);
						});
					}
				});
			});
			on_threads(self.backend, parallel, |thread, threads| {
				for row in share(kv_heads * rows, thread, threads) {
					let len = self.len(tokens.first + row % rows / self.group());
					// SAFETY: each row is in one thread's share.
					let scores = unsafe { all.part(row * stride, len) };
					kernel!(self.backend, softmax(scores));
				}
			});
			let strips = head_dim.div_ceil(STRIP);
			let scores = &*scores;
			on_threads(self.backend, parallel, |thread, threads| {
				let own = share(kv_heads * strips, thread, threads);
				let segments = Segments {
					strips: own,
					head_dim,
				};
				let sums = segments
					.clone()
					.map(|(_, columns)| rows * padded_len(&columns));
				let sums: usize = sums.sum();
				with_memory(&OWN, sums + self.scratch(rows), |memory| {
					let (sums, scratch) = memory.split_at_mut(sums);
					sums.fill(0.0);
					let common = self.len(tokens.first);
					for start in (0..common).step_by(BLOCK) {
						let block = start..common.min(start + BLOCK);
						let mut sums = &mut *sums;
						for (head, columns) in segments.clone() {
							let now;
							(now, sums) = sums.split_at_mut(rows * padded_len(&columns));
							let scores = &scores[head * head_scores..][..head_scores];
							self.mix(head, columns, block.clone(), scores, stride, scratch, now);
						}
					}
					let mut sums = sums;
					for (head, columns) in segments {
						let now;
						(now, sums) = sums.split_at_mut(rows * padded_len(&columns));
						let scores = &scores[head * head_scores..][..head_scores];
						self.mix_rest(tokens, head, columns.clone(), scores, stride, scratch, now);
						self.put(tokens, head, columns, now, out);
					}
				});
			});
		});
	}

	/// Copies the queries of a key head, token by token, and pads them.
	fn gather(&self, tokens: Tokens, head: usize, rows: &mut [f32]) {
		let AttentionShape {
			heads, head_dim, ..
		} = self.shape;
		let padded = head_dim.next_multiple_of(LANES);
		for (row, out) in rows.chunks_exact_mut(padded).enumerate() {
			let token = tokens.first + row / self.group();
			let query = token * heads + head * self.group() + row % self.group();
			out[..head_dim].copy_from_slice(&self.input.q[query * head_dim..][..head_dim]);
			out[head_dim..].fill(0.0);
		}
	}

	/// Elements of scratch for [`Self::scores`] and [`Self::mix`].
	fn scratch(&self, rows: usize) -> usize {
		TILE_ROWS * (self.shape.head_dim.next_multiple_of(LANES) + rows)
	}

	/// Scores of gathered queries at some positions; `put` takes a row, a position, and scores from
	/// there on.
	fn scores(
		&self,
		q: &[f32],
		head: usize,
		positions: Range<usize>,
		scratch: &mut [f32],
		mut put: impl FnMut(usize, usize, &[f32]),
	) {
		let head_dim = self.shape.head_dim;
		let padded = head_dim.next_multiple_of(LANES);
		let (wide, scores) = scratch.split_at_mut(TILE_ROWS * padded);
		let scores = &mut scores[..q.len() / padded * TILE_ROWS];
		let scale = attention_scale(head_dim);
		for positions in tiles(positions) {
			let first = positions.start;
			let keys = self.rows(Cache::Keys, head, 0..head_dim, positions);
			kernel!(self.backend, attention_scores(q, keys, scale, wide, scores));
			for (row, scores) in scores.chunks_exact(TILE_ROWS).enumerate() {
				put(row, first, &scores[..keys.rows]);
			}
		}
	}

	/// Adds values at positions that all tokens read.
	#[expect(
		clippy::too_many_arguments,
		reason = "ranges, and the parts of the scratch memory"
	)]
	fn mix(
		&self,
		head: usize,
		columns: Range<usize>,
		positions: Range<usize>,
		scores: &[f32],
		stride: usize,
		wide: &mut [f32],
		sums: &mut [f32],
	) {
		for positions in tiles(positions) {
			let scores = &scores[positions.start..];
			let values = self.rows(Cache::Values, head, columns.clone(), positions);
			kernel!(
				self.backend,
				attention_mix(scores, stride, values, wide, sums)
			);
		}
	}

	/// Adds values at positions that only later tokens read.
	#[expect(clippy::too_many_arguments, reason = "as above")]
	fn mix_rest(
		&self,
		tokens: Tokens,
		head: usize,
		columns: Range<usize>,
		scores: &[f32],
		stride: usize,
		wide: &mut [f32],
		sums: &mut [f32],
	) {
		let common = self.len(tokens.first);
		let (group, padded) = (self.group(), padded_len(&columns));
		for token in 1..tokens.count {
			let scores = &scores[token * group * stride..][..group * stride];
			let sums = &mut sums[token * group * padded..][..group * padded];
			let positions = common..common + token;
			self.mix(head, columns.clone(), positions, scores, stride, wide, sums);
		}
	}

	/// Rows of keys or of values at positions of one tile.
	fn rows(
		&self,
		cache: Cache,
		head: usize,
		columns: Range<usize>,
		positions: Range<usize>,
	) -> Tile<'_> {
		let AttentionJob { keys, values, .. } = self.input;
		let stride = self.shape.head_dim;
		let start = |position: usize| {
			(head * KV_PAGE_ROWS + position % KV_PAGE_ROWS) * stride + columns.start
		};
		// After the last keys come the first values.
		let keys_end = self.len(self.tokens - 1).next_multiple_of(TILE_ROWS);
		let ahead = positions.start + PREFETCH_ROWS;
		let (pages, ahead_pages, ahead) = match cache {
			Cache::Keys if ahead >= keys_end => (keys, values, ahead - keys_end),
			Cache::Keys => (keys, keys, ahead),
			Cache::Values => (values, values, ahead),
		};
		let halves = &pages[positions.start / KV_PAGE_ROWS][start(positions.start)..];
		let ahead = ahead_pages.get(ahead / KV_PAGE_ROWS).map_or(0, |page| {
			let row = page.as_ptr().wrapping_add(start(ahead));
			row.addr().wrapping_sub(halves.as_ptr().addr()) as isize / size_of::<u16>() as isize
		});
		Tile {
			halves,
			stride,
			width: columns.len(),
			rows: positions.len(),
			ahead,
		}
	}

	/// Writes some columns of the outputs of a key and value head.
	fn put(
		&self,
		tokens: Tokens,
		head: usize,
		columns: Range<usize>,
		sums: &[f32],
		out: &Disjoint<'_, f32>,
	) {
		let AttentionShape {
			heads, head_dim, ..
		} = self.shape;
		for (row, sums) in sums.chunks_exact(padded_len(&columns)).enumerate() {
			let token = tokens.first + row / self.group();
			let query = token * heads + head * self.group() + row % self.group();
			let start = self.start + query * head_dim + columns.start;
			// SAFETY: tokens, heads and columns have their own places, and one thread writes each.
			let out = unsafe { out.part(start, columns.len()) };
			out.copy_from_slice(&sums[..columns.len()]);
		}
	}
}

fn padded_len(columns: &Range<usize>) -> usize {
	columns.len().next_multiple_of(LANES)
}

/// A range of strips of all heads, as heads and ranges of their columns.
#[derive(Clone)]
struct Segments {
	strips: Range<usize>,
	head_dim: usize,
}

impl Iterator for Segments {
	type Item = (usize, Range<usize>);

	fn next(&mut self) -> Option<Self::Item> {
		if self.strips.is_empty() {
			return None;
		}
		let each = self.head_dim.div_ceil(STRIP);
		let (head, first) = (self.strips.start / each, self.strips.start % each);
		let last = each.min(first + self.strips.len());
		self.strips.start += last - first;
		Some((head, first * STRIP..self.head_dim.min(last * STRIP)))
	}
}
