//! How one call of attention is divided: into steps for few tokens, into parts for many.
//!
//! Every score, and every element of the output, is computed whole by one thread. Scores can thus be
//! divided by position, and outputs by column, which together balance one token on any number of
//! threads; several tokens, of one sequence or of many, are divided by tokens and heads, without
//! waiting between the steps.

use super::job::{Job, on_threads};
use crate::{backend::Backend, pool::Disjoint};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Parts for each thread that balance well enough without waiting between the steps.
const PARTS_PER_THREAD: usize = 4;

/// Computes all jobs of one shape, on all threads if `parallel`.
pub(super) fn run(backend: &Backend, jobs: &[Job<'_>], parallel: bool, out: &Disjoint<'_, f32>) {
	let threads = if parallel { backend.threads() } else { 1 };
	let enough = if threads == 1 {
		1
	} else {
		PARTS_PER_THREAD * threads
	};
	let alone = matches!(jobs, [job] if job.tokens == 1);
	// All heads of a token at once read the cache in the order of memory.
	for together in [true, false] {
		let parts = Parts::new(jobs, together);
		if parts.count() >= enough && !(alone && threads > 1) {
			// From the last one, because later tokens read more rows.
			let taken = AtomicUsize::new(1);
			let next = || {
				parts
					.count()
					.checked_sub(taken.fetch_add(1, Ordering::Relaxed))
			};
			on_threads(backend, parallel, |_, _| {
				while let Some(part) = next() {
					parts.compute(part, out);
				}
			});
			return;
		}
	}
	for job in jobs {
		for tile in 0..job.tiles() {
			job.in_steps(job.tile(tile), parallel, out);
		}
	}
}

/// What threads take of some jobs: a tile of tokens and a key and value head, or one token whole.
struct Parts<'a> {
	jobs: &'a [Job<'a>],
	/// Whether all heads of single tokens are one part.
	together: bool,
	/// The number of parts up to the end of each job.
	ends: Vec<usize>,
}

impl<'a> Parts<'a> {
	fn new(jobs: &'a [Job<'a>], together: bool) -> Self {
		let mut ends = Vec::with_capacity(jobs.len());
		let mut count = 0;
		for job in jobs {
			count += if together && job.tokens == 1 {
				1
			} else {
				job.tiles() * job.shape.kv_heads
			};
			ends.push(count);
		}
		Self {
			jobs,
			together,
			ends,
		}
	}

	fn count(&self) -> usize {
		self.ends.last().copied().unwrap_or(0)
	}

	fn compute(&self, part: usize, out: &Disjoint<'_, f32>) {
		let index = self.ends.partition_point(|end| *end <= part);
		let first = index.checked_sub(1).map_or(0, |before| self.ends[before]);
		let job = &self.jobs[index];
		if self.together && job.tokens == 1 {
			job.in_steps(job.tile(0), false, out);
		} else {
			let (tile, head) = (
				(part - first) / job.shape.kv_heads,
				(part - first) % job.shape.kv_heads,
			);
			job.whole_head(job.tile(tile), head, out);
		}
	}
}
