//! The journal: every receipt that was handed out and what became of it, on disk before anybody relies on it.
//!
//! `journal.jsonl` holds one JSON object a line and is only ever appended to:
//!
//! ```text
//! {"receipt": {..}}                                       an answer, before its receipt is handed out
//! {"batch": {"root", "from", "until", "leaves": [..]}}    receipts about to be committed, before they are
//! {"committed": {"root", "batch"}}                        that batch is final on the chain under this number
//! {"dropped": {"root", "requeue"}}                        that batch will never be
//! ```
//!
//! A worker that is killed at any moment goes on from here. In memory is where each receipt stands in the file, some
//! hundred bytes, and the receipts that are in no final batch; a journal is started anew by moving the file away once
//! all of its batches are over.

use crate::engine::receipt::ReceiptFile;
use aria_primitives::{AccountId, H256, ModelId, merkle, receipt::SignedReceipt, work::BatchId};
use serde::{Deserialize, Serialize};
use std::{
	collections::{HashMap, HashSet},
	fs::{File, OpenOptions, TryLockError},
	io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
	path::{Path, PathBuf},
	sync::{Arc, Mutex, PoisonError, RwLock},
};

/// The journal's file in its folder.
pub const FILE_NAME: &str = "journal.jsonl";
/// Longest line, bytes: prompt and answer of the longest receipt file.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// Why something could not be written, or read again.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
	/// The disk refused.
	#[error("can't write the journal: {0}")]
	Io(#[from] std::io::Error),
	/// A receipt that could not be read back.
	#[error("the receipt is too long for the journal")]
	TooLong,
	/// An earlier write failed halfway and could not be undone.
	#[error("the journal ended after a failed write; restart the worker")]
	Broken,
	/// What was written is not there any more.
	#[error("can't read a receipt in the journal again: {0}")]
	Read(String),
	/// A batch or receipt that the journal does not hold.
	#[error("the journal holds no such {0}")]
	Unknown(&'static str),
}

/// Why a journal can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
	/// A file could not be created, read or cut.
	#[error("can't open {path}: {error}")]
	Io {
		/// The file.
		path: PathBuf,
		/// Why.
		error: std::io::Error,
	},
	/// Another worker has it.
	#[error("{0} is in use by another worker; give each its own --state-dir")]
	InUse(PathBuf),
	/// A line that no worker wrote.
	#[error(
		"{path}, line {line}, is damaged ({reason}); restore the file, or move it away to start without its receipts"
	)]
	Damaged {
		/// The file.
		path: PathBuf,
		/// Line number, from 1.
		line: usize,
		/// What is wrong with it.
		reason: String,
	},
}

/// Where a receipt was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
	/// The batch.
	pub batch: BatchId,
	/// Which leaf of it.
	pub leaf_index: u32,
}

/// A receipt of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
	/// The receipt and what is needed to check it.
	pub file: ReceiptFile,
	/// Where it is committed, once that is final.
	pub committed: Option<Committed>,
}

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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
	Receipt(serde_json::Value),
	Batch(PendingBatch),
	Committed { root: H256, batch: BatchId },
	Dropped { root: H256, requeue: bool },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
	/// In no batch.
	Waiting,
	/// In a batch that is not final.
	Pending,
	Committed(Committed),
	/// In a batch that was given up.
	Lost,
}

/// A line of the file.
#[derive(Clone, Copy)]
struct Range {
	at: u64,
	len: u64,
}

/// A receipt that is in the file.
struct Held {
	range: Range,
	place: Place,
	/// While it may be committed.
	signed: Option<Box<SignedReceipt>>,
}

#[derive(Default)]
struct State {
	entries: HashMap<H256, Held>,
	/// Identifiers of waiting receipts, oldest first.
	waiting: Vec<H256>,
	pending: Vec<PendingBatch>,
	committed: HashMap<BatchId, Vec<H256>>,
}

impl State {
	fn put(&mut self, ids: &[H256], place: impl Fn(u32) -> Place) {
		for (index, id) in ids.iter().enumerate() {
			if let Some(held) = self.entries.get_mut(id) {
				held.place = place(index as u32);
				if matches!(held.place, Place::Committed(_) | Place::Lost) {
					held.signed = None;
				}
			}
		}
	}

	fn take_pending(&mut self, root: &H256) -> Option<PendingBatch> {
		let index = self.pending.iter().position(|batch| batch.root == *root)?;
		Some(self.pending.remove(index))
	}

	fn waits(&self, id: &H256) -> bool {
		let held = self.entries.get(id);
		held.is_some_and(|held| held.place == Place::Waiting)
	}

	fn apply(&mut self, line: Line, range: Range) -> Result<(), String> {
		match line {
			Line::Receipt(json) => {
				let file =
					ReceiptFile::from_json(&json.to_string()).map_err(|error| error.to_string())?;
				self.add(file.signed, range);
			}
			Line::Batch(batch) => {
				if batch.leaves.is_empty() || merkle::root(&batch.leaves) != batch.root {
					return Err("a batch's leaves do not hash to its root".into());
				}
				if !batch.leaves.iter().all(|id| self.waits(id)) {
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

	fn add(&mut self, signed: SignedReceipt, range: Range) {
		let id = signed.leaf();
		if let std::collections::hash_map::Entry::Vacant(free) = self.entries.entry(id) {
			free.insert(Held {
				range,
				place: Place::Waiting,
				signed: Some(signed.into()),
			});
			self.waiting.push(id);
		}
	}

	fn begin(&mut self, batch: PendingBatch) {
		self.put(&batch.leaves, |_| Place::Pending);
		let entries = &self.entries;
		let waits = |id: &H256| {
			let held = entries.get(id);
			held.is_some_and(|held| held.place == Place::Waiting)
		};
		self.waiting.retain(waits);
		self.pending.push(batch);
	}

	fn commit(&mut self, root: &H256, batch: BatchId) -> Option<()> {
		let pending = self.take_pending(root)?;
		self.put(&pending.leaves, |leaf_index| {
			Place::Committed(Committed { batch, leaf_index })
		});
		self.committed.insert(batch, pending.leaves);
		Some(())
	}

	fn drop_batch(&mut self, root: &H256, requeue: bool) -> Option<()> {
		let pending = self.take_pending(root)?;
		if requeue {
			self.put(&pending.leaves, |_| Place::Waiting);
			let later = std::mem::replace(&mut self.waiting, pending.leaves);
			self.waiting.extend(later);
		} else {
			self.put(&pending.leaves, |_| Place::Lost);
		}
		Some(())
	}
}

struct Writer {
	file: File,
	/// Length up to which the file is known to be whole.
	len: u64,
	broken: bool,
}

impl Writer {
	fn append(&mut self, line: &Line) -> Result<Range, JournalError> {
		if self.broken {
			return Err(JournalError::Broken);
		}
		let mut bytes = serde_json::to_vec(line).map_err(std::io::Error::from)?;
		bytes.push(b'\n');
		if bytes.len() as u64 > MAX_LINE {
			return Err(JournalError::TooLong);
		}
		let written = self
			.file
			.write_all(&bytes)
			.and_then(|()| self.file.sync_data());
		if let Err(error) = written {
			// Half a line must not stay in front of the next one.
			let undone = self
				.file
				.set_len(self.len)
				.and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
			self.broken = undone.is_err();
			return Err(error.into());
		}
		let range = Range {
			at: self.len,
			len: bytes.len() as u64,
		};
		self.len += range.len;
		Ok(range)
	}
}

struct Inner {
	/// With a position of its own.
	reader: Mutex<File>,
	/// Locked around every change, so that the file's order is the memory's order.
	writer: Mutex<Writer>,
	state: RwLock<State>,
}

/// The journal of a worker. Clones are the same journal.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

impl Journal {
	/// Opens the journal in a folder, which is created if needed, and replays it.
	///
	/// A last line without its end, as a crash leaves it, is cut off: nobody was told that it was written.
	pub fn open(dir: &Path) -> Result<Self, OpenError> {
		let path = dir.join(FILE_NAME);
		let io = |error| OpenError::Io {
			path: path.clone(),
			error,
		};
		create_private_dir(dir).map_err(io)?;
		let mut options = OpenOptions::new();
		options.create(true).truncate(false).read(true).write(true);
		// Prompts are in it.
		#[cfg(unix)]
		std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
		let mut file = options.open(&path).map_err(io)?;
		match file.try_lock() {
			Ok(()) => {}
			Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path)),
			Err(TryLockError::Error(error)) => return Err(io(error)),
		}
		let (state, len) = replay(&file, &path)?;
		if file.metadata().map_err(io)?.len() > len {
			tracing::warn!(
				"{}: cut off a last line that was not fully written",
				path.display()
			);
			file.set_len(len)
				.and_then(|()| file.sync_all())
				.map_err(io)?;
		}
		file.seek(SeekFrom::Start(len)).map_err(io)?;
		// The folder's entry must survive a crash as well.
		File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
		Ok(Self(Arc::new(Inner {
			reader: Mutex::new(File::open(&path).map_err(io)?),
			writer: Mutex::new(Writer {
				file,
				len,
				broken: false,
			}),
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
		match tokio::task::spawn_blocking(write).await {
			Ok(result) => result,
			Err(_) => Err(JournalError::Broken),
		}
	}

	/// Appends a receipt and returns its identifier once it is on disk. A receipt that it holds is not written again.
	pub async fn record(&self, file: ReceiptFile) -> Result<H256, JournalError> {
		let id = file.signed.leaf();
		let json = file.to_json();
		self.write(
			move |state| Ok((!state.entries.contains_key(&id)).then_some(Line::Receipt(json))),
			move |state, range| {
				if let Some(range) = range {
					state.add(file.signed, range);
				}
			},
		)
		.await?;
		Ok(id)
	}

	/// Reads a receipt from the disk.
	fn read_file(&self, range: Range) -> Result<ReceiptFile, JournalError> {
		let mut bytes = vec![0; range.len as usize];
		let mut read = || -> std::io::Result<Line> {
			let mut file = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner);
			file.seek(SeekFrom::Start(range.at))?;
			file.read_exact(&mut bytes)?;
			Ok(serde_json::from_slice(&bytes)?)
		};
		let line = read().map_err(|error| JournalError::Read(error.to_string()))?;
		let Line::Receipt(json) = line else {
			return Err(JournalError::Read("the line holds something else".into()));
		};
		ReceiptFile::from_json(&json.to_string())
			.map_err(|error| JournalError::Read(error.to_string()))
	}

	/// A receipt by its identifier: the leaf hash of the signed receipt.
	///
	/// # Errors
	///
	/// If the disk fails.
	pub fn get(&self, id: &H256) -> Result<Option<Entry>, JournalError> {
		let found = self.read(|state| state.entries.get(id).map(|held| (held.range, held.place)));
		let Some((range, place)) = found else {
			return Ok(None);
		};
		let committed = match place {
			Place::Committed(committed) => Some(committed),
			_ => None,
		};
		let file = self.read_file(range)?;
		Ok(Some(Entry { file, committed }))
	}

	/// Models of this worker's receipts that are in no batch.
	pub fn waiting_models(&self, worker: &AccountId) -> HashSet<ModelId> {
		self.read(|state| {
			let held = state.waiting.iter().filter_map(|id| state.entries.get(id));
			let receipts = held.filter_map(|held| Some(&held.signed.as_ref()?.receipt));
			let ours = receipts.filter(|receipt| receipt.worker == *worker);
			ours.map(|receipt| receipt.model).collect()
		})
	}

	/// Up to `limit` receipts of this worker and these models that are in no batch, oldest first.
	pub fn waiting(
		&self,
		worker: &AccountId,
		models: &HashSet<ModelId>,
		limit: usize,
	) -> Vec<(H256, SignedReceipt)> {
		self.read(|state| {
			let receipt = |id: &H256| Some((*id, state.entries.get(id)?.signed.as_deref()?));
			let ours = |(_, signed): &(H256, &SignedReceipt)| {
				signed.receipt.worker == *worker && models.contains(&signed.receipt.model)
			};
			let found = state.waiting.iter().filter_map(receipt).filter(ours);
			found
				.take(limit)
				.map(|(id, signed)| (id, signed.clone()))
				.collect()
		})
	}

	/// Batches whose end is not known.
	pub fn pending(&self) -> Vec<PendingBatch> {
		self.read(|state| state.pending.clone())
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
				if line.leaves.is_empty() || !line.leaves.iter().all(|id| state.waits(id)) {
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
			let known = state.pending.iter().any(|batch| batch.root == root);
			known
				.then_some(Some(line))
				.ok_or(JournalError::Unknown("batch"))
		};
		let apply = move |state: &mut State, _| apply(state);
		self.write(known, apply).await.map(|_| ())
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
			let leaves = state.committed.get(&batch)?;
			let held = state.entries.get(leaves.get(index as usize)?)?;
			Some((held.range, merkle::proof(leaves, index as usize)?))
		});
		let Some((range, proof)) = found else {
			return Ok(None);
		};
		Ok(Some((self.read_file(range)?, proof)))
	}
}

/// Creates a folder that only its owner may enter.
pub(crate) fn create_private_dir(dir: &Path) -> std::io::Result<()> {
	let mut builder = std::fs::DirBuilder::new();
	builder.recursive(true);
	#[cfg(unix)]
	std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
	builder.create(dir)
}

/// Reads all lines: what they amount to, and the length up to the end of the last whole one.
fn replay(file: &File, path: &Path) -> Result<(State, u64), OpenError> {
	let mut state = State::default();
	let mut reader = BufReader::new(file);
	let (mut len, mut number) = (0, 0);
	let mut bytes = Vec::new();
	loop {
		bytes.clear();
		number += 1;
		let damaged = |reason: String| OpenError::Damaged {
			path: path.to_owned(),
			line: number,
			reason,
		};
		let read = reader
			.by_ref()
			.take(MAX_LINE + 1)
			.read_until(b'\n', &mut bytes)
			.map_err(|error| OpenError::Io {
				path: path.to_owned(),
				error,
			})? as u64;
		if read > MAX_LINE {
			return Err(damaged("too long".into()));
		}
		if bytes.last() != Some(&b'\n') {
			return Ok((state, len));
		}
		let line: Line = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
		let range = Range { at: len, len: read };
		state.apply(line, range).map_err(damaged)?;
		len += read;
	}
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
