//! One run of one setting.

use super::memory;
use crate::energy::Meter;
use anyhow::Result;
use aria_engine::{
	Event, GenerateRequest, Generation, Options, RecheckRequest, Scheduler, Sink,
	answers::request::{check, prepare},
	grammar::Purpose,
	model::Model,
};
use aria_kernels::Backend;
use std::{sync::mpsc, time::Instant};

/// What is measured together.
pub(super) struct Setting {
	pub(super) prompt: usize,
	pub(super) tokens: u32,
	pub(super) batch: usize,
	pub(super) speculate: bool,
}

/// What one run took.
pub(super) struct Run {
	/// Until each answer's first token, seconds.
	pub(super) first_tokens: Vec<f64>,
	/// Until all prompts were read, seconds.
	pub(super) prompt: f64,
	/// Tokens per second of all answers, once all prompts were read.
	pub(super) decode: f64,
	/// All of it, seconds.
	pub(super) total: f64,
	/// Re-execution of the first answer, seconds.
	pub(super) recheck: Option<f64>,
	/// Most memory in use, bytes.
	pub(super) peak: Option<u64>,
	pub(super) answers: Vec<Generation>,
}

/// Events with the time of their arrival.
struct Clock(usize, mpsc::Sender<(usize, Instant, Event)>);

impl Sink for Clock {
	fn send(&mut self, event: Event) {
		// The receiver lives as long as the scheduler.
		drop(self.1.send((self.0, Instant::now(), event)));
	}

	fn is_closed(&self) -> bool {
		false
	}
}

/// A prompt that means nothing; another one for each number.
fn prompt(model: &Model, number: usize, len: usize) -> Vec<u32> {
	let mut state = number as u64 + 1;
	(0..len)
		.map(|_| {
			// Knuth's MMIX generator.
			state = state
				.wrapping_mul(6_364_136_223_846_793_005)
				.wrapping_add(1_442_695_040_888_963_407);
			((state >> 33) % model.config().vocab as u64) as u32
		})
		.collect()
}

/// Runs a setting once.
pub(super) fn measure(
	model: &Model,
	backend: &Backend,
	meter: &Meter,
	setting: &Setting,
) -> Result<Run> {
	memory::forget_peak();
	let options = Options {
		parallel: setting.batch,
		prefix_cache: false,
		speculate: setting.speculate,
		cache_bytes: u64::MAX,
		..Options::default()
	};
	let mut scheduler = Scheduler::new(model, backend, meter, options);
	let (sender, events) = mpsc::channel();
	for number in 0..setting.batch {
		let request = GenerateRequest {
			prompt: prompt(model, number, setting.prompt),
			// The first token belongs to the prompt's time.
			max_tokens: setting.tokens + 1,
			ignore_end: true,
			..Default::default()
		};
		let clock = Clock(number, sender.clone());
		scheduler.generate(prepare(model, request)?, Box::new(clock));
	}
	let start = Instant::now();
	while !scheduler.is_idle() {
		scheduler.step();
	}
	let total = start.elapsed().as_secs_f64();
	let (mut times, mut answers) = (vec![Vec::new(); setting.batch], Vec::new());
	for (number, time, event) in events.try_iter() {
		match event {
			Event::Token(_) => times[number].push((time - start).as_secs_f64()),
			Event::Done(generation) => answers.push(*generation),
			Event::Error(error) => return Err(error.into()),
			Event::Checked(_) => {}
		}
	}
	let firsts = times.iter().filter_map(|times| times.first().copied());
	let first_tokens: Vec<f64> = firsts.collect();
	let prompt = first_tokens.iter().copied().fold(0.0, f64::max);
	let (mut after, mut last) = (0, prompt);
	for time in times.iter().flatten().filter(|time| **time > prompt) {
		after += 1;
		last = time.max(last);
	}
	let recheck = answers
		.first()
		.and_then(|answer| recheck(&mut scheduler, model, answer));
	Ok(Run {
		first_tokens,
		prompt,
		decode: f64::from(after) / (last - prompt).max(1e-9),
		total,
		recheck,
		peak: memory::peak(),
		answers,
	})
}

/// Seconds of re-executing an answer; none if it can't be checked, because it has a token that ends a turn.
fn recheck(scheduler: &mut Scheduler<'_>, model: &Model, answer: &Generation) -> Option<f64> {
	let (sender, events) = mpsc::channel();
	let request = RecheckRequest {
		prompt: answer.prompt.clone(),
		output: answer.tokens.clone(),
		sampling: answer.sampling,
		constraints: answer.constraints.clone(),
		trace_root: answer.trace_root,
		logprobs: false,
	};
	let start = Instant::now();
	scheduler.recheck(
		check(model, request, Purpose::Claim).ok()?,
		Box::new(Clock(0, sender)),
	);
	while !scheduler.is_idle() {
		scheduler.step();
	}
	match events.try_recv() {
		Ok((_, time, Event::Checked(Ok(_)))) => Some((time - start).as_secs_f64()),
		_ => None,
	}
}
