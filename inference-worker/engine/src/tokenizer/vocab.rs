//! Tokens, their kinds, and what they stand for.

use super::{
	error::{TokenizerError, damaged, large},
	pre::Form,
};
use std::collections::HashMap;

/// Most tokens of a vocabulary.
pub(super) const MAX_TOKENS: usize = 1 << 20;
/// The space of SentencePiece.
pub(super) const SPACE: char = '\u{2581}';

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
	/// Text.
	Normal,
	/// Markup.
	Control,
	/// Text that is cut out before everything else.
	UserDefined,
	/// Never in a text.
	Unused,
	/// One byte.
	Byte,
}

impl Kind {
	/// The kind in `tokenizer.ggml.token_type`: unknown is markup too, undefined is text.
	pub(super) fn from_gguf(kind: i64) -> Self {
		match kind {
			2 | 3 => Self::Control,
			4 => Self::UserDefined,
			5 => Self::Unused,
			6 => Self::Byte,
			_ => Self::Normal,
		}
	}
}

/// GPT-2's reversible map from bytes to printable characters.
pub fn byte_chars() -> HashMap<char, u8> {
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

/// The byte that `<0xXX>` names.
pub(super) fn named_byte(token: &str) -> Option<u8> {
	let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
	let upper = |digit: u8| matches!(digit, b'0'..=b'9' | b'A'..=b'F');
	if digits.len() != 2 || !digits.bytes().all(upper) {
		return None;
	}
	u8::from_str_radix(digits, 16).ok()
}

/// The tokens of a model.
pub(super) struct Vocabulary {
	/// Spellings as in the file.
	pub(super) tokens: Vec<String>,
	/// One per token.
	pub(super) kinds: Vec<Kind>,
	/// How they spell bytes.
	pub(super) form: Form,
	/// Bytes of the longest spelling.
	pub(super) longest: usize,
	byte_chars: HashMap<char, u8>,
}

impl Vocabulary {
	/// Checks the sizes; no kinds means text only.
	pub(super) fn new(
		tokens: Vec<String>,
		mut kinds: Vec<Kind>,
		form: Form,
	) -> Result<Self, TokenizerError> {
		if tokens.is_empty() {
			return Err(damaged("it has no tokens"));
		}
		if tokens.len() > MAX_TOKENS {
			let message = format!("{} tokens; {MAX_TOKENS} are supported", tokens.len());
			return Err(large(message));
		}
		if kinds.is_empty() {
			kinds.resize(tokens.len(), Kind::Normal);
		}
		if kinds.len() != tokens.len() {
			let (kinds, tokens) = (kinds.len(), tokens.len());
			return Err(damaged(format!("{kinds} token types for {tokens} tokens")));
		}
		Ok(Self {
			longest: tokens.iter().map(String::len).max().unwrap_or(0),
			tokens,
			kinds,
			form,
			byte_chars: byte_chars(),
		})
	}

	/// The token's kind.
	pub(super) fn kind(&self, id: u32) -> Option<Kind> {
		self.kinds.get(id as usize).copied()
	}

	/// Ids, spellings and kinds.
	pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str, Kind)> {
		let both = self.tokens.iter().zip(&self.kinds);
		(0u32..)
			.zip(both)
			.map(|(id, (token, kind))| (id, token.as_str(), *kind))
	}

	/// What a spelling means to the merges: bytes for byte-level tokens, none if it can't occur in a word.
	pub(super) fn key(&self, spelling: &str) -> Option<Vec<u8>> {
		match self.form {
			Form::ByteLevel => spelling
				.chars()
				.map(|char| self.byte_chars.get(&char).copied())
				.collect(),
			Form::SentencePiece | Form::Metaspace => Some(spelling.as_bytes().to_vec()),
		}
	}

	/// Bytes of a token; none for markup, for tokens that are never in a text and for unknown ids.
	pub(super) fn bytes(&self, id: u32) -> Vec<u8> {
		let (Some(token), Some(kind)) = (self.tokens.get(id as usize), self.kind(id)) else {
			return Vec::new();
		};
		match (kind, self.form) {
			(Kind::Control | Kind::Unused, _) => Vec::new(),
			(Kind::UserDefined, _) => token.clone().into_bytes(),
			(Kind::Normal, Form::ByteLevel) => {
				let mut bytes = Vec::with_capacity(token.len());
				for char in token.chars() {
					match self.byte_chars.get(&char) {
						Some(byte) => bytes.push(*byte),
						None => bytes.extend(char.to_string().into_bytes()),
					}
				}
				bytes
			}
			(Kind::Normal, _) => token.replace(SPACE, " ").into_bytes(),
			(Kind::Byte, _) => match named_byte(token) {
				Some(byte) => vec![byte],
				None => token.clone().into_bytes(),
			},
		}
	}
}
