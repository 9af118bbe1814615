//! Tokenizers that run as their `tokenizer.json` says, through the `tokenizers` crate.

use super::error::{TokenizerError, damaged, excerpt};
use std::{
	cell::Cell,
	collections::HashMap,
	panic::{self, AssertUnwindSafe, catch_unwind},
	sync::Once,
};

thread_local! {
	/// Whether a panic of this thread is an answer that [`guarded`] waits for.
	static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

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
		let read = || {
			guarded(|| tokenizers::Tokenizer::from_bytes(&source))
				.unwrap_or_else(|| Err("its rules can't be used".into()))
				.map_err(damaged)
		};
		let prepare = |spell: bool| {
			let mut tokenizer = read()?;
			tokenizer.with_padding(None);
			tokenizer.with_truncation(None).map_err(damaged)?;
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
		let encoding = guarded(|| tokenizer.encode_fast(text, false));
		let encoding = encoding.unwrap_or_else(|| {
			Err("this model's rules for words take too long on it; give it in shorter parts".into())
		});
		match encoding {
			Ok(encoding) => Ok(encoding.get_ids().to_vec()),
			Err(error) => Err(TokenizerError::Encode(excerpt(error))),
		}
	}
}

/// Work of the crate, none if it panicked: its regular-expression library does where a search takes too long.
///
/// The process's panic hook is not told: it prints, and a node's ends the process.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
	static HOOK: Once = Once::new();
	HOOK.call_once(|| {
		let hook = panic::take_hook();
		panic::set_hook(Box::new(move |panic| {
			if !EXPECTED.get() {
				hook(panic);
			}
		}));
	});
	EXPECTED.set(true);
	let done = catch_unwind(AssertUnwindSafe(work));
	EXPECTED.set(false);
	done.ok()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn panics_of_the_library_should_be_answers() {
		assert_eq!(guarded(|| 5), Some(5));
		assert_eq!(guarded(|| panic!("not seen")), None::<()>);
	}
}
