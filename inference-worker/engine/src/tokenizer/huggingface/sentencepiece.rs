//! Scores for a SentencePiece vocabulary that `tokenizer.json` gives as a list of merges.

use crate::tokenizer::{
	bpe::splits,
	merge::{Merges, Symbol, UNKNOWN},
	vocab::{Kind, Vocabulary},
};
use std::collections::HashMap;

/// Longest token, bytes; longer ones would take too long to take apart.
const LONGEST: usize = 256;

/// A list of merges with ranks, by numbers of tokens.
struct List<'a> {
	ids: HashMap<&'a str, u32>,
	ranks: HashMap<(u32, u32), u32>,
	listed: Merges,
	scored: Merges,
}

impl List<'_> {
	/// Whether merging by list and merging by score, the leftmost first, come to the same.
	fn agree(&self, text: &str) -> bool {
		let start: Vec<Symbol> = text
			.char_indices()
			.map(|(start, char)| Symbol {
				id: self
					.ids
					.get(char.encode_utf8(&mut [0; 4]) as &str)
					.copied()
					.unwrap_or(UNKNOWN),
				start: start as u32,
			})
			.collect();
		let (mut listed, mut scored) = (start.clone(), start);
		self.listed.apply(&mut listed);
		self.scored.apply(&mut scored);
		listed == scored
	}

	/// Where a piece overlaps itself, the list may take the right one of two where the score takes the left one.
	fn overlaps_agree(&self, token: &str) -> bool {
		splits(token).all(|(left, middle)| {
			let Some(right) = token.strip_prefix(middle) else {
				return true;
			};
			let rank = |one: &str, two: &str| {
				let pair = (*self.ids.get(one)?, *self.ids.get(two)?);
				self.ranks.get(&pair)
			};
			match (rank(left, middle), rank(middle, right)) {
				(Some(first), Some(second)) if second < first => {
					self.agree(&[token, right].concat())
				}
				_ => true,
			}
		})
	}
}

/// Scores under which merging gives what the list gives: it must hold every way to make a token of two, those of one
/// token together. None otherwise.
pub(super) fn scores(vocabulary: &Vocabulary, merges: &[(String, String)]) -> Option<Vec<f32>> {
	let mut list = List {
		ids: HashMap::new(),
		ranks: HashMap::new(),
		listed: Merges::default(),
		scored: Merges::default(),
	};
	for (id, token, kind) in vocabulary.iter() {
		if kind != Kind::Normal {
			continue;
		}
		if token.len() > LONGEST || list.ids.insert(token, id).is_some() {
			return None;
		}
	}
	let lowest = -(vocabulary.tokens.len() as f32) - 1.0;
	let mut scores = vec![lowest; vocabulary.tokens.len()];
	let (mut group, mut latest) = (0u32, None);
	for ((left, right), rank) in merges.iter().zip(0u32..) {
		let first = *list.ids.get(left.as_str())?;
		let second = *list.ids.get(right.as_str())?;
		let result = *list.ids.get([left.as_str(), right].concat().as_str())?;
		let score = scores.get_mut(result as usize)?;
		if latest != Some(result) {
			if *score != lowest {
				return None;
			}
			group += 1;
			latest = Some(result);
			*score = -(group as f32);
		}
		if list.ranks.insert((first, second), rank).is_some() {
			return None;
		}
		list.listed.add(first, second, rank, result);
		list.scored.add(first, second, group, result);
	}
	let mut pairs = 0;
	for token in list.ids.keys() {
		let mut single = [0; 4];
		let known = |char: char, single: &mut [u8; 4]| {
			list.ids.contains_key(char.encode_utf8(single) as &str)
		};
		if !token.chars().all(|char| known(char, &mut single)) {
			return None;
		}
		for (left, right) in splits(token) {
			let both = list.ids.contains_key(left) && list.ids.contains_key(right);
			pairs += usize::from(both);
		}
	}
	let agree = list.ids.keys().all(|token| list.overlaps_agree(token));
	(pairs == merges.len() && agree).then_some(scores)
}
