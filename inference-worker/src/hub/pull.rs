//! Downloading a model: choose files, check room, fetch what is missing, check hashes, then name.

use super::{
	Endpoint, FileEntry, HubError, Installed, KNOWN, Manifest, Result, Store,
	client::{Announced, Client, Description},
	store::{hash_file, is_safe, local_name},
};
use std::{
	fs::File,
	io::{Read, Write},
	path::Path,
	time::{Duration, SystemTime},
};

/// Files that a model in safetensors needs, where present.
const SIDE_FILES: [&str; 8] = [
	"config.json",
	"generation_config.json",
	"tokenizer.json",
	"tokenizer.model",
	"tokenizer_config.json",
	"special_tokens_map.json",
	"chat_template.jinja",
	"model.safetensors.index.json",
];
/// Most bytes of one file: more than any model here, less than a hostile size.
const FILE_BYTES: u64 = 1 << 40;

/// What to pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
	/// Name under which it is installed.
	pub name: String,
	/// Repository on the hub.
	pub repo: String,
	/// File, if one was named.
	pub file: Option<String>,
	/// Branch, tag or commit.
	pub revision: String,
	/// Licence, if known without asking.
	pub licence: Option<String>,
}

impl std::str::FromStr for Source {
	type Err = HubError;

	/// Reads a short name or `owner/repo[:file][@revision]`.
	fn from_str(text: &str) -> Result<Self> {
		let wrong = || HubError::Name(text.to_owned());
		let (rest, revision) = text.split_once('@').unwrap_or((text, "main"));
		let (repo, file) = match rest.split_once(':') {
			Some((repo, file)) => (repo, Some(file)),
			None => (rest, None),
		};
		let known = KNOWN
			.iter()
			.find(|known| known.name == repo || known.repo == repo);
		let repo = known.map_or(repo, |known| known.repo);
		let (owner, name) = repo.split_once('/').ok_or_else(wrong)?;
		let word = |word: &str| {
			let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
			!word.is_empty()
				&& word.len() <= 96
				&& !word.starts_with('.')
				&& word.bytes().all(plain)
		};
		if !word(owner)
			|| !word(name)
			|| !is_safe(revision)
			|| file.is_some_and(|file| !is_safe(file))
		{
			return Err(wrong());
		}
		let file = file.or(known.and_then(|known| known.file));
		Ok(Self {
			name: local_name(repo),
			repo: repo.to_owned(),
			file: file.map(str::to_owned),
			revision: revision.to_owned(),
			licence: known.map(|known| known.licence.to_owned()),
		})
	}
}

/// How to pull.
#[derive(Clone)]
pub struct PullOptions {
	/// The hub.
	pub endpoint: Endpoint,
	/// Use only what is installed.
	pub offline: bool,
	/// Attempts without progress after which a file is given up.
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

/// Downloads a model, or what is missing of it.
///
/// # Errors
/// See [`HubError`]; what was downloaded stays and is used by the next attempt, unless its checksum was wrong.
pub fn pull(
	store: &Store,
	source: &Source,
	options: &PullOptions,
	report: &mut dyn FnMut(Event<'_>),
) -> Result<Installed> {
	if options.offline {
		return store.get(&source.name).map_err(|error| match error {
			HubError::NotInstalled(name) => HubError::Offline(name),
			other => other,
		});
	}
	let folder = store.model_folder(&source.name)?;
	let _lock = store.lock(&source.name)?;
	let client = Client::new(&options.endpoint);
	let attempts = || Attempts::new(options);
	let description =
		attempts().run(report, |_| client.describe(&source.repo, &source.revision))?;
	let (names, main) = choose(source, &description)?;
	let mut files = Vec::new();
	for name in names {
		let Announced { size, hash } = attempts().run(report, |_| {
			client.announced(&source.repo, &description.sha, &name)
		})?;
		if size > FILE_BYTES {
			let reason = format!("it says {size} bytes");
			return Err(HubError::Wrong { file: name, reason });
		}
		files.push(FileEntry {
			path: name,
			size,
			hash,
		});
	}
	let of_card = || {
		Some(
			description
				.card
				.as_ref()?
				.get("license")?
				.as_str()?
				.to_owned(),
		)
	};
	let licence = source.licence.clone().or_else(of_card);
	report(Event::Start {
		licence: licence.as_deref(),
		files: files.len(),
		bytes: files.iter().map(|file| file.size).sum(),
	});
	std::fs::create_dir_all(&folder).map_err(HubError::io(&folder))?;
	let old = store.get(&source.name).ok();
	let mut missing = Vec::new();
	let mut needed = 0u64;
	for file in &files {
		let known = old
			.as_ref()
			.is_some_and(|old| old.manifest.files.contains(file));
		let path = folder.join(&file.path);
		let here = std::fs::metadata(&path).is_ok_and(|about| about.len() == file.size);
		if known && here && hash_file(&path, &file.hash)? == file.hash {
			continue;
		}
		let part = std::fs::metadata(part_path(&folder, file)).map_or(0, |about| about.len());
		needed = needed.saturating_add(file.size.saturating_sub(part));
		missing.push(file);
	}
	let room = rustix::fs::statvfs(&folder).map_err(|error| HubError::io(&folder)(error.into()))?;
	let free = room.f_bavail.saturating_mul(room.f_frsize);
	if needed > free {
		return Err(HubError::Space {
			needed,
			free,
			folder,
		});
	}
	for file in missing {
		let url = client.file_url(&source.repo, &description.sha, &file.path);
		attempts().run(report, |report| {
			download(&client, &url, &folder, file, report)
		})?;
	}
	let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
	let mut manifest = Manifest {
		repo: source.repo.clone(),
		commit: description.sha,
		revision: source.revision.clone(),
		licence,
		installed: now.map_or(0, |now| now.as_secs()),
		main,
		files,
	};
	// Other files of the same commit stay; those of another commit would not fit.
	for file in old.map(|old| old.manifest).into_iter().flat_map(|old| {
		let same = old.commit == manifest.commit && old.repo == manifest.repo;
		old.files.into_iter().map(move |file| (same, file))
	}) {
		let (same, file) = file;
		if manifest.files.iter().any(|new| new.path == file.path) {
			continue;
		}
		if same {
			manifest.files.push(file);
		} else {
			// Not there is as good as removed; anything else shows at the next pull.
			drop(std::fs::remove_file(folder.join(&file.path)));
		}
	}
	store.write(&source.name, &manifest)?;
	store.get(&source.name)
}

struct Attempts<'a> {
	options: &'a PullOptions,
}

impl<'a> Attempts<'a> {
	fn new(options: &'a PullOptions) -> Self {
		Self { options }
	}

	/// Runs `task` until it succeeds or fails otherwise than by the network; an attempt with progress counts anew.
	fn run<T>(
		&self,
		report: &mut dyn FnMut(Event<'_>),
		mut task: impl FnMut(&mut dyn FnMut(Event<'_>)) -> Result<T>,
	) -> Result<T> {
		let mut failures = 0;
		let mut most = 0;
		loop {
			let before = most;
			let result = task(&mut |event| {
				if let Event::Bytes(bytes) = event {
					most = most.max(bytes);
				}
				report(event);
			});
			match result {
				Err(error @ HubError::Network { .. }) => {
					failures = if most > before { 1 } else { failures + 1 };
					if failures > self.options.retries {
						return Err(error);
					}
					report(Event::Retry(&error));
					let pause = self.options.pause * 2u32.pow((failures - 1).min(5));
					std::thread::sleep(pause.min(Duration::from_secs(30)));
				}
				other => return other,
			}
		}
	}
}

fn part_path(folder: &Path, file: &FileEntry) -> std::path::PathBuf {
	// The hash in the name keeps the beginning of one version from being continued with another.
	let hash = file.hash.get(..16).unwrap_or_default();
	folder.join(format!("{}.{hash}.part", file.path))
}

fn download(
	client: &Client,
	url: &str,
	folder: &Path,
	file: &FileEntry,
	report: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
	let part = part_path(folder, file);
	if let Some(parent) = part.parent() {
		std::fs::create_dir_all(parent).map_err(HubError::io(parent))?;
	}
	let mut out = File::options()
		.create(true)
		.append(true)
		.open(&part)
		.map_err(HubError::io(&part))?;
	let mut have = out.metadata().map_err(HubError::io(&part))?.len();
	let restart = |out: &File| out.set_len(0).map_err(HubError::io(&part));
	if have > file.size {
		restart(&out)?;
		have = 0;
	}
	report(Event::File {
		name: &file.path,
		size: file.size,
		have,
	});
	if have < file.size {
		let response = client.get(url, (have > 0).then_some(have), &file.path)?;
		let from = response.headers().get("content-range").and_then(|value| {
			value
				.to_str()
				.ok()?
				.strip_prefix("bytes ")?
				.split('-')
				.next()?
				.parse()
				.ok()
		});
		if have > 0 && !(response.status() == 206 && from == Some(have)) {
			restart(&out)?;
			have = 0;
			if response.status() != 200 {
				return Err(HubError::Network {
					url: url.to_owned(),
					reason: "the server can't go on in the middle; starting over".into(),
				});
			}
		}
		// One byte more than announced shows a body that is too long.
		let mut body = response
			.into_body()
			.into_reader()
			.take(file.size - have + 1);
		let mut buffer = vec![0; 1 << 18];
		loop {
			let count = body.read(&mut buffer).map_err(|error| HubError::Network {
				url: url.to_owned(),
				reason: error.to_string(),
			})?;
			let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
				break;
			};
			out.write_all(bytes).map_err(HubError::io(&part))?;
			have += count as u64;
			report(Event::Bytes(have.min(file.size)));
		}
	}
	let wrong = |reason: String| -> Result<()> {
		std::fs::remove_file(&part).map_err(HubError::io(&part))?;
		Err(HubError::Wrong {
			file: file.path.clone(),
			reason,
		})
	};
	if have > file.size {
		return wrong(format!("more than {} bytes", file.size));
	}
	if have < file.size {
		return Err(HubError::Network {
			url: url.to_owned(),
			reason: format!("the connection ended after {have} of {} bytes", file.size),
		});
	}
	let hash = hash_file(&part, &file.hash)?;
	if hash != file.hash {
		return wrong(format!("hash {hash} instead of {}", file.hash));
	}
	out.sync_all().map_err(HubError::io(&part))?;
	let path = folder.join(&file.path);
	std::fs::rename(&part, &path).map_err(HubError::io(path))
}

/// Files to download and the one to open (`None` for the folder).
fn choose(source: &Source, description: &Description) -> Result<(Vec<String>, Option<String>)> {
	let all: Vec<&str> = description
		.siblings
		.iter()
		.map(|file| file.rfilename.as_str())
		.collect();
	if let Some(name) = all.iter().find(|name| !is_safe(name)) {
		return Err(HubError::UnsafeFile((*name).to_owned()));
	}
	if let Some(file) = &source.file {
		if !all.contains(&file.as_str()) {
			return Err(HubError::NotFound(format!(
				"file {file} in {}",
				source.repo
			)));
		}
		return Ok((vec![file.clone()], Some(file.clone())));
	}
	let ggufs: Vec<&str> = all
		.iter()
		.copied()
		.filter(|name| name.ends_with(".gguf") && !name.contains("mmproj"))
		.collect();
	let weights: Vec<&str> = all
		.iter()
		.copied()
		.filter(|name| name.ends_with(".safetensors") && !name.contains('/'))
		.collect();
	match (ggufs.as_slice(), weights.is_empty()) {
		([one], _) => Ok((vec![(*one).to_owned()], Some((*one).to_owned()))),
		([], false) if all.contains(&"config.json") => {
			let sides = SIDE_FILES.iter().filter(|name| all.contains(name));
			let names = sides.copied().chain(weights).map(str::to_owned);
			Ok((names.collect(), None))
		}
		([], _) => Err(HubError::NothingUsable {
			repo: source.repo.clone(),
			wanted: "a GGUF file nor config.json with safetensors".into(),
		}),
		(many, _) => {
			let ternary = ["i2_s", "tq2_0", "tq1_0", "q2_0_g64", "pq2_0", "q2_0"];
			let mut found = ternary.iter().map(|kind| {
				let has = |name: &&&str| name.to_ascii_lowercase().contains(kind);
				many.iter().filter(has).collect::<Vec<_>>()
			});
			match found.find(|names| !names.is_empty()).as_deref() {
				Some([one]) => Ok((vec![(**one).to_owned()], Some((**one).to_owned()))),
				_ => Err(HubError::Ambiguous {
					repo: source.repo.clone(),
					files: many.iter().take(20).copied().collect::<Vec<_>>().join(", "),
				}),
			}
		}
	}
}
