//! What answers took since the worker began.

use aria_engine::Generation;
use aria_primitives::energy::EvidenceGrade;
use serde_json::{Value, json};
use std::{
	collections::VecDeque,
	sync::{Mutex, PoisonError},
	time::{Duration, Instant},
};

/// Answers that are remembered.
const HISTORY: usize = 50;

/// The answers of this run.
pub(super) struct Session {
	since: Instant,
	totals: Mutex<Totals>,
}

#[derive(Default)]
struct Totals {
	answers: u64,
	tokens: u64,
	/// Answers, tokens and microjoules of those whose energy is known, and what the weakest figure is worth.
	known: Option<Known>,
	history: VecDeque<Value>,
}

#[derive(Clone, Copy)]
struct Known {
	answers: u64,
	tokens: u64,
	microjoules: u64,
	grade: EvidenceGrade,
}

fn millijoules(microjoules: u64) -> f64 {
	microjoules as f64 / 1000.0
}

impl Session {
	pub(super) fn new() -> Self {
		Self {
			since: Instant::now(),
			totals: Mutex::default(),
		}
	}

	pub(super) fn uptime(&self) -> Duration {
		self.since.elapsed()
	}

	/// Notes an answer. Neither its receipt nor a word of it: who reads the history need not know more.
	pub(super) fn answered(&self, model: &str, generation: &Generation) {
		let (energy, timings) = (generation.energy, &generation.timings);
		let tokens = generation.tokens.len() as u64;
		let is_known = energy.grade != EvidenceGrade::Unknown;
		let entry = json!({
			"finished_ms": timings.finished_ms,
			"model": model,
			"tokens": tokens,
			"latency_ms": (timings.prompt_seconds + timings.decode_seconds) * 1000.0,
			"energy_mj": is_known.then(|| millijoules(energy.microjoules)),
			"grade": is_known.then_some(energy.grade),
		});
		let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
		totals.answers += 1;
		totals.tokens += tokens;
		if is_known {
			let known = totals.known.get_or_insert(Known {
				answers: 0,
				tokens: 0,
				microjoules: 0,
				grade: energy.grade,
			});
			known.answers += 1;
			known.tokens += tokens;
			known.microjoules = known.microjoules.saturating_add(energy.microjoules);
			known.grade = known.grade.min(energy.grade);
		}
		if totals.history.len() == HISTORY {
			totals.history.pop_front();
		}
		totals.history.push_back(entry);
	}

	/// The answer to `GET /v1/energy`.
	pub(super) fn to_json(&self) -> Value {
		let totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
		let total = totals.known.map(|known| millijoules(known.microjoules));
		let average = totals.known.filter(|known| known.tokens > 0);
		let average = average.map(|known| millijoules(known.microjoules) / known.tokens as f64);
		json!({
			"object": "energy",
			"session_uptime_seconds": self.uptime().as_secs(),
			"total_inferences": totals.answers,
			"total_tokens_generated": totals.tokens,
			"measured_inferences": totals.known.map_or(0, |known| known.answers),
			"total_energy_mj": total,
			"total_energy_kwh": total.map(|total| total / 3.6e9),
			"avg_energy_per_token_mj": average,
			"grade": totals.known.map(|known| known.grade),
			// The newest first.
			"recent_history": totals.history.iter().rev().collect::<Vec<_>>(),
		})
	}
}
