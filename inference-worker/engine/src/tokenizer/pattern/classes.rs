//! Which classes a character belongs to, by table.

use std::collections::HashMap;

/// Characters on a page.
const PAGE: usize = 256;
/// Pages of all characters.
const PAGES: usize = 0x11_0000 / PAGE;

/// One bit per class for every character.
pub(super) struct Classes {
	/// Where the character's page begins in `masks`.
	starts: Box<[u32]>,
	masks: Vec<u32>,
}

impl Classes {
	/// Most classes of a pattern.
	pub(super) const MOST: usize = 32;

	/// Builds the table from the ranges of each class.
	pub(super) fn new(classes: &[Vec<(u32, u32)>]) -> Self {
		let mut starts = Vec::with_capacity(PAGES);
		let mut masks = Vec::new();
		let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
		// Ranges are ascending, so each class is walked once.
		let mut next = vec![0usize; classes.len()];
		for page in 0..PAGES {
			let first = (page * PAGE) as u32;
			let last = first + (PAGE as u32 - 1);
			let mut bits = vec![0u32; PAGE];
			for (index, ranges) in classes.iter().enumerate() {
				let Some(at) = next.get_mut(index) else {
					continue;
				};
				while let Some((from, to)) = ranges.get(*at) {
					if *from > last {
						break;
					}
					for char in (*from).max(first)..=(*to).min(last) {
						if let Some(bits) = bits.get_mut((char - first) as usize) {
							*bits |= 1 << index;
						}
					}
					if *to > last {
						break;
					}
					*at += 1;
				}
			}
			let fresh = masks.len() as u32;
			let start = *known.entry(bits.clone()).or_insert(fresh);
			if start == fresh {
				masks.extend(bits);
			}
			starts.push(start);
		}
		Self {
			starts: starts.into(),
			masks,
		}
	}

	/// The character's classes.
	#[inline]
	pub(super) fn of(&self, char: char) -> u32 {
		let char = char as usize;
		let start = self.starts.get(char / PAGE).copied().unwrap_or_default();
		let mask = self.masks.get(start as usize + char % PAGE);
		mask.copied().unwrap_or_default()
	}
}
