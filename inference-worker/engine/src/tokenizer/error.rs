//! Why a vocabulary or a text is refused.

use std::fmt;

/// Longest quotation of a file's text in an error, bytes.
const MAX_QUOTED: usize = 200;

/// Why a vocabulary or a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
	/// A key that must be there.
	#[error("metadata {0:?} is missing or of the wrong type")]
	Missing(&'static str),
	/// Another kind of tokenizer.
	#[error(
		"tokenizer model {0:?} is not supported; supported: gpt2 (byte-level BPE), llama (SentencePiece) and gemma4"
	)]
	Model(String),
	/// An unknown way to cut text into words.
	#[error("pre-tokenizer {name:?} is not supported; supported: {supported}")]
	PreTokenizer {
		/// The name in the file.
		name: String,
		/// Names that are known.
		supported: String,
	},
	/// A token id outside the vocabulary.
	#[error("metadata {0:?} names a token outside the vocabulary")]
	Id(&'static str),
	/// Merges or tokens that do not fit together.
	#[error("the vocabulary is damaged: {0}")]
	Vocabulary(String),
	/// More tokens, merges or text than any real vocabulary has.
	#[error("the vocabulary is too large: {0}")]
	Large(String),
	/// A file that can't be read.
	#[error("{file}: {problem}")]
	File {
		/// The file.
		file: String,
		/// What is wrong with it.
		problem: String,
	},
	/// A byte that no token stands for.
	#[error("the vocabulary has no token for the byte 0x{0:02x}")]
	Byte(u8),
	/// Text that could not be cut.
	#[error("the text can't be tokenized: {0}")]
	Encode(String),
	/// More tokens than the caller takes.
	#[error("the text has more than {limit} tokens")]
	TooLong {
		/// The most that was asked for.
		limit: usize,
	},
}

/// Shorthand for [`TokenizerError::Vocabulary`].
pub(super) fn damaged(problem: impl fmt::Display) -> TokenizerError {
	TokenizerError::Vocabulary(excerpt(problem))
}

/// Shorthand for [`TokenizerError::Large`].
pub(super) fn large(problem: impl Into<String>) -> TokenizerError {
	TokenizerError::Large(problem.into())
}

/// The beginning of a text that a file brought, for an error: a line, and not megabytes.
pub(crate) fn excerpt(text: impl fmt::Display) -> String {
	let mut text = text.to_string();
	if text.len() > MAX_QUOTED {
		let len = text.len();
		text.truncate(text.floor_char_boundary(MAX_QUOTED));
		text += &format!("... ({len} bytes)");
	}
	text
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn excerpts_should_be_short_and_whole_characters() {
		assert_eq!(excerpt("short"), "short");
		let long = excerpt("é".repeat(100_000) + "x");
		assert!(long.len() < 250, "{long}");
		assert!(long.ends_with("... (200001 bytes)"), "{long}");
	}
}
