//! Tokenizers that run as their `tokenizer.json` says, through the `tokenizers` crate.

use super::error::{TokenizerError, damaged};
use std::{
	collections::HashMap,
	panic::{AssertUnwindSafe, catch_unwind},
};

/// A tokenizer of the `tokenizers` crate.
pub(super) struct Foreign {
	source: Vec<u8>,
	/// Markup is markup.
	marked: tokenizers::Tokenizer,
	/// Markup is text.
	plain: tokenizers::Tokenizer,
}

impl Foreign {
	/// Reads the file's bytes.
	pub(super) fn new(source: Vec<u8>) -> Result<Self, TokenizerError> {
		let read = || guarded(|| tokenizers::Tokenizer::from_bytes(&source));
		let prepare = |spell: bool| {
			let mut tokenizer = read()?;
			tokenizer.with_padding(None);
			tokenizer
				.with_truncation(None)
				.map_err(|error| damaged(error.to_string()))?;
			tokenizer.set_encode_special_tokens(spell);
			Ok::<_, TokenizerError>(tokenizer)
		};
		let (marked, plain) = (prepare(false)?, prepare(true)?);
		Ok(Self {
			source,
			marked,
			plain,
		})
	}

	/// The file's bytes.
	pub(super) fn source(&self) -> &[u8] {
		&self.source
	}

	/// Every token with its id.
	pub(super) fn vocab(&self) -> HashMap<String, u32> {
		self.marked.get_vocab(true)
	}

	/// Tokens of a text, without those that a post-processor adds.
	pub(super) fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TokenizerError> {
		let tokenizer = if special { &self.marked } else { &self.plain };
		let encoding = guarded(|| tokenizer.encode_fast(text, false))
			.map_err(|error| TokenizerError::Encode(error.to_string()))?;
		Ok(encoding.get_ids().to_vec())
	}
}

/// Its regular-expression library panics where a search takes too long.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, TokenizerError> {
	match catch_unwind(AssertUnwindSafe(work)) {
		Ok(Ok(value)) => Ok(value),
		Ok(Err(error)) => Err(damaged(error.to_string())),
		Err(_) => Err(damaged("the tokenizers library gave up on it")),
	}
}
