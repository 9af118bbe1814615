//! Registers models on the chain: nothing that they answered can be committed before.

use super::context::{Context, next_block, tolerate};
use crate::{
	chain::{Account, Block, Call, Chain, ChainError},
	models::Facts,
};
use aria_primitives::provenance::{MAX_LICENCE_LEN, MAX_NAME_LEN, ModelView};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long to wait after a registration that failed.
const RETRY: Duration = Duration::from_secs(6);

/// Registers models that are loaded later on, until the connection is lost.
pub(super) async fn run(
	context: &Context,
	chain: &Chain,
	account: &Account,
	blocks: &mut watch::Receiver<Option<Block>>,
) -> Result<(), ChainError> {
	let mut done = HashSet::new();
	loop {
		let block = next_block(blocks).await?;
		let ids: Vec<_> = loaded(context).map(|(_, facts)| facts.id).collect();
		if ids.iter().all(|id| done.contains(id)) {
			continue;
		}
		match register(context, chain, account, block).await {
			Ok(()) => done.extend(ids),
			Err(error) => {
				tracing::warn!("registering a model: {error}; trying again");
				tokio::time::sleep(RETRY).await;
			}
		}
	}
}

/// Models that have been in memory, with their names.
fn loaded(context: &Context) -> impl Iterator<Item = (Arc<str>, Facts)> {
	let models = context.models.list().into_iter();
	models.filter_map(|model| Some((model.name, model.facts?)))
}

/// Registers all models that have been in memory and that the chain does not know.
pub(super) async fn register(
	context: &Context,
	chain: &Chain,
	account: &Account,
	block: Block,
) -> Result<(), ChainError> {
	if !context.roles.worker {
		return Ok(());
	}
	for (name, facts) in loaded(context) {
		let known: Option<ModelView> = chain.api("model", (facts.id,), block.hash).await?;
		if known.is_some() {
			continue;
		}
		let licence = facts.licence.as_deref().unwrap_or("unknown");
		let call = Call::register_model(
			facts.id,
			cut(&name, MAX_NAME_LEN),
			cut(licence, MAX_LICENCE_LEN),
			facts.operations,
			facts.bytes,
		);
		let result = account.send(&call, None).await;
		tolerate(result, "Provenance.AlreadyRegistered")?;
		tracing::info!("model {name} is registered");
	}
	Ok(())
}

/// Cuts text to a number of bytes, between characters.
fn cut(text: &str, limit: u32) -> &[u8] {
	let mut end = text.len().min(limit as usize);
	while !text.is_char_boundary(end) {
		end -= 1;
	}
	&text.as_bytes()[..end]
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn names_should_be_cut_between_characters() {
		assert_eq!(cut("abc", 64), b"abc");
		assert_eq!(cut("abc", 2), b"ab");
		assert_eq!(cut("aéb", 2), b"a");
	}
}
