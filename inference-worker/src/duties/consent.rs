//! Follows the owner's consent contract on the chain, and grants the first one where the owner said so.
//!
//! A contract is the owner's alone: with `--consent` an account that has never had one gets the default terms, once. What
//! was revoked stays revoked, and what was amended stays as it is, whatever restarts or connects again.

use super::context::{Context, next_block, tolerate};
use crate::chain::{Account, Block, Call, Chain, ChainError, Standing};
use aria_primitives::consent::{ConsentView, Terms};
use std::{convert::Infallible, time::Duration};
use tokio::sync::watch;

/// How often the contract is looked at where no block becomes final.
const LOOK: Duration = Duration::from_secs(30);

/// Looks with every final block, until the connection is lost.
pub(super) async fn follow(
	context: &Context,
	chain: &Chain,
	blocks: &mut watch::Receiver<Option<Block>>,
) -> Result<Infallible, ChainError> {
	loop {
		look(context, chain).await?;
		if let Ok(block) = tokio::time::timeout(LOOK, next_block(blocks)).await {
			block?;
		}
	}
}

/// Grants the default terms, if the owner said so and the account has never had a contract.
pub(super) async fn grant(
	context: &Context,
	chain: &Chain,
	account: &Account,
) -> Result<(), ChainError> {
	if look(context, chain).await? != Standing::Granting {
		return Ok(());
	}
	let call = Call::grant(Terms::default());
	tolerate(account.send(&call, None).await, "Consent.AlreadyGranted")?;
	tracing::info!("consent granted with the default terms");
	look(context, chain).await?;
	Ok(())
}

/// What the best block says: a revocation holds before it is final.
async fn look(context: &Context, chain: &Chain) -> Result<Standing, ChainError> {
	let consent: Option<ConsentView> = chain.api_now("consent", (&context.me,)).await?;
	let standing = match consent {
		Some(view) => Standing::Contract(view),
		None if context.first_grant && !chain.had_consent(&context.me).await? => Standing::Granting,
		None => Standing::Missing,
	};
	if context.consent.set(standing.clone()) {
		match &standing {
			Standing::Contract(view) => {
				tracing::info!("the consent contract is in force, version {}", view.version);
			}
			Standing::Missing => tracing::warn!(
				"there is no consent contract, so requests are refused: its owner can grant one with `aria-worker consent grant`"
			),
			_ => {}
		}
	}
	Ok(standing)
}
