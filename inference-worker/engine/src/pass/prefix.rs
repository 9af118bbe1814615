//! Pages of prompts and answers that may begin again: a prompt that starts as an earlier one did is not computed twice.
//!
//! A page is found by a hash of all tokens up to its end, so equal keys mean equal contents, whoever computed them.

use super::cache::Page;
use aria_kernels::KV_PAGE_ROWS;
use aria_primitives::H256;
use sp_crypto_hashing::blake2_256;
use std::{collections::HashMap, sync::Arc};

/// Name of a page: everything that its contents depend on.
pub type PageKey = [u8; 32];

/// Name of the page after `parent` (zero for none) that holds `tokens`.
pub fn key(parent: &PageKey, tokens: &[u32]) -> PageKey {
	let mut bytes = parent.to_vec();
	bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
	blake2_256(&bytes)
}

struct Entry {
	page: Arc<Page>,
	/// Roots of the page's positions in the trace.
	roots: Vec<H256>,
	/// Pages before this one.
	depth: usize,
	used: u64,
}

/// Full pages by their names.
#[derive(Default)]
pub struct PrefixCache {
	entries: HashMap<PageKey, Entry>,
	clock: u64,
}

impl PrefixCache {
	/// Pages for the beginning of `tokens`, with their names and trace roots; not for all of it, as at least one token
	/// must be computed to go on.
	pub fn find(&mut self, tokens: &[u32]) -> Vec<(PageKey, Arc<Page>, Vec<H256>)> {
		self.clock += 1;
		let mut found = Vec::new();
		let mut name = PageKey::default();
		for part in tokens[..tokens.len().saturating_sub(1)].chunks_exact(KV_PAGE_ROWS) {
			name = key(&name, part);
			let Some(entry) = self.entries.get_mut(&name) else {
				break;
			};
			entry.used = self.clock;
			found.push((name, entry.page.clone(), entry.roots.clone()));
		}
		found
	}

	/// Keeps a page.
	pub fn insert(&mut self, name: PageKey, page: &Arc<Page>, roots: &[H256], depth: usize) {
		let used = self.clock;
		self.entries.entry(name).or_insert_with(|| Entry {
			page: page.clone(),
			roots: roots.to_vec(),
			depth,
			used,
		});
	}

	/// Evicts the least recently used page that no sequence uses; false if there is none.
	pub fn evict(&mut self) -> bool {
		let oldest = self
			.entries
			.iter()
			.filter(|(_, entry)| Arc::strong_count(&entry.page) == 1)
			.min_by_key(|(_, entry)| (entry.used, std::cmp::Reverse(entry.depth)));
		let Some(name) = oldest.map(|(name, _)| *name) else {
			return false;
		};
		self.entries.remove(&name).is_some()
	}

	/// Number of pages that no sequence uses.
	pub fn unused(&self) -> usize {
		let alone = |entry: &&Entry| Arc::strong_count(&entry.page) == 1;
		self.entries.values().filter(alone).count()
	}

	/// Number of pages.
	pub fn len(&self) -> usize {
		self.entries.len()
	}

	/// Whether there are no pages.
	pub fn is_empty(&self) -> bool {
		self.entries.is_empty()
	}
}
