//! Answers of a given form: which tokens may follow, found by llguidance from a JSON schema, a regular expression or a
//! grammar.
//!
//! What a grammar allows is decided by that library's version, which the specification names (docs/numerics.md). Its
//! own limits bound every step of an answer, and with `compile` also the beginning, in units of work that are the
//! same on every machine. What they leave open is bounded by `isolated`, in time and memory
//! (docs/adr/0017-grammars-in-a-process-of-their-own.md).

mod cache;
mod compile;
#[cfg(feature = "native")]
mod isolated;
mod purpose;

#[cfg(feature = "native")]
pub use isolated::isolate;

pub use purpose::Purpose;

use crate::{error::EngineError, tokenizer::Tokenizer};
use aria_primitives::receipt::Grammar;
use cache::Cache;
use compile::{Compiled, Compiler};
use llguidance::{
	Matcher,
	toktrie::{TokRxInfo, TokTrie},
};

/// Compiles grammars for one vocabulary.
pub struct Grammars {
	compiler: Compiler,
	cache: Cache,
	vocab: usize,
	/// Tokens that end an answer.
	ends: Vec<u32>,
}

impl Grammars {
	/// Reads the vocabulary; `vocab` is the number of logits.
	///
	/// # Errors
	///
	/// [`EngineError::Grammar`] if no token ends an answer, or the vocabulary can't be used.
	pub fn new(tokenizer: &Tokenizer, vocab: usize) -> Result<Self, EngineError> {
		let ends = tokenizer.end_tokens().to_vec();
		let eos = *ends.first().ok_or_else(|| {
			EngineError::Grammar("the model has no token that ends an answer".into())
		})?;
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
		Ok(Self {
			compiler: Compiler::new(&info, &words)?,
			cache: Cache::default(),
			vocab,
			ends,
		})
	}

	/// The state before the first token of an answer. It may take a while: not for a thread that others wait for.
	///
	/// # Errors
	///
	/// [`EngineError::Grammar`] says what is wrong with the grammar, the same on every machine.
	/// [`EngineError::GrammarTooCostly`] and [`EngineError::GrammarsBusy`] are this machine's own.
	pub fn start(&self, grammar: &Grammar, purpose: Purpose) -> Result<GrammarState, EngineError> {
		let state = |compiled: Compiled| GrammarState {
			matcher: compiled.matcher,
			vocab: self.vocab,
			ends: self.ends.clone(),
		};
		if let Some(known) = self.cache.get(grammar) {
			return known.map(state);
		}
		let compiled = self.compile(grammar, purpose);
		self.cache.put(grammar, &compiled);
		compiled.map(state)
	}

	#[cfg(feature = "native")]
	fn compile(&self, grammar: &Grammar, purpose: Purpose) -> Result<Compiled, EngineError> {
		isolated::compile(&self.compiler, grammar, purpose)
	}

	#[cfg(not(feature = "native"))]
	fn compile(&self, grammar: &Grammar, _: Purpose) -> Result<Compiled, EngineError> {
		self.compiler.compile(grammar)
	}
}

/// Where an answer stands in its grammar.
pub struct GrammarState {
	matcher: Matcher,
	vocab: usize,
	ends: Vec<u32>,
}

impl GrammarState {
	/// Tokens that may come next, one bit each. `None` where there are none: nothing can follow, or the library gives
	/// up because that takes more than its limits. The answer is incomplete then, and can't be continued.
	pub fn allowed(&mut self) -> Option<Vec<u32>> {
		let mask = self.matcher.compute_mask_or_eos().ok()?;
		let mut allowed = vec![0; self.vocab.div_ceil(32)];
		for (to, from) in allowed.iter_mut().zip(mask.as_slice()) {
			*to = *from;
		}
		for id in self.vocab..32 * allowed.len() {
			clear(&mut allowed, id as u32);
		}
		if self.ends.iter().any(|id| is_set(&allowed, *id)) {
			for id in &self.ends {
				set(&mut allowed, *id);
			}
		}
		allowed.iter().any(|word| *word != 0).then_some(allowed)
	}

	/// Takes the token that was chosen.
	pub fn accept(&mut self, token: u32) {
		if !self.ends.contains(&token) {
			// A token that is not allowed leaves an error behind, after which nothing is.
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
