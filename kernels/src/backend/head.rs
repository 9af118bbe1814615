//! Logits.

use super::{Backend, kernel, whole_rows};
use crate::{
	head::{BLOCK_ROWS, Candidate, HeadMatrix, remainder},
	memory::prefetch,
	pool::Disjoint,
	quant::QuantizedActivations,
	scalar,
};

/// Runs of sixteen rows that are skipped together when none of their rows can be among the best.
const GROUP_RUNS: usize = 4;

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
		let out = Disjoint::new(out);
		self.split(rows.div_ceil(BLOCK_ROWS), rows * a.cols * tokens, |runs| {
			for run in runs {
				let first = run * BLOCK_ROWS;
				let count = BLOCK_ROWS.min(rows - first);
				for (token, (q, offset)) in values.iter().enumerate() {
					let high = kernel!(self, head_high_dots(head.run(run), q));
					// SAFETY: each run is in one range, so its rows have one writer.
					let out = unsafe { out.part(token * rows + first, count) };
					for (i, out) in out.iter_mut().enumerate() {
						let low = kernel!(self, head_low_dot(head.parts(first + i), q));
						let dot = join(high[i], low, *offset);
						*out = scalar::rescale(dot, a.inv[token], head.scales(run)[i]);
					}
				}
			}
		});
	}

	/// The `k` largest logits of one token, the largest first, equal ones by ascending id: what
	/// sorting the logits of [`head_int8`](Self::head_int8) gives, from about half of the bytes.
	///
	/// A first pass gives bounds of every logit; those that may be among the `k` largest are then
	/// computed. Bounds fail with a probability below 2^-64: see [`crate::head`]. Returns also how
	/// many logits were computed.
	///
	/// # Panics
	///
	/// If there is not one token, or `a.cols() != head.cols()`.
	pub fn head_top_k(
		&self,
		head: &HeadMatrix,
		a: &QuantizedActivations,
		k: usize,
	) -> (Vec<Candidate>, usize) {
		assert_eq!(a.tokens, 1, "one token at a time");
		assert_eq!(head.cols(), a.cols, "activations do not fit the head");
		let rows = head.rows();
		let k = k.min(rows);
		if k == 0 {
			return (Vec::new(), 0);
		}
		let (q, offset) = head_values(head, a, 0);
		let (lower, upper) = remainder(q, rows);
		let runs = rows.div_ceil(BLOCK_ROWS);
		let mut high = vec![[0; BLOCK_ROWS]; runs];
		// Of each group, the largest lower and the largest upper bound.
		let mut groups = vec![(f32::NEG_INFINITY, f32::NEG_INFINITY); runs.div_ceil(GROUP_RUNS)];
		let bound = |high, low, scale| scalar::rescale(join(high, low, offset), a.inv[0], scale);
		{
			let high = Disjoint::new(&mut high);
			let groups = Disjoint::new(&mut groups);
			self.split(runs.div_ceil(GROUP_RUNS), rows * a.cols, |range| {
				for group in range {
					let first = group * GROUP_RUNS;
					let count = GROUP_RUNS.min(runs - first);
					// SAFETY: each group is in one range and has its own parts.
					let (high, bounds) =
						unsafe { (high.part(first, count), groups.part(group, 1)) };
					for (run, high) in (first..).zip(high) {
						*high = kernel!(self, head_high_dots(head.run(run), q));
						let real = BLOCK_ROWS.min(rows - run * BLOCK_ROWS);
						for (high, scale) in high.iter().zip(head.scales(run)).take(real) {
							let (low, up) =
								(bound(*high, lower, *scale), bound(*high, upper, *scale));
							bounds[0].0 = bounds[0].0.max(low);
							bounds[0].1 = bounds[0].1.max(up);
						}
					}
				}
			});
		}
		// At least `k` logits reach the k-th largest of the groups' lower bounds.
		let mut largest: Vec<f32> = groups.iter().map(|bounds| bounds.0).collect();
		let mut threshold = kth_largest(&mut largest, k);
		let mut seen = vec![false; rows];
		let mut best: Vec<Candidate> = Vec::new();
		// First the rows that make the threshold certain: their logits raise it. Those expected to
		// reach it raise it to what it will be, and all that may still reach it are the rest.
		for low in [lower, lower.midpoint(upper), upper] {
			let first = best.len();
			for group in (0..groups.len()).filter(|group| groups[*group].1 >= threshold) {
				let group = group * GROUP_RUNS..runs.min((group + 1) * GROUP_RUNS);
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
			let (count, work) = (added.len(), added.len() * a.cols);
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
					let low = kernel!(self, head_low_dot(head.parts(row), q));
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
		(best, computed)
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

/// A token's values, padded as the planes, and what to subtract from products with them.
fn head_values<'a>(
	head: &HeadMatrix,
	a: &'a QuantizedActivations,
	token: usize,
) -> (&'a [i8], i32) {
	let q = &a.padded(token)[..head.padded_cols()];
	(q, head.offset(q, a.sums[token]))
}

/// The product of a row from those of its planes. The sum of all terms fits, see [`crate::head`].
fn join(high: i32, low: i32, offset: i32) -> i32 {
	high.wrapping_mul(16).wrapping_add(low).wrapping_sub(offset)
}
