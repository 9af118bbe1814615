//! How to pull a model, and what is told meanwhile.

use super::{Endpoint, HubError};
use std::time::Duration;

/// How to pull.
#[derive(Clone)]
pub struct PullOptions {
	/// The hub.
	pub endpoint: Endpoint,
	/// Use only what is installed.
	pub offline: bool,
	/// Further attempts in a row, each without much progress, before the download of a file fails.
	pub retries: u32,
	/// First pause before trying again; doubles each time, up to 30 s.
	pub pause: Duration,
}

impl PullOptions {
	/// The hub and the mode that the environment names.
	pub fn from_env() -> Self {
		let offline = std::env::var("HF_HUB_OFFLINE").unwrap_or_default();
		let on = ["1", "ON", "YES", "TRUE"].contains(&offline.to_ascii_uppercase().as_str());
		Self {
			endpoint: Endpoint::from_env(),
			offline: on,
			retries: 5,
			pause: Duration::from_secs(1),
		}
	}
}

/// What happens during a pull.
#[derive(Debug)]
pub enum Event<'a> {
	/// The files are chosen.
	Start {
		/// Licence, as far as known.
		licence: Option<&'a str>,
		/// Files.
		files: usize,
		/// Bytes of all files.
		bytes: u64,
	},
	/// A file begins or goes on.
	File {
		/// Name.
		name: &'a str,
		/// Bytes of it.
		size: u64,
		/// Bytes here already.
		have: u64,
	},
	/// Bytes of the current file that are here.
	Bytes(u64),
	/// An attempt failed and is made again.
	Retry(&'a HubError),
}
