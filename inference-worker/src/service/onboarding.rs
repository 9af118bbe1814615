//! What a party owes the chain before it can take part: a consent contract, a registered model, a bond. Every step
//! looks at the chain first, so it can be repeated at any time.

use super::{Context, next_block};
use crate::chain::{Account, Block, Call, Chain, ChainError};
use aria_primitives::{
	AccountId,
	consent::{ConsentView, Terms},
	provenance::{MAX_LICENCE_LEN, MAX_NAME_LEN, ModelView},
	work::WorkerView,
};
use sp_core::crypto::Ss58Codec;
use std::{sync::atomic::Ordering, time::Duration};
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

/// Cuts text to a number of bytes, between characters.
fn cut(text: &str, limit: u32) -> &[u8] {
	let mut end = text.len().min(limit as usize);
	while !text.is_char_boundary(end) {
		end -= 1;
	}
	&text.as_bytes()[..end]
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
	let consent: Option<ConsentView> = chain.api("consent", (me,), block.hash).await?;
	let grant = async {
		match consent {
			Some(consent) => {
				context
					.consent_version
					.store(consent.version, Ordering::Relaxed);
				Ok(())
			}
			None => {
				let call = Call::grant(Terms::default());
				tolerate(account.send(&call, None).await, "Consent.AlreadyGranted")?;
				tracing::info!("consent granted with the default terms");
				Ok(())
			}
		}
	};
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
	let model = register_model(context, chain, account, block);
	let ((), (), done) = tokio::try_join!(grant, model, register)?;
	// The next final block confirms what was sent.
	Ok((!done).then(|| "waiting for the registration to be final".into()))
}

async fn register_model(
	context: &Context,
	chain: &Chain,
	account: &Account,
	block: Block,
) -> Result<(), ChainError> {
	if !context.roles.worker {
		return Ok(());
	}
	let model = context.engine.model();
	let known: Option<ModelView> = chain.api("model", (model.id,), block.hash).await?;
	if known.is_some() {
		return Ok(());
	}
	let call = Call::register_model(
		model.id,
		cut(&context.model_name, MAX_NAME_LEN),
		cut(
			model.licence.as_deref().unwrap_or("unknown"),
			MAX_LICENCE_LEN,
		),
		model.operations(),
		model.bytes,
	);
	let result = account.send(&call, None).await;
	tolerate(result, "Provenance.AlreadyRegistered")?;
	tracing::info!("model {} is registered", context.model_name);
	Ok(())
}

/// An error that says that the work is done already is none.
fn tolerate(result: Result<(), ChainError>, name: &str) -> Result<(), ChainError> {
	match result {
		Err(error) if error.is(name) => Ok(()),
		other => other,
	}
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
