//! From a request to an answer.

use super::{
	forward::{ForwardError, KvCache},
	sampler,
	trace::Trace,
	types::*,
};
use crate::{energy::Meter, model::Model, tokenizer::TextDecoder};
use aria_kernels::Backend;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Prompt tokens per pass.
pub(crate) const CHUNK: usize = 64;

fn now_ms() -> u64 {
	SystemTime::now()
		.duration_since(UNIX_EPOCH)
		.map_or(0, |elapsed| elapsed.as_millis() as u64)
}

/// Checks a request against a model and completes it: an empty prompt gets BOS, the length what the context leaves.
pub fn prepare(
	model: &Model,
	mut request: GenerateRequest,
) -> Result<GenerateRequest, EngineError> {
	let context = model.config.context;
	if request.prompt.is_empty() {
		let bos = model.tokenizer.bos();
		request.prompt.push(bos.ok_or(EngineError::InvalidParameter(
			"the prompt is empty and the model has no token that begins a text",
		))?);
	}
	if request.prompt.len() > context {
		return Err(EngineError::ContextLengthExceeded {
			prompt: request.prompt.len(),
			context,
		});
	}
	let vocab = model.config.vocab;
	if let Some(&token) = request
		.prompt
		.iter()
		.find(|token| **token as usize >= vocab)
	{
		return Err(EngineError::UnknownToken { token, vocab });
	}
	let fail = |message| Err(EngineError::InvalidParameter(message));
	let sampling = &request.sampling;
	if request.max_tokens == 0 {
		return fail("max_tokens must be at least 1");
	}
	if sampling.temperature_micro > 100_000_000 {
		return fail("temperature must be at most 100");
	}
	if sampling.top_p_micro > 1_000_000 || sampling.min_p_micro > 1_000_000 {
		return fail("top_p and min_p must be at most 1");
	}
	if request.top_logprobs > MAX_TOP_LOGPROBS {
		return fail("at most 20 alternatives are reported per token");
	}
	if request.stop.len() > MAX_STOP_TEXTS
		|| request
			.stop
			.iter()
			.any(|stop| stop.is_empty() || stop.len() > MAX_STOP_LEN)
	{
		return fail("at most 16 stop texts of 1 to 1024 bytes");
	}
	// The last token is never fed, so one more token than positions fits.
	let room = (context - request.prompt.len() + 1) as u32;
	request.max_tokens = request.max_tokens.min(room);
	Ok(request)
}

/// Releases text only when no stop text can begin in it.
#[derive(Default)]
struct StopFilter {
	stops: Vec<String>,
	held: String,
	stopped: bool,
}

impl StopFilter {
	/// Adds text; returns what is certain. Sets `stopped` when a stop text is complete.
	fn push(&mut self, text: &str) -> String {
		self.held.push_str(text);
		let found = self
			.stops
			.iter()
			.filter_map(|stop| self.held.find(stop.as_str()))
			.min();
		if let Some(at) = found {
			self.stopped = true;
			self.held.truncate(at);
			return std::mem::take(&mut self.held);
		}
		let longest = self
			.stops
			.iter()
			.flat_map(|stop| {
				(1..stop.len())
					.rev()
					.filter(|len| stop.is_char_boundary(*len))
					.find(|len| self.held.ends_with(&stop[..*len]))
			})
			.max()
			.unwrap_or(0);
		let rest = self.held.split_off(self.held.len() - longest);
		std::mem::replace(&mut self.held, rest)
	}
}

/// Where a run stands.
struct Run<'a> {
	model: &'a Model,
	backend: &'a Backend,
	cache: KvCache,
	trace: Trace,
	cancelled: &'a dyn Fn() -> bool,
}

impl Run<'_> {
	/// Feeds tokens; the logits of the last one.
	fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, ForwardError> {
		let mut logits = Vec::new();
		let last = tokens.len().div_ceil(CHUNK).saturating_sub(1);
		for (index, chunk) in tokens.chunks(CHUNK).enumerate() {
			let from = if index == last {
				chunk.len() - 1
			} else {
				chunk.len()
			};
			logits = self.model.forward(
				self.backend,
				&mut self.cache,
				chunk,
				from,
				&mut self.trace,
				self.cancelled,
			)?;
		}
		Ok(logits)
	}
}

/// Generates an answer; `on_token` sees each token as it is chosen, `cancelled` is asked before each layer.
///
/// A token that ends the turn belongs to the output tokens, to the receipt and to the log probabilities, but not to
/// the text. A cancelled answer has the tokens chosen so far.
pub fn generate(
	model: &Model,
	backend: &Backend,
	meter: &Meter,
	request: GenerateRequest,
	on_token: &mut dyn FnMut(TokenEvent),
	cancelled: &dyn Fn() -> bool,
) -> Result<Generation, EngineError> {
	let request = prepare(model, request)?;
	let prompt_len = request.prompt.len();
	let (started_ms, start, before) = (now_ms(), Instant::now(), meter.read());
	let mut run = Run {
		model,
		backend,
		cache: KvCache::new(&model.config),
		trace: Trace::default(),
		cancelled,
	};
	let mut decoder = TextDecoder::default();
	let mut filter = StopFilter {
		stops: request.stop.clone(),
		..Default::default()
	};
	let (mut tokens, mut logprobs, mut text) = (Vec::new(), Vec::new(), String::new());
	let mut finish = FinishReason::Length;
	let mut prompt_seconds = 0.0;
	while tokens.len() < request.max_tokens as usize {
		let fed = match tokens.last() {
			None => run.feed(&request.prompt),
			Some(token) => run.feed(&[*token]),
		};
		if tokens.is_empty() {
			prompt_seconds = start.elapsed().as_secs_f64();
		}
		let logits = match fed {
			Ok(logits) => logits,
			Err(ForwardError::Cancelled) => {
				finish = FinishReason::Cancelled;
				break;
			}
			Err(ForwardError::ContextFull) => break,
			Err(ForwardError::NotFinite) => return Err(EngineError::NotFinite),
			Err(ForwardError::UnknownToken(token)) => {
				let vocab = model.config.vocab;
				return Err(EngineError::UnknownToken { token, vocab });
			}
		};
		let position = (prompt_len + tokens.len() - 1) as u32;
		let id = sampler::sample(&logits, &request.sampling, position);
		let logprob = sampler::logprob(&logits, id);
		let top = match request.top_logprobs {
			0 => Vec::new(),
			count => sampler::best(&logits, count.into())
				.into_iter()
				.map(|id| (id, sampler::logprob(&logits, id)))
				.collect(),
		};
		tokens.push(id);
		logprobs.push(logprob);
		let ended = model.tokenizer.is_end(id);
		let mut piece = if ended {
			String::new()
		} else {
			filter.push(&decoder.push(&model.tokenizer.bytes(id)))
		};
		let last = ended || filter.stopped || tokens.len() == request.max_tokens as usize;
		if last && !filter.stopped {
			piece.push_str(&filter.push(&decoder.finish()));
			if !filter.stopped {
				piece.push_str(&std::mem::take(&mut filter.held));
			}
		}
		text.push_str(&piece);
		on_token(TokenEvent {
			id,
			text: piece,
			logprob,
			top,
		});
		if ended || filter.stopped {
			finish = FinishReason::Stop;
			break;
		}
	}
	let total_seconds = start.elapsed().as_secs_f64();
	let output_tokens = tokens.len() as u32;
	// A cancelled pass leaves a part of the trace of a position that no token needs.
	run.trace
		.truncate((prompt_len + tokens.len()).saturating_sub(1));
	Ok(Generation {
		trace_root: run.trace.root(),
		operations: model
			.operations()
			.of(prompt_len as u32, output_tokens)
			.unwrap_or(u64::MAX),
		energy: meter.between(&before, &meter.read(), total_seconds),
		prompt: request.prompt,
		tokens,
		text,
		logprobs,
		sampling: request.sampling,
		finish,
		timings: Timings {
			started_ms,
			finished_ms: now_ms().max(started_ms),
			prompt_seconds,
			decode_seconds: total_seconds - prompt_seconds,
		},
	})
}

/// Replaces the middle token of an answer by another one: the dishonest worker of the end-to-end test.
#[cfg(feature = "fault-injection")]
pub fn alter_token(answer: &mut Generation, model: &Model) {
	let middle = answer.tokens.len() / 2;
	if let Some(token) = answer.tokens.get_mut(middle) {
		*token = (*token + 1) % model.config.vocab as u32;
	}
	answer.text = model.tokenizer.decode(&answer.tokens);
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn stop_text_should_be_found_across_pieces() {
		let mut filter = StopFilter {
			stops: vec!["END".into(), "é!".into()],
			..Default::default()
		};
		assert_eq!(filter.push("one E"), "one ");
		assert_eq!(filter.push("N"), "");
		assert_eq!(filter.push("X two é"), "ENX two ");
		assert_eq!(filter.push("EN"), "é");
		assert_eq!(filter.push("D three"), "");
		assert!(filter.stopped);
	}
}
