//! Speculation by prompt lookup: where the last tokens occurred before, what followed then may follow again.
//!
//! Drafted tokens are fed with the last one, and kept as far as the sampler chooses the same: answers do not change.
//! A pass over several tokens costs more than one over a single token, so drafts are as long as pays on this machine.

use std::time::Duration;

/// Longest and shortest run of tokens that is looked for.
const RUNS: std::ops::RangeInclusive<usize> = 2..=4;
/// Longest draft.
const MAX_DRAFT: usize = 8;
/// Draft with which the cost of longer passes is learnt.
const FIRST_DRAFT: usize = 3;
/// Weight of the newest observation in averages.
const NEWEST: f64 = 0.2;

fn average(old: &mut Option<f64>, new: f64) {
	*old = Some(old.map_or(new, |old| old + NEWEST * (new - old)));
}

/// What passes cost here, seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
	/// A pass over one token.
	single: Option<f64>,
	/// Each further token.
	further: Option<f64>,
}

impl Pace {
	/// Learns from a pass over the tokens of one sequence.
	pub(super) fn observe(&mut self, tokens: usize, time: Duration) {
		let time = time.as_secs_f64();
		match (tokens, self.single) {
			(1, _) => average(&mut self.single, time),
			(2..=9, Some(single)) => {
				let further = (time - single).max(0.0) / (tokens - 1) as f64;
				average(&mut self.further, further);
			}
			_ => {}
		}
	}
}

/// Drafts of one sequence.
#[derive(Debug, Clone)]
pub(super) struct Drafter {
	/// Share of looked-up tokens that were right.
	right: f64,
	/// First token that was looked up, whether it was fed or not.
	expected: Option<u32>,
}

impl Default for Drafter {
	fn default() -> Self {
		Self {
			right: 0.5,
			expected: None,
		}
	}
}

/// What followed the latest earlier occurrence of the longest run of last tokens.
fn look_up(tokens: &[u32]) -> &[u32] {
	for run in RUNS.rev() {
		let Some(at) = tokens.len().checked_sub(run) else {
			continue;
		};
		let last = &tokens[at..];
		// An occurrence that overlaps the last tokens is one too: repetitions.
		if let Some(start) = tokens[..tokens.len() - 1]
			.windows(run)
			.rposition(|part| part == last)
		{
			return &tokens[start + run..];
		}
	}
	&[]
}

impl Drafter {
	/// Tokens to try after `tokens`, at most `limit`.
	pub(super) fn propose(&mut self, tokens: &[u32], limit: usize, pace: &Pace) -> Vec<u32> {
		let found = look_up(tokens);
		self.expected = found.first().copied();
		let len = match (pace.single, pace.further) {
			(Some(single), Some(further)) => {
				// The i-th token is kept with probability right^i, and saves a pass over one token.
				let mut chance = 1.0;
				let pays = |_: &usize| {
					chance *= self.right;
					chance * single > further
				};
				(0..MAX_DRAFT).take_while(pays).count()
			}
			(Some(_), None) => FIRST_DRAFT,
			(None, _) => 0,
		};
		found[..found.len().min(len).min(limit)].to_vec()
	}

	/// Learns whether what was looked up came.
	pub(super) fn observe(&mut self, chosen: u32) {
		if let Some(expected) = self.expected.take() {
			let right = if expected == chosen { 1.0 } else { 0.0 };
			self.right += NEWEST * (right - self.right);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn look_up_should_find_the_latest_longest_run() {
		assert_eq!(look_up(&[1, 2, 3, 9, 1, 2, 3]), [9, 1, 2, 3]);
		assert_eq!(look_up(&[5, 2, 3, 7, 1, 2, 3, 8, 2, 3]), [8, 2, 3]);
		assert_eq!(look_up(&[4, 4, 4]), [4]);
		assert_eq!(look_up(&[1, 2, 3]), [0; 0]);
		assert_eq!(look_up(&[]), [0; 0]);
	}

	#[test]
	fn drafts_should_be_as_long_as_pays() {
		let tokens: Vec<u32> = (0..20).chain(0..4).collect();
		let mut drafter = Drafter::default();
		let mut pace = Pace::default();
		assert!(drafter.propose(&tokens, 9, &pace).is_empty());
		pace.observe(1, Duration::from_millis(10));
		assert_eq!(drafter.propose(&tokens, 9, &pace), [4, 5, 6]);
		assert_eq!(drafter.propose(&tokens, 2, &pace), [4, 5]);
		pace.observe(4, Duration::from_millis(16));
		// Half are right: 5 ms saved by the first for 2 ms, 2.5 by the second, 1.25 by the third.
		assert_eq!(drafter.propose(&tokens, 9, &pace), [4, 5]);
		for _ in 0..20 {
			drafter.propose(&tokens, 9, &pace);
			drafter.observe(7);
		}
		assert!(drafter.propose(&tokens, 9, &pace).is_empty());
		for _ in 0..20 {
			drafter.propose(&tokens, 9, &pace);
			drafter.observe(4);
		}
		assert_eq!(drafter.propose(&tokens, 9, &pace).len(), 8);
	}
}
