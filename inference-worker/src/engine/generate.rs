//! From a request to an answer.

use super::{
	scheduler::{Options, Scheduler},
	sequence::Sink,
	types::*,
};
use crate::{energy::Meter, model::Model};
use aria_kernels::Backend;
use std::sync::mpsc;

/// Checks a request against a model and completes it: an empty prompt gets BOS, the length what the context leaves.
pub fn prepare(
	model: &Model,
	mut request: GenerateRequest,
) -> Result<GenerateRequest, EngineError> {
	let most = model.config.context;
	let context = request.context.map_or(most, |own| own.min(most));
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
	let repetition = sampling.repetition_penalty_micro;
	if repetition != 0 && !(10_000..=100_000_000).contains(&repetition) {
		return fail("the repetition penalty must be between 0.01 and 100");
	}
	let penalties = [
		sampling.presence_penalty_micro,
		sampling.frequency_penalty_micro,
	];
	if penalties
		.iter()
		.any(|penalty| penalty.unsigned_abs() > 100_000_000)
	{
		return fail("presence and frequency penalties must be between -100 and 100");
	}
	let constraints = &request.constraints;
	if !constraints.is_valid() {
		return fail("at most 1024 tokens with a bias, each once, and a grammar of at most 64 KiB");
	}
	if constraints
		.logit_bias
		.iter()
		.any(|(_, bias)| bias.unsigned_abs() > 100_000_000)
	{
		return fail("a logit bias must be between -100 and 100");
	}
	if let Some((token, _)) = constraints
		.logit_bias
		.iter()
		.find(|(id, _)| *id as usize >= vocab)
	{
		return Err(EngineError::UnknownToken {
			token: *token,
			vocab,
		});
	}
	if let Some(grammar) = &constraints.grammar {
		// Refused here, with a reason, rather than later.
		model.grammars()?.start(grammar)?;
	}
	if model.head.is_none() {
		return Err(EngineError::NoHead);
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
	request.sampling.constraints = request.constraints.hash();
	Ok(request)
}

/// Sends events to the thread that asked.
struct Channel(mpsc::Sender<Event>);

impl Sink for Channel {
	fn send(&mut self, event: Event) {
		// Fails only when nobody listens.
		drop(self.0.send(event));
	}

	fn is_closed(&self) -> bool {
		false
	}
}

/// Generates one answer on this thread; `on_token` sees each token as it is chosen, `cancelled` is asked before each
/// pass.
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
	let mut scheduler = Scheduler::new(model, backend, meter, Options::default());
	let (sender, events) = mpsc::channel();
	scheduler.generate(request, Box::new(Channel(sender)));
	loop {
		if cancelled() {
			scheduler.cancel();
		}
		scheduler.step();
		for event in events.try_iter() {
			match event {
				Event::Token(token) => on_token(token),
				Event::Done(generation) => return Ok(*generation),
				Event::Error(error) => return Err(error),
				Event::Checked(_) => {}
			}
		}
	}
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
