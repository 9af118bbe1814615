//! Why the journal fails.

use std::path::PathBuf;

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
