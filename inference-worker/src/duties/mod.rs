//! What a party owes to the chain.
//!
//! Duties follow final blocks and derive from the chain's state and the journal alone, so a lost connection, a lost
//! extrinsic or a restart only delays them: the next pass sees what is still due.

mod committer;
mod consent;
pub(crate) mod context;
mod onboarding;
pub(crate) mod opener;
mod registrar;
mod verifier;

use crate::{
	chain::{Account, Chain, ChainError},
	p2p::{self, Network},
};
use anyhow::Result;
use context::{Context, next_block};
use std::{convert::Infallible, time::Duration};
use tokio::sync::watch;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Serves the chain until dropped, connecting again whenever the connection is lost; ends only where this machine can't
/// take part.
pub(crate) async fn follow(context: &Context, node: &str, network: &Network) -> anyhow::Error {
	let mut pause = FIRST_RETRY;
	loop {
		match Chain::connect(node).await {
			Ok(chain) => {
				pause = FIRST_RETRY;
				tracing::info!("connected to {node}");
				let Err(error) = attend(context, &chain, network).await;
				context.link.lost();
				context.set_chain(None);
				if error.is::<p2p::Unreachable>() {
					return error;
				}
				tracing::warn!("{error:#}; connecting again");
			}
			Err(error) => tracing::warn!("waiting for the node at {node}: {error}"),
		}
		tokio::time::sleep(pause).await;
		pause = (pause * 2).min(LONGEST_RETRY);
	}
}

/// Finds out which chain this is, then does what is due there.
async fn attend(context: &Context, chain: &Chain, network: &Network) -> Result<Infallible> {
	// On development chains all machines may be one.
	if !chain.is_for_development().await? {
		p2p::ensure_reachable(network.address())?;
	}
	let origin = loop {
		match chain.origin().await? {
			Some(origin) => break origin,
			None => tokio::time::sleep(FIRST_RETRY).await,
		}
	};
	context.journal.go_to(origin).await?;
	context.link.connected(chain.genesis());
	context.set_chain(Some(chain.clone()));
	Err(session(context, chain, network).await.into())
}

/// Does everything that is due, over one connection, until it is lost.
async fn session(context: &Context, chain: &Chain, network: &Network) -> ChainError {
	let (sender, blocks) = watch::channel(None);
	let account = Account::new(chain.clone(), context.pair.clone());
	let duties = async {
		let address = network.address().to_string().into_bytes();
		onboarding::run(context, chain, &account, &mut blocks.clone(), &address).await?;
		let [mut one, mut two, mut three, mut four] = std::array::from_fn(|_| blocks.clone());
		// Every duty stays even for a party that has dropped a role: what it took on, it owes.
		tokio::try_join!(
			committer::run(context, chain, &account, &mut one),
			opener::run(context, chain, &account, &mut two),
			verifier::run(context, chain, &account, network, &mut three),
			registrar::run(context, chain, &account, &mut four),
		)?;
		Ok(())
	};
	let mut looks = blocks.clone();
	let consent = async {
		let Err(error) = consent::follow(context, chain, &mut looks).await;
		error
	};
	let mut seen = blocks.clone();
	let watch = async {
		loop {
			context.link.finalized(next_block(&mut seen).await?.number);
		}
	};
	tokio::select! {
		error = chain.follow(&sender) => error,
		Err::<(), ChainError>(error) = watch => error,
		error = consent => error,
		result = duties => match result {
			Ok(()) => ChainError::Node("nothing to do".into()),
			Err(error) => error,
		},
	}
}
