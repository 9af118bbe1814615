//! Re-executes what was drawn for this party, and gives verdicts.

use super::context::{Context, next_block};
use crate::{
	chain::{Account, Block, Call, Chain, ChainError},
	models::engine::{EngineHandle, SubmitError},
	p2p::Network,
	receipts::{check::check_fields, file::ReceiptFile},
};
use aria_engine::{EngineError, RecheckRequest, grammar::Purpose};
use aria_primitives::{
	H256,
	opening::{Opening, OpeningRequest},
	provenance::Record,
	work::{DrawId, DrawStatus, DrawView, Fault, Verdict, WorkerView},
};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use sp_core::Pair;
use std::{
	collections::{HashMap, HashSet},
	time::Duration,
};
use tokio::sync::watch;

/// Draws that are verified at once; the engine takes one at a time.
const MAX_IN_FLIGHT: usize = 16;
/// Blocks before the deadline at which an answer that was not handed over is reported.
const RESERVE: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// `None`: no verdict can be given.
type Found = (DrawId, Result<Option<Verdict>, ChainError>);

/// Verifies until the connection is lost.
pub(super) async fn run(
	context: &Context,
	chain: &Chain,
	account: &Account,
	network: &Network,
	blocks: &mut watch::Receiver<Option<Block>>,
) -> Result<(), ChainError> {
	let mut busy = HashSet::new();
	let mut skipped = HashSet::new();
	let mut verdicts: HashMap<DrawId, Verdict> = HashMap::new();
	let mut checks: FuturesUnordered<BoxFuture<'_, Found>> = FuturesUnordered::new();
	let mut sends: FuturesUnordered<BoxFuture<'_, (DrawId, Result<(), ChainError>)>> =
		FuturesUnordered::new();
	let watched = blocks.clone();
	loop {
		let block = tokio::select! {
			Some((id, found)) = checks.next() => {
				match found {
					Ok(Some(verdict)) => {
						verdicts.insert(id, verdict);
						sends.push(Box::pin(give(account, id, verdict)));
					}
					Ok(None) => {
						skipped.insert(id);
						busy.remove(&id);
					}
					Err(error) => {
						tracing::warn!("verifying draw {id}: {error}");
						busy.remove(&id);
					}
				}
				continue;
			}
			Some((id, sent)) = sends.next() => {
				busy.remove(&id);
				match sent {
					Ok(()) => tracing::info!("draw {id}: verdict {:?} is final", verdicts.get(&id)),
					Err(error) => tracing::warn!("verdict on draw {id}: {error}"),
				}
				continue;
			}
			block = next_block(blocks) => block?,
		};
		let draws: Vec<(DrawId, DrawView)> =
			chain.api("open_draws", (&context.me,), block.hash).await?;
		let open: HashSet<DrawId> = draws.iter().map(|(id, _)| *id).collect();
		verdicts.retain(|id, _| open.contains(id));
		skipped.retain(|id| open.contains(id));
		for (id, draw) in draws {
			let due = draw.verifier == context.me
				&& draw.status == DrawStatus::Opened
				&& block.number < draw.deadline;
			let taken = busy.contains(&id) || skipped.contains(&id);
			if !due || taken || checks.len() + sends.len() >= MAX_IN_FLIGHT {
				continue;
			}
			busy.insert(id);
			match verdicts.get(&id) {
				// The last attempt to give it did not reach the chain.
				Some(verdict) => sends.push(Box::pin(give(account, id, *verdict))),
				None => {
					let blocks = watched.clone();
					checks.push(Box::pin(async move {
						(
							id,
							verify(context, chain, network, blocks, block, id, &draw).await,
						)
					}));
				}
			}
		}
	}
}

async fn give(account: &Account, id: DrawId, verdict: Verdict) -> (DrawId, Result<(), ChainError>) {
	(id, account.send(&Call::verdict(id, verdict), None).await)
}

async fn verify(
	context: &Context,
	chain: &Chain,
	network: &Network,
	blocks: watch::Receiver<Option<Block>>,
	block: Block,
	id: DrawId,
	draw: &DrawView,
) -> Result<Option<Verdict>, ChainError> {
	let runtime = |what: &str| ChainError::Runtime(format!("draw {id} is open but has no {what}"));
	let leaf = draw.record.ok_or_else(|| runtime("record identifier"))?;
	let record: Option<Record> = chain.api("record", (leaf,), block.hash).await?;
	let record = record.ok_or_else(|| runtime("record"))?;
	let no_model = |error| ChainError::Node(format!("the model: {error}"));
	let find = || context.models.with_root(&record.model);
	if find().await.map_err(no_model)?.is_none() {
		tracing::warn!(
			"draw {id} is of model {:?}, which this verifier does not run; no verdict",
			record.model
		);
		return Ok(None);
	}
	let now = || blocks.borrow().map_or(block.number, |block| block.number);
	let mut said = String::new();
	let opening = loop {
		match ask(context, chain, network, block, id, draw).await {
			Ok(opening) => break opening,
			Err(reason) => {
				if now().saturating_add(RESERVE) >= draw.deadline {
					tracing::warn!("draw {id}: nothing was handed over: {reason}");
					return Ok(Some(Verdict::Reject(Fault::NotOpened)));
				}
				if reason != said {
					tracing::info!("draw {id}: {reason}; asking again");
					said = reason;
				}
				tokio::time::sleep(PAUSE).await;
			}
		}
	};
	// It need not have stayed in memory while the worker was asked.
	let Some(served) = find().await.map_err(no_model)? else {
		return Ok(None);
	};
	let verdict = match judge(&served.engine, leaf, opening).await {
		// A faster machine may have compiled it, so it is no fault.
		Err(SubmitError::Invalid(error @ EngineError::GrammarTooCostly { .. })) => {
			tracing::warn!("draw {id}: {error}; no verdict");
			return Ok(None);
		}
		verdict => verdict.map_err(|error| ChainError::Node(format!("the engine: {error}")))?,
	};
	tracing::info!("draw {id}: {verdict:?}");
	Ok(Some(verdict))
}

/// Asks the worker once.
async fn ask(
	context: &Context,
	chain: &Chain,
	network: &Network,
	block: Block,
	id: DrawId,
	draw: &DrawView,
) -> Result<Opening, String> {
	// Looked up every time: a worker that has restarted has another address.
	let block = chain.finalized().await.unwrap_or(block);
	let worker: Option<WorkerView> = chain
		.api("worker", (&draw.worker,), block.hash)
		.await
		.map_err(|error| error.to_string())?;
	let worker = worker.ok_or("the worker is not registered any more")?;
	let verifier = context.me.clone();
	let payload = OpeningRequest::signing_payload(&chain.genesis(), id, &verifier);
	let request = OpeningRequest {
		draw: id,
		verifier,
		signature: context.pair.sign(&payload),
	};
	match network.ask(&worker.address, request).await {
		Ok(Ok(opening)) => Ok(opening),
		Ok(Err(refusal)) => Err(format!("the worker answers {refusal:?}")),
		Err(error) => Err(error.to_string()),
	}
}

/// Compares an opening with the record of this identifier, re-executing the answer.
pub(super) async fn judge(
	engine: &EngineHandle,
	leaf: H256,
	opening: Opening,
) -> Result<Verdict, SubmitError> {
	let file = ReceiptFile {
		signed: opening.receipt,
		salt: opening.salt,
		prompt: opening.prompt,
		output: opening.output,
		constraints: opening.constraints,
		text: None,
	};
	if file.signed.leaf() != leaf {
		return Ok(Verdict::Reject(Fault::WrongOpening));
	}
	if let Err(failure) = check_fields(engine.model(), &file) {
		return Ok(Verdict::Reject(failure.fault()));
	}
	let request = RecheckRequest::from(&file);
	loop {
		match engine.recheck(request.clone(), Purpose::Claim).await {
			Ok(Ok(_)) => return Ok(Verdict::Accept),
			Ok(Err(fault)) => return Ok(Verdict::Reject(fault)),
			Err(SubmitError::QueueFull(_) | SubmitError::Invalid(EngineError::GrammarsBusy(_))) => {
				tokio::time::sleep(PAUSE / 4).await
			}
			Err(error) => return Err(error),
		}
	}
}
