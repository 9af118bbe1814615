//! How a token is chosen from logits: a pure function of logits, integer parameters, earlier tokens and the position.
//!
//! docs/numerics.md, "Sampler", has the order of the steps.

use crate::pass::logits::{Logits, MAX_BEST, Need};
use aria_kernels::{Candidate, math, scalar};
use aria_primitives::receipt::{Constraints, Sampling};
use sp_crypto_hashing::blake2_256;
use std::{borrow::Cow, collections::HashMap};

/// Domain of the generator's hash.
const DOMAIN: &[u8] = b"aria-sample-v1";
const MICRO: f32 = 1_000_000.0;
/// Distances from the best scaled logit within which the nucleus is looked for; then among all.
const NUCLEUS_STEPS: [f32; 3] = [4.0, 8.0, 16.0];

/// 24 uniform bits for one position, as a fraction in `[0, 1)`: exact in binary32.
pub fn uniform(seed: u64, position: u32) -> f32 {
	let mut input = DOMAIN.to_vec();
	input.extend_from_slice(&seed.to_le_bytes());
	input.extend_from_slice(&position.to_le_bytes());
	let hash = blake2_256(&input);
	let bits = u32::from_le_bytes([hash[0], hash[1], hash[2], 0]);
	bits as f32 / 16_777_216.0
}

/// Larger logits first, equal ones by token.
fn by_logit(left: &Candidate, right: &Candidate) -> std::cmp::Ordering {
	// 0.0 and -0.0 are equal; NaN can't occur, and would still leave a total order.
	let order = right.logit.partial_cmp(&left.logit);
	order
		.unwrap_or_else(|| right.logit.total_cmp(&left.logit))
		.then(left.id.cmp(&right.id))
}

/// The best tokens, best first.
pub fn best(logits: &[f32], limit: usize) -> Vec<Candidate> {
	let all = (0u32..)
		.zip(logits)
		.map(|(id, logit)| Candidate { id, logit: *logit });
	let mut all: Vec<Candidate> = all.collect();
	if limit < all.len() {
		all.select_nth_unstable_by(limit, by_logit);
		all.truncate(limit);
	}
	all.sort_unstable_by(by_logit);
	all
}

/// Everything that decides one choice beside the logits.
pub struct Rules<'a> {
	/// Numbers.
	pub sampling: &'a Sampling,
	/// Bias by token.
	pub constraints: &'a Constraints,
	/// How often earlier tokens occur; empty unless a penalty is on.
	pub history: &'a History,
	/// Tokens that the grammar allows, one bit each; none if there is no grammar.
	pub allowed: Option<&'a [u32]>,
}

impl Rules<'_> {
	/// Whether logits stay as they are.
	fn change_nothing(&self) -> bool {
		self.constraints.is_empty() && self.allowed.is_none() && !needs_history(self.sampling)
	}
}

/// Tokens of the prompt and of the answer, with how often they occur in the answer.
#[derive(Debug, Clone, Default)]
pub struct History(HashMap<u32, u32>);

impl History {
	/// Counts a token of the prompt.
	pub fn prompt(&mut self, token: u32) {
		self.0.entry(token).or_default();
	}

	/// Counts a token of the answer.
	pub fn output(&mut self, token: u32) {
		*self.0.entry(token).or_default() += 1;
	}
}

fn repetition(sampling: &Sampling) -> Option<f32> {
	let micro = sampling.repetition_penalty_micro;
	(micro != 0 && micro != 1_000_000).then(|| micro as f32 / MICRO)
}

/// Whether choices depend on earlier tokens.
pub fn needs_history(sampling: &Sampling) -> bool {
	repetition(sampling).is_some()
		|| sampling.presence_penalty_micro != 0
		|| sampling.frequency_penalty_micro != 0
}

/// The logits that a choice by these rules needs.
pub fn need(sampling: &Sampling, constraints: &Constraints) -> Need {
	let best = match (sampling.temperature_micro, sampling.top_k as usize) {
		(0, _) => 1,
		(_, top_k) => top_k,
	};
	if needs_history(sampling) || !constraints.is_empty() || best == 0 || best > MAX_BEST {
		Need::All
	} else {
		Need::Best(best)
	}
}

/// Logits after bias, penalties and grammar; tokens that are not allowed are negative infinity.
fn adjusted(logits: &[f32], rules: &Rules<'_>) -> Vec<f32> {
	let mut logits = logits.to_vec();
	let sampling = rules.sampling;
	for (token, micro) in &rules.constraints.logit_bias {
		if let Some(logit) = logits.get_mut(*token as usize) {
			*logit += *micro as f32 / MICRO;
		}
	}
	let repetition = repetition(sampling);
	let presence = sampling.presence_penalty_micro as f32 / MICRO;
	let frequency = sampling.frequency_penalty_micro as f32 / MICRO;
	for (token, count) in &rules.history.0 {
		let Some(logit) = logits.get_mut(*token as usize) else {
			continue;
		};
		if let Some(penalty) = repetition {
			*logit = if *logit > 0.0 {
				*logit / penalty
			} else {
				*logit * penalty
			};
		}
		if *count > 0 {
			*logit -= frequency * *count as f32;
			*logit -= presence;
		}
	}
	if let Some(allowed) = rules.allowed {
		for (token, logit) in logits.iter_mut().enumerate() {
			if allowed
				.get(token / 32)
				.is_none_or(|word| word >> (token % 32) & 1 == 0)
			{
				*logit = f32::NEG_INFINITY;
			}
		}
	}
	logits
}

/// The token for one position; `position` is that of the logits, that is of the last token fed.
///
/// Logits must be finite, and of as many tokens as [`need`] says.
pub fn choose(logits: Logits<'_>, rules: &Rules<'_>, position: u32) -> u32 {
	match logits {
		Logits::Best(best) => sample_best(best, rules.sampling, position),
		Logits::All(all) if rules.change_nothing() => sample_all(all, rules.sampling, position),
		Logits::All(all) => sample_all(&adjusted(all, rules), rules.sampling, position),
	}
}

/// The logits that log probabilities are of: after bias, penalties, grammar and temperature, where 0 counts as 1; before
/// `top_k`, `top_p` and `min_p` leave tokens out.
pub fn shown<'a>(logits: &'a [f32], rules: &Rules<'_>) -> Cow<'a, [f32]> {
	let mut shown = match rules.change_nothing() {
		true => Cow::Borrowed(logits),
		false => Cow::Owned(adjusted(logits, rules)),
	};
	let temperature = rules.sampling.temperature_micro;
	if temperature != 0 && temperature != 1_000_000 {
		let temperature = temperature as f32 / MICRO;
		for logit in shown.to_mut() {
			*logit /= temperature;
		}
	}
	shown
}

fn sample_all(logits: &[f32], sampling: &Sampling, position: u32) -> u32 {
	if sampling.temperature_micro == 0 {
		return scalar::argmax(logits) as u32;
	}
	if sampling.top_k > 0 && (sampling.top_k as usize) < logits.len() {
		return sample_best(&best(logits, sampling.top_k as usize), sampling, position);
	}
	let all = (0u32..)
		.zip(logits)
		.map(|(id, logit)| Candidate { id, logit: *logit });
	draw(all.collect(), sampling, position)
}

/// As [`sample_all`] when `best` are the `top_k` best tokens, best first.
fn sample_best(best: &[Candidate], sampling: &Sampling, position: u32) -> u32 {
	if sampling.temperature_micro == 0 {
		return best.first().map_or(0, |candidate| candidate.id);
	}
	let mut candidates = best.to_vec();
	candidates.sort_unstable_by_key(|candidate| candidate.id);
	draw(candidates, sampling, position)
}

/// Draws from candidates in ascending order of their tokens.
fn draw(mut candidates: Vec<Candidate>, sampling: &Sampling, position: u32) -> u32 {
	let temperature = sampling.temperature_micro as f32 / MICRO;
	for candidate in &mut candidates {
		candidate.logit /= temperature;
	}
	let max = candidates
		.iter()
		.map(|candidate| candidate.logit)
		.fold(f32::NEG_INFINITY, f32::max);
	// Temperatures near zero make infinities of large logits: all that is as large as the largest is then as likely.
	let weight = |logit: f32| {
		if logit == max {
			1.0
		} else {
			math::exp(logit - max)
		}
	};
	let mut weights: Vec<f32> = candidates
		.iter()
		.map(|candidate| weight(candidate.logit))
		.collect();
	if sampling.top_p_micro > 0 && sampling.top_p_micro < 1_000_000 {
		let least = sampling.top_p_micro as f32 / MICRO * scalar::reduce_sum(&weights);
		let last = nucleus(&candidates, max, least, weight);
		for (candidate, weight) in candidates.iter().zip(&mut weights) {
			if by_logit(candidate, &last).is_gt() {
				*weight = 0.0;
			}
		}
	}
	if sampling.min_p_micro > 0 {
		// The best token's weight is 1.
		let least = (sampling.min_p_micro as f32 / MICRO).min(1.0);
		for weight in &mut weights {
			if *weight < least {
				*weight = 0.0;
			}
		}
	}
	let total = weights.iter().fold(0.0f32, |sum, weight| sum + weight);
	let target = uniform(sampling.seed, position) * total;
	let mut cumulative = 0.0f32;
	let mut last = 0;
	for (candidate, weight) in candidates.iter().zip(&weights) {
		if *weight == 0.0 {
			continue;
		}
		cumulative += weight;
		last = candidate.id;
		if cumulative > target {
			break;
		}
	}
	last
}

/// The last of the candidates, best first, that make up a weight of `least`.
fn nucleus(
	candidates: &[Candidate],
	max: f32,
	least: f32,
	weight: impl Fn(f32) -> f32,
) -> Candidate {
	for distance in NUCLEUS_STEPS.into_iter().chain([f32::INFINITY]) {
		// All as good as the worst of these are among them, so they are the best ones of all.
		let mut near: Vec<Candidate> = candidates
			.iter()
			.filter(|candidate| candidate.logit >= max - distance)
			.copied()
			.collect();
		near.sort_unstable_by(by_logit);
		let mut cumulative = 0.0f32;
		for candidate in &near {
			cumulative += weight(candidate.logit);
			if cumulative >= least {
				return *candidate;
			}
		}
	}
	// Rounding: all together do not reach it.
	Candidate {
		id: u32::MAX,
		logit: f32::NEG_INFINITY,
	}
}

/// Log probability of a token; negative infinity if its logit is that.
pub fn logprob(logits: &[f32], token: u32) -> f32 {
	scalar::log_softmax_at(logits, token as usize)
}

#[cfg(test)]
mod tests;
