//! The journal: every receipt that was handed out and what became of it, on disk before anybody relies on it.
//!
//! `journal.jsonl` holds one JSON object a line and is only ever appended to:
//!
//! ```text
//! {"chain": {"origin"}}                                   the worker is on this chain: the lines below are for it
//! {"receipt": {..}}                                       an answer, before its receipt is handed out
//! {"batch": {"root", "from", "until", "leaves": [..]}}    receipts about to be committed, before they are
//! {"committed": {"root", "batch"}}                        that batch is final on the chain under this number
//! {"dropped": {"root", "requeue"}}                        that batch will never be
//! ```
//!
//! A worker that is killed at any moment goes on from here. A receipt is for the chain that the worker was on when it
//! was written, or for the first one: on another chain, such as a development chain that was started anew, it neither
//! waits nor is it opened, and it is there again once the worker is back.
//!
//! In memory is where each receipt stands in the file and what became of it, some hundred bytes; a journal is started
//! anew by moving the file away once all of its batches are over.

use super::file::ReceiptFile;
use aria_primitives::{AccountId, H256, ModelId, merkle, receipt::SignedReceipt, work::BatchId};
use file::{Reader, Writer};
use line::{Line, Range};
use serde::{Deserialize, Serialize};
use state::State;
use std::{
	collections::HashSet,
	ops::RangeInclusive,
	path::Path,
	sync::{Arc, Mutex, PoisonError, RwLock},
};

mod entry;
mod error;
mod file;
mod line;
mod state;

pub use entry::Entry;
pub use error::{JournalError, OpenError};
pub use file::FILE_NAME;
pub use line::PendingBatch;
pub use state::{Committed, Place};

/// A receipt in the order of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
	/// How many were written before it.
	pub number: u64,
	/// Its identifier.
	pub id: H256,
	/// What was signed.
	pub signed: SignedReceipt,
	/// What became of it.
	pub place: Place,
}

/// That a receipt is a leaf of a final batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
	/// Where it is committed.
	pub at: Committed,
	/// The batch's Merkle root.
	pub root: H256,
	/// How many leaves the batch has.
	pub count: u32,
	/// Sibling hashes from the leaf up to the root.
	pub path: Vec<H256>,
}

/// How many receipts there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
	/// All of them, those for other chains too.
	pub receipts: usize,
	/// In no batch.
	pub waiting: usize,
	/// In batches that are not final.
	pub pending: usize,
	/// In final batches.
	pub committed: usize,
}

struct Inner {
	reader: Reader,
	/// Locked around every change, so that the file's order is the memory's order.
	writer: Mutex<Writer>,
	state: RwLock<State>,
}

/// A journal as its file has it now, whether or not a worker goes on writing it. Nothing is locked or changed.
pub struct Snapshot {
	reader: Reader,
	state: State,
}

impl Snapshot {
	/// Reads the journal in a folder.
	///
	/// # Errors
	///
	/// If there is none, or it can't be read.
	pub fn read(dir: &Path) -> Result<Self, OpenError> {
		let (reader, state) = Reader::replay(dir)?;
		Ok(Self { reader, state })
	}

	/// A receipt by its identifier, as [`Journal::get`].
	///
	/// # Errors
	///
	/// If the disk fails.
	pub fn get(&self, id: &H256) -> Result<Option<Entry>, JournalError> {
		let found = self.state.find(id);
		found.map(|found| self.reader.entry(found)).transpose()
	}
}

/// The journal of a worker. Clones are the same journal.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

/// Does what the disk may hold up, off the async threads.
async fn blocking<T: Send + 'static>(
	work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
	match tokio::task::spawn_blocking(work).await {
		Ok(result) => result,
		Err(_) => Err(JournalError::Broken),
	}
}

impl Journal {
	/// Opens the journal in a folder, which is created if needed, and replays it.
	///
	/// A last line without its end, as a crash leaves it, is cut off: nobody was told that it was written.
	pub fn open(dir: &Path) -> Result<Self, OpenError> {
		let (writer, state) = Writer::open(dir)?;
		Ok(Self(Arc::new(Inner {
			reader: Reader::open(dir)?,
			writer: Mutex::new(writer),
			state: RwLock::new(state),
		})))
	}

	fn read<R>(&self, read: impl FnOnce(&State) -> R) -> R {
		read(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
	}

	/// Writes a line and applies it, off the async threads, even when the caller no longer waits.
	async fn write<R: Send + 'static>(
		&self,
		line: impl FnOnce(&State) -> Result<Option<Line>, JournalError> + Send + 'static,
		apply: impl FnOnce(&mut State, Option<Range>) -> R + Send + 'static,
	) -> Result<R, JournalError> {
		let inner = self.0.clone();
		let write = move || {
			let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
			let line = line(&inner.state.read().unwrap_or_else(PoisonError::into_inner))?;
			let range = line.map(|line| writer.append(&line)).transpose()?;
			let mut state = inner.state.write().unwrap_or_else(PoisonError::into_inner);
			Ok(apply(&mut state, range))
		};
		blocking(write).await
	}

	/// Appends a receipt and returns its identifier once it is on disk. A receipt that it holds is not written again.
	pub async fn record(&self, file: ReceiptFile) -> Result<H256, JournalError> {
		let id = file.signed.leaf();
		let json = file.to_json();
		self.write(
			move |state| Ok((!state.receipts.contains_key(&id)).then_some(Line::Receipt(json))),
			move |state, range| {
				if let Some(range) = range {
					state.add(&file.signed, range);
				}
			},
		)
		.await?;
		Ok(id)
	}

	/// A receipt by its identifier: the leaf hash of the signed receipt.
	///
	/// # Errors
	///
	/// If the disk fails.
	pub fn get(&self, id: &H256) -> Result<Option<Entry>, JournalError> {
		let found = self.read(|state| state.find(id));
		found.map(|found| self.0.reader.entry(found)).transpose()
	}

	/// Up to `limit` receipts, newest first: those numbered below `before`, or the newest.
	///
	/// # Errors
	///
	/// If the disk fails.
	pub fn latest(&self, before: Option<u64>, limit: usize) -> Result<Vec<Listed>, JournalError> {
		let found: Vec<(usize, H256, Range, Place)> = self.read(|state| {
			let written = state.receipts.len();
			let end = before.map_or(written, |before| {
				usize::try_from(before).map_or(written, |before| before.min(written))
			});
			let receipts = state
				.receipts
				.iter()
				.enumerate()
				.take(end)
				.rev()
				.take(limit);
			let listed =
				receipts.map(|(number, (id, kept))| (number, *id, kept.range, state.place(kept)));
			listed.collect()
		});
		let listed = found.into_iter().map(|(number, id, range, place)| {
			Ok(Listed {
				number: number as u64,
				id,
				signed: self.0.reader.receipt(range)?.signed,
				place,
			})
		});
		listed.collect()
	}

	/// How many receipts there are, and how many of them wait on the present chain.
	pub fn counts(&self) -> Counts {
		self.read(|state| {
			let duties = &state.here;
			Counts {
				receipts: state.receipts.len(),
				waiting: duties.waiting.len(),
				pending: duties.pending.iter().map(|batch| batch.leaves.len()).sum(),
				committed: duties.committed.values().map(Vec::len).sum(),
			}
		})
	}

	/// Notes which chain the worker is on, by [`Chain::origin`](crate::chain::Chain::origin).
	pub async fn go_to(&self, origin: H256) -> Result<(), JournalError> {
		self.write(
			move |state| Ok((!state.is_on(&origin)).then_some(Line::Chain { origin })),
			move |state, _| state.go_to(origin),
		)
		.await
	}

	/// Models of this worker's receipts that are in no batch.
	pub fn waiting_models(&self, worker: &AccountId) -> HashSet<ModelId> {
		self.read(|state| {
			let models = state.waiting_of(worker).map(|(.., source)| source.model);
			models.collect()
		})
	}

	/// Up to `limit` receipts of this worker, these models and these versions of its consent that are in no batch,
	/// oldest first.
	///
	/// # Errors
	///
	/// If the disk fails.
	pub async fn waiting(
		&self,
		worker: &AccountId,
		models: &HashSet<ModelId>,
		consent: RangeInclusive<u32>,
		limit: usize,
	) -> Result<Vec<(H256, SignedReceipt)>, JournalError> {
		let found: Vec<(H256, Range)> = self.read(|state| {
			let ours = state.waiting_of(worker).filter(|(.., source)| {
				models.contains(&source.model) && consent.contains(&source.consent_version)
			});
			ours.take(limit)
				.map(|(id, kept, _)| (*id, kept.range))
				.collect()
		});
		let inner = self.0.clone();
		let read = move |(id, range)| Ok((id, inner.reader.receipt(range)?.signed));
		blocking(move || found.into_iter().map(read).collect()).await
	}

	/// Batches whose end is not known.
	pub fn pending(&self) -> Vec<PendingBatch> {
		self.read(|state| state.here.pending.clone())
	}

	/// Writes down a batch that is about to be submitted, and returns its root.
	pub async fn begin_batch(
		&self,
		leaves: Vec<H256>,
		from: BatchId,
		until: u32,
	) -> Result<H256, JournalError> {
		let root = merkle::root(&leaves);
		let batch = PendingBatch {
			root,
			from,
			until,
			leaves,
		};
		let line = batch.clone();
		self.write(
			move |state| {
				if !state.may_be_batched(&line.leaves) {
					return Err(JournalError::Unknown("waiting receipt"));
				}
				Ok(Some(Line::Batch(line)))
			},
			move |state, _| state.begin(batch),
		)
		.await?;
		Ok(root)
	}

	/// Writes down that a batch is final.
	pub async fn commit_batch(&self, root: H256, batch: BatchId) -> Result<(), JournalError> {
		self.end_batch(root, Line::Committed { root, batch }, move |state| {
			state.commit(&root, batch)
		})
		.await
	}

	/// Writes down that a batch will never be on the chain; its receipts wait again with `requeue`.
	pub async fn drop_batch(&self, root: H256, requeue: bool) -> Result<(), JournalError> {
		self.end_batch(root, Line::Dropped { root, requeue }, move |state| {
			state.drop_batch(&root, requeue)
		})
		.await
	}

	async fn end_batch(
		&self,
		root: H256,
		line: Line,
		apply: impl FnOnce(&mut State) -> Option<()> + Send + 'static,
	) -> Result<(), JournalError> {
		let known = move |state: &State| {
			let known = state.here.pending.iter().any(|batch| batch.root == root);
			known
				.then_some(Some(line))
				.ok_or(JournalError::Unknown("batch"))
		};
		let apply = move |state: &mut State, _| apply(state);
		self.write(known, apply).await.map(|_| ())
	}

	/// Shows that a receipt is in a final batch.
	pub fn proof(&self, id: &H256) -> Option<Proof> {
		let (at, leaves) = self.read(|state| {
			let at = state.place(state.receipts.get(id)?).committed()?;
			Some((at, state.leaves(at.batch)?))
		})?;
		Some(Proof {
			at,
			root: merkle::root(&leaves),
			count: leaves.len() as u32,
			path: merkle::proof(&leaves, at.leaf_index as usize)?,
		})
	}

	/// A leaf of a committed batch, with its Merkle proof.
	///
	/// # Errors
	///
	/// If the disk fails.
	pub fn leaf(
		&self,
		batch: BatchId,
		index: u32,
	) -> Result<Option<(ReceiptFile, Vec<H256>)>, JournalError> {
		let found = self.read(|state| {
			let leaves = state.leaves(batch)?;
			let kept = state.receipts.get(leaves.get(index as usize)?)?;
			Some((kept.range, merkle::proof(&leaves, index as usize)?))
		});
		let Some((range, proof)) = found else {
			return Ok(None);
		};
		Ok(Some((self.0.reader.receipt(range)?, proof)))
	}
}

#[cfg(test)]
mod tests;
