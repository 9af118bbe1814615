//! One answer, or one re-execution, under way.

use super::{
	draft::{Drafter, Pace},
	request::{Claim, Prepared},
	sampler::{self, History, Rules},
	stop::StopFilter,
	types::*,
};
use crate::{
	error::EngineError,
	grammar::GrammarState,
	host::Host,
	model::Model,
	pass::{
		cache::{KvCache, PagePool},
		logits::{Logits, Need},
		prefix::PageKey,
		trace::Trace,
	},
	tokenizer::TextDecoder,
};
use aria_primitives::{
	energy::Energy,
	receipt::{Constraints, Sampling},
	work::Fault,
};
use std::time::Duration;

/// What a step of a grammar is taken to need before there was one.
const UNKNOWN_GRAMMAR: Duration = Duration::from_millis(5);

/// Seconds since a moment of the host's clock.
fn since(host: &dyn Host, start: Duration) -> f64 {
	host.elapsed().saturating_sub(start).as_secs_f64()
}

/// Who waits for an answer.
pub trait Sink: Send {
	/// Takes an event.
	fn send(&mut self, event: Event);
	/// Whether nobody waits any more.
	fn is_closed(&self) -> bool;
}

/// What a sequence is for.
enum Task {
	Generate {
		request: GenerateRequest,
		drafter: Drafter,
		filter: StopFilter,
		decoder: TextDecoder,
		text: String,
	},
	Recheck {
		request: RecheckRequest,
		/// Tokens of the output that were found right: not chosen again after the sequence was preempted.
		checked: usize,
	},
}

/// Why a sequence is complete.
#[derive(Debug, Clone, PartialEq)]
enum End {
	Finished(FinishReason),
	Fault(Fault),
}

/// A sequence of tokens and everything that belongs to it.
pub(super) struct Sequence {
	task: Task,
	/// Prompt and answer as far as they are known.
	tokens: Vec<u32>,
	prompt_len: usize,
	pub(super) cache: KvCache,
	pub(super) trace: Trace,
	pub(super) sink: Box<dyn Sink>,
	/// Where the tokens of the present pass begin, and they: the last ones may be drafted.
	fed: (usize, Vec<u32>),
	history: Option<History>,
	grammar: Option<GrammarState>,
	/// What a step of the grammar takes, as far as that is known.
	grammar_time: Duration,
	/// How many tokens may be chosen in the present pass.
	pub(super) choices: usize,
	logprobs: Vec<f32>,
	/// Name and number of the pages known to the prefix cache.
	pub(super) named: (PageKey, usize),
	pub(super) cached_tokens: u32,
	pub(super) energy: Energy,
	/// Operations since energy was last attributed.
	pub(super) operations: u64,
	/// When work began: by the host's monotonic clock, and in milliseconds since the Unix epoch.
	started: Option<(Duration, u64)>,
	prompt_seconds: f64,
	end: Option<End>,
}

impl Sequence {
	fn new(
		task: Task,
		tokens: Vec<u32>,
		prompt_len: usize,
		grammar: Option<GrammarState>,
		pool: &PagePool,
		sink: Box<dyn Sink>,
	) -> Self {
		let mut sequence = Self {
			task,
			tokens,
			prompt_len,
			cache: KvCache::new(pool),
			trace: Trace::default(),
			sink,
			fed: (0, Vec::new()),
			history: None,
			grammar,
			grammar_time: UNKNOWN_GRAMMAR,
			choices: usize::MAX,
			logprobs: Vec::new(),
			named: Default::default(),
			cached_tokens: 0,
			energy: Energy::default(),
			operations: 0,
			started: None,
			prompt_seconds: 0.0,
			end: None,
		};
		if sampler::needs_history(sequence.sampling()) {
			let mut history = History::default();
			let prompt = &sequence.tokens[..prompt_len];
			prompt.iter().for_each(|token| history.prompt(*token));
			sequence.history = Some(history);
		}
		sequence
	}

	/// An answer.
	pub(super) fn answer(prepared: Prepared, pool: &PagePool, sink: Box<dyn Sink>) -> Self {
		let Prepared { request, grammar } = prepared;
		let tokens = request.prompt.clone();
		let prompt_len = tokens.len();
		let task = Task::Generate {
			drafter: Drafter::default(),
			filter: StopFilter::new(request.stop.clone()),
			decoder: TextDecoder::default(),
			text: String::new(),
			request,
		};
		Self::new(task, tokens, prompt_len, grammar, pool, sink)
	}

	/// A re-execution.
	pub(super) fn recheck(claim: Claim, pool: &PagePool, sink: Box<dyn Sink>) -> Self {
		let Claim { request, grammar } = claim;
		let tokens = [&request.prompt[..], &request.output[..]].concat();
		let prompt_len = request.prompt.len();
		let task = Task::Recheck {
			request,
			checked: 0,
		};
		Self::new(task, tokens, prompt_len, grammar, pool, sink)
	}

	fn sampling(&self) -> &Sampling {
		match &self.task {
			Task::Generate { request, .. } => &request.sampling,
			Task::Recheck { request, .. } => &request.sampling,
		}
	}

	fn constraints(&self) -> &Constraints {
		match &self.task {
			Task::Generate { request, .. } => &request.constraints,
			Task::Recheck { request, .. } => &request.constraints,
		}
	}

	fn wants_logprobs(&self) -> bool {
		match &self.task {
			Task::Generate { request, .. } => request.logprobs || request.top_logprobs > 0,
			Task::Recheck { request, .. } => request.logprobs,
		}
	}

	/// Who asked.
	pub(super) fn client(&self) -> u64 {
		match &self.task {
			Task::Generate { request, .. } => request.client,
			Task::Recheck { .. } => 0,
		}
	}

	/// Whether its pages may serve later requests.
	pub(super) fn shares_pages(&self) -> bool {
		matches!(self.task, Task::Generate { .. })
	}

	/// Known tokens that are computed before the next choice.
	pub(super) fn pending(&self) -> usize {
		let last = match self.task {
			Task::Generate { .. } => self.tokens.len(),
			// The last token of an answer is chosen and never fed.
			Task::Recheck { .. } => self.tokens.len() - 1,
		};
		last - self.cache.len()
	}

	/// Known tokens.
	pub(super) fn tokens(&self) -> &[u32] {
		&self.tokens
	}

	/// Tokens that an earlier sequence may have computed: nothing where this one has to choose.
	pub(super) fn reusable(&self) -> &[u32] {
		match self.task {
			Task::Generate { .. } => &self.tokens,
			Task::Recheck { .. } => &self.tokens[..self.prompt_len],
		}
	}

	/// What the grammar takes for each token that is chosen; nothing without one.
	pub(super) fn grammar_time(&self) -> Duration {
		self.grammar
			.as_ref()
			.map_or(Duration::ZERO, |_| self.grammar_time)
	}

	/// Whether it chooses a token with each pass.
	pub(super) fn is_decoding(&self) -> bool {
		matches!(self.task, Task::Generate { .. }) && self.pending() == 1
	}

	/// Notes when work began.
	pub(super) fn start(&mut self, host: &dyn Host) {
		self.started
			.get_or_insert_with(|| (host.elapsed(), host.unix_ms()));
	}

	/// Forgets all that was computed; it is computed again when there is room.
	pub(super) fn preempt(&mut self) {
		self.cache.truncate(0);
		self.trace.truncate(0);
		self.named = Default::default();
	}

	/// Tokens for a pass, at most `limit` of those that are known, and from which on states are wanted. No more are
	/// chosen than [`Self::choices`] says.
	pub(super) fn feed(&mut self, limit: usize, draft: Option<&Pace>) -> (Vec<u32>, usize) {
		let start = self.cache.len();
		// Those before the first choice need no grammar.
		let free = match &self.task {
			Task::Generate { .. } => self.tokens.len() - 1,
			Task::Recheck { checked, .. } => self.prompt_len - 1 + *checked,
		};
		let allowed = free.saturating_sub(start).saturating_add(self.choices);
		let count = self.pending().min(limit).min(allowed);
		let end = start + count;
		let mut fed = self.tokens[start..end].to_vec();
		let states_from = match &mut self.task {
			Task::Generate {
				request, drafter, ..
			} => {
				if end == self.tokens.len()
					&& let Some(pace) = draft
				{
					let room = request.max_tokens as usize - (self.tokens.len() - self.prompt_len);
					fed.extend(drafter.propose(&self.tokens, room.saturating_sub(1), pace));
				}
				self.tokens.len() - 1
			}
			Task::Recheck { checked, .. } => self.prompt_len - 1 + *checked,
		};
		self.fed = (start, fed.clone());
		(fed, states_from.saturating_sub(start).min(count))
	}

	/// What choices need.
	pub(super) fn need(&self) -> Need {
		if self.wants_logprobs() {
			Need::All
		} else {
			sampler::need(self.sampling(), self.constraints())
		}
	}

	/// Chooses from the logits after the token `index` of the pass; those of earlier tokens come first.
	pub(super) fn choose(
		&mut self,
		model: &Model,
		host: &dyn Host,
		index: usize,
		logits: Logits<'_>,
	) {
		let position = self.fed.0 + index;
		// An earlier choice may have been another than the draft's.
		let fed = self.fed.1.get(index);
		if self.end.is_some() || fed != self.tokens.get(position) {
			return;
		}
		let begun = host.elapsed();
		let allowed = match self.grammar.as_mut().map(GrammarState::allowed) {
			Some(None) => {
				self.end = Some(match self.task {
					Task::Generate { .. } => End::Finished(FinishReason::Grammar),
					// No worker can have chosen a token here.
					Task::Recheck { .. } => End::Fault(Fault::WrongToken),
				});
				return;
			}
			allowed => allowed.flatten(),
		};
		let asked = host.elapsed();
		let empty = History::default();
		let rules = Rules {
			sampling: self.sampling(),
			constraints: self.constraints(),
			history: self.history.as_ref().unwrap_or(&empty),
			allowed: allowed.as_deref(),
		};
		let token = sampler::choose(logits, &rules, position as u32);
		let shown = match logits {
			Logits::All(all) if self.wants_logprobs() => Some(sampler::shown(all, &rules)),
			_ => None,
		};
		let logprob = shown.as_deref().map(|all| sampler::logprob(all, token));
		if let Some(history) = &mut self.history {
			history.output(token);
		}
		if let Some(grammar) = &mut self.grammar {
			let chosen = host.elapsed();
			grammar.accept(token);
			let took = (asked + host.elapsed()).saturating_sub(begun + chosen);
			self.grammar_time = took.max(self.grammar_time / 2);
		}
		match &mut self.task {
			Task::Generate { request, .. } => {
				let top = match (shown.as_deref(), request.top_logprobs) {
					(Some(all), 1..) => sampler::best(all, request.top_logprobs.into())
						.into_iter()
						// No alternative is one that can't be chosen.
						.filter(|best| best.logit > f32::NEG_INFINITY)
						.map(|best| (best.id, sampler::logprob(all, best.id)))
						.collect(),
					_ => Vec::new(),
				};
				self.accept(model, host, token, logprob, top);
			}
			Task::Recheck { checked, .. } => {
				*checked += 1;
				self.logprobs.extend(logprob);
				if self.tokens.get(position + 1) != Some(&token) {
					self.end = Some(End::Fault(Fault::WrongToken));
				}
			}
		}
	}

	/// Adds a token to the answer.
	fn accept(
		&mut self,
		model: &Model,
		host: &dyn Host,
		id: u32,
		logprob: Option<f32>,
		top: Vec<(u32, f32)>,
	) {
		let Task::Generate {
			request,
			drafter,
			filter,
			decoder,
			text,
		} = &mut self.task
		else {
			return;
		};
		if self.tokens.len() == self.prompt_len {
			self.prompt_seconds = self.started.map_or(0.0, |(start, _)| since(host, start));
		}
		drafter.observe(id);
		self.tokens.push(id);
		self.logprobs.extend(logprob);
		let ended = model.tokenizer.is_end(id) && !request.ignore_end;
		let mut piece = if ended {
			String::new()
		} else {
			filter.push(&decoder.push(&model.tokenizer.bytes(id)))
		};
		let full = self.tokens.len() - self.prompt_len == request.max_tokens as usize;
		if (ended || full) && !filter.stopped() {
			piece.push_str(&filter.push(&decoder.finish()));
			if !filter.stopped() {
				piece.push_str(&filter.finish());
			}
		}
		text.push_str(&piece);
		if ended || filter.stopped() {
			self.end = Some(End::Finished(FinishReason::Stop));
		} else if full {
			self.end = Some(End::Finished(FinishReason::Length));
		}
		self.sink.send(Event::Token(TokenEvent {
			id,
			text: piece,
			logprob: logprob.unwrap_or(0.0),
			top,
		}));
	}

	/// Forgets what was computed of drafts that were wrong, and finds out whether a re-execution is complete.
	pub(super) fn settle(&mut self) {
		match &self.task {
			Task::Generate { .. } => {
				let len = self.cache.len().min(self.tokens.len() - 1);
				self.cache.truncate(len);
				self.trace.truncate(len);
			}
			Task::Recheck { request, .. } => {
				if self.end.is_none() && self.pending() == 0 {
					self.end = Some(if self.trace.root() == request.trace_root {
						End::Finished(FinishReason::Stop)
					} else {
						End::Fault(Fault::WrongTrace)
					});
				}
			}
		}
	}

	/// Whether there is nothing left to do.
	pub(super) fn is_complete(&self) -> bool {
		self.end.is_some()
	}

	/// Ends it early.
	pub(super) fn cancel(&mut self) {
		self.end = Some(End::Finished(FinishReason::Cancelled));
	}

	/// Reports a failure.
	pub(super) fn fail(mut self, error: EngineError) {
		let event = match self.task {
			Task::Generate { .. } => Event::Error(error),
			// Inputs were checked: only damaged weights get here.
			Task::Recheck { .. } => Event::Checked(Err(Fault::WrongTrace)),
		};
		self.sink.send(event);
	}

	/// Reports the result.
	pub(super) fn finish(mut self, model: &Model, host: &dyn Host) {
		let end = self.end.take();
		let (request, text) = match self.task {
			Task::Generate { request, text, .. } => (request, text),
			Task::Recheck { .. } => {
				match end {
					Some(End::Fault(fault)) => self.sink.send(Event::Checked(Err(fault))),
					Some(End::Finished(FinishReason::Stop)) => {
						self.sink.send(Event::Checked(Ok(self.logprobs)));
					}
					_ => {}
				}
				return;
			}
		};
		let finish = match end {
			Some(End::Finished(finish)) => finish,
			_ => FinishReason::Cancelled,
		};
		let output = self.tokens.split_off(self.prompt_len);
		let (start, started_ms) = self
			.started
			.unwrap_or_else(|| (host.elapsed(), host.unix_ms()));
		let total_seconds = since(host, start);
		if output.is_empty() {
			self.prompt_seconds = total_seconds;
		}
		self.sink.send(Event::Done(Box::new(Generation {
			trace_root: self.trace.root(),
			operations: model
				.operations()
				.of(self.prompt_len as u32, output.len() as u32)
				.unwrap_or(u64::MAX),
			energy: self.energy,
			prompt: request.prompt,
			tokens: output,
			text,
			logprobs: self.logprobs,
			sampling: request.sampling,
			constraints: request.constraints,
			cached_tokens: self.cached_tokens,
			finish,
			timings: Timings {
				started_ms,
				finished_ms: host.unix_ms().max(started_ms),
				prompt_seconds: self.prompt_seconds,
				decode_seconds: total_seconds - self.prompt_seconds,
			},
		})));
	}
}
