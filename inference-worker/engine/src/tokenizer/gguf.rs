//! Tokenizers from the metadata of GGUF files; tensors are not looked at.

use super::{
	Parts, Tokenizer,
	bpe::Order,
	error::{TokenizerError, damaged, excerpt},
	pre::{self, Form},
	vocab::{Kind, Vocabulary},
};
use crate::gguf::{Gguf, Value};

const TOKENS: &str = "tokenizer.ggml.tokens";
const MERGES: &str = "tokenizer.ggml.merges";
const SCORES: &str = "tokenizer.ggml.scores";

/// The two sides of a merge. A token may begin with a space, so the first byte does not divide.
pub(super) fn divide(merge: &str) -> Result<(String, String), TokenizerError> {
	let space = merge.bytes().skip(1).position(|byte| byte == b' ');
	let sides = space.and_then(|at| Some((merge.get(..at + 1)?, merge.get(at + 2..)?)));
	match sides {
		Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
		None => Err(damaged(format!(
			"merge {:?} is not two tokens",
			excerpt(merge)
		))),
	}
}

impl Tokenizer {
	/// Builds the tokenizer of a file, which may be one of a vocabulary alone.
	pub fn from_gguf(gguf: &Gguf) -> Result<Self, TokenizerError> {
		let model = gguf
			.text("tokenizer.ggml.model")
			.ok_or(TokenizerError::Missing("tokenizer.ggml.model"))?;
		let tokens = gguf.texts(TOKENS).ok_or(TokenizerError::Missing(TOKENS))?;
		let kinds = gguf.ints("tokenizer.ggml.token_type").unwrap_or_default();
		let (form, rule) = match model {
			"gpt2" => {
				// Microsoft's own file lacks the key; its vocabulary is Llama 3's.
				let inferred = if tokens.len() == 128_256 {
					"llama-bpe"
				} else {
					"default"
				};
				let name = gguf.text("tokenizer.ggml.pre").unwrap_or(inferred);
				(Form::ByteLevel, pre::by_name(name)?)
			}
			"llama" => (Form::SentencePiece, pre::SENTENCEPIECE),
			"gemma4" => (Form::Metaspace, pre::GEMMA4),
			other => return Err(TokenizerError::Model(excerpt(other))),
		};
		let order = if form == Form::SentencePiece {
			match gguf.metadata.get(SCORES) {
				Some(Value::Floats(scores)) => Order::Scored(scores.clone()),
				_ => return Err(TokenizerError::Missing(SCORES)),
			}
		} else {
			let merges = gguf.texts(MERGES).ok_or(TokenizerError::Missing(MERGES))?;
			let merges = merges.iter().map(|merge| divide(merge));
			Order::Listed(merges.collect::<Result<_, _>>()?)
		};
		let id = |key: &'static str, default: Option<u32>| match gguf.int(key) {
			None => Ok(default.filter(|id| (*id as usize) < tokens.len())),
			Some(id) if id < tokens.len() as u64 => Ok(Some(id as u32)),
			Some(_) => Err(TokenizerError::Id(key)),
		};
		// What SentencePiece files that do not say mean.
		let spm = |id| (form == Form::SentencePiece).then_some(id);
		let bos = id("tokenizer.ggml.bos_token_id", spm(1))?;
		let ends = [
			id("tokenizer.ggml.eos_token_id", spm(2))?,
			id("tokenizer.ggml.eot_token_id", None)?,
			id("tokenizer.ggml.eom_token_id", None)?,
		];
		let flag = |key: &str| gguf.bool(key);
		let add_bos = flag("tokenizer.ggml.add_bos_token").unwrap_or(rule.add_bos);
		let prefix = flag("tokenizer.ggml.add_space_prefix");
		Self::assemble(Parts {
			vocabulary: Vocabulary::new(
				tokens.to_vec(),
				kinds.iter().map(|kind| Kind::from_gguf(*kind)).collect(),
				form,
			)?,
			rule,
			order,
			bos,
			ends: ends.into_iter().flatten().collect(),
			add_bos: add_bos || form == Form::Metaspace,
			add_eos: flag("tokenizer.ggml.add_eos_token").unwrap_or(false),
			space_prefix: form == Form::SentencePiece && prefix.unwrap_or(true),
		})
	}
}
