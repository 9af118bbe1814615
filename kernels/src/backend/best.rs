//! The largest logits from about half of the head's bytes.

use super::{
	Backend,
	head::{head_values, join},
	kernel,
};
use crate::{
	head::{BLOCK_ROWS, Candidate, HeadMatrix, remainder},
	memory::prefetch,
	pool::Disjoint,
	quant::QuantizedActivations,
	scalar,
};
use std::cell::Cell;

/// Runs of sixteen rows that are skipped together when none of their rows can be among the best.
const GROUP_RUNS: usize = 4;

/// The largest and the next largest, down to some rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
	/// The largest first, equal ones by ascending id.
	pub candidates: Vec<Candidate>,
	/// How many logits were computed to find them.
	pub computed: usize,
}

thread_local! {
	/// Products of a first pass: megabytes, which would else be fresh pages for every call.
	static FIRST_PASS: Cell<Vec<[i32; BLOCK_ROWS]>> = const { Cell::new(Vec::new()) };
}

/// What the first pass finds out about a token.
struct Bounded<'a> {
	head: &'a HeadMatrix,
	q: &'a [i8],
	inv: f32,
	offset: i32,
	/// Bounds of what the second plane adds.
	lower: i32,
	upper: i32,
	/// Products with the first plane, by run.
	high: &'a [[i32; BLOCK_ROWS]],
	/// Of each group, the largest lower and the largest upper bound.
	groups: &'a [(f32, f32)],
}

impl Backend {
	/// For each token its `counts[token]` largest logits: what sorting the logits of
	/// [`head_int8`](Self::head_int8) gives, from about half of the bytes.
	///
	/// A first pass gives bounds of every logit; those that may be among the largest are then
	/// computed. Bounds fail with a probability below 2^-64: see [`crate::head`]. Tokens share the reading
	/// of the first pass.
	///
	/// # Panics
	///
	/// If there is not one count for each token, or `a.cols() != head.cols()`.
	pub fn head_top_k(
		&self,
		head: &HeadMatrix,
		a: &QuantizedActivations,
		counts: &[usize],
	) -> Vec<Best> {
		let tokens = a.tokens;
		assert_eq!(counts.len(), tokens, "one count for each token");
		assert_eq!(head.cols(), a.cols, "activations do not fit the head");
		let rows = head.rows();
		let runs = rows.div_ceil(BLOCK_ROWS);
		let group_count = runs.div_ceil(GROUP_RUNS);
		let mut high = FIRST_PASS.take();
		high.resize(tokens * runs, [0; BLOCK_ROWS]);
		let mut groups = vec![(f32::NEG_INFINITY, f32::NEG_INFINITY); tokens * group_count];
		let values: Vec<_> = (0..tokens)
			.map(|token| {
				let (q, offset) = head_values(head, a, token);
				(q, offset, remainder(q, rows))
			})
			.collect();
		{
			let high = Disjoint::new(&mut high);
			let groups = Disjoint::new(&mut groups);
			let each: Vec<&[i8]> = values.iter().map(|(q, ..)| *q).collect();
			self.split(group_count, rows * a.cols * tokens, |range| {
				let mut dots = vec![[0; BLOCK_ROWS]; tokens];
				for (group, run) in range.flat_map(|group| {
					let first = group * GROUP_RUNS;
					(first..runs.min(first + GROUP_RUNS)).map(move |run| (group, run))
				}) {
					let real = BLOCK_ROWS.min(rows - run * BLOCK_ROWS);
					// A run stays in the first-level cache while the tokens pass.
					kernel!(self, head_high_dots(head.run(run), &each, &mut dots));
					for (token, (_, offset, (lower, upper))) in values.iter().enumerate() {
						// SAFETY: each group is in one range and has its own parts.
						let (high, bounds) = unsafe {
							let (high, bounds) = (
								high.part(token * runs + run, 1),
								groups.part(token * group_count + group, 1),
							);
							(&mut high[0], &mut bounds[0])
						};
						*high = dots[token];
						for (high, scale) in high.iter().zip(head.scales(run)).take(real) {
							let bound = |low| {
								scalar::rescale(join(*high, low, *offset), a.inv[token], *scale)
							};
							bounds.0 = bounds.0.max(bound(*lower));
							bounds.1 = bounds.1.max(bound(*upper));
						}
					}
				}
			});
		}
		let mut best = vec![
			Best {
				candidates: Vec::new(),
				computed: 0
			};
			tokens
		];
		let out = Disjoint::new(&mut best);
		let select = |token: usize| {
			let (q, offset, (lower, upper)) = values[token];
			let bounded = Bounded {
				head,
				q,
				inv: a.inv[token],
				offset,
				lower,
				upper,
				high: &high[token * runs..][..runs],
				groups: &groups[token * group_count..][..group_count],
			};
			let found = self.select(&bounded, counts[token].min(rows));
			// SAFETY: each token is selected once, by one thread.
			unsafe { out.part(token, 1)[0] = found };
		};
		if tokens < self.threads() {
			(0..tokens).for_each(select);
		} else {
			// Inside a job, `select` does not divide its own work.
			self.split(tokens, tokens * rows, |range| range.for_each(select));
		}
		FIRST_PASS.set(high);
		best
	}

	/// The `k` largest logits of a token, of which there are as many.
	fn select(&self, token: &Bounded<'_>, k: usize) -> Best {
		let mut best: Vec<Candidate> = Vec::new();
		if k == 0 {
			return Best {
				candidates: best,
				computed: 0,
			};
		}
		let Bounded {
			head, high, groups, ..
		} = token;
		let rows = head.rows();
		let bound =
			|high, low, scale| scalar::rescale(join(high, low, token.offset), token.inv, scale);
		// At least `k` logits reach the k-th largest of the groups' lower bounds.
		let mut largest: Vec<f32> = groups.iter().map(|bounds| bounds.0).collect();
		let mut threshold = kth_largest(&mut largest, k);
		let mut seen = vec![false; rows];
		// First the rows that make the threshold certain: their logits raise it. Those expected to
		// reach it raise it to what it will be, and all that may still reach it are the rest.
		let (lower, upper) = (token.lower, token.upper);
		for low in [lower, lower.midpoint(upper), upper] {
			let first = best.len();
			for group in (0..groups.len()).filter(|group| groups[*group].1 >= threshold) {
				let group = group * GROUP_RUNS..high.len().min((group + 1) * GROUP_RUNS);
				for (run, (high, scales)) in group.map(|run| (run, (&high[run], head.scales(run))))
				{
					// The whole run without a branch.
					let bounds: [f32; BLOCK_ROWS] =
						core::array::from_fn(|i| bound(high[i], low, scales[i]));
					if bounds.iter().copied().fold(f32::NEG_INFINITY, f32::max) < threshold {
						continue;
					}
					let seen = seen[run * BLOCK_ROWS..].iter_mut();
					for ((bound, seen), id) in bounds.iter().zip(seen).zip(run * BLOCK_ROWS..) {
						if *bound >= threshold && !*seen {
							*seen = true;
							let (id, logit) = (id as u32, 0.0);
							best.push(Candidate { id, logit });
						}
					}
				}
			}
			let added = &mut best[first..];
			let (count, work) = (added.len(), added.len() * head.cols());
			let added = Disjoint::new(added);
			self.split(count, work, |range| {
				// SAFETY: the ranges of threads do not overlap.
				let added = unsafe { added.part(range.start, range.len()) };
				for i in 0..added.len() {
					if let Some(next) = added.get(i + 1) {
						prefetch(head.parts(next.id as usize).as_flattened());
					}
					let row = added[i].id as usize;
					let (run, at) = (row / BLOCK_ROWS, row % BLOCK_ROWS);
					let low = kernel!(self, head_low_dot(head.parts(row), token.q));
					added[i].logit = bound(high[run][at], low, head.scales(run)[at]);
				}
			});
			let mut logits: Vec<f32> = best.iter().map(|candidate| candidate.logit).collect();
			threshold = kth_largest(&mut logits, k);
		}
		let computed = best.len();
		if k < computed {
			best.select_nth_unstable_by(k - 1, Candidate::order);
			best.truncate(k);
		}
		best.sort_unstable_by(Candidate::order);
		Best {
			candidates: best,
			computed,
		}
	}
}

/// Negative infinity when there are fewer than `k`.
fn kth_largest(values: &mut [f32], k: usize) -> f32 {
	if k > values.len() {
		return f32::NEG_INFINITY;
	}
	*values
		.select_nth_unstable_by(k - 1, |x, y| y.total_cmp(x))
		.1
}
