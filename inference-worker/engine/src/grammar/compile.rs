//! From a grammar's text to the library's parser, within limits that are the same on every machine.

use crate::error::EngineError;
use aria_primitives::receipt::Grammar;
use llguidance::{
	Matcher, ParserFactory,
	api::{GrammarInit, ParserLimits, TopLevelGrammar},
	earley::lexerspec::LexerSpec,
	panic_utils::catch_unwind,
	toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie},
};
use serde_json::{Value, json};
use std::{panic::AssertUnwindSafe, sync::Arc};

/// Most states of a grammar's lexer, each about a kilobyte, in an answer: a fifth of what the library would take.
const MAX_LEXER_STATES: usize = 50_000;
/// Most characters of a message, and of a line in it: the library quotes what it can't read.
const MAX_MESSAGE: usize = 600;
const MAX_LINE: usize = 160;

/// What is said of a grammar that reaches the library's limits.
const TOO_MUCH: &str = "it takes too much work to find out what matches it: use smaller numbers (multipleOf above all), or fewer and simpler patterns";

/// The library, with a vocabulary.
pub(super) struct Compiler {
	factory: ParserFactory,
}

/// A grammar before the first token of an answer.
pub(super) struct Compiled {
	pub(super) matcher: Matcher,
	/// Memory of its lexer, by the library's estimate.
	pub(super) bytes: usize,
}

impl Compiled {
	/// A copy that shares nothing with its original: what one answer makes of a lexer must not be seen by another.
	pub(super) fn copy(&self) -> Self {
		Self {
			matcher: self.matcher.deep_clone(),
			bytes: self.bytes,
		}
	}
}

fn refused(error: impl std::fmt::Display) -> EngineError {
	EngineError::Grammar(words(&error.to_string()))
}

/// An error of the library in words: without the state and the stack that it adds, and no longer than can be read.
fn words(error: &str) -> String {
	if error.starts_with("panic:") {
		return "the grammar library fails at it; say the same in another way".into();
	}
	if error.contains("NoExtensionBias") {
		return "nothing matches it".into();
	}
	if ["fuel", "lexer error:", "parser error:"]
		.iter()
		.any(|mark| error.contains(mark))
	{
		return TOO_MUCH.into();
	}
	let end = ["\n<state>", "\n<non-verbose/>", "\n<backtrace>"]
		.into_iter()
		.filter_map(|mark| error.find(mark))
		.min();
	let text = &error[..end.unwrap_or(error.len())];
	let (mut words, mut count) = (String::new(), 0);
	for line in text.lines().filter(|line| !line.trim().is_empty()) {
		let shown: String = line.chars().take(MAX_LINE).collect();
		count += shown.chars().count();
		if count > MAX_MESSAGE {
			words.push_str(" …");
			break;
		}
		if !words.is_empty() {
			words.push('\n');
		}
		words.push_str(&shown);
		if shown.len() < line.len() {
			words.push('…');
		}
	}
	words
}

/// A schema as the library takes it.
fn json(mut schema: Value) -> TopLevelGrammar {
	// One space between parts at most: some models would never stop writing more.
	let spaces = || json!({ "whitespace_pattern": "\\x20" });
	if let Some(schema) = schema.as_object_mut() {
		schema.entry("x-guidance").or_insert_with(spaces);
	}
	TopLevelGrammar::from_json_schema(schema)
}

/// A grammar as the library takes it.
fn source(grammar: &Grammar) -> Result<TopLevelGrammar, EngineError> {
	Ok(match grammar {
		Grammar::JsonObject => json(json!({ "type": "object" })),
		Grammar::JsonSchema(text) => json(serde_json::from_str(text).map_err(refused)?),
		Grammar::Regex(text) => TopLevelGrammar::from_regex(text),
		Grammar::Lark(text) => TopLevelGrammar::from_lark(text.clone()),
	})
}

impl Compiler {
	/// Reads a vocabulary: the bytes of each token.
	pub(super) fn new(info: &TokRxInfo, words: &[Vec<u8>]) -> Result<Self, EngineError> {
		let env: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(info, words)));
		let mut factory = ParserFactory::new_simple(&env).map_err(refused)?;
		factory.quiet();
		let limits = factory.limits_mut();
		limits.max_lexer_states = MAX_LEXER_STATES;
		limits.verbose_errors = false;
		Ok(Self { factory })
	}

	/// A compiler for the bytes alone. What makes a grammar costly to compile does not depend on the vocabulary.
	#[cfg(feature = "native")]
	pub(super) fn of_bytes() -> Result<Self, EngineError> {
		let end = [&[TokTrie::SPECIAL_TOKEN_MARKER][..], b"end"].concat();
		let words: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).chain([end]).collect();
		let info = TokRxInfo {
			vocab_size: words.len() as u32,
			tok_eos: words.len() as u32 - 1,
			tok_bos: None,
			tok_pad: None,
			tok_unk: None,
			tok_end_of_turn: None,
		};
		Self::new(&info, &words)
	}

	/// Compiles a grammar up to the choice of the first token.
	///
	/// # Errors
	///
	/// [`EngineError::Grammar`].
	pub(super) fn compile(&self, grammar: &Grammar) -> Result<Compiled, EngineError> {
		let source = source(grammar)?;
		let compiled = catch_unwind(AssertUnwindSafe(|| Ok(self.build(source))));
		compiled.map_err(refused)?
	}

	fn build(&self, source: TopLevelGrammar) -> Result<Compiled, EngineError> {
		let env = Some(self.factory.tok_env().clone());
		let limits = self.factory.limits();
		let (grammar, lexer) = GrammarInit::Serialized(source)
			.to_internal(env, limits.clone())
			.map_err(refused)?;
		bound_first_bytes(&lexer, limits.clone())?;
		let parser = self
			.factory
			.create_parser_from_init_default(GrammarInit::Internal(grammar, lexer))
			.map_err(refused)?;
		let bytes = parser.parser.lexer_stats().num_bytes;
		let mut matcher = Matcher::new(Ok(parser));
		let first = matcher.compute_mask_or_eos().map_err(refused)?;
		if first.is_zero() {
			return Err(refused("nothing matches it"));
		}
		Ok(Compiled { matcher, bytes })
	}
}

/// Fails where the library would need more work than its limit to find out with which bytes a text may begin: it looks
/// for a whole text after each of them, and has no limit there. That of a multiple of a large prime is a long search.
fn bound_first_bytes(spec: &LexerSpec, mut limits: ParserLimits) -> Result<(), EngineError> {
	let fuel = limits.initial_lexer_fuel;
	let mut lexer = spec.to_regex_vec(&mut limits).map_err(refused)?;
	lexer.set_fuel(fuel);
	let start = lexer.initial_state(&spec.all_lexemes());
	for byte in 0..=u8::MAX {
		lexer.transition(start, byte);
	}
	match lexer.has_error() {
		true => Err(refused(TOO_MUCH)),
		false => Ok(()),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn errors_should_be_words_and_short() {
		assert_eq!(words("no start\n<non-verbose/>"), "no start");
		assert_eq!(words("bad\n<state>\nx\n</state>"), "bad");
		assert!(!words("panic: a::b\n<backtrace>\n0: c\n</backtrace>").contains("::"));
		let long = words(&format!("at 1(3)\n\n{}\n", "ж".repeat(5000)).repeat(50));
		assert!(long.chars().count() < MAX_MESSAGE + 2 * MAX_LINE, "{long}");
	}
}
