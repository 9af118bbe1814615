//! What the lines of a journal amount to.

use super::file::Range;
use crate::engine::receipt::ReceiptFile;
use aria_primitives::{H256, merkle, receipt::SignedReceipt, work::BatchId};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, hash_map};

/// A batch that was, or was about to be, submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingBatch {
	/// Merkle root of its leaves.
	pub root: H256,
	/// Its number on the chain is at least this.
	pub from: BatchId,
	/// Last block that can include the call.
	pub until: u32,
	/// Identifiers of its receipts, in order.
	pub leaves: Vec<H256>,
}

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
	/// In a batch that was given up.
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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
	Chain { origin: H256 },
	Receipt(serde_json::Value),
	Batch(PendingBatch),
	Committed { root: H256, batch: BatchId },
	Dropped { root: H256, requeue: bool },
}

/// A receipt that is in the file.
pub(super) struct Kept {
	pub(super) range: Range,
	/// While it may be committed.
	pub(super) signed: Option<Box<SignedReceipt>>,
	chain: Option<H256>,
	place: Place,
}

/// Duties to one chain.
#[derive(Default)]
pub(super) struct Duties {
	/// Identifiers of waiting receipts, oldest first.
	pub(super) waiting: Vec<H256>,
	pub(super) pending: Vec<PendingBatch>,
	pub(super) committed: HashMap<BatchId, Vec<H256>>,
}

#[derive(Default)]
pub(super) struct State {
	pub(super) entries: HashMap<H256, Kept>,
	/// Identifiers of all receipts, oldest first.
	pub(super) order: Vec<H256>,
	/// The chain that the worker was on last, by its origin.
	chain: Option<H256>,
	/// Duties to that chain.
	pub(super) here: Duties,
	/// Duties to the others.
	elsewhere: HashMap<H256, Duties>,
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

	/// Whether a batch may be made of these receipts.
	pub(super) fn wait(&self, leaves: &[H256]) -> bool {
		let waits = |id| {
			let kept = self.entries.get(id);
			kept.is_some_and(|kept| self.place(kept) == Place::Waiting)
		};
		!leaves.is_empty() && leaves.iter().all(waits)
	}

	/// Whether duties are those to this chain.
	pub(super) fn is_on(&self, origin: &H256) -> bool {
		self.chain.as_ref() == Some(origin)
	}

	pub(super) fn apply(&mut self, line: Line, range: Range) -> Result<(), String> {
		match line {
			Line::Chain { origin } => self.go_to(origin),
			Line::Receipt(json) => {
				let file =
					ReceiptFile::from_json(&json.to_string()).map_err(|error| error.to_string())?;
				self.add(file.signed, range);
			}
			Line::Batch(batch) => {
				if merkle::root(&batch.leaves) != batch.root {
					return Err("a batch's leaves do not hash to its root".into());
				}
				if !self.wait(&batch.leaves) {
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
		match self.chain.replace(origin) {
			None => {
				for kept in self.entries.values_mut() {
					kept.chain = Some(origin);
				}
			}
			Some(before) if before == origin => {}
			Some(before) => {
				let duties = self.elsewhere.remove(&origin).unwrap_or_default();
				let left = std::mem::replace(&mut self.here, duties);
				self.elsewhere.insert(before, left);
			}
		}
	}

	pub(super) fn add(&mut self, signed: SignedReceipt, range: Range) {
		let id = signed.leaf();
		if let hash_map::Entry::Vacant(free) = self.entries.entry(id) {
			free.insert(Kept {
				range,
				signed: Some(signed.into()),
				chain: self.chain,
				place: Place::Waiting,
			});
			self.order.push(id);
			self.here.waiting.push(id);
		}
	}

	fn put(&mut self, ids: &[H256], place: impl Fn(u32) -> Place) {
		for (index, id) in ids.iter().enumerate() {
			if let Some(kept) = self.entries.get_mut(id) {
				kept.place = place(index as u32);
				if matches!(kept.place, Place::Committed(_) | Place::Lost) {
					kept.signed = None;
				}
			}
		}
	}

	fn take_pending(&mut self, root: &H256) -> Option<PendingBatch> {
		let pending = &mut self.here.pending;
		let index = pending.iter().position(|batch| batch.root == *root)?;
		Some(pending.remove(index))
	}

	pub(super) fn begin(&mut self, batch: PendingBatch) {
		self.put(&batch.leaves, |_| Place::Pending);
		let entries = &self.entries;
		let waits = |id: &H256| {
			let kept = entries.get(id);
			kept.is_some_and(|kept| kept.place == Place::Waiting)
		};
		self.here.waiting.retain(waits);
		self.here.pending.push(batch);
	}

	pub(super) fn commit(&mut self, root: &H256, batch: BatchId) -> Option<()> {
		let pending = self.take_pending(root)?;
		self.put(&pending.leaves, |leaf_index| {
			Place::Committed(Committed { batch, leaf_index })
		});
		self.here.committed.insert(batch, pending.leaves);
		Some(())
	}

	pub(super) fn drop_batch(&mut self, root: &H256, requeue: bool) -> Option<()> {
		let pending = self.take_pending(root)?;
		if requeue {
			self.put(&pending.leaves, |_| Place::Waiting);
			let later = std::mem::replace(&mut self.here.waiting, pending.leaves);
			self.here.waiting.extend(later);
		} else {
			self.put(&pending.leaves, |_| Place::Lost);
		}
		Some(())
	}
}
