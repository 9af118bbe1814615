//! What Prometheus is told: names that mean what those of other servers mean, see docs/monitoring.md.

use aria_engine::Generation;
use aria_primitives::energy::EvidenceGrade;
use prometheus::{
	Counter, CounterVec, Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec,
	IntGauge, Opts, Registry, TextEncoder, core::Collector,
};
use std::time::Duration;

/// Upper bounds of times to a first token, seconds.
const FIRST_TOKEN: [f64; 12] = [
	0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Upper bounds of times per token, seconds.
const PER_TOKEN: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Upper bounds of times of whole answers, seconds.
const WHOLE: [f64; 12] = [
	0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];
/// Upper bounds of tokens in a pass.
const IN_A_PASS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// How energy may be known, as receipts name it.
const GRADES: [(EvidenceGrade, &str); 4] = [
	(EvidenceGrade::Estimated, "estimated"),
	(EvidenceGrade::Battery, "battery"),
	(EvidenceGrade::HardwareMonitor, "hardware_monitor"),
	(EvidenceGrade::ProcessorCounters, "processor_counters"),
];

/// Counts and times of a worker, in a registry.
pub struct Metrics {
	registry: Registry,
	http: IntCounterVec,
	processing: IntGauge,
	prompt_tokens: IntCounter,
	prompt_seconds: Counter,
	predicted_tokens: IntCounter,
	predicted_seconds: Counter,
	energy: CounterVec,
	receipts: IntCounter,
	first_token: Histogram,
	per_token: Histogram,
	whole: Histogram,
	rate: Gauge,
	passes: Passes,
}

/// What engines tell of their passes; those of one worker share it.
#[derive(Clone)]
pub struct Passes {
	waiting: IntGauge,
	count: IntCounter,
	tokens: Histogram,
}

impl Passes {
	/// Adds to the number of requests that wait for a slot.
	pub(crate) fn wait(&self, more: i64) {
		self.waiting.add(more);
	}

	/// Counts a pass and its tokens.
	pub(crate) fn passed(&self, tokens: usize) {
		self.count.inc();
		self.tokens.observe(tokens as f64);
	}
}

/// A request under way; it counts until it is dropped.
pub struct UnderWay(IntGauge);

impl Drop for UnderWay {
	fn drop(&mut self) {
		self.0.dec();
	}
}

fn register<C: Collector + Clone + 'static>(
	registry: &Registry,
	metric: prometheus::Result<C>,
) -> prometheus::Result<C> {
	let metric = metric?;
	registry.register(Box::new(metric.clone()))?;
	Ok(metric)
}

impl Metrics {
	/// Registers all metrics: a registry takes one worker's.
	///
	/// # Errors
	///
	/// When the registry has metrics of these names already.
	pub fn new(registry: &Registry) -> prometheus::Result<Self> {
		let times = |name: &str, help: &str, bounds: &[f64]| {
			Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))
		};
		let metrics = Self {
			registry: registry.clone(),
			http: register(
				registry,
				IntCounterVec::new(
					Opts::new("aria_http_requests_total", "Answers to HTTP requests"),
					&["path", "status"],
				),
			)?,
			processing: register(
				registry,
				IntGauge::new(
					"aria_requests_processing",
					"Requests being answered, or waiting",
				),
			)?,
			prompt_tokens: register(
				registry,
				IntCounter::new("aria_prompt_tokens_total", "Tokens of prompts"),
			)?,
			prompt_seconds: register(
				registry,
				Counter::new(
					"aria_prompt_seconds_total",
					"Seconds in which prompts were read",
				),
			)?,
			predicted_tokens: register(
				registry,
				IntCounter::new("aria_tokens_predicted_total", "Tokens of answers"),
			)?,
			predicted_seconds: register(
				registry,
				Counter::new(
					"aria_tokens_predicted_seconds_total",
					"Seconds in which answers were written; those of answers at the same time add up",
				),
			)?,
			energy: register(
				registry,
				CounterVec::new(
					Opts::new(
						"aria_energy_joules_total",
						"Energy of answers, by how it is known",
					),
					&["grade"],
				),
			)?,
			receipts: register(
				registry,
				IntCounter::new(
					"aria_receipts_total",
					"Receipts signed and written to the journal",
				),
			)?,
			first_token: register(
				registry,
				times(
					"aria_time_to_first_token_seconds",
					"From the engine's taking of a request to its first token",
					&FIRST_TOKEN,
				),
			)?,
			per_token: register(
				registry,
				times(
					"aria_time_per_output_token_seconds",
					"Mean time of an answer's tokens after the first",
					&PER_TOKEN,
				),
			)?,
			whole: register(
				registry,
				times(
					"aria_e2e_request_latency_seconds",
					"From a request's being read to the end of its answer",
					&WHOLE,
				),
			)?,
			rate: register(
				registry,
				Gauge::new(
					"aria_predicted_tokens_seconds",
					"Tokens per second of the latest answer, after its first token",
				),
			)?,
			passes: Passes {
				waiting: register(
					registry,
					IntGauge::new("aria_requests_deferred", "Answers that wait for a place"),
				)?,
				count: register(
					registry,
					IntCounter::new("aria_n_decode_total", "Passes over a model's weights"),
				)?,
				tokens: register(
					registry,
					times(
						"aria_iteration_tokens_total",
						"Tokens of a pass, of prompts and answers",
						&IN_A_PASS,
					),
				)?,
			},
		};
		for (_, grade) in GRADES {
			// Shown from the start, so that rates begin at zero.
			metrics.energy.with_label_values(&[grade]);
		}
		Ok(metrics)
	}

	/// For engines, to count in.
	pub fn passes(&self) -> Passes {
		self.passes.clone()
	}

	/// Counts an HTTP answer, by the route's pattern.
	pub(crate) fn responded(&self, path: &str, status: u16) {
		let status = status.to_string();
		self.http.with_label_values(&[path, &status]).inc();
	}

	/// Counts a request until what this returns is dropped.
	pub(crate) fn under_way(&self) -> UnderWay {
		self.processing.inc();
		UnderWay(self.processing.clone())
	}

	/// Notes the first token of an answer.
	pub(crate) fn first_token(&self, after: Duration) {
		self.first_token.observe(after.as_secs_f64());
	}

	/// Counts a complete answer, its receipt in the journal, so long after its request was read.
	pub(crate) fn answered(&self, generation: &Generation, after: Duration) {
		self.whole.observe(after.as_secs_f64());
		let (timings, tokens) = (&generation.timings, generation.tokens.len());
		self.prompt_tokens.inc_by(generation.prompt.len() as u64);
		self.predicted_tokens.inc_by(tokens as u64);
		// Clocks may step back; counters must not.
		self.prompt_seconds.inc_by(timings.prompt_seconds.max(0.0));
		self.predicted_seconds
			.inc_by(timings.decode_seconds.max(0.0));
		if tokens > 1 {
			let each = timings.decode_seconds / (tokens - 1) as f64;
			self.per_token.observe(each);
			if each > 0.0 {
				self.rate.set(1.0 / each);
			}
		}
		let energy = generation.energy;
		if let Some((_, grade)) = GRADES.iter().find(|(grade, _)| *grade == energy.grade) {
			let joules = energy.microjoules as f64 / 1e6;
			self.energy.with_label_values(&[grade]).inc_by(joules);
		}
		self.receipts.inc();
	}

	/// Everything in the registry, in Prometheus' text format.
	///
	/// # Errors
	///
	/// When a metric in the registry can't be written.
	pub fn text(&self) -> prometheus::Result<Vec<u8>> {
		let mut text = Vec::new();
		TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
		Ok(text)
	}
}
