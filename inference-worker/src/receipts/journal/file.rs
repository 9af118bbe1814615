//! The journal's file: appending whole lines, and reading them back.

use super::{
	entry::Entry,
	error::{JournalError, OpenError},
	line::{Line, Range},
	state::{Found, State},
};
use crate::receipts::file::ReceiptFile;
use std::{
	fs::{File, OpenOptions, TryLockError},
	io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
	path::Path,
	sync::{Mutex, PoisonError},
};

/// The journal's file in its folder.
pub const FILE_NAME: &str = "journal.jsonl";

/// Longest line, bytes: prompt and answer of the longest receipt file.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// The journal's file, open and locked.
pub(super) struct Writer {
	file: File,
	/// Length up to which the file is known to be whole.
	len: u64,
	broken: bool,
}

impl Writer {
	/// Opens the file in a folder, which is created if needed, and replays it.
	pub(super) fn open(dir: &Path) -> Result<(Self, State), OpenError> {
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
		let writer = Self {
			file,
			len,
			broken: false,
		};
		Ok((writer, state))
	}

	pub(super) fn append(&mut self, line: &Line) -> Result<Range, JournalError> {
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

/// The journal's file, with a position of its own.
pub(super) struct Reader(Mutex<File>);

impl Reader {
	pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
		let path = dir.join(FILE_NAME);
		let file = File::open(&path).map_err(|error| OpenError::Io { path, error })?;
		Ok(Self(Mutex::new(file)))
	}

	/// Opens the file and reads what its lines amount to, leaving it as it is.
	pub(super) fn replay(dir: &Path) -> Result<(Self, State), OpenError> {
		let path = dir.join(FILE_NAME);
		let reader = Self::open(dir)?;
		let file = reader.0.lock().unwrap_or_else(PoisonError::into_inner);
		let (state, _) = replay(&file, &path)?;
		drop(file);
		Ok((reader, state))
	}

	/// Reads a receipt that was found.
	pub(super) fn entry(&self, found: Found) -> Result<Entry, JournalError> {
		Ok(Entry {
			number: found.number,
			file: self.receipt(found.range)?,
			place: found.place,
		})
	}

	/// Reads a receipt.
	pub(super) fn receipt(&self, range: Range) -> Result<ReceiptFile, JournalError> {
		let mut bytes = vec![0; range.len as usize];
		let mut read = || -> std::io::Result<Line> {
			let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Creates a folder that only its owner may enter.
fn create_private_dir(dir: &Path) -> std::io::Result<()> {
	let mut builder = std::fs::DirBuilder::new();
	builder.recursive(true);
	#[cfg(unix)]
	std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
	builder.create(dir)
}
