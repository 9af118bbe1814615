//! Public types of the engine: what goes in, what comes out.

use crate::error::EngineError;
use aria_primitives::{
	H256,
	receipt::{Constraints, Sampling},
	work::Fault,
};
use serde::{Deserialize, Serialize};

/// A request to continue a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenerateRequest {
	/// Prompt tokens; an empty prompt becomes the model's BOS token.
	pub prompt: Vec<u32>,
	/// Most output tokens; clamped to what the context leaves.
	pub max_tokens: u32,
	/// Most tokens of prompt and answer together, if not all of the model's context.
	pub context: Option<usize>,
	/// How tokens are chosen.
	pub sampling: Sampling,
	/// Bias and grammar. The hash in `sampling` follows from it.
	pub constraints: Constraints,
	/// Texts that end the answer; none of them is part of the text.
	pub stop: Vec<String>,
	/// Whether to report log probabilities: that takes all logits, where the best ones are often enough.
	pub logprobs: bool,
	/// How many of the best tokens to report at each position; at most [`MAX_TOP_LOGPROBS`].
	pub top_logprobs: u8,
	/// Who asks: when there are more requests than places, those who have fewer running go first.
	pub client: u64,
	/// Whether tokens that end a turn are tokens like others: for measurements. No verifier accepts the answer.
	pub ignore_end: bool,
}

/// Most alternatives reported per token.
pub const MAX_TOP_LOGPROBS: u8 = 20;
/// Most stop texts in a request.
pub const MAX_STOP_TEXTS: usize = 16;
/// Longest stop text, bytes.
pub const MAX_STOP_LEN: usize = 1024;

/// Something that happened while an answer was generated.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
	/// A token was chosen.
	Token(TokenEvent),
	/// The answer is complete; the last event.
	Done(Box<Generation>),
	/// The answer failed; the last event.
	Error(EngineError),
	/// A re-execution is complete; the only event.
	Checked(RecheckResult),
}

/// A chosen token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenEvent {
	/// The token.
	pub id: u32,
	/// Text that became certain with this token: empty while a character or a possible stop text is incomplete.
	pub text: String,
	/// Natural logarithm of the token's probability after bias, penalties, grammar and temperature, where 0 counts as 1;
	/// zero unless asked for.
	pub logprob: f32,
	/// The best tokens at this position that could be chosen, with their log probabilities, best first.
	pub top: Vec<(u32, f32)>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
	/// The model ended its turn, or a stop text appeared.
	Stop,
	/// `max_tokens` or the context was reached.
	Length,
	/// The grammar leaves nothing that may follow, or takes more work to follow than the limits allow: what there is, is
	/// incomplete.
	Grammar,
	/// The requester went away.
	Cancelled,
}

/// How long the parts of an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
	/// Milliseconds since the Unix epoch when execution began.
	pub started_ms: u64,
	/// Milliseconds since the Unix epoch when the last token was chosen.
	pub finished_ms: u64,
	/// Seconds spent on the prompt.
	pub prompt_seconds: f64,
	/// Seconds spent on the answer.
	pub decode_seconds: f64,
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generation {
	/// The prompt as executed.
	pub prompt: Vec<u32>,
	/// Output tokens, including an end-of-turn token that ended the answer.
	pub tokens: Vec<u32>,
	/// Text of the answer, without end-of-turn tokens and cut before a stop text.
	pub text: String,
	/// Log probability of each output token; none unless asked for.
	pub logprobs: Vec<f32>,
	/// Root over the hidden-state hashes.
	pub trace_root: H256,
	/// How tokens were chosen.
	pub sampling: Sampling,
	/// Bias and grammar.
	pub constraints: Constraints,
	/// Prompt tokens whose keys and values were there from an earlier request.
	pub cached_tokens: u32,
	/// Multiply-accumulates, by the model's [`OperationCount`](aria_primitives::provenance::OperationCount).
	pub operations: u64,
	/// Energy of the answer and how it was known.
	pub energy: aria_primitives::energy::Energy,
	/// Why it ended.
	pub finish: FinishReason,
	/// How long it took.
	pub timings: Timings,
}

/// What a verifier re-executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecheckRequest {
	/// Prompt tokens.
	pub prompt: Vec<u32>,
	/// Claimed output tokens.
	pub output: Vec<u32>,
	/// Claimed sampling.
	pub sampling: Sampling,
	/// Claimed bias and grammar.
	pub constraints: Constraints,
	/// Claimed trace root.
	pub trace_root: H256,
	/// Whether log probabilities are wanted.
	pub logprobs: bool,
}

/// What re-execution found: the log probability of each output token if asked for, or the first fault.
pub type RecheckResult = Result<Vec<f32>, Fault>;
