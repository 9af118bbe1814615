//! How a token is chosen from logits: a pure function of logits, integer parameters and the position.

use aria_kernels::math;
use aria_primitives::receipt::Sampling;
use sp_crypto_hashing::blake2_256;

/// Domain of the generator's hash.
const DOMAIN: &[u8] = b"aria-sample-v1";
const MICRO: f32 = 1_000_000.0;

/// 24 uniform bits for one position, as a fraction in `[0, 1)`: exact in binary32.
pub fn uniform(seed: u64, position: u32) -> f32 {
	let mut input = DOMAIN.to_vec();
	input.extend_from_slice(&seed.to_le_bytes());
	input.extend_from_slice(&position.to_le_bytes());
	let hash = blake2_256(&input);
	let bits = u32::from_le_bytes([hash[0], hash[1], hash[2], 0]);
	bits as f32 / 16_777_216.0
}

/// Indices of the logits, best first; equal logits by lowest index. `limit` 0 is all.
pub fn best(logits: &[f32], limit: usize) -> Vec<u32> {
	let mut order: Vec<u32> = (0..logits.len() as u32).collect();
	let by_logit = |a: &u32, b: &u32| {
		let (left, right) = (logits[*a as usize], logits[*b as usize]);
		// 0.0 and -0.0 are equal; NaN can't occur, and would still leave a total order.
		let order = right.partial_cmp(&left);
		order
			.unwrap_or_else(|| right.total_cmp(&left))
			.then(a.cmp(b))
	};
	if limit > 0 && limit < order.len() {
		order.select_nth_unstable_by(limit - 1, by_logit);
		order.truncate(limit);
	}
	order.sort_unstable_by(by_logit);
	order
}

/// The token for one position; `position` is that of the logits, that is of the last token fed.
///
/// Logits must be finite. Candidates are the `top_k` best; their softmax at the temperature is cut to the smallest
/// prefix that reaches `top_p`, then to those within `min_p` of the best; the draw walks what is left.
pub fn sample(logits: &[f32], sampling: &Sampling, position: u32) -> u32 {
	if sampling.temperature_micro == 0 {
		return math::argmax(logits) as u32;
	}
	let candidates = best(logits, sampling.top_k as usize);
	let temperature = sampling.temperature_micro as f32 / MICRO;
	let mut probs: Vec<f32> = candidates
		.iter()
		.map(|id| logits[*id as usize] / temperature)
		.collect();
	math::softmax(&mut probs);
	let mut keep = probs.len();
	if sampling.top_p_micro > 0 && sampling.top_p_micro < 1_000_000 {
		let top_p = sampling.top_p_micro as f32 / MICRO;
		let mut cumulative = 0.0f32;
		for (index, prob) in probs.iter().enumerate() {
			cumulative += prob;
			if cumulative >= top_p {
				keep = index + 1;
				break;
			}
		}
	}
	if sampling.min_p_micro > 0 {
		let least = probs.first().copied().unwrap_or(0.0) * (sampling.min_p_micro as f32 / MICRO);
		let within = probs.iter().take_while(|prob| **prob >= least).count();
		keep = keep.min(within.max(1));
	}
	let kept = &probs[..keep];
	let total = kept.iter().fold(0.0f32, |sum, prob| sum + prob);
	let target = uniform(sampling.seed, position) * total;
	let mut cumulative = 0.0f32;
	for (id, prob) in candidates.iter().zip(kept) {
		cumulative += prob;
		if cumulative > target {
			return *id;
		}
	}
	candidates.get(keep.saturating_sub(1)).copied().unwrap_or(0)
}

/// Log probability of a token before temperature.
pub fn logprob(logits: &[f32], token: u32) -> f32 {
	math::log_softmax_at(logits, token as usize)
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	fn at(temperature_micro: u32) -> Sampling {
		Sampling {
			temperature_micro,
			seed: 7,
			..Default::default()
		}
	}

	#[test]
	fn greedy_should_take_the_lowest_of_equals() {
		assert_eq!(sample(&[0.0, 2.0, 2.0, 1.0], &at(0), 5), 1);
	}

	#[test]
	fn top_k_of_one_and_tiny_top_p_should_be_greedy() {
		let logits = [0.1, 0.3, 0.2, 0.25];
		for position in 0..50 {
			let one = Sampling {
				top_k: 1,
				..at(1_000_000)
			};
			let narrow = Sampling {
				top_p_micro: 1,
				..at(1_000_000)
			};
			let strict = Sampling {
				min_p_micro: 1_000_000,
				..at(1_000_000)
			};
			for sampling in [one, narrow, strict] {
				assert_eq!(sample(&logits, &sampling, position), 1);
			}
		}
	}

	#[test]
	fn frequencies_should_follow_the_probabilities() {
		let logits = [0.0f32, 3.0f32.ln()];
		let ones = (0..4000)
			.filter(|position| sample(&logits, &at(1_000_000), *position) == 1)
			.count();
		assert!((2850..3150).contains(&ones), "{ones} of 4000");
	}

	proptest! {
		#[test]
		fn choice_is_a_candidate(
			logits in prop::collection::vec(-30f32..30.0, 1..200), temperature in 0u32..3_000_000, top_k in 0u32..50,
			top_p_micro in 0u32..1_000_001, min_p_micro in 0u32..1_000_001, seed: u64, position: u32,
		) {
			let sampling = Sampling { temperature_micro: temperature, top_p_micro, min_p_micro, top_k, seed };
			let token = sample(&logits, &sampling, position);
			prop_assert!(best(&logits, top_k as usize).contains(&token));
			prop_assert_eq!(token, sample(&logits, &sampling, position));
		}
	}
}
