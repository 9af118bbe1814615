//! What the duties share.

use crate::{
	chain::{Block, Chain, ChainError, Consent, link::ChainLink},
	models::Models,
	receipts::journal::Journal,
};
use aria_primitives::{AccountId, work::Roles};
use sp_core::sr25519;
use std::{
	sync::{Arc, PoisonError, RwLock},
	time::Duration,
};
use tokio::sync::watch;

/// What the duties share.
pub(crate) struct Context {
	pub(crate) models: Models,
	pub(crate) journal: Journal,
	pub(crate) pair: Arc<sr25519::Pair>,
	pub(crate) me: AccountId,
	pub(crate) roles: Roles,
	pub(crate) consent: Arc<Consent>,
	/// Whether the owner said to grant a contract, if there has never been one.
	pub(crate) first_grant: bool,
	pub(crate) batch_every: Duration,
	/// The present connection, for requests of verifiers.
	pub(crate) chain: RwLock<Option<Chain>>,
	/// What the API says about it.
	pub(crate) link: Arc<ChainLink>,
}

impl Context {
	pub(crate) fn chain(&self) -> Option<Chain> {
		self.chain
			.read()
			.unwrap_or_else(PoisonError::into_inner)
			.clone()
	}

	pub(super) fn set_chain(&self, chain: Option<Chain>) {
		*self.chain.write().unwrap_or_else(PoisonError::into_inner) = chain;
	}

	/// Whether there is a connection to a node.
	pub(crate) fn is_connected(&self) -> bool {
		self.chain().is_some()
	}
}

/// Waits for a final block after the last one seen.
pub(super) async fn next_block(
	blocks: &mut watch::Receiver<Option<Block>>,
) -> Result<Block, ChainError> {
	loop {
		let changed = blocks.changed().await;
		changed.map_err(|_| ChainError::Node("the connection was closed".into()))?;
		if let Some(block) = *blocks.borrow_and_update() {
			return Ok(block);
		}
	}
}

/// An error that says that the work is done already is none.
pub(super) fn tolerate(result: Result<(), ChainError>, name: &str) -> Result<(), ChainError> {
	match result {
		Err(error) if error.is(name) => Ok(()),
		other => other,
	}
}
