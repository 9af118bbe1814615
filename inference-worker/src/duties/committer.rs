//! Commits receipts in batches.
//!
//! A batch is written to the journal before it is submitted and identified on the chain by its root. It is committed
//! again only when no block can hold it any more: its extrinsic has expired, or has failed in a final block.

use super::context::{Context, next_block};
use crate::{
	chain::{Account, Block, Call, Chain, ChainError, ERA, now_ms},
	receipts::journal::{JournalError, PendingBatch},
};
use aria_primitives::{
	H256, ModelId,
	consent::{ConsentView, TaskKind},
	provenance::ModelView,
	receipt::SignedReceipt,
	work::{BatchId, BatchView, LedgerStats, Totals},
};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
	collections::{HashMap, HashSet},
	time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// Batches that wait for their final block at once.
const MAX_IN_FLIGHT: usize = 4;
/// Blocks between the write to the journal and the submission, at most.
const MARGIN: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
enum PassError {
	#[error(transparent)]
	Chain(#[from] ChainError),
	#[error(transparent)]
	Journal(#[from] JournalError),
}

/// Where the search for a batch stands.
#[derive(Clone, Copy)]
struct Search {
	next: BatchId,
	/// Whether a batch on the way was pruned, so that it may have been this one.
	pruned: bool,
}

type Sent = (H256, Result<(), ChainError>);

struct Committer<'a> {
	context: &'a Context,
	chain: &'a Chain,
	account: &'a Account,
	/// Most receipts of the next batch.
	limit: u32,
	searches: HashMap<H256, Search>,
	/// Models that the chain is known to know.
	registered: HashSet<ModelId>,
	in_flight: FuturesUnordered<BoxFuture<'a, Sent>>,
	pause: Duration,
	not_before: Instant,
	said: String,
}

/// Commits until the connection is lost.
pub(super) async fn run(
	context: &Context,
	chain: &Chain,
	account: &Account,
	blocks: &mut watch::Receiver<Option<Block>>,
) -> Result<(), ChainError> {
	let mut committer = Committer {
		context,
		chain,
		account,
		limit: chain.constant("UsefulWork", "MaxReceiptsPerBatch").await?,
		searches: HashMap::new(),
		registered: HashSet::new(),
		in_flight: FuturesUnordered::new(),
		pause: FIRST_PAUSE,
		not_before: Instant::now(),
		said: String::new(),
	};
	let mut ticks = tokio::time::interval(context.batch_every);
	ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
	loop {
		let result = tokio::select! {
			Some((root, result)) = committer.in_flight.next() => committer.sent(root, result).await,
			block = next_block(blocks) => committer.resolve(block?).await,
			_ = ticks.tick() => {
				let block = *blocks.borrow();
				match block {
					Some(block) => committer.commit(block).await,
					None => Ok(()),
				}
			}
		};
		if let Err(error) = result {
			committer.say(error.to_string());
			tokio::time::sleep(Duration::from_secs(1)).await;
		}
	}
}

impl<'a> Committer<'a> {
	/// Logs a problem once, not at every attempt.
	fn say(&mut self, text: String) {
		if text != self.said {
			tracing::warn!("committing: {text}; receipts are kept and committed later");
			self.said = text;
		}
	}

	/// Finds out what became of the batches that were submitted.
	async fn resolve(&mut self, block: Block) -> Result<(), PassError> {
		let pending = self.context.journal.pending();
		if pending.is_empty() {
			return Ok(());
		}
		let stats: LedgerStats = self.chain.api("stats", (), block.hash).await?;
		for batch in pending {
			self.find(&batch, stats.batches, block).await?;
		}
		Ok(())
	}

	async fn find(
		&mut self,
		pending: &PendingBatch,
		end: BatchId,
		block: Block,
	) -> Result<(), PassError> {
		let journal = &self.context.journal;
		let root = pending.root;
		let start = Search {
			next: pending.from,
			pruned: false,
		};
		let mut search = *self.searches.get(&root).unwrap_or(&start);
		while search.next < end {
			let id = search.next;
			let view: Option<BatchView> = self.chain.api("batch", (id,), block.hash).await?;
			match view {
				Some(view) if view.root == root && view.worker == self.context.me => {
					journal.commit_batch(root, id).await?;
					self.searches.remove(&root);
					tracing::info!("batch {id} of {} receipts is final", view.count);
					return Ok(());
				}
				Some(_) => {}
				None => search.pruned = true,
			}
			search.next = id.saturating_add(1);
			self.searches.insert(root, search);
		}
		if block.number > pending.until {
			self.searches.remove(&root);
			if search.pruned {
				tracing::warn!(
					"a batch of {} receipts can't be found and may have been pruned; it is abandoned",
					pending.leaves.len()
				);
			}
			journal.drop_batch(root, !search.pruned).await?;
		}
		Ok(())
	}

	/// Models of waiting receipts that the chain knows: a draw on any other could not be opened.
	async fn registered_models(&mut self, block: Block) -> Result<HashSet<ModelId>, ChainError> {
		let models = self.context.journal.waiting_models(&self.context.me);
		let mut registered = HashSet::new();
		for id in models {
			if !self.registered.contains(&id) {
				let known: Option<ModelView> = self.chain.api("model", (id,), block.hash).await?;
				if known.is_none() {
					continue;
				}
				self.registered.insert(id);
			}
			registered.insert(id);
		}
		Ok(registered)
	}

	/// Submits what waits.
	async fn commit(&mut self, block: Block) -> Result<(), PassError> {
		if self.in_flight.len() >= MAX_IN_FLIGHT || Instant::now() < self.not_before {
			return Ok(());
		}
		let context = self.context;
		let models = self.registered_models(block).await?;
		if models.is_empty() {
			return Ok(());
		}
		let consent: Option<ConsentView> = self
			.chain
			.api("consent", (&context.me,), block.hash)
			.await?;
		let in_force = consent.filter(|view| view.terms.permits(TaskKind::TextGen, now_ms()));
		let Some(consent) = in_force else {
			// The chain would take the fee and refuse.
			self.say("the consent contract does not allow it now".into());
			return Ok(());
		};
		// What was answered without a contract can't be opened, nor under one that a final block does not know yet.
		let receipts = context
			.journal
			.waiting(
				&context.me,
				&models,
				1..=consent.version,
				self.limit as usize,
			)
			.await?;
		if receipts.is_empty() {
			return Ok(());
		}
		let (leaves, receipts): (Vec<H256>, Vec<SignedReceipt>) = receipts.into_iter().unzip();
		let stats: LedgerStats = self.chain.api("stats", (), block.hash).await?;
		let count = leaves.len() as u32;
		let until = block.number.saturating_add(ERA + MARGIN);
		let root = context
			.journal
			.begin_batch(leaves, stats.batches, until)
			.await?;
		let call = Call::commit_batch(root, count, totals(&receipts));
		tracing::info!("committing {count} receipts");
		let account = self.account;
		self.in_flight.push(Box::pin(async move {
			(root, account.send(&call, Some(until)).await)
		}));
		Ok(())
	}

	/// A submission has ended.
	async fn sent(&mut self, root: H256, result: Result<(), ChainError>) -> Result<(), PassError> {
		let Err(error) = result else {
			self.pause = FIRST_PAUSE;
			self.said.clear();
			return Ok(());
		};
		// Only a call that failed in a final block will surely never succeed; all others are looked for until
		// their time is over.
		if matches!(error, ChainError::Dispatch { .. }) {
			let known = self.context.journal.pending();
			if known.iter().any(|batch| batch.root == root) {
				self.context.journal.drop_batch(root, true).await?;
			}
			let too_many = error.is("UsefulWork.BondTooLow")
				|| error.is("UsefulWork.TooManyObligations")
				|| error.is("UsefulWork.BadReceiptCount");
			if too_many {
				self.limit = (self.limit / 2).max(1);
			}
		}
		self.not_before = Instant::now() + self.pause;
		self.pause = (self.pause * 2).min(LONGEST_PAUSE);
		self.say(error.to_string());
		Ok(())
	}
}

fn totals(receipts: &[SignedReceipt]) -> Totals {
	let mut totals = Totals::default();
	for SignedReceipt { receipt, .. } in receipts {
		let tokens = u64::from(receipt.prompt_tokens) + u64::from(receipt.output_tokens);
		totals.tokens = totals.tokens.saturating_add(tokens);
		totals.operations = totals.operations.saturating_add(receipt.operations);
		totals.microjoules = totals
			.microjoules
			.saturating_add(receipt.energy.microjoules);
	}
	totals
}
