//! Merging neighbours: the one loop behind byte-level BPE and SentencePiece.

use std::{
	cmp::Reverse,
	collections::{BinaryHeap, HashMap},
};

/// A symbol that no merge knows.
pub(super) const UNKNOWN: u32 = u32::MAX;
/// Up to here every pair is looked at for every merge; above, a heap holds the pairs.
const SHORT: usize = 32;
/// No pair.
const NONE: u32 = u32::MAX;

/// A piece of a word: its number and where it begins, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol {
	/// A token, a number above the vocabulary for a piece that is no token, or [`UNKNOWN`].
	pub(super) id: u32,
	/// Where it begins in the word.
	pub(super) start: u32,
}

/// Pairs of symbols that become one, the lowest rank first, of equal ranks the leftmost.
#[derive(Default)]
pub(super) struct Merges(HashMap<(u32, u32), (u32, u32)>);

impl Merges {
	/// Adds a merge; of two for the same pair the first counts.
	pub(super) fn add(&mut self, left: u32, right: u32, rank: u32, result: u32) {
		self.0.entry((left, right)).or_insert((rank, result));
	}

	fn get(&self, left: u32, right: u32) -> Option<(u32, u32)> {
		if left == UNKNOWN || right == UNKNOWN {
			return None;
		}
		self.0.get(&(left, right)).copied()
	}

	fn rank(&self, left: u32, right: u32) -> u32 {
		self.get(left, right).map_or(NONE, |(rank, _)| rank)
	}

	/// Merges what can be merged.
	pub(super) fn apply(&self, symbols: &mut Vec<Symbol>) {
		if symbols.len() > SHORT {
			self.apply_long(symbols);
		} else {
			self.apply_short(symbols);
		}
	}

	fn apply_short(&self, symbols: &mut Vec<Symbol>) {
		let mut ranks = [NONE; SHORT];
		for (rank, pair) in ranks.iter_mut().zip(symbols.windows(2)) {
			if let [left, right] = pair {
				*rank = self.rank(left.id, right.id);
			}
		}
		loop {
			let pairs = symbols.len().saturating_sub(1);
			let best = ranks.iter().take(pairs).enumerate();
			let Some((at, rank)) = best.min_by_key(|(_, rank)| **rank) else {
				return;
			};
			if *rank == NONE {
				return;
			}
			let merged = match symbols.get(at..at + 2) {
				Some([left, right]) => self.get(left.id, right.id),
				_ => None,
			};
			let (Some((_, id)), Some(left)) = (merged, symbols.get_mut(at)) else {
				return;
			};
			left.id = id;
			symbols.remove(at + 1);
			ranks.copy_within(at + 1..pairs, at);
			for left in [at.checked_sub(1), Some(at)].into_iter().flatten() {
				let rank = match symbols.get(left..left + 2) {
					Some([one, two]) => self.rank(one.id, two.id),
					_ => NONE,
				};
				if let Some(slot) = ranks.get_mut(left) {
					*slot = rank;
				}
			}
		}
	}

	fn apply_long(&self, symbols: &mut Vec<Symbol>) {
		let len = symbols.len() as u32;
		// Neighbours by position; a merged right part has no successor and is its own predecessor.
		let mut next: Vec<u32> = (1..=len).collect();
		let mut previous: Vec<u32> = (0..len).map(|at| at.wrapping_sub(1)).collect();
		let id =
			|symbols: &[Symbol], at: u32| symbols.get(at as usize).map_or(UNKNOWN, |one| one.id);
		let link = |links: &[u32], at: u32| links.get(at as usize).copied().unwrap_or(NONE);
		let mut heap: BinaryHeap<Reverse<(u32, u32)>> = symbols
			.windows(2)
			.zip(0u32..)
			.filter_map(|(pair, at)| match pair {
				[left, right] => Some((self.get(left.id, right.id)?.0, at)),
				_ => None,
			})
			.map(Reverse)
			.collect();
		while let Some(Reverse((rank, at))) = heap.pop() {
			let right = link(&next, at);
			if link(&previous, at) == at || right >= len {
				continue;
			}
			// The pair may have changed since it was put here.
			let Some((now, result)) = self.get(id(symbols, at), id(symbols, right)) else {
				continue;
			};
			if now != rank {
				continue;
			}
			let after = link(&next, right);
			if let (Some(left), Some(forward)) =
				(symbols.get_mut(at as usize), next.get_mut(at as usize))
			{
				left.id = result;
				*forward = after;
			}
			if let Some(gone) = previous.get_mut(right as usize) {
				*gone = right;
			}
			if let Some(back) = previous.get_mut(after as usize) {
				*back = at;
			}
			let before = link(&previous, at);
			for (left, right) in [(before, at), (at, after)] {
				if left < len
					&& right < len && let Some((rank, _)) =
					self.get(id(symbols, left), id(symbols, right))
				{
					heap.push(Reverse((rank, left)));
				}
			}
		}
		let mut at = 0u32;
		symbols.retain(|_| {
			let keep = link(&previous, at) != at;
			at += 1;
			keep
		});
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	proptest! {
		#[test]
		fn both_ways_should_agree(
			pairs in prop::collection::vec((0u32..12, 0u32..12, 0u32..40, 0u32..12), 0..60),
			word in prop::collection::vec(0u32..8, 0..SHORT),
		) {
			let mut merges = Merges::default();
			// Of one rank there may be several pairs, as in SentencePiece.
			for (left, right, rank, result) in pairs {
				merges.add(left, right, rank, result);
			}
			let start: Vec<Symbol> = word.iter().zip(0..).map(|(id, start)| Symbol { id: *id, start }).collect();
			let (mut short, mut long) = (start.clone(), start);
			merges.apply_short(&mut short);
			merges.apply_long(&mut long);
			prop_assert_eq!(short, long);
		}
	}
}
