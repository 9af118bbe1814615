//! Models from the Hugging Face hub: pulling, listing, removing and checking them.
//!
//! A model lives in a folder of its own below the models folder, beside a manifest with the hub's commit and the checksum of every file.
//! A file has its final name only after its checksum was right.

mod client;
mod known;
mod pull;
mod store;

pub use client::Endpoint;
pub use known::{KNOWN, Known};
pub use pull::{Event, PullOptions, Source, pull};
pub use store::{FileEntry, Installed, MANIFEST, Manifest, Store, resolve, resolve_in};

use std::path::PathBuf;

/// What can go wrong with models on disk or on the hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
	/// The name is not one that can be pulled or installed.
	#[error(
		"{0:?} is not a model's name: give a short name (see `model list --known`) or owner/repo[:file.gguf][@revision]"
	)]
	Name(String),
	/// Nothing of this name is installed.
	#[error(
		"no model or file {0:?} here: see `aria-worker model list`, or get it with `aria-worker model pull {0}`"
	)]
	NotInstalled(String),
	/// Several files could be meant.
	#[error("{repo} holds several GGUF files: choose one with {repo}:FILE, of {files}")]
	Ambiguous {
		/// Repository.
		repo: String,
		/// File names.
		files: String,
	},
	/// The repository holds nothing usable.
	#[error(
		"{repo} holds neither {wanted}: look at its file list on the hub and name a file with {repo}:FILE"
	)]
	NothingUsable {
		/// Repository.
		repo: String,
		/// What was looked for.
		wanted: String,
	},
	/// The hub asked for a token, or refused the one given.
	#[error(
		"the hub refuses access to {0}: accept the model's licence on its page, then set HF_TOKEN to a token that may read it"
	)]
	Refused(String),
	/// The hub has no such thing.
	#[error("the hub has no {0}: check the spelling of repository, file and revision")]
	NotFound(String),
	/// The network or the server failed, after all retries.
	#[error("can't reach {url}: {reason}; run the same command again to go on where it stopped")]
	Network {
		/// Address without secrets.
		url: String,
		/// What happened.
		reason: String,
	},
	/// The server answers with something else than the hub's protocol.
	#[error("{url} does not answer as a model hub does: {reason}; check HF_ENDPOINT and any proxy")]
	Protocol {
		/// Address without secrets.
		url: String,
		/// What is wrong.
		reason: String,
	},
	/// A file name that would leave the model's folder.
	#[error("the hub names a file {0:?}, which is refused: do not use this repository")]
	UnsafeFile(String),
	/// The content is not what the hub announced.
	#[error(
		"{file} is not what the hub announced ({reason}); the download was thrown away: pull again, and if it happens again do not trust the server"
	)]
	Wrong {
		/// File.
		file: String,
		/// Difference.
		reason: String,
	},
	/// Not enough room.
	#[error(
		"{needed} bytes are needed and {free} are free in {folder}: make room or choose another folder with --models-dir"
	)]
	Space {
		/// Bytes still to come.
		needed: u64,
		/// Bytes free.
		free: u64,
		/// Where.
		folder: PathBuf,
	},
	/// Another process pulls or removes the same model.
	#[error("another process is working on {0}: wait for it to end, then try again")]
	Busy(String),
	/// Network needed but forbidden.
	#[error(
		"{0} is not here and this is offline mode: pull it once without --offline and HF_HUB_OFFLINE"
	)]
	Offline(String),
	/// A manifest that can't be read.
	#[error("{path} is damaged ({reason}): remove the model and pull it again")]
	Manifest {
		/// File.
		path: PathBuf,
		/// Reason.
		reason: String,
	},
	/// The file system failed.
	#[error("can't use {path}: {source}; check the folder's permissions")]
	Io {
		/// File or folder.
		path: PathBuf,
		/// Reason.
		source: std::io::Error,
	},
}

impl HubError {
	fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
		let path = path.into();
		move |source| Self::Io { path, source }
	}
}

/// Result of this module.
pub type Result<T> = std::result::Result<T, HubError>;
