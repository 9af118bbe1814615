//! API keys: who may ask, and how much.
//!
//! A file holds them, which `aria-worker api key` writes and a running worker reads again when it changes:
//!
//! ```json
//! {"keys": [{"name": "alice", "hash": "<64 hex digits>", "created": 1795500000, "requests_per_minute": 60}]}
//! ```
//!
//! A key is 256 random bits, so its plain BLAKE2b hash can be neither guessed nor searched: a slow hash, which
//! passwords need, would only slow down requests.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sp_crypto_hashing::blake2_256;
use std::{
	collections::HashMap,
	fs::{File, OpenOptions},
	io::{Read, Write},
	path::{Path, PathBuf},
	sync::{Arc, Mutex, PoisonError},
	time::{Duration, Instant, SystemTime},
};

/// Name of the file in a worker's folder.
pub const FILE_NAME: &str = "api-keys.json";
/// What every key begins with.
const PREFIX: &str = "sk-aria-";
/// Longest file, bytes.
const MAX_FILE: u64 = 16 << 20;
/// Longest name of a key, bytes.
const MAX_NAME: usize = 64;
/// How often a running worker looks whether the file has changed.
const LOOK: Duration = Duration::from_secs(1);
/// For how long requests and tokens are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// Compares in a time that tells nothing about where two keys differ.
pub(crate) fn same(given: &str, expected: &str) -> bool {
	let (given, expected) = (
		blake2_256(given.as_bytes()),
		blake2_256(expected.as_bytes()),
	);
	let difference = given
		.iter()
		.zip(expected)
		.fold(0, |found, (a, b)| found | (a ^ b));
	std::hint::black_box(difference) == 0
}

/// A key as the file has it: not the key, but its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
	/// What people call it; no two keys share a name.
	pub name: String,
	#[serde(serialize_with = "write_hash", deserialize_with = "read_hash")]
	hash: [u8; 32],
	/// Seconds since the Unix epoch.
	pub created: u64,
	/// Most requests in a minute.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub requests_per_minute: Option<u32>,
	/// Most tokens in a minute, of prompts and answers. A request that begins below it may end above it.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub tokens_per_minute: Option<u64>,
}

fn write_hash<S: Serializer>(hash: &[u8; 32], out: S) -> Result<S::Ok, S::Error> {
	out.serialize_str(&hex::encode(hash))
}

fn read_hash<'de, D: Deserializer<'de>>(input: D) -> Result<[u8; 32], D::Error> {
	let mut hash = [0; 32];
	hex::decode_to_slice(String::deserialize(input)?, &mut hash).map_err(D::Error::custom)?;
	Ok(hash)
}

/// The file's text.
#[derive(Default, Serialize, Deserialize)]
struct Records {
	keys: Vec<Record>,
}

/// Why keys can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
	/// The file can't be read or written.
	#[error("can't use {path}: {error}")]
	Io {
		/// The file.
		path: PathBuf,
		/// Why.
		error: std::io::Error,
	},
	/// It is not such a file.
	#[error("{path} holds no API keys: {reason}")]
	Damaged {
		/// The file.
		path: PathBuf,
		/// Why.
		reason: String,
	},
	/// A name that can't be given.
	#[error("a key's name has 1 to 64 letters, digits, dots, dashes or underscores")]
	Name,
	/// A name that is taken.
	#[error("there is a key named {0:?} already; revoke it, or choose another name")]
	Taken(String),
	/// A name that no key has.
	#[error("there is no key named {0:?}; `aria-worker api key list` shows which there are")]
	Unknown(String),
}

/// A file of keys, to be looked at and changed.
pub struct KeyFile(PathBuf);

impl KeyFile {
	/// The file at a path, which need not exist.
	pub fn new(path: impl Into<PathBuf>) -> Self {
		Self(path.into())
	}

	fn io(&self) -> impl Fn(std::io::Error) -> KeyError {
		move |error| KeyError::Io {
			path: self.0.clone(),
			error,
		}
	}

	fn damaged(&self, reason: impl Into<String>) -> KeyError {
		KeyError::Damaged {
			path: self.0.clone(),
			reason: reason.into(),
		}
	}

	/// Its keys; `None` if there is no file.
	pub fn read(&self) -> Result<Option<Vec<Record>>, KeyError> {
		let file = match File::open(&self.0) {
			Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
			file => file.map_err(self.io())?,
		};
		let mut text = String::new();
		let mut limited = file.take(MAX_FILE + 1);
		limited.read_to_string(&mut text).map_err(self.io())?;
		if text.len() as u64 > MAX_FILE {
			return Err(self.damaged("longer than 16 MiB"));
		}
		let records: Records =
			serde_json::from_str(&text).map_err(|error| self.damaged(error.to_string()))?;
		Ok(Some(records.keys))
	}

	/// Makes a key and returns it: the only time that it can be seen.
	pub fn add(
		&self,
		name: &str,
		requests_per_minute: Option<u32>,
		tokens_per_minute: Option<u64>,
	) -> Result<String, KeyError> {
		let usable = |char: char| char.is_ascii_alphanumeric() || ".-_".contains(char);
		if !(1..=MAX_NAME).contains(&name.len()) || !name.chars().all(usable) {
			return Err(KeyError::Name);
		}
		let key = format!("{PREFIX}{}", hex::encode(rand::random::<[u8; 32]>()));
		self.change(|keys| {
			if keys.iter().any(|key| key.name == name) {
				return Err(KeyError::Taken(name.to_owned()));
			}
			keys.push(Record {
				name: name.to_owned(),
				hash: blake2_256(key.as_bytes()),
				created: SystemTime::now()
					.duration_since(SystemTime::UNIX_EPOCH)
					.map_or(0, |elapsed| elapsed.as_secs()),
				requests_per_minute,
				tokens_per_minute,
			});
			Ok(())
		})?;
		Ok(key)
	}

	/// Removes a key: running workers refuse it from then on.
	pub fn revoke(&self, name: &str) -> Result<(), KeyError> {
		self.change(|keys| {
			let before = keys.len();
			keys.retain(|key| key.name != name);
			match keys.len() < before {
				true => Ok(()),
				false => Err(KeyError::Unknown(name.to_owned())),
			}
		})
	}

	/// Changes the file as a whole: whoever reads it sees it before or after. One change at a time.
	fn change(
		&self,
		change: impl FnOnce(&mut Vec<Record>) -> Result<(), KeyError>,
	) -> Result<(), KeyError> {
		let folder = self.0.parent().filter(|folder| *folder != Path::new(""));
		let folder = folder.unwrap_or(Path::new("."));
		std::fs::create_dir_all(folder).map_err(self.io())?;
		let lock = private(&self.0.with_extension("lock"), false).map_err(self.io())?;
		lock.lock().map_err(self.io())?;
		let mut records = Records {
			keys: self.read()?.unwrap_or_default(),
		};
		change(&mut records.keys)?;
		let text =
			serde_json::to_vec_pretty(&records).map_err(|error| self.damaged(error.to_string()))?;
		let new = self.0.with_extension("new");
		let mut file = private(&new, true).map_err(self.io())?;
		let written = file.write_all(&text).and_then(|()| file.sync_all());
		written.map_err(self.io())?;
		std::fs::rename(&new, &self.0).map_err(self.io())
	}
}

/// Opens a file for writing that nobody else may read.
fn private(path: &Path, empty: bool) -> std::io::Result<File> {
	let mut options = OpenOptions::new();
	options.write(true).create(true).truncate(empty);
	#[cfg(unix)]
	std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
	options.open(path)
}

/// What a key used in the present minute.
#[derive(Debug, Default)]
struct Used {
	since: Option<Instant>,
	requests: u32,
	tokens: u64,
}

/// A key that may ask.
#[derive(Debug)]
pub struct Client {
	record: Record,
	used: Mutex<Used>,
}

/// What is left of a key's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
	/// Of the limit, the requests left; `None` without a limit.
	pub requests: Option<(u32, u32)>,
	/// Of the limit, the tokens left.
	pub tokens: Option<(u64, u64)>,
	/// Until all of it is there again.
	pub reset: Duration,
}

impl Client {
	/// A number by which requests of one key are known as one client's.
	pub fn number(&self) -> u64 {
		let [number, ..] = self.record.hash.as_chunks::<8>().0 else {
			return 0;
		};
		u64::from_le_bytes(*number)
	}

	fn with_used<T>(&self, now: Instant, work: impl FnOnce(&mut Used, Duration) -> T) -> T {
		let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
		let since = *used.since.get_or_insert(now);
		let mut elapsed = now.saturating_duration_since(since);
		if elapsed >= WINDOW {
			*used = Used {
				since: Some(now),
				..Used::default()
			};
			elapsed = Duration::ZERO;
		}
		work(&mut used, WINDOW - elapsed)
	}

	/// Counts a request; whether it may pass, and what is left after it.
	pub fn request(&self, now: Instant) -> (bool, Left) {
		let (most_requests, most_tokens) = (
			self.record.requests_per_minute,
			self.record.tokens_per_minute,
		);
		self.with_used(now, |used, reset| {
			let passes = most_requests.is_none_or(|most| used.requests < most)
				&& most_tokens.is_none_or(|most| used.tokens < most);
			if passes {
				used.requests = used.requests.saturating_add(1);
			}
			let left = Left {
				requests: most_requests.map(|most| (most, most.saturating_sub(used.requests))),
				tokens: most_tokens.map(|most| (most, most.saturating_sub(used.tokens))),
				reset,
			};
			(passes, left)
		})
	}

	/// Counts tokens.
	pub fn tokens(&self, tokens: u64, now: Instant) {
		self.with_used(now, |used, _| {
			used.tokens = used.tokens.saturating_add(tokens)
		});
	}
}

/// Keys by their hash.
type Clients = HashMap<[u8; 32], Arc<Client>>;

/// What a running worker knows of the file.
struct Seen {
	looked: Instant,
	state: Option<State>,
	/// `None` when there is no file.
	clients: Option<Clients>,
}

/// The keys that a running worker accepts.
pub struct Keys {
	file: KeyFile,
	seen: Mutex<Seen>,
}

impl Keys {
	/// Reads a file, which need not exist.
	pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeyError> {
		let file = KeyFile::new(path);
		let state = state(&file.0);
		let clients = file.read()?.map(|keys| clients(keys, &Clients::new()));
		let looked = Instant::now();
		let seen = Mutex::new(Seen {
			looked,
			state,
			clients,
		});
		Ok(Self { file, seen })
	}

	/// Whether there is a file: then a key is needed, even if none is left.
	pub fn exist(&self) -> bool {
		self.with_clients(|clients| clients.is_some())
	}

	/// Who has this key.
	pub fn find(&self, key: &str) -> Option<Arc<Client>> {
		// Hashes of keys say nothing about other keys, so looking one up may take what time it takes.
		let hash = blake2_256(key.as_bytes());
		self.with_clients(|clients| clients.as_ref()?.get(&hash).cloned())
	}

	fn with_clients<T>(&self, work: impl FnOnce(&Option<Clients>) -> T) -> T {
		let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
		if seen.looked.elapsed() >= LOOK {
			seen.looked = Instant::now();
			let now = state(&self.file.0);
			if now != seen.state {
				match self.file.read() {
					Ok(keys) => {
						let known = seen.clients.take().unwrap_or_default();
						seen.clients = keys.map(|keys| clients(keys, &known));
						seen.state = now;
					}
					// What was allowed stays so, and the next look tries again.
					Err(error) => tracing::warn!("{error}; the API keys of before stay in force"),
				}
			}
		}
		work(&seen.clients)
	}
}

/// What tells one state of the file from another.
type State = (SystemTime, u64, u64);

fn state(path: &Path) -> Option<State> {
	let about = std::fs::metadata(path).ok()?;
	// Every change makes another file, even two within a tick of the clock.
	#[cfg(unix)]
	let file = std::os::unix::fs::MetadataExt::ino(&about);
	#[cfg(not(unix))]
	let file = 0;
	Some((about.modified().ok()?, about.len(), file))
}

/// Keys as clients; what those used that are known already goes on to count.
fn clients(keys: Vec<Record>, known: &Clients) -> Clients {
	let client = |record: Record| {
		let same = known
			.get(&record.hash)
			.filter(|client| client.record == record);
		let client = same.cloned().unwrap_or_else(|| {
			Arc::new(Client {
				record: record.clone(),
				used: Mutex::default(),
			})
		});
		(record.hash, client)
	};
	keys.into_iter().map(client).collect()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn limits_should_hold_for_a_minute_and_then_begin_again() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("new/keys.json");
		let key = KeyFile::new(&path).add("a", Some(2), Some(100)).unwrap();
		let client = Keys::open(&path).unwrap().find(&key).unwrap();
		let start = Instant::now();
		let after = |seconds| start + Duration::from_secs(seconds);
		let (passes, left) = client.request(start);
		assert!(passes);
		assert_eq!(left.requests, Some((2, 1)));
		client.tokens(100, after(1));
		let (passes, left) = client.request(after(20));
		assert!(!passes, "all tokens are used");
		assert_eq!(left.tokens, Some((100, 0)));
		assert_eq!(left.reset, Duration::from_secs(40));
		assert!(client.request(after(60)).0);
		assert!(client.request(after(61)).0);
		assert!(!client.request(after(62)).0, "a third request");
		assert!(client.request(after(120)).0);
	}

	#[test]
	fn file_should_hold_hashes_and_be_its_owners_alone() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("keys.json");
		let file = KeyFile::new(&path);
		assert_eq!(file.read().unwrap(), None);
		let key = file.add("alice", None, None).unwrap();
		assert_eq!(key.len(), PREFIX.len() + 64);
		let text = std::fs::read_to_string(&path).unwrap();
		assert!(!text.contains(key.strip_prefix(PREFIX).unwrap()), "{text}");
		#[cfg(unix)]
		{
			use std::os::unix::fs::PermissionsExt;
			let mode = std::fs::metadata(&path).unwrap().permissions().mode();
			assert_eq!(mode & 0o777, 0o600);
		}
		assert!(matches!(
			file.add("alice", None, None),
			Err(KeyError::Taken(_))
		));
		for name in ["", "a b", "\u{e4}", &"a".repeat(65)] {
			assert!(matches!(file.add(name, None, None), Err(KeyError::Name)));
		}
		file.add("bob", Some(1), None).unwrap();
		file.revoke("alice").unwrap();
		assert!(matches!(file.revoke("alice"), Err(KeyError::Unknown(_))));
		let names: Vec<_> = file.read().unwrap().unwrap();
		assert_eq!(names.len(), 1);
		assert_eq!(names[0].name, "bob");
		for damage in [
			"",
			"{}",
			"[]",
			r#"{"keys": [{"name": "x", "hash": "00", "created": 0}]}"#,
		] {
			std::fs::write(&path, damage).unwrap();
			assert!(
				matches!(file.read(), Err(KeyError::Damaged { .. })),
				"{damage}"
			);
			assert!(matches!(
				file.add("x", None, None),
				Err(KeyError::Damaged { .. })
			));
			assert_eq!(
				std::fs::read_to_string(&path).unwrap(),
				damage,
				"left as it is"
			);
		}
	}
}
