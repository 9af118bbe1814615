//! Words to tokens by merging.

use super::{
	error::{TokenizerError, damaged, excerpt, large},
	merge::{Merges, Symbol, UNKNOWN},
	pre::{Form, Rule, Words},
	vocab::{Kind, Vocabulary, named_byte},
};
use std::{borrow::Cow, collections::HashMap};

/// Most merges of a vocabulary.
const MAX_MERGES: usize = 1 << 22;
/// Most work for finding the pairs that make up the tokens: sum of squared lengths.
const MAX_SPLIT_WORK: usize = 1 << 31;

/// Which pairs merge first.
pub(super) enum Order {
	/// Those listed first.
	Listed(Vec<(String, String)>),
	/// Those whose result has the higher score.
	Scored(Vec<f32>),
}

/// What turns words into tokens.
pub(super) struct Bpe {
	pub(super) merges: Merges,
	/// Merges in order, as numbers of symbols; empty if by score.
	pub(super) listed: Vec<(u32, u32)>,
	/// Rank of each token's score among those that merging can produce; empty if by list.
	pub(super) ranks: Vec<u32>,
	words: Words,
	rule: Rule,
	form: Form,
	/// Tokens by what they stand for.
	known: HashMap<Vec<u8>, u32>,
	/// Symbols of single bytes or, with characters as symbols, of what is no token.
	bytes: [u32; 256],
	chars: HashMap<char, u32>,
	tokens: u32,
}

/// Numbers of pieces: tokens have theirs, other pieces get those above.
struct Pieces {
	known: HashMap<Vec<u8>, u32>,
	next: u32,
}

impl Pieces {
	fn id(&mut self, piece: &[u8]) -> u32 {
		if let Some(id) = self.known.get(piece) {
			return *id;
		}
		let id = self.next;
		self.next += 1;
		self.known.insert(piece.to_vec(), id);
		id
	}
}

impl Bpe {
	/// Checks and indexes a vocabulary.
	pub(super) fn new(
		vocabulary: &Vocabulary,
		rule: Rule,
		order: Order,
	) -> Result<Self, TokenizerError> {
		let tokens = vocabulary.tokens.len() as u32;
		let mut known = HashMap::with_capacity(vocabulary.tokens.len());
		for (id, token, kind) in vocabulary.iter() {
			// Merging must never make markup out of text.
			if kind != Kind::Normal && kind != Kind::UserDefined {
				continue;
			}
			if kind == Kind::UserDefined && vocabulary.form != Form::ByteLevel {
				continue;
			}
			let Some(key) = vocabulary.key(token).filter(|key| !key.is_empty()) else {
				continue;
			};
			if known.insert(key, id).is_some() {
				let token = excerpt(token);
				return Err(damaged(format!("the token {token:?} occurs twice")));
			}
		}
		let mut pieces = Pieces {
			known,
			next: tokens,
		};
		let mut bpe = Self {
			merges: Merges::default(),
			listed: Vec::new(),
			ranks: Vec::new(),
			words: Words::new(&rule)?,
			rule,
			form: vocabulary.form,
			known: HashMap::new(),
			bytes: [UNKNOWN; 256],
			chars: HashMap::new(),
			tokens,
		};
		match order {
			Order::Listed(list) => bpe.add_listed(vocabulary, &mut pieces, &list)?,
			Order::Scored(scores) => bpe.add_scored(vocabulary, &mut pieces, &scores)?,
		}
		if bpe.form == Form::ByteLevel {
			for (byte, slot) in (0..=255u8).zip(&mut bpe.bytes) {
				*slot = pieces
					.known
					.get([byte].as_slice())
					.copied()
					.unwrap_or(UNKNOWN);
			}
		} else {
			for (id, token, kind) in vocabulary.iter() {
				if matches!(kind, Kind::Byte | Kind::Normal | Kind::Unused)
					&& let Some(byte) = named_byte(token)
					&& let Some(slot) = bpe.bytes.get_mut(usize::from(byte))
				{
					*slot = id;
				}
			}
			for (piece, id) in &pieces.known {
				let mut chars = std::str::from_utf8(piece).unwrap_or_default().chars();
				if let (Some(char), None) = (chars.next(), chars.next()) {
					bpe.chars.insert(char, *id);
				}
			}
		}
		bpe.known = pieces.known;
		bpe.known.retain(|_, id| *id < tokens);
		Ok(bpe)
	}

	fn add_listed(
		&mut self,
		vocabulary: &Vocabulary,
		pieces: &mut Pieces,
		list: &[(String, String)],
	) -> Result<(), TokenizerError> {
		if list.len() > MAX_MERGES {
			let message = format!("{} merges; {MAX_MERGES} are supported", list.len());
			return Err(large(message));
		}
		for ((left, right), rank) in list.iter().zip(0u32..) {
			let (Some(left), Some(right)) = (vocabulary.key(left), vocabulary.key(right)) else {
				continue;
			};
			let (first, second) = (pieces.id(&left), pieces.id(&right));
			let result = pieces.id(&[left, right].concat());
			self.merges.add(first, second, rank, result);
			self.listed.push((first, second));
		}
		Ok(())
	}

	fn add_scored(
		&mut self,
		vocabulary: &Vocabulary,
		pieces: &mut Pieces,
		scores: &[f32],
	) -> Result<(), TokenizerError> {
		if scores.len() != vocabulary.tokens.len() || scores.iter().any(|score| score.is_nan()) {
			return Err(damaged("there must be one score per token"));
		}
		let work = pieces
			.known
			.keys()
			.map(|piece| piece.len().saturating_mul(piece.len()));
		if work.fold(0, usize::saturating_add) > MAX_SPLIT_WORK {
			return Err(large("its tokens are too long"));
		}
		// In the order of ids: numbers of pieces that are no tokens must not depend on a hash.
		let mut pairs = Vec::new();
		for (id, token, _) in vocabulary.iter() {
			if pieces.known.get(token.as_bytes()) != Some(&id) {
				continue;
			}
			for char in token.chars() {
				pieces.id(char.encode_utf8(&mut [0; 4]).as_bytes());
			}
			for (left, right) in splits(token) {
				pairs.push((left, right, id));
			}
		}
		let pairs: Vec<(u32, u32, u32)> = pairs
			.into_iter()
			.filter_map(|(left, right, id)| {
				let left = pieces.known.get(left.as_bytes())?;
				Some((*left, *pieces.known.get(right.as_bytes())?, id))
			})
			.collect();
		let score = |id: u32| scores.get(id as usize).copied().unwrap_or_default() + 0.0;
		let mut made: Vec<f32> = pairs.iter().map(|(_, _, id)| score(*id)).collect();
		made.sort_by(|one, two| two.total_cmp(one));
		made.dedup();
		self.ranks.resize(vocabulary.tokens.len(), UNKNOWN);
		for (left, right, id) in pairs {
			let rank = made.partition_point(|one| *one > score(id)) as u32;
			if let Some(slot) = self.ranks.get_mut(id as usize) {
				*slot = rank;
			}
			self.merges.add(left, right, rank, id);
		}
		Ok(())
	}

	/// Appends the tokens of a text without markup. With `prefix` a SentencePiece text begins with a space. More than
	/// `limit` tokens in `out` are refused.
	pub(super) fn encode(
		&self,
		text: &str,
		prefix: bool,
		limit: usize,
		out: &mut Vec<u32>,
	) -> Result<(), TokenizerError> {
		let text = match self.form {
			Form::ByteLevel => Cow::Borrowed(text),
			Form::SentencePiece | Form::Metaspace => {
				let prefix = if prefix { "\u{2581}" } else { "" };
				Cow::Owned([prefix, &text.replace(' ', "\u{2581}")].concat())
			}
		};
		let mut symbols = Vec::new();
		self.words.each(&text, &mut |word| {
			self.word(word, &mut symbols, out)?;
			if out.len() > limit {
				return Err(TokenizerError::TooLong { limit });
			}
			Ok(())
		})
	}

	fn word(
		&self,
		word: &str,
		symbols: &mut Vec<Symbol>,
		out: &mut Vec<u32>,
	) -> Result<(), TokenizerError> {
		let lines = self.form == Form::Metaspace && word.bytes().all(|byte| byte == b'\n');
		if (self.rule.ignore_merges || lines)
			&& let Some(id) = self.known.get(word.as_bytes())
		{
			out.push(*id);
			return Ok(());
		}
		symbols.clear();
		if self.form == Form::ByteLevel {
			symbols.extend(word.bytes().zip(0u32..).map(|(byte, start)| {
				Symbol {
					id: self
						.bytes
						.get(usize::from(byte))
						.copied()
						.unwrap_or(UNKNOWN),
					start,
				}
			}));
		} else {
			symbols.extend(word.char_indices().map(|(start, char)| Symbol {
				id: self.chars.get(&char).copied().unwrap_or(UNKNOWN),
				start: start as u32,
			}));
		}
		self.merges.apply(symbols);
		for (index, symbol) in symbols.iter().enumerate() {
			if symbol.id < self.tokens {
				out.push(symbol.id);
				continue;
			}
			let end = symbols
				.get(index + 1)
				.map_or(word.len(), |next| next.start as usize);
			let bytes = word.as_bytes().get(symbol.start as usize..end);
			for byte in bytes.unwrap_or_default() {
				match self.bytes.get(usize::from(*byte)) {
					Some(id) if *id < self.tokens => out.push(*id),
					_ => return Err(TokenizerError::Byte(*byte)),
				}
			}
		}
		Ok(())
	}
}

/// A token's spelling in two, at every character.
pub(super) fn splits(token: &str) -> impl Iterator<Item = (&str, &str)> {
	let cuts = token.char_indices().skip(1);
	cuts.filter_map(|(at, _)| token.split_at_checked(at))
}
