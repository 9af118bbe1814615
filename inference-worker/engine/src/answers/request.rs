//! What may be asked of a model: requests and claims, checked before they reach the scheduler.

use super::types::*;
use crate::{
	error::EngineError,
	grammar::{GrammarState, Purpose},
	model::Model,
};
use aria_primitives::{receipt::Constraints, work::Fault};

/// A request that a model can answer: checked, completed, its grammar compiled.
pub struct Prepared {
	pub(super) request: GenerateRequest,
	pub(super) grammar: Option<GrammarState>,
}

impl Prepared {
	/// The request: an empty prompt became BOS, `max_tokens` is at most what the context leaves.
	pub fn request(&self) -> &GenerateRequest {
		&self.request
	}
}

/// A claim that may be true: what is left to find out takes a re-execution.
pub struct Claim {
	pub(super) request: RecheckRequest,
	pub(super) grammar: Option<GrammarState>,
}

/// Why a claim is not re-executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimError {
	/// It can't be true.
	Fault(Fault),
	/// This machine can't find out: it can't compile the grammar within its limits, or not now.
	Unable(EngineError),
}

/// Compiles the grammar of some constraints.
fn compile(
	model: &Model,
	constraints: &Constraints,
	purpose: Purpose,
) -> Result<Option<GrammarState>, EngineError> {
	let start = |grammar| model.grammars()?.start(grammar, purpose);
	constraints.grammar.as_ref().map(start).transpose()
}

/// Checks a request against a model and completes it: an empty prompt gets BOS, the length what the context leaves.
/// Where there is a grammar it may take a while.
///
/// # Errors
///
/// [`EngineError`] says what is wrong with the request, its grammar included.
pub fn prepare(model: &Model, mut request: GenerateRequest) -> Result<Prepared, EngineError> {
	let most = model.config().context;
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
	let vocab = model.config().vocab;
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
	if model.weights.head.is_none() {
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
	// The last of all checks: it takes the longest.
	let grammar = compile(model, constraints, Purpose::Answer)?;
	// The last token is never fed, so one more token than positions fits.
	let room = (context - request.prompt.len() + 1) as u32;
	request.max_tokens = request.max_tokens.min(room);
	request.sampling.constraints = request.constraints.hash();
	Ok(Prepared { request, grammar })
}

/// Finds the faults of a claim that need no re-execution. Where there is a grammar it may take a while.
///
/// # Errors
///
/// The first [`Fault`]; a grammar that can't be used can't have been used. One that this machine alone can't compile is
/// no fault.
pub fn check(
	model: &Model,
	request: RecheckRequest,
	purpose: Purpose,
) -> Result<Claim, ClaimError> {
	let fault = |fault| Err(ClaimError::Fault(fault));
	let (prompt, output) = (&request.prompt, &request.output);
	let Some((_, fed)) = output.split_last() else {
		return fault(Fault::WrongCount);
	};
	let vocab = model.config().vocab;
	let in_vocabulary = |token: &u32| (*token as usize) < vocab;
	if prompt.is_empty()
		|| prompt.len() + fed.len() > model.config().context
		|| !prompt.iter().all(in_vocabulary)
		|| !request.constraints.is_valid()
		|| request.sampling.constraints != request.constraints.hash()
		|| model.weights.head.is_none()
	{
		return fault(Fault::WrongOpening);
	}
	// Nothing follows a token that ends the turn.
	if !output.iter().all(in_vocabulary) || fed.iter().any(|id| model.tokenizer.is_end(*id)) {
		return fault(Fault::WrongToken);
	}
	let grammar = compile(model, &request.constraints, purpose);
	let grammar = grammar.map_err(|error| match error {
		EngineError::GrammarTooCostly { .. } | EngineError::GrammarsBusy(_) => {
			ClaimError::Unable(error)
		}
		_ => ClaimError::Fault(Fault::WrongOpening),
	})?;
	Ok(Claim { request, grammar })
}
