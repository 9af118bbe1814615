//! `aria-worker sobriety`: energy per verified operation.

use super::{consent::KeyArgs, onchain::*};
use crate::chain::{Attestation, Block, Chain, ChainError};
use anyhow::{Result, bail};
use aria_primitives::{AccountId, api::SobrietyView};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct SobrietyArgs {
	/// SS58 address or hex; if not given, the account of --worker-key, or without a key everybody who attests.
	#[arg(value_parser = account)]
	account: Option<AccountId>,
	#[command(flatten)]
	key: KeyArgs,
	#[command(flatten)]
	node: NodeArgs,
}

/// Runs the command.
pub(super) fn run(args: &SobrietyArgs) -> Result<ExitCode> {
	let node = &args.node;
	let value = if args.account.is_none() && args.key.worker_key.is_none() {
		node.with(async |chain: Chain, at: Block| all(&chain, at).await)?
	} else {
		let account = args.key.account(args.account.as_ref())?;
		let found = node.with(async |chain: Chain, at: Block| {
			let view: Option<SobrietyView> = chain.api("sobriety", (&account,), at.hash).await?;
			Ok((view, chain.attestations(&account, at.hash).await?))
		})?;
		let (Some(view), latest) = found else {
			bail!(
				"{} has attested no energy, so it has no rating; `sobriety` alone lists those who have",
				address(&account)
			);
		};
		let mut value = sobriety_json(&account, &view);
		value["latest"] = latest.iter().map(attestation_json).collect();
		value
	};
	print(&value, node.json)?;
	Ok(ExitCode::SUCCESS)
}

/// Everybody registered who has attested energy, the most sober first, those without a rating last.
async fn all(chain: &Chain, at: Block) -> Result<Value, ChainError> {
	let mut found = Vec::new();
	for (account, _) in workers(chain, at.hash).await? {
		let view: Option<SobrietyView> = chain.api("sobriety", (&account,), at.hash).await?;
		found.extend(view.map(|view| (account, view)));
	}
	let cost = |view: &SobrietyView| view.rating.and_then(|_| per_giga(view));
	found.sort_by(|(_, one), (_, other)| {
		let (one, other) = (cost(one), cost(other));
		let known = other.is_some().cmp(&one.is_some());
		known.then_with(|| one.unwrap_or(0.0).total_cmp(&other.unwrap_or(0.0)))
	});
	Ok(found
		.iter()
		.map(|(account, view)| sobriety_json(account, view))
		.collect())
}

fn attestation_json(attestation: &Attestation) -> Value {
	json!({
		"period_start_ms": attestation.period_start_ms.to_string(),
		"period_end_ms": attestation.period_end_ms.to_string(),
		"microjoules": attestation.energy.microjoules.to_string(),
		"grade": attestation.energy.grade,
	})
}
