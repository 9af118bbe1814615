//! Models from the Hugging Face hub: pulling, listing, removing and checking them.
//!
//! A model has a folder below the models folder: a manifest with the hub's commit and the checksum of every file, a folder named after
//! the commit with these files, and downloads that are not complete in `.partial`, named after their hash.
//! A file has its final name only after its checksum was right, and the manifest names a commit only after all its files are there.

mod choose;
mod client;
mod known;
mod options;
mod pull;
mod source;
mod store;
mod transfer;

pub use client::Endpoint;
pub use known::{KNOWN, Known};
pub use options::{Event, PullOptions};
pub use pull::pull;
pub use source::Source;
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
	/// Nothing of this name is here, and the hub can't have it either.
	#[error(
		"there is no file, folder or installed model {0:?}: see `aria-worker model list`, and `aria-worker model list --known` for what `aria-worker model pull` can get"
	)]
	NotHere(String),
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
		"the hub refuses access to {0}: check the spelling, accept the model's licence on its page, and set HF_TOKEN to a token that may read it"
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
	#[error("can't use {path}: {source}; check permissions and free space")]
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
