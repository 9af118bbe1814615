//! Grammars that were compiled, for those who ask for the same once more.

use super::compile::Compiled;
use crate::error::EngineError;
use aria_primitives::receipt::Grammar;
use codec::Encode;
use sp_crypto_hashing::blake2_256;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most grammars, and most bytes of them by the library's estimate; a grammar that takes a quarter of that is not kept.
const MAX_ENTRIES: usize = 64;
const MAX_BYTES: usize = 64 << 20;

type Key = [u8; 32];

/// A grammar before the first token, or why it can't be used.
struct Entry {
	key: Key,
	compiled: Result<Compiled, EngineError>,
	bytes: usize,
}

/// The grammars that were used last; the latest is the last one.
#[derive(Default)]
pub(super) struct Cache(Mutex<Vec<Entry>>);

fn key(grammar: &Grammar) -> Key {
	blake2_256(&grammar.encode())
}

fn copy(compiled: &Result<Compiled, EngineError>) -> Result<Compiled, EngineError> {
	compiled.as_ref().map(Compiled::copy).map_err(Clone::clone)
}

impl Cache {
	fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
		// Nothing is left half done when a copy fails.
		self.0.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// A grammar that was compiled before.
	pub(super) fn get(&self, grammar: &Grammar) -> Option<Result<Compiled, EngineError>> {
		let key = key(grammar);
		let mut entries = self.entries();
		let index = entries.iter().position(|entry| entry.key == key)?;
		let entry = entries.remove(index);
		let copy = copy(&entry.compiled);
		entries.push(entry);
		Some(copy)
	}

	/// Keeps what compiling a grammar gave, unless it may give something else the next time.
	pub(super) fn put(&self, grammar: &Grammar, compiled: &Result<Compiled, EngineError>) {
		let bytes = match compiled {
			Ok(compiled) => compiled.bytes,
			Err(EngineError::Grammar(message)) => message.len(),
			Err(_) => return,
		};
		if bytes > MAX_BYTES / 4 {
			return;
		}
		let entry = Entry {
			key: key(grammar),
			compiled: copy(compiled),
			bytes,
		};
		let mut entries = self.entries();
		entries.retain(|other| other.key != entry.key);
		entries.push(entry);
		let mut total: usize = entries.iter().map(|entry| entry.bytes).sum();
		while entries.len() > MAX_ENTRIES || total > MAX_BYTES {
			total -= entries.remove(0).bytes;
		}
	}
}
