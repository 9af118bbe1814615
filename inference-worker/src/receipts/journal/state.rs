//! What the lines of a journal amount to.

use super::line::{Line, PendingBatch, Range};
use crate::receipts::file::ReceiptFile;
use aria_primitives::{AccountId, H256, ModelId, merkle, receipt::SignedReceipt, work::BatchId};
use indexmap::{IndexMap, IndexSet, map::Entry};
use std::collections::HashMap;

/// Where a receipt was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
	/// The batch.
	pub batch: BatchId,
	/// Which leaf of it.
	pub leaf_index: u32,
}

/// What became of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
	/// In no batch.
	Waiting,
	/// In a batch that is not final.
	Pending,
	/// In a final batch.
	Committed(Committed),
	/// In a batch that was abandoned.
	Lost,
	/// Made for another chain than the one that the worker is on.
	OtherChain,
}

impl Place {
	/// Where it is committed, once that is final.
	pub fn committed(self) -> Option<Committed> {
		match self {
			Self::Committed(committed) => Some(committed),
			_ => None,
		}
	}
}

/// A receipt that is in the file.
pub(super) struct Kept {
	pub(super) range: Range,
	/// Who answered with what, and under which contract: its number in [`State::sources`].
	source: u32,
	chain: Option<ChainNumber>,
	place: Place,
}

/// A receipt that was looked for.
pub(super) struct Found {
	pub(super) number: u64,
	pub(super) range: Range,
	pub(super) place: Place,
}

/// Who answered, with what, and under which contract.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Source {
	worker: AccountId,
	pub(super) model: ModelId,
	pub(super) consent_version: u32,
}

/// A receipt's number: how many were written before it.
type Number = u32;
/// A chain's number: how many were known before it.
type ChainNumber = u32;

/// Duties to one chain.
#[derive(Default)]
pub(super) struct Duties {
	/// Waiting receipts, oldest first.
	pub(super) waiting: Vec<Number>,
	pub(super) pending: Vec<PendingBatch>,
	pub(super) committed: HashMap<BatchId, Vec<Number>>,
}

/// There is a `Kept` for each receipt that was ever written, so it has no more than what is looked for by it.
#[derive(Default)]
pub(super) struct State {
	/// All receipts by their identifiers, oldest first.
	pub(super) receipts: IndexMap<H256, Kept>,
	/// Sources of receipts, by number.
	sources: IndexSet<Source>,
	/// Chains by their origins, by number.
	chains: IndexSet<H256>,
	/// The chain that the worker was on last.
	chain: Option<ChainNumber>,
	/// Duties to that chain.
	pub(super) here: Duties,
	/// Duties to the others.
	elsewhere: HashMap<ChainNumber, Duties>,
}

impl State {
	/// What became of a receipt, as the present chain sees it.
	pub(super) fn place(&self, kept: &Kept) -> Place {
		if kept.chain == self.chain {
			kept.place
		} else {
			Place::OtherChain
		}
	}

	/// A receipt by its identifier.
	pub(super) fn find(&self, id: &H256) -> Option<Found> {
		let (number, _, kept) = self.receipts.get_full(id)?;
		Some(Found {
			number: number as u64,
			range: kept.range,
			place: self.place(kept),
		})
	}

	/// A receipt's identifier and where it is.
	fn numbered(&self, number: Number) -> Option<(&H256, &Kept)> {
		self.receipts.get_index(number as usize)
	}

	/// Waiting receipts of a worker with their sources, oldest first.
	pub(super) fn waiting_of<'a>(
		&'a self,
		worker: &'a AccountId,
	) -> impl Iterator<Item = (&'a H256, &'a Kept, &'a Source)> {
		let waiting = self.here.waiting.iter();
		let receipts = waiting.filter_map(|number| self.numbered(*number));
		receipts.filter_map(move |(id, kept)| {
			let source = self.sources.get_index(kept.source as usize)?;
			(source.worker == *worker).then_some((id, kept, source))
		})
	}

	/// Identifiers of a final batch's receipts, in order.
	pub(super) fn leaves(&self, batch: BatchId) -> Option<Vec<H256>> {
		let leaves = self.here.committed.get(&batch)?;
		let ids = leaves.iter().map(|leaf| Some(*self.numbered(*leaf)?.0));
		ids.collect()
	}

	/// Whether a batch may be made of these receipts.
	pub(super) fn may_be_batched(&self, leaves: &[H256]) -> bool {
		let waits = |id| {
			let kept = self.receipts.get(id);
			kept.is_some_and(|kept| self.place(kept) == Place::Waiting)
		};
		!leaves.is_empty() && leaves.iter().all(waits)
	}

	/// Whether duties are those to this chain.
	pub(super) fn is_on(&self, origin: &H256) -> bool {
		let known = self.chains.get_index_of(origin);
		known.is_some_and(|number| self.chain == Some(number as ChainNumber))
	}

	pub(super) fn apply(&mut self, line: Line, range: Range) -> Result<(), String> {
		match line {
			Line::Chain { origin } => self.go_to(origin),
			Line::Receipt(json) => {
				let file =
					ReceiptFile::from_json(&json.to_string()).map_err(|error| error.to_string())?;
				self.add(&file.signed, range);
			}
			Line::Batch(batch) => {
				if merkle::root(&batch.leaves) != batch.root {
					return Err("a batch's leaves do not hash to its root".into());
				}
				if !self.may_be_batched(&batch.leaves) {
					return Err("a batch of receipts that are not waiting".into());
				}
				self.begin(batch);
			}
			Line::Committed { root, batch } => {
				self.commit(&root, batch).ok_or("no such batch")?;
			}
			Line::Dropped { root, requeue } => {
				self.drop_batch(&root, requeue).ok_or("no such batch")?;
			}
		}
		Ok(())
	}

	/// From now on duties are those to this chain. What was kept before there was any is for the first one.
	pub(super) fn go_to(&mut self, origin: H256) {
		let chain = self.chains.insert_full(origin).0 as ChainNumber;
		match self.chain.replace(chain) {
			None => {
				for kept in self.receipts.values_mut() {
					kept.chain = Some(chain);
				}
			}
			Some(before) if before == chain => {}
			Some(before) => {
				let duties = self.elsewhere.remove(&chain).unwrap_or_default();
				let left = std::mem::replace(&mut self.here, duties);
				self.elsewhere.insert(before, left);
			}
		}
	}

	pub(super) fn add(&mut self, signed: &SignedReceipt, range: Range) {
		let receipt = &signed.receipt;
		let source = Source {
			worker: receipt.worker.clone(),
			model: receipt.model,
			consent_version: receipt.consent_version,
		};
		let source = self.sources.insert_full(source).0 as u32;
		if let Entry::Vacant(free) = self.receipts.entry(signed.leaf()) {
			self.here.waiting.push(free.index() as Number);
			free.insert(Kept {
				range,
				source,
				chain: self.chain,
				place: Place::Waiting,
			});
		}
	}

	/// Says of receipts, in the order of their batch, what became of them; returns their numbers.
	fn put(&mut self, ids: &[H256], place: impl Fn(u32) -> Place) -> Vec<Number> {
		let mut numbers = Vec::with_capacity(ids.len());
		for (index, id) in ids.iter().enumerate() {
			if let Some((number, _, kept)) = self.receipts.get_full_mut(id) {
				kept.place = place(index as u32);
				numbers.push(number as Number);
			}
		}
		numbers
	}

	fn take_pending(&mut self, root: &H256) -> Option<PendingBatch> {
		let pending = &mut self.here.pending;
		let index = pending.iter().position(|batch| batch.root == *root)?;
		Some(pending.remove(index))
	}

	pub(super) fn begin(&mut self, batch: PendingBatch) {
		self.put(&batch.leaves, |_| Place::Pending);
		let receipts = &self.receipts;
		let waits = |number: &Number| {
			let kept = receipts.get_index(*number as usize);
			kept.is_some_and(|(_, kept)| kept.place == Place::Waiting)
		};
		self.here.waiting.retain(waits);
		self.here.pending.push(batch);
	}

	pub(super) fn commit(&mut self, root: &H256, batch: BatchId) -> Option<()> {
		let pending = self.take_pending(root)?;
		let leaves = self.put(&pending.leaves, |leaf_index| {
			Place::Committed(Committed { batch, leaf_index })
		});
		self.here.committed.insert(batch, leaves);
		Some(())
	}

	pub(super) fn drop_batch(&mut self, root: &H256, requeue: bool) -> Option<()> {
		let pending = self.take_pending(root)?;
		if requeue {
			let again = self.put(&pending.leaves, |_| Place::Waiting);
			let later = std::mem::replace(&mut self.here.waiting, again);
			self.here.waiting.extend(later);
		} else {
			self.put(&pending.leaves, |_| Place::Lost);
		}
		Some(())
	}
}
