//! Why an answer fails.

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
	/// The prompt leaves no room for an answer.
	#[error("the prompt has {prompt} tokens, the model's context is {context}: shorten the prompt")]
	ContextLengthExceeded {
		/// Tokens of the prompt.
		prompt: usize,
		/// Positions of the context.
		context: usize,
	},
	/// A token outside the vocabulary.
	#[error("token {token} is outside the vocabulary of {vocab}")]
	UnknownToken {
		/// The token.
		token: u32,
		/// Size of the vocabulary.
		vocab: usize,
	},
	/// A parameter out of its range.
	#[error("{0}")]
	InvalidParameter(&'static str),
	/// The arithmetic produced NaN or infinity: the weights are damaged.
	#[error(
		"the model produced a number that is not finite; check the file with `aria-worker inspect`"
	)]
	NotFinite,
	/// The engine's thread has ended.
	#[error("the engine has stopped")]
	Stopped,
	/// A model without a head.
	#[error(
		"this model makes embeddings and can't write text; use /v1/embeddings or a model with a head"
	)]
	NoHead,
	/// A grammar that can't be used.
	#[error("the grammar can't be used: {0}")]
	Grammar(String),
	/// A grammar that takes more time or memory to compile than this machine gives it. Another may manage.
	#[error(
		"the grammar can't be used: compiling it takes more than {seconds} seconds or {mebibytes} MiB; make it simpler"
	)]
	GrammarTooCostly {
		/// Seconds of work.
		seconds: u64,
		/// Memory.
		mebibytes: u64,
	},
	/// Too many grammars are being compiled, or the machine is short of processes: try again.
	#[error("the grammar can't be compiled now: {0}; try again")]
	GrammarsBusy(String),
}
