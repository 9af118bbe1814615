//! How the worker is connected to its chain: what the duties know, for whoever asks.

use crate::text::to_hex;
use aria_primitives::H256;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};

/// What the duties know of the chain.
#[derive(Debug, Default)]
pub struct ChainLink(Mutex<Option<Connection>>);

/// A connection to a node, present or past.
#[derive(Debug, Clone, Copy)]
struct Connection {
	open: bool,
	genesis: H256,
	/// Number of the last final block seen.
	finalized: Option<u32>,
}

impl ChainLink {
	fn change(&self, work: impl FnOnce(&mut Option<Connection>)) {
		work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
	}

	/// Notes a connection.
	pub(crate) fn connected(&self, genesis: H256) {
		self.change(|connection| {
			*connection = Some(Connection {
				open: true,
				genesis,
				finalized: None,
			});
		});
	}

	/// Notes a final block.
	pub(crate) fn finalized(&self, number: u32) {
		self.change(|connection| {
			if let Some(connection) = connection {
				connection.finalized = Some(number);
			}
		});
	}

	/// Notes that the connection was lost.
	pub(crate) fn lost(&self) {
		self.change(|connection| {
			if let Some(connection) = connection {
				connection.open = false;
			}
		});
	}

	pub(crate) fn to_json(&self) -> Value {
		let connection = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
		json!({
			"connected": connection.is_some_and(|connection| connection.open),
			"genesis": connection.map(|connection| to_hex(connection.genesis.as_bytes())),
			"finalized_block": connection.and_then(|connection| connection.finalized),
		})
	}
}
