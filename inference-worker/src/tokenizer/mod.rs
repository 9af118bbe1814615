//! Text to tokens and back: byte-level BPE from the vocabulary inside a GGUF file.

use crate::model::gguf::Gguf;
use std::collections::HashMap;
use tokenizers::{
	SplitDelimiterBehavior, Tokenizer as Bpe,
	models::bpe::BPE,
	pre_tokenizers::{
		PreTokenizerWrapper,
		byte_level::ByteLevel,
		sequence::Sequence,
		split::{Split, SplitPattern},
	},
};

/// Why a vocabulary is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
	/// A key that must be there.
	#[error("metadata {0:?} is missing or of the wrong type")]
	Missing(&'static str),
	/// Another kind of tokenizer.
	#[error("tokenizer model {0:?} is not supported; supported: gpt2 (byte-level BPE)")]
	Model(String),
	/// An unknown way to cut text into words.
	#[error("pre-tokenizer {0:?} is not supported; supported: gpt-2, llama-bpe, qwen2")]
	PreTokenizer(String),
	/// A token id outside the vocabulary.
	#[error("metadata {0:?} names a token outside the vocabulary")]
	Id(&'static str),
	/// Merges or tokens that do not fit together.
	#[error("the vocabulary is damaged: {0}")]
	Vocabulary(String),
	/// Text that could not be cut.
	#[error("the text can't be tokenized: {0}")]
	Encode(String),
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Texts of tokens that end a turn, whatever the file says.
const END_OF_TURN: [&str; 8] = [
	"<|eot_id|>",
	"<|im_end|>",
	"<|end|>",
	"<|endoftext|>",
	"<|end_of_text|>",
	"<|eom_id|>",
	"<end_of_turn>",
	"<EOT>",
];

/// Kind of a token in `tokenizer.ggml.token_type`.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// A vocabulary with its rules.
pub struct Tokenizer {
	bpe: Bpe,
	tokens: Vec<String>,
	types: Vec<i64>,
	merges: Vec<String>,
	pre: &'static str,
	/// Special tokens by first byte, longest first.
	specials: HashMap<u8, Vec<(String, u32)>>,
	char_bytes: HashMap<char, u8>,
	bos: Option<u32>,
	add_bos: bool,
	eog: Vec<u32>,
}

/// GPT-2's reversible map from bytes to printable characters.
fn byte_chars() -> HashMap<char, u8> {
	let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
	let mut next = 256u32;
	let mut map = HashMap::new();
	for byte in 0..=255u8 {
		let code = if printable(byte) {
			u32::from(byte)
		} else {
			next += 1;
			next - 1
		};
		if let Some(char) = char::from_u32(code) {
			map.insert(char, byte);
		}
	}
	map
}

fn split(regex: &str) -> Result<PreTokenizerWrapper, TokenizerError> {
	let split = Split::new(
		SplitPattern::Regex(regex.to_owned()),
		SplitDelimiterBehavior::Isolated,
		false,
	)
	.map_err(|error| TokenizerError::Vocabulary(error.to_string()))?;
	Ok(PreTokenizerWrapper::Sequence(Sequence::new(vec![
		PreTokenizerWrapper::Split(split),
		PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, false)),
	])))
}

impl Tokenizer {
	/// Builds the tokenizer of a file.
	pub fn from_gguf(gguf: &Gguf) -> Result<Self, TokenizerError> {
		const TOKENS: &str = "tokenizer.ggml.tokens";
		const MERGES: &str = "tokenizer.ggml.merges";
		let model = gguf
			.text("tokenizer.ggml.model")
			.ok_or(TokenizerError::Missing("tokenizer.ggml.model"))?;
		if model != "gpt2" {
			return Err(TokenizerError::Model(model.to_owned()));
		}
		let tokens = gguf.texts(TOKENS).ok_or(TokenizerError::Missing(TOKENS))?;
		let merges = gguf.texts(MERGES).ok_or(TokenizerError::Missing(MERGES))?;
		let types = gguf.ints("tokenizer.ggml.token_type").unwrap_or_default();
		if !types.is_empty() && types.len() != tokens.len() {
			return Err(TokenizerError::Vocabulary(format!(
				"{} token types for {} tokens",
				types.len(),
				tokens.len()
			)));
		}
		// Microsoft's own file lacks the key; its vocabulary is Llama 3's.
		let inferred = if tokens.len() == 128_256 {
			"llama-bpe"
		} else {
			"gpt-2"
		};
		let (pre, words) = match gguf.text("tokenizer.ggml.pre").unwrap_or(inferred) {
			"gpt-2" | "gpt2" => (
				"gpt-2",
				PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, true)),
			),
			"llama-bpe" | "llama3" | "llama-v3" => ("llama-bpe", split(LLAMA3)?),
			"qwen2" => ("qwen2", split(QWEN2)?),
			other => return Err(TokenizerError::PreTokenizer(other.to_owned())),
		};
		let pairs = merges
			.iter()
			.map(|merge| match merge.split_once(' ') {
				Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
				None => Err(TokenizerError::Vocabulary(format!("merge {merge:?}"))),
			})
			.collect::<Result<Vec<_>, _>>()?;
		// A merge whose result is no token never leaves a token behind.
		let known: std::collections::HashSet<&str> = tokens.iter().map(String::as_str).collect();
		let pairs: Vec<(String, String)> = pairs
			.into_iter()
			.filter(|(left, right)| known.contains(format!("{left}{right}").as_str()))
			.collect();
		let mut vocabulary = Vec::with_capacity(tokens.len());
		for (id, token) in (0u32..).zip(tokens) {
			vocabulary.push((token.clone(), id));
		}
		let bpe = BPE::builder()
			.vocab_and_merges(
				vocabulary
					.into_iter()
					.collect::<tokenizers::models::bpe::Vocab>(),
				pairs,
			)
			.ignore_merges(pre == "llama-bpe")
			.build()
			.map_err(|error| TokenizerError::Vocabulary(error.to_string()))?;
		let mut bpe = Bpe::new(bpe);
		bpe.with_pre_tokenizer(Some(words));

		let id = |key: &'static str| match gguf.int(key) {
			None => Ok(None),
			Some(id) if id < tokens.len() as u64 => Ok(Some(id as u32)),
			Some(_) => Err(TokenizerError::Id(key)),
		};
		let bos = id("tokenizer.ggml.bos_token_id")?;
		let mut eog = Vec::new();
		eog.extend(id("tokenizer.ggml.eos_token_id")?);
		eog.extend(id("tokenizer.ggml.eot_token_id")?);
		let mut specials: HashMap<u8, Vec<(String, u32)>> = HashMap::new();
		for (id, token) in (0u32..).zip(tokens) {
			let kind = types.get(id as usize).copied().unwrap_or(1);
			if (kind == CONTROL || kind == USER_DEFINED)
				&& let Some(first) = token.bytes().next()
			{
				specials.entry(first).or_default().push((token.clone(), id));
			}
			if kind == CONTROL && END_OF_TURN.contains(&token.as_str()) {
				eog.push(id);
			}
		}
		for list in specials.values_mut() {
			list.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));
		}
		eog.sort_unstable();
		eog.dedup();
		let add_bos = gguf
			.bool("tokenizer.ggml.add_bos_token")
			.unwrap_or(pre == "llama-bpe");
		Ok(Self {
			bpe,
			tokens: tokens.to_vec(),
			types: types.to_vec(),
			merges: merges.to_vec(),
			pre,
			specials,
			char_bytes: byte_chars(),
			bos,
			add_bos: add_bos && bos.is_some(),
			eog,
		})
	}

	/// Number of tokens.
	pub fn len(&self) -> usize {
		self.tokens.len()
	}

	/// Whether there are no tokens.
	pub fn is_empty(&self) -> bool {
		self.tokens.is_empty()
	}

	/// Token that begins a text, if there is one.
	pub fn bos(&self) -> Option<u32> {
		self.bos
	}

	/// Whether prompts begin with BOS.
	pub fn adds_bos(&self) -> bool {
		self.add_bos
	}

	/// Tokens that end an answer, ascending.
	pub fn end_tokens(&self) -> &[u32] {
		&self.eog
	}

	/// Whether the token ends an answer.
	pub fn is_end(&self, id: u32) -> bool {
		self.eog.binary_search(&id).is_ok()
	}

	/// The token's spelling in the file.
	pub fn token(&self, id: u32) -> Option<&str> {
		self.tokens.get(id as usize).map(String::as_str)
	}

	/// Name of the rule that cuts text into words.
	pub fn pre(&self) -> &'static str {
		self.pre
	}

	/// Whether the token is markup rather than text.
	pub fn is_control(&self, id: u32) -> bool {
		self.types.get(id as usize) == Some(&CONTROL)
	}

	/// Tokens of a text. Markup such as `<|eot_id|>` is text unless `parse_special`: what users send must not be able
	/// to end a turn. `add_bos` puts BOS first where the model wants one.
	pub fn encode(
		&self,
		text: &str,
		add_bos: bool,
		parse_special: bool,
	) -> Result<Vec<u32>, TokenizerError> {
		let mut out = Vec::new();
		if add_bos && self.add_bos {
			out.extend(self.bos);
		}
		if !parse_special {
			self.encode_plain(text, &mut out)?;
			return Ok(out);
		}
		let mut rest = text;
		'pieces: loop {
			for (at, byte) in rest.bytes().enumerate() {
				let Some(list) = self.specials.get(&byte) else {
					continue;
				};
				let tail = &rest.as_bytes()[at..];
				if let Some((token, id)) = list
					.iter()
					.find(|(token, _)| tail.starts_with(token.as_bytes()))
				{
					self.encode_plain(&rest[..at], &mut out)?;
					// A template that writes BOS itself must not get two.
					if !(Some(*id) == self.bos && out.len() == 1 && out.last() == Some(id)) {
						out.push(*id);
					}
					rest = &rest[at + token.len()..];
					continue 'pieces;
				}
			}
			self.encode_plain(rest, &mut out)?;
			return Ok(out);
		}
	}

	fn encode_plain(&self, text: &str, out: &mut Vec<u32>) -> Result<(), TokenizerError> {
		if text.is_empty() {
			return Ok(());
		}
		let encoding = self
			.bpe
			.encode_fast(text, false)
			.map_err(|error| TokenizerError::Encode(error.to_string()))?;
		out.extend_from_slice(encoding.get_ids());
		Ok(())
	}

	/// Bytes of a token; none for markup and unknown ids.
	pub fn bytes(&self, id: u32) -> Vec<u8> {
		let Some(token) = self.tokens.get(id as usize) else {
			return Vec::new();
		};
		match self.types.get(id as usize) {
			Some(&CONTROL) => Vec::new(),
			Some(&USER_DEFINED) => token.clone().into_bytes(),
			_ => {
				let mut bytes = Vec::with_capacity(token.len());
				for char in token.chars() {
					match self.char_bytes.get(&char) {
						Some(byte) => bytes.push(*byte),
						None => bytes.extend(char.to_string().into_bytes()),
					}
				}
				bytes
			}
		}
	}

	/// Text of tokens; bytes that are not UTF-8 become U+FFFD.
	pub fn decode(&self, ids: &[u32]) -> String {
		let bytes: Vec<u8> = ids.iter().flat_map(|id| self.bytes(*id)).collect();
		String::from_utf8_lossy(&bytes).into_owned()
	}

	/// Canonical bytes for the model's identity: SCALE of every part that decides ids.
	pub fn canonical(&self) -> Vec<u8> {
		use codec::Encode;
		let types: Vec<u32> = self.types.iter().map(|kind| *kind as u32).collect();
		(
			self.pre,
			&self.tokens,
			&self.merges,
			types,
			self.bos,
			self.add_bos,
			&self.eog,
		)
			.encode()
	}
}

/// Turns tokens into text one at a time, holding back the bytes of an incomplete character.
#[derive(Default)]
pub struct TextDecoder {
	pending: Vec<u8>,
}

impl TextDecoder {
	/// Adds a token's bytes and returns the text that is now certain.
	pub fn push(&mut self, bytes: &[u8]) -> String {
		self.pending.extend_from_slice(bytes);
		let mut text = String::new();
		loop {
			match std::str::from_utf8(&self.pending) {
				Ok(valid) => {
					text.push_str(valid);
					self.pending.clear();
					return text;
				}
				Err(error) => {
					let valid = error.valid_up_to();
					text.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
					let Some(bad) = error.error_len() else {
						self.pending.drain(..valid);
						return text;
					};
					text.push(char::REPLACEMENT_CHARACTER);
					self.pending.drain(..valid + bad);
				}
			}
		}
	}

	/// Text of what is left at the end.
	pub fn finish(&mut self) -> String {
		let rest = std::mem::take(&mut self.pending);
		String::from_utf8_lossy(&rest).into_owned()
	}
}
