//! How one call of attention is divided: into steps for few tokens, into parts for many.
//!
//! Every score, and every element of the output, is computed whole by one thread. Scores can thus be
//! divided by position, and outputs by column, which together balance one token on any number of
//! threads; several tokens are divided by tokens and heads, without waiting between the steps.

use crate::{
	attention::{TILE_ROWS, Tile},
	backend::{Backend, kernel},
	pool::{Disjoint, share},
	scalar::{AttentionShape, LANES, attention_scale},
};
use std::{cell::Cell, ops::Range, thread::LocalKey};

/// Queries that share each widened row, if there are as many.
const TILE_QUERIES: usize = 16;
/// Positions that a thread takes for all heads before it goes on: they stay in the second-level cache.
const BLOCK: usize = 64;
/// Columns of values that one thread takes at least: a line of the cache.
const STRIP: usize = 32;
/// Parts for each thread that balance well enough without waiting between the steps.
const PARTS_PER_THREAD: usize = 4;

thread_local! {
	/// Memory of the thread that calls, used by all threads.
	static SHARED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
	/// Memory of each thread.
	static OWN: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Elements in a line of the cache.
const LINE: usize = 16;

/// Calls `f` with `len` elements of unspecified contents, kept from call to call.
///
/// They begin with a line of the cache, and so does whatever lies a multiple of sixteen further on:
/// loads that cross lines take twice the time.
fn with_memory(memory: &'static LocalKey<Cell<Vec<f32>>>, len: usize, f: impl FnOnce(&mut [f32])) {
	let mut buffer = memory.take();
	if buffer.len() < len + LINE {
		buffer.resize(len + LINE, 0.0);
	}
	let start = buffer
		.as_ptr()
		.align_offset(LINE * size_of::<f32>())
		.min(LINE);
	f(&mut buffer[start..][..len]);
	memory.set(buffer);
}

/// Some consecutive tokens.
#[derive(Clone, Copy)]
struct Tokens {
	first: usize,
	count: usize,
}

/// A call of [`Backend::attention`], its shapes checked.
pub(super) struct Job<'a> {
	pub(super) backend: &'a Backend,
	pub(super) q: &'a [f32],
	pub(super) keys: &'a [u16],
	pub(super) values: &'a [u16],
	pub(super) shape: AttentionShape,
	pub(super) past: usize,
}

impl Job<'_> {
	/// Computes all `tokens`, on all threads if `parallel`.
	pub(super) fn run(&self, tokens: usize, parallel: bool, out: &Disjoint<'_, f32>) {
		let each = (TILE_QUERIES / self.group()).max(1).min(tokens);
		let tile = |index: usize| Tokens {
			first: index * each,
			count: each.min(tokens - index * each),
		};
		let tiles = tokens.div_ceil(each);
		let parts = tiles * self.shape.kv_heads;
		let threads = if parallel { self.backend.threads() } else { 1 };
		if tokens > 1 && parts >= PARTS_PER_THREAD * threads {
			self.on_threads(parallel, |thread, threads| {
				// Interleaved, because later tokens read more rows.
				for part in (thread..parts).step_by(threads) {
					let (index, head) = (part / self.shape.kv_heads, part % self.shape.kv_heads);
					self.whole_head(tile(index), head, out);
				}
			});
		} else {
			for index in 0..tiles {
				self.in_steps(tile(index), parallel, out);
			}
		}
	}

	fn on_threads(&self, parallel: bool, f: impl Fn(usize, usize) + Sync) {
		if parallel {
			self.backend.pool.run(f);
		} else {
			f(0, 1);
		}
	}

	/// Query heads that share a key and value head.
	fn group(&self) -> usize {
		self.shape.heads / self.shape.kv_heads
	}

	/// Rows of the cache that token `token` reads.
	fn len(&self, token: usize) -> usize {
		self.past + token + 1
	}

	/// Rows of the cache that some of the tokens read.
	fn longest(&self, tokens: Tokens) -> usize {
		self.len(tokens.first + tokens.count - 1)
	}

	/// One key and value head, all steps.
	fn whole_head(&self, tokens: Tokens, head: usize, out: &Disjoint<'_, f32>) {
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
	fn in_steps(&self, tokens: Tokens, parallel: bool, out: &Disjoint<'_, f32>) {
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
			self.on_threads(parallel, |thread, threads| {
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
			self.on_threads(parallel, |thread, threads| {
				for row in share(kv_heads * rows, thread, threads) {
					let len = self.len(tokens.first + row % rows / self.group());
					// SAFETY: each row is in one thread's share.
					let scores = unsafe { all.part(row * stride, len) };
					kernel!(self.backend, softmax(scores));
				}
			});
			let strips = head_dim.div_ceil(STRIP);
			let scores = &*scores;
			self.on_threads(parallel, |thread, threads| {
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
			out[..head_dim].copy_from_slice(&self.q[query * head_dim..][..head_dim]);
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
		for t in positions.clone().step_by(TILE_ROWS) {
			let keys = self.tile(self.keys, head, 0..head_dim, t..positions.end);
			kernel!(self.backend, attention_scores(q, keys, scale, wide, scores));
			for (row, scores) in scores.chunks_exact(TILE_ROWS).enumerate() {
				put(row, t, &scores[..keys.rows]);
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
		for t in positions.clone().step_by(TILE_ROWS) {
			let values = self.tile(self.values, head, columns.clone(), t..positions.end);
			kernel!(
				self.backend,
				attention_mix(&scores[t..], stride, values, wide, sums)
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

	/// The rows of the cache from `positions.start` on, at most a tile.
	fn tile<'b>(
		&self,
		cache: &'b [u16],
		head: usize,
		columns: Range<usize>,
		positions: Range<usize>,
	) -> Tile<'b> {
		let stride = self.shape.kv_heads * self.shape.head_dim;
		let first = positions.start * stride + head * self.shape.head_dim + columns.start;
		Tile {
			halves: &cache[first..],
			stride,
			width: columns.len(),
			rows: positions.len().min(TILE_ROWS),
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
			// SAFETY: tokens, heads and columns have their own places, and one thread writes each.
			let out = unsafe { out.part(query * head_dim + columns.start, columns.len()) };
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
