//! What a party owes the chain before it can take part: a registered model, a bond, and the first consent contract where
//! its owner said so. Every step looks at the chain first, so it can be repeated at any time.

use super::{
	consent,
	context::{Context, next_block},
	registrar,
};
use crate::chain::{Account, Block, Call, Chain, ChainError};
use aria_primitives::{AccountId, work::WorkerView};
use sp_core::crypto::Ss58Codec;
use std::time::Duration;
use tokio::sync::watch;

/// How long to wait before a step that failed is tried again.
const RETRY: Duration = Duration::from_secs(6);

/// Goes through all steps, again and again until the last one is done.
pub(super) async fn run(
	context: &Context,
	chain: &Chain,
	account: &Account,
	blocks: &mut watch::Receiver<Option<Block>>,
	address: &[u8],
) -> Result<(), ChainError> {
	let mut said = String::new();
	loop {
		let block = next_block(blocks).await?;
		match step(context, chain, account, block, address).await {
			Ok(None) => return Ok(()),
			Ok(Some(waiting)) if waiting == said => {}
			Ok(Some(waiting)) => {
				tracing::info!("{waiting}");
				said = waiting;
			}
			Err(error) => {
				let text = error.to_string();
				if text != said {
					tracing::warn!("registering: {text}; trying again");
					said = text;
				}
				tokio::time::sleep(RETRY).await;
			}
		}
	}
}

async fn wait_for_funds(
	chain: &Chain,
	me: &AccountId,
	block: Block,
) -> Result<Option<String>, ChainError> {
	if chain.free_balance(me, block.hash).await? > 0 {
		return Ok(None);
	}
	let bond: u128 = chain.constant("UsefulWork", "Bond").await?;
	Ok(Some(format!(
		"waiting for funds: send more than {bond} (the bond, and some for deposits and fees) to {}",
		me.to_ss58check()
	)))
}

/// `None` when everything is done, else what is waited for.
async fn step(
	context: &Context,
	chain: &Chain,
	account: &Account,
	block: Block,
	address: &[u8],
) -> Result<Option<String>, ChainError> {
	let me = &context.me;
	let registered: Option<WorkerView> = chain.api("worker", (me,), block.hash).await?;
	if registered.is_none()
		&& let Some(waiting) = wait_for_funds(chain, me, block).await?
	{
		return Ok(Some(waiting));
	}
	let grant = consent::grant(context, chain, account);
	let register = async {
		let call = match &registered {
			None => Call::register(context.roles, address),
			Some(view) if view.roles == context.roles && view.address == address => {
				return Ok(true);
			}
			Some(_) => Call::update(context.roles, address),
		};
		account.send(&call, None).await?;
		tracing::info!(
			"registered as {} at {}",
			me.to_ss58check(),
			String::from_utf8_lossy(address)
		);
		Ok(false)
	};
	// None needs another's result, so all three wait for the same final block.
	let models = registrar::register(context, chain, account, block);
	let ((), (), done) = tokio::try_join!(grant, models, register)?;
	// The next final block confirms what was sent.
	Ok((!done).then(|| "waiting for the registration to be final".into()))
}
