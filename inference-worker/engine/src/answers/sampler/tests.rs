use super::*;
use proptest::prelude::*;

/// A choice from all logits by numbers alone.
fn sample(logits: &[f32], sampling: &Sampling, position: u32) -> u32 {
	let (constraints, history) = (Constraints::default(), History::default());
	let rules = Rules {
		sampling,
		constraints: &constraints,
		history: &history,
		allowed: None,
	};
	choose(Logits::All(logits), &rules, position)
}

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
fn shown_logits_should_be_those_that_are_drawn_from() {
	let logits = [1.0f32, 3.0, 2.0];
	let (mut history, mut constraints) = (History::default(), Constraints::default());
	let plain = |sampling: &Sampling| {
		let rules = Rules {
			sampling,
			constraints: &Constraints::default(),
			history: &History::default(),
			allowed: None,
		};
		shown(&logits, &rules).into_owned()
	};
	assert_eq!(plain(&at(0)), logits);
	assert_eq!(plain(&at(1_000_000)), logits);
	assert_eq!(plain(&at(2_000_000)), [0.5, 1.5, 1.0]);
	history.output(1);
	constraints.logit_bias = vec![(0, 4_000_000)];
	let sampling = Sampling {
		presence_penalty_micro: 1_000_000,
		..at(500_000)
	};
	let rules = Rules {
		sampling: &sampling,
		constraints: &constraints,
		history: &history,
		allowed: Some(&[0b011]),
	};
	let all = shown(&logits, &rules);
	assert_eq!(*all, [10.0, 4.0, f32::NEG_INFINITY]);
	assert_eq!(logprob(&all, 2), f32::NEG_INFINITY);
	let sum: f32 = (0..2).map(|token| logprob(&all, token).exp()).sum();
	assert!((sum - 1.0).abs() < 1e-6);
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
		let sampling = Sampling {
			temperature_micro: temperature, top_p_micro, min_p_micro, top_k, seed, ..Default::default()
		};
		let token = sample(&logits, &sampling, position);
		let limit = if top_k == 0 { logits.len() } else { top_k as usize };
		let candidates = best(&logits, limit);
		prop_assert!(candidates.iter().any(|candidate| candidate.id == token));
		if top_k > 0 {
			let (constraints, history) = (Constraints::default(), History::default());
			let rules = Rules { sampling: &sampling, constraints: &constraints, history: &history, allowed: None };
			prop_assert_eq!(choose(Logits::Best(&candidates), &rules, position), token);
		}
		prop_assert_eq!(token, sample(&logits, &sampling, position));
	}

	#[test]
	fn nucleus_is_the_shortest_prefix_of_the_sorted_tokens(
		logits in prop::collection::vec(-40f32..40.0, 1..300), top_p_micro in 1u32..1_000_000, position: u32,
	) {
		let sampling = Sampling { top_p_micro, ..at(1_000_000) };
		let sorted = best(&logits, logits.len());
		let max = sorted[0].logit;
		let weights: Vec<f32> = logits.iter().map(|logit| math::exp(logit - max)).collect();
		let least = top_p_micro as f32 / MICRO * scalar::reduce_sum(&weights);
		let mut cumulative = 0.0f32;
		let mut kept = Vec::new();
		for candidate in &sorted {
			if cumulative < least {
				kept.push(candidate.id);
			}
			cumulative += weights[candidate.id as usize];
		}
		prop_assert!(kept.contains(&sample(&logits, &sampling, position)));
	}
}

fn ruled(
	logits: &[f32],
	sampling: Sampling,
	constraints: Constraints,
	history: &[(u32, bool)],
) -> u32 {
	let mut seen = History::default();
	for (token, in_answer) in history {
		if *in_answer {
			seen.output(*token);
		} else {
			seen.prompt(*token);
		}
	}
	let rules = Rules {
		sampling: &sampling,
		constraints: &constraints,
		history: &seen,
		allowed: None,
	};
	choose(Logits::All(logits), &rules, 0)
}

#[test]
fn penalties_should_apply_to_what_was_said() {
	let logits = [2.0, 1.9, -1.0];
	let none = Constraints::default;
	let repetition = Sampling {
		repetition_penalty_micro: 1_200_000,
		..at(0)
	};
	assert_eq!(ruled(&logits, repetition, none(), &[]), 0);
	assert_eq!(ruled(&logits, repetition, none(), &[(0, false)]), 1);
	assert_eq!(
		ruled(&logits, repetition, none(), &[(0, true), (1, true)]),
		0
	);
	let presence = Sampling {
		presence_penalty_micro: 150_000,
		..at(0)
	};
	assert_eq!(ruled(&logits, presence, none(), &[(0, false)]), 0);
	assert_eq!(ruled(&logits, presence, none(), &[(0, true)]), 1);
	let frequency = Sampling {
		frequency_penalty_micro: 60_000,
		..at(0)
	};
	assert_eq!(ruled(&logits, frequency, none(), &[(0, true)]), 0);
	assert_eq!(
		ruled(&logits, frequency, none(), &[(0, true), (0, true)]),
		1
	);
	let bias = Constraints {
		logit_bias: vec![(0, -100_000_000), (2, 5_000_000)],
		grammar: None,
	};
	assert_eq!(ruled(&logits, at(0), bias, &[]), 2);
}

#[test]
fn grammar_should_exclude_tokens_at_any_temperature() {
	let logits: Vec<f32> = (0..70).map(|id| id as f32).collect();
	let (constraints, history) = (Constraints::default(), History::default());
	// Tokens 3 and 40.
	let allowed = [1 << 3, 1 << 8, 0];
	for (temperature, position) in [(0, 0), (500_000, 1), (90_000_000, 2), (90_000_000, 3)] {
		let sampling = at(temperature);
		let rules = Rules {
			sampling: &sampling,
			constraints: &constraints,
			history: &history,
			allowed: Some(&allowed),
		};
		let token = choose(Logits::All(&logits), &rules, position);
		assert!([3, 40].contains(&token), "{token}");
	}
}
