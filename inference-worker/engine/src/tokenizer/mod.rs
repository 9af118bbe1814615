//! Text to tokens and back.
//!
//! Byte-level BPE and SentencePiece vocabularies, from GGUF metadata or from a Hugging Face folder, share one merge
//! loop and give the same ids and the same canonical bytes wherever they come from. A `tokenizer.json` whose steps are
//! not recognised runs as it is through the `tokenizers` crate.

mod bpe;
mod decoder;
mod error;
#[cfg(feature = "native")]
mod foreign;
#[cfg(not(feature = "native"))]
#[path = "foreign_none.rs"]
mod foreign;
mod gguf;
mod huggingface;
mod merge;
mod open;
mod pattern;
mod pre;
mod special;
mod vocab;

pub use decoder::TextDecoder;
pub use error::TokenizerError;
pub(crate) use error::excerpt;
pub use vocab::byte_chars;

use bpe::{Bpe, Order};
use foreign::Foreign;
use pre::{Form, Rule};
use special::{Piece, Specials};
use vocab::{Kind, Vocabulary};

/// Longest text, bytes.
const MAX_TEXT: usize = 1 << 28;

/// What does the work.
enum Encoder {
	/// Our own.
	Merging(Box<Bpe>),
	/// The `tokenizers` crate.
	Foreign(Box<Foreign>),
}

/// A vocabulary with its rules.
pub struct Tokenizer {
	vocabulary: Vocabulary,
	rule: Rule,
	encoder: Encoder,
	specials: Specials,
	bos: Option<u32>,
	add_bos: bool,
	add_eos: bool,
	space_prefix: bool,
	ends: Vec<u32>,
}

/// What a tokenizer is made of.
struct Parts {
	vocabulary: Vocabulary,
	rule: Rule,
	order: Order,
	bos: Option<u32>,
	/// Tokens that the model's files say end an answer.
	ends: Vec<u32>,
	add_bos: bool,
	add_eos: bool,
	/// Whether a text, and text after markup, begins with a space that is not there.
	space_prefix: bool,
}

impl Tokenizer {
	fn assemble(parts: Parts) -> Result<Self, TokenizerError> {
		Ok(Self {
			encoder: Encoder::Merging(Box::new(Bpe::new(
				&parts.vocabulary,
				parts.rule,
				parts.order,
			)?)),
			specials: Specials::new(&parts.vocabulary)?,
			ends: special::end_tokens(&parts.vocabulary, parts.ends.into_iter()),
			vocabulary: parts.vocabulary,
			rule: parts.rule,
			add_bos: parts.add_bos && parts.bos.is_some(),
			bos: parts.bos,
			add_eos: parts.add_eos,
			space_prefix: parts.space_prefix,
		})
	}

	/// Number of tokens.
	pub fn len(&self) -> usize {
		self.vocabulary.tokens.len()
	}

	/// Whether there are no tokens.
	pub fn is_empty(&self) -> bool {
		self.vocabulary.tokens.is_empty()
	}

	/// Token that begins a text, if there is one.
	pub fn bos(&self) -> Option<u32> {
		self.bos
	}

	/// Whether prompts begin with BOS.
	pub fn adds_bos(&self) -> bool {
		self.add_bos
	}

	/// Whether the model's files want EOS after a text. [`Self::encode`] never adds it: an embedding needs it, a
	/// prompt must not have it.
	pub fn adds_eos(&self) -> bool {
		self.add_eos
	}

	/// Tokens that end an answer, ascending.
	pub fn end_tokens(&self) -> &[u32] {
		&self.ends
	}

	/// Whether the token ends an answer.
	pub fn is_end(&self, id: u32) -> bool {
		self.ends.binary_search(&id).is_ok()
	}

	/// The token's spelling in the file.
	pub fn token(&self, id: u32) -> Option<&str> {
		self.vocabulary.tokens.get(id as usize).map(String::as_str)
	}

	/// Name of the rule that cuts text into words.
	pub fn pre(&self) -> &'static str {
		self.rule.name
	}

	/// Whether the token is markup rather than text.
	pub fn is_control(&self, id: u32) -> bool {
		self.vocabulary.kind(id) == Some(Kind::Control)
	}

	/// Tokens of a text. Markup such as `<|eot_id|>` is text unless `parse_special`: what users send must not be able
	/// to end a turn. `add_bos` puts BOS first where the model wants one.
	///
	/// # Errors
	/// Text that the vocabulary can't express, or that is too long or too slow to cut.
	pub fn encode(
		&self,
		text: &str,
		add_bos: bool,
		parse_special: bool,
	) -> Result<Vec<u32>, TokenizerError> {
		self.encode_limited(text, add_bos, parse_special, usize::MAX)
	}

	/// As [`Self::encode`], but more than `limit` tokens are [`TokenizerError::TooLong`], found out after little more
	/// than `limit` tokens where the vocabulary cuts text into words, and at once where the text is longer than so many
	/// of the longest tokens.
	///
	/// # Errors
	/// As [`Self::encode`].
	pub fn encode_limited(
		&self,
		text: &str,
		add_bos: bool,
		parse_special: bool,
		limit: usize,
	) -> Result<Vec<u32>, TokenizerError> {
		if text.len() > MAX_TEXT {
			let message = format!("it has more than {MAX_TEXT} bytes");
			return Err(TokenizerError::Encode(message));
		}
		let mut out = Vec::new();
		if add_bos && self.add_bos {
			out.extend(self.bos);
		}
		match &self.encoder {
			Encoder::Merging(bpe) => {
				// No token stands for more bytes than its spelling has.
				if text.len() > limit.saturating_mul(self.vocabulary.longest) {
					return Err(TokenizerError::TooLong { limit });
				}
				let mut prefix = self.space_prefix;
				self.specials.each(text, parse_special, |piece| {
					match piece {
						Piece::Text(text) => {
							bpe.encode(text, prefix, limit, &mut out)?;
							prefix = false;
						}
						Piece::Token(id) => {
							self.push(id, &mut out);
							prefix = self.space_prefix;
						}
					}
					within(&out, limit)
				})?;
			}
			Encoder::Foreign(foreign) => {
				for id in foreign.encode(text, parse_special)? {
					self.push(id, &mut out);
				}
			}
		}
		within(&out, limit)?;
		Ok(out)
	}

	/// Appends a token; a template that writes BOS itself must not get two.
	fn push(&self, id: u32, out: &mut Vec<u32>) {
		if Some(id) != self.bos || *out != [id] {
			out.push(id);
		}
	}

	/// Bytes of a token; none for markup and unknown ids.
	pub fn bytes(&self, id: u32) -> Vec<u8> {
		self.vocabulary.bytes(id)
	}

	/// Text of tokens as they continue a text, what [`TextDecoder`] gives piece by piece; bytes that are not UTF-8
	/// become U+FFFD.
	pub fn decode(&self, ids: &[u32]) -> String {
		let bytes: Vec<u8> = ids.iter().flat_map(|id| self.bytes(*id)).collect();
		String::from_utf8_lossy(&bytes).into_owned()
	}

	/// Text of tokens that are a text of their own: as [`Self::decode`], without the space that encoding put before
	/// the text.
	pub fn detokenize(&self, ids: &[u32]) -> String {
		String::from_utf8_lossy(&self.detokenize_bytes(ids)).into_owned()
	}

	/// As [`Self::detokenize`], but bytes that are not UTF-8 stay as they are.
	pub fn detokenize_bytes(&self, ids: &[u32]) -> Vec<u8> {
		let mut bytes: Vec<u8> = ids.iter().flat_map(|id| self.bytes(*id)).collect();
		if self.space_prefix && bytes.first() == Some(&b' ') {
			bytes.remove(0);
		}
		bytes
	}

	/// Canonical bytes for the model's identity: SCALE of every part that decides ids or the end of an answer, equal
	/// for the same vocabulary in whatever file. Merges count as pairs of token numbers, scores by their order, and
	/// tokens that occur in no text have no spelling.
	pub fn canonical(&self) -> Vec<u8> {
		use codec::Encode;
		let bpe = match &self.encoder {
			Encoder::Foreign(foreign) => {
				return (
					"foreign",
					foreign.source(),
					self.bos,
					self.add_bos,
					&self.ends,
				)
					.encode();
			}
			Encoder::Merging(bpe) => bpe,
		};
		let form = match self.vocabulary.form {
			Form::ByteLevel => 0u8,
			Form::SentencePiece => 1,
			Form::Metaspace => 2,
		};
		let kind = |kind| match kind {
			Kind::Normal => 0u8,
			Kind::Control => 1,
			Kind::UserDefined => 2,
			Kind::Unused => 3,
			Kind::Byte => 4,
		};
		let tokens: Vec<(&str, u8)> = self
			.vocabulary
			.iter()
			.map(|(_, token, one)| match one {
				Kind::Unused => ("", kind(one)),
				_ => (token, kind(one)),
			})
			.collect();
		let flags = (self.rule.ignore_merges, self.space_prefix);
		let order = (&bpe.listed, &bpe.ranks);
		let ends = (self.bos, self.add_bos, &self.ends);
		(
			form,
			self.rule.patterns.to_vec(),
			flags,
			tokens,
			order,
			ends,
		)
			.encode()
	}
}

fn within(out: &[u32], limit: usize) -> Result<(), TokenizerError> {
	if out.len() > limit {
		return Err(TokenizerError::TooLong { limit });
	}
	Ok(())
}
