//! Answers of a given form: which tokens may follow, found by llguidance from a JSON schema, a regular expression or a
//! grammar.
//!
//! What a grammar allows is decided by that library's version, which the specification names (docs/numerics.md).

use crate::{error::EngineError, tokenizer::Tokenizer};
use aria_primitives::receipt::Grammar;
use llguidance::{
	Matcher, ParserFactory,
	api::TopLevelGrammar,
	toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Compiles grammars for one vocabulary.
pub struct Grammars {
	factory: ParserFactory,
	vocab: usize,
	/// Tokens that end an answer.
	ends: Vec<u32>,
}

fn refused(error: impl std::fmt::Display) -> EngineError {
	EngineError::Grammar(error.to_string())
}

impl Grammars {
	/// Reads the vocabulary; `vocab` is the number of logits.
	///
	/// # Errors
	///
	/// [`EngineError::Grammar`] if no token ends an answer, or the vocabulary can't be used.
	pub fn new(tokenizer: &Tokenizer, vocab: usize) -> Result<Self, EngineError> {
		let ends = tokenizer.end_tokens().to_vec();
		let eos = *ends
			.first()
			.ok_or_else(|| refused("the model has no token that ends an answer"))?;
		let words: Vec<Vec<u8>> = (0..vocab as u32)
			.map(|id| {
				if tokenizer.is_control(id) || tokenizer.is_end(id) {
					let name = tokenizer.token(id).unwrap_or_default();
					[&[TokTrie::SPECIAL_TOKEN_MARKER], name.as_bytes()].concat()
				} else {
					tokenizer.bytes(id)
				}
			})
			.collect();
		let info = TokRxInfo {
			vocab_size: vocab as u32,
			tok_eos: eos,
			tok_bos: None,
			tok_pad: None,
			tok_unk: None,
			tok_end_of_turn: None,
		};
		let env: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)));
		let mut factory = ParserFactory::new_simple(&env).map_err(refused)?;
		factory.quiet();
		Ok(Self {
			factory,
			vocab,
			ends,
		})
	}

	/// The state before the first token of an answer.
	///
	/// # Errors
	///
	/// [`EngineError::Grammar`] says what is wrong with the grammar.
	pub fn start(&self, grammar: &Grammar) -> Result<GrammarState, EngineError> {
		let json = |mut schema: Value| {
			// One space between parts at most: some models would never stop writing more.
			let spaces = || json!({ "whitespace_pattern": "\\x20" });
			if let Some(schema) = schema.as_object_mut() {
				schema.entry("x-guidance").or_insert_with(spaces);
			}
			TopLevelGrammar::from_json_schema(schema)
		};
		let grammar = match grammar {
			Grammar::JsonObject => json(json!({ "type": "object" })),
			Grammar::JsonSchema(text) => json(serde_json::from_str(text).map_err(refused)?),
			Grammar::Regex(text) => TopLevelGrammar::from_regex(text),
			Grammar::Lark(text) => TopLevelGrammar::from_lark(text.clone()),
		};
		let parser = self.factory.create_parser(grammar).map_err(refused)?;
		Ok(GrammarState {
			matcher: Matcher::new(Ok(parser)),
			vocab: self.vocab,
			ends: self.ends.clone(),
		})
	}
}

/// Where an answer stands in its grammar.
pub struct GrammarState {
	matcher: Matcher,
	vocab: usize,
	ends: Vec<u32>,
}

impl GrammarState {
	/// Tokens that may come next, one bit each. Never none: where nothing else may, the answer ends.
	pub fn allowed(&mut self) -> Vec<u32> {
		let mut allowed = vec![0; self.vocab.div_ceil(32)];
		// The library gives up when a grammar needs more than its limits: the answer ends there.
		if let Ok(mask) = self.matcher.compute_mask_or_eos() {
			for (to, from) in allowed.iter_mut().zip(mask.as_slice()) {
				*to = *from;
			}
			for id in self.vocab..32 * allowed.len() {
				clear(&mut allowed, id as u32);
			}
		}
		let ends = &self.ends;
		let may_end = ends.iter().any(|id| is_set(&allowed, *id));
		if may_end || allowed.iter().all(|word| *word == 0) {
			for id in ends {
				set(&mut allowed, *id);
			}
		}
		allowed
	}

	/// Takes the token that was chosen.
	pub fn accept(&mut self, token: u32) {
		if !self.ends.contains(&token) {
			// A token that is not allowed leaves an error behind, after which nothing but the end is.
			drop(self.matcher.consume_token(token));
		}
	}
}

fn is_set(words: &[u32], id: u32) -> bool {
	words
		.get(id as usize / 32)
		.is_some_and(|word| word >> (id % 32) & 1 == 1)
}

fn set(words: &mut [u32], id: u32) {
	if let Some(word) = words.get_mut(id as usize / 32) {
		*word |= 1 << (id % 32);
	}
}

fn clear(words: &mut [u32], id: u32) {
	if let Some(word) = words.get_mut(id as usize / 32) {
		*word &= !(1 << (id % 32));
	}
}
