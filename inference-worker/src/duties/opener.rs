//! Opens drawn leaves: on the chain the receipt, to the assigned verifier prompt and tokens.

use super::context::{Context, next_block};
use crate::chain::{Account, Block, Call, Chain, ChainError};
use aria_primitives::{
	H256,
	opening::{Opening, OpeningError, OpeningRequest, OpeningResponse},
	work::{DrawId, DrawStatus, DrawView},
};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use sp_core::{Pair, sr25519};
use std::collections::HashSet;
use tokio::sync::watch;

/// Draws that are opened at once.
const MAX_IN_FLIGHT: usize = 16;

/// Opens until the connection is lost.
pub(super) async fn run(
	context: &Context,
	chain: &Chain,
	account: &Account,
	blocks: &mut watch::Receiver<Option<Block>>,
) -> Result<(), ChainError> {
	let mut busy = HashSet::new();
	let mut missing = HashSet::new();
	let mut in_flight: FuturesUnordered<BoxFuture<'_, (DrawId, Result<(), ChainError>)>> =
		FuturesUnordered::new();
	loop {
		let block = tokio::select! {
			Some((draw, result)) = in_flight.next() => {
				busy.remove(&draw);
				match result {
					Ok(()) => tracing::info!("draw {draw} is open"),
					// Tried again with the next block, as long as the draw waits for it.
					Err(error) => tracing::warn!("opening draw {draw}: {error}"),
				}
				continue;
			}
			block = next_block(blocks) => block?,
		};
		let draws: Vec<(DrawId, DrawView)> =
			chain.api("open_draws", (&context.me,), block.hash).await?;
		for (id, draw) in draws {
			let due = draw.worker == context.me
				&& draw.status == DrawStatus::Drawn
				&& block.number < draw.deadline;
			if !due || in_flight.len() >= MAX_IN_FLIGHT || busy.contains(&id) {
				continue;
			}
			// The journal learns of a final batch at about the time of its draw.
			let leaf = context.journal.leaf(draw.batch, draw.leaf_index);
			let leaf = leaf.unwrap_or_else(|error| {
				tracing::error!("draw {id}: {error}");
				None
			});
			let Some((file, proof)) = leaf else {
				if missing.insert(id) {
					tracing::warn!(
						"draw {id}: the journal does not hold leaf {} of batch {} (yet)",
						draw.leaf_index,
						draw.batch
					);
				}
				continue;
			};
			busy.insert(id);
			let call = Call::open(id, &file.signed, &proof);
			in_flight.push(Box::pin(
				async move { (id, account.send(&call, None).await) },
			));
		}
	}
}

/// Whether a request for an opening was signed by the verifier that it names, for this chain.
pub(super) fn is_signed(request: &OpeningRequest, genesis: &H256) -> bool {
	let payload = OpeningRequest::signing_payload(genesis, request.draw, &request.verifier);
	let key = sr25519::Public::from_raw(*request.verifier.as_ref());
	sr25519::Pair::verify(&request.signature, payload, &key)
}

/// Hands a drawn answer to the draw's verifier, and to nobody else.
pub(crate) async fn hand_over(
	context: &Context,
	chain: Option<Chain>,
	request: OpeningRequest,
) -> OpeningResponse {
	let Some(chain) = chain else {
		return Err(OpeningError::UnknownDraw);
	};
	if !is_signed(&request, &chain.genesis()) {
		return Err(OpeningError::NotAssigned);
	}
	let draw = async {
		let block = chain.finalized().await?;
		chain
			.api::<Option<DrawView>>("draw", (request.draw,), block.hash)
			.await
	};
	let draw = match draw.await {
		Ok(Some(draw)) if draw.worker == context.me => draw,
		Ok(_) => return Err(OpeningError::UnknownDraw),
		Err(error) => {
			tracing::warn!("request for draw {}: {error}", request.draw);
			return Err(OpeningError::UnknownDraw);
		}
	};
	if draw.verifier != request.verifier {
		return Err(OpeningError::NotAssigned);
	}
	let file = match context.journal.leaf(draw.batch, draw.leaf_index) {
		Ok(Some((file, _))) => file,
		Ok(None) => return Err(OpeningError::Gone),
		Err(error) => {
			tracing::error!("request for draw {}: {error}", request.draw);
			return Err(OpeningError::Gone);
		}
	};
	Ok(Opening {
		receipt: file.signed,
		salt: file.salt,
		prompt: file.prompt,
		output: file.output,
		constraints: file.constraints,
	})
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn request_should_be_signed_by_the_verifier_it_names() {
		let pair = sr25519::Pair::from_seed(&[1; 32]);
		let genesis = H256::repeat_byte(3);
		let verifier = pair.public().into();
		let payload = OpeningRequest::signing_payload(&genesis, 8, &verifier);
		let request = OpeningRequest {
			draw: 8,
			verifier,
			signature: pair.sign(&payload),
		};
		assert!(is_signed(&request, &genesis));
		assert!(!is_signed(&request, &H256::zero()));
		let mut other = request.clone();
		other.draw = 9;
		assert!(!is_signed(&other, &genesis));
		let mut other = request;
		other.verifier = [1; 32].into();
		assert!(!is_signed(&other, &genesis));
	}
}
