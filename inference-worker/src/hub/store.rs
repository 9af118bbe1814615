//! Installed models: a folder each, with a manifest.

use super::{HubError, KNOWN, Result};
use serde::{Deserialize, Serialize};
use sha1::Digest as _;
use std::{
	fs::File,
	io::{Read, Write},
	path::{Component, Path, PathBuf},
};

/// Name of the manifest in a model's folder.
pub const MANIFEST: &str = "aria-manifest.json";
const MANIFEST_BYTES: u64 = 16 << 20;

/// A file of an installed model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
	/// Path below the model's folder, with forward slashes.
	pub path: String,
	/// Bytes.
	pub size: u64,
	/// SHA-256 (64 hex digits), or the git blob's SHA-1 (40) of files that the hub keeps in git.
	pub hash: String,
}

/// What is installed in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
	/// Repository on the hub.
	pub repo: String,
	/// Commit of the repository.
	pub commit: String,
	/// Revision that was asked for.
	pub revision: String,
	/// Licence, as far as known.
	pub licence: Option<String>,
	/// When it was installed: seconds since 1970.
	pub installed: u64,
	/// File to open, or `None` for the folder.
	pub main: Option<String>,
	/// All files.
	pub files: Vec<FileEntry>,
}

/// An installed model.
#[derive(Debug, Clone, Serialize)]
pub struct Installed {
	/// Name.
	pub name: String,
	/// Folder.
	pub folder: PathBuf,
	/// Bytes of all files.
	pub size: u64,
	/// The manifest.
	#[serde(flatten)]
	pub manifest: Manifest,
}

/// The models folder.
#[derive(Debug, Clone)]
pub struct Store {
	folder: PathBuf,
}

/// Held while a model is pulled or removed; released with its process, however that ends.
pub(super) struct Lock(
	#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File,
);

/// Whether `path` is a plain relative path below a model's folder.
pub(super) fn is_safe(path: &str) -> bool {
	let plain = Path::new(path)
		.components()
		.all(|part| matches!(part, Component::Normal(name) if name.len() <= 200));
	let odd = |byte: u8| byte < 0x20 || byte == 0x7f || matches!(byte, b'\\' | b':');
	plain
		&& !path.is_empty()
		&& path.len() <= 512
		&& !path.contains("//")
		&& !path.ends_with('/')
		&& !path.split('/').any(|part| matches!(part, "." | ".." | ""))
		&& !path.bytes().any(odd)
		&& !path.ends_with(".part")
		&& path != MANIFEST
}

fn is_name(name: &str) -> bool {
	!name.is_empty()
		&& name.len() <= 200
		&& !name.starts_with('.')
		&& name
			.bytes()
			.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Hash of a file in the form of `like`: a git blob's SHA-1 if that has 40 digits, else SHA-256.
pub(super) fn hash_file(path: &Path, like: &str) -> Result<String> {
	let mut file = File::open(path).map_err(HubError::io(path))?;
	let size = file.metadata().map_err(HubError::io(path))?.len();
	let mut sha1 = (like.len() == 40).then(sha1::Sha1::new);
	let mut sha256 = sha2::Sha256::new();
	if let Some(sha1) = &mut sha1 {
		sha1.update(format!("blob {size}\0"));
	}
	let mut buffer = vec![0; 1 << 20];
	loop {
		let count = file.read(&mut buffer).map_err(HubError::io(path))?;
		let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
			break;
		};
		match &mut sha1 {
			Some(sha1) => sha1.update(bytes),
			None => sha256.update(bytes),
		}
	}
	Ok(match sha1 {
		Some(sha1) => hex::encode(sha1.finalize()),
		None => hex::encode(sha256.finalize()),
	})
}

impl Store {
	/// The models folder `folder`; it need not exist yet.
	pub fn new(folder: impl Into<PathBuf>) -> Self {
		Self {
			folder: folder.into(),
		}
	}

	/// `ARIA_MODELS_DIR`, else `aria/models` in the user's data folder (XDG).
	pub fn default_folder() -> PathBuf {
		let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
		if let Some(folder) = variable("ARIA_MODELS_DIR") {
			return folder.into();
		}
		let data = variable("XDG_DATA_HOME").map(PathBuf::from);
		let home = || PathBuf::from(variable("HOME").unwrap_or_else(|| ".".into()));
		data.filter(|path| path.is_absolute())
			.unwrap_or_else(|| home().join(".local/share"))
			.join("aria/models")
	}

	/// Folder of a model, installed or not.
	pub fn model_folder(&self, name: &str) -> Result<PathBuf> {
		if !is_name(name) {
			return Err(HubError::Name(name.to_owned()));
		}
		Ok(self.folder.join(name))
	}

	/// A model's manifest, or an error if it is not installed or damaged.
	pub fn get(&self, name: &str) -> Result<Installed> {
		let name = &local_name(name);
		let folder = self.model_folder(name)?;
		let path = folder.join(MANIFEST);
		let file = match File::open(&path) {
			Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
				return Err(HubError::NotInstalled(name.to_owned()));
			}
			other => other.map_err(HubError::io(&path))?,
		};
		let damaged = |reason: String| HubError::Manifest {
			path: path.clone(),
			reason,
		};
		let manifest: Manifest = serde_json::from_reader(file.take(MANIFEST_BYTES))
			.map_err(|error| damaged(error.to_string()))?;
		let paths = manifest.files.iter().map(|file| &file.path);
		if let Some(path) = paths.chain(&manifest.main).find(|path| !is_safe(path)) {
			return Err(damaged(format!("it names {path:?}")));
		}
		let sizes = manifest.files.iter().map(|file| file.size);
		Ok(Installed {
			name: name.to_owned(),
			size: sizes.fold(0, u64::saturating_add),
			folder,
			manifest,
		})
	}

	/// All installed models by name; a damaged one is an error in its place.
	pub fn list(&self) -> Result<Vec<Result<Installed>>> {
		let entries = match std::fs::read_dir(&self.folder) {
			Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
			other => other.map_err(HubError::io(&self.folder))?,
		};
		let mut names = Vec::new();
		for entry in entries {
			let entry = entry.map_err(HubError::io(&self.folder))?;
			if let Some(name) = entry.file_name().to_str().filter(|name| is_name(name)) {
				names.push(name.to_owned());
			}
		}
		names.sort();
		let found = names.iter().map(|name| self.get(name));
		Ok(found
			.filter(|result| !matches!(result, Err(HubError::NotInstalled(_))))
			.collect())
	}

	/// Removes a model's folder. A link in its place is removed itself, not what it points to.
	pub fn remove(&self, name: &str) -> Result<()> {
		let name = &local_name(name);
		let folder = self.model_folder(name)?;
		let Ok(about) = std::fs::symlink_metadata(&folder) else {
			return Err(HubError::NotInstalled(name.to_owned()));
		};
		let _lock = self.lock(name)?;
		if about.is_dir() {
			std::fs::remove_dir_all(&folder).map_err(HubError::io(folder))
		} else {
			std::fs::remove_file(&folder).map_err(HubError::io(folder))
		}
	}

	/// Hashes all files again: each with what is wrong with it, or `None`.
	pub fn verify(&self, name: &str) -> Result<Vec<(FileEntry, Option<String>)>> {
		let model = self.get(name)?;
		let check = |file: &FileEntry| -> Result<Option<String>> {
			let path = model.folder.join(&file.path);
			let Ok(about) = std::fs::metadata(&path) else {
				return Ok(Some("missing".into()));
			};
			if about.len() != file.size {
				return Ok(Some(format!(
					"{} bytes instead of {}",
					about.len(),
					file.size
				)));
			}
			let hash = hash_file(&path, &file.hash)?;
			Ok((hash != file.hash).then(|| format!("hash {hash} instead of {}", file.hash)))
		};
		let files = model.manifest.files.iter();
		files.map(|file| Ok((file.clone(), check(file)?))).collect()
	}

	pub(super) fn lock(&self, name: &str) -> Result<Lock> {
		std::fs::create_dir_all(&self.folder).map_err(HubError::io(&self.folder))?;
		let path = self.folder.join(format!(".{name}.lock"));
		let file = File::options()
			.create(true)
			.truncate(false)
			.write(true)
			.open(&path)
			.map_err(HubError::io(&path))?;
		match file.try_lock() {
			Ok(()) => Ok(Lock(file)),
			Err(std::fs::TryLockError::WouldBlock) => Err(HubError::Busy(name.to_owned())),
			Err(std::fs::TryLockError::Error(source)) => Err(HubError::Io { path, source }),
		}
	}

	/// Writes the manifest beside its place and moves it there.
	pub(super) fn write(&self, name: &str, manifest: &Manifest) -> Result<()> {
		let path = self.model_folder(name)?.join(MANIFEST);
		let part = path.with_extension("json.part");
		let text = serde_json::to_vec_pretty(manifest).map_err(|error| HubError::Manifest {
			path: path.clone(),
			reason: error.to_string(),
		})?;
		let mut file = File::create(&part).map_err(HubError::io(&part))?;
		file.write_all(&text)
			.and_then(|()| file.sync_all())
			.and_then(|()| std::fs::rename(&part, &path))
			.map_err(HubError::io(path))
	}
}

/// The installed name of a short name or of `owner/repo[:file][@revision]`.
pub(super) fn local_name(name: &str) -> String {
	let repo = name.split(['@', ':']).next().unwrap_or(name);
	let short = KNOWN
		.iter()
		.find(|known| known.repo.eq_ignore_ascii_case(repo));
	match (short, repo.split_once('/')) {
		(Some(known), _) => known.name.to_owned(),
		(None, Some((owner, repo))) => format!("{owner}--{repo}"),
		(None, None) => name.to_owned(),
	}
}

/// The file or folder to open for `--model`: an existing path as it is, else an installed model.
///
/// # Errors
/// Neither exists; the error says how to pull it.
pub fn resolve(name_or_path: impl AsRef<Path>) -> Result<PathBuf> {
	resolve_in(&Store::new(Store::default_folder()), name_or_path.as_ref())
}

/// [`resolve`] in a given store.
pub fn resolve_in(store: &Store, name_or_path: &Path) -> Result<PathBuf> {
	if name_or_path.exists() {
		return Ok(name_or_path.to_owned());
	}
	let name = name_or_path.to_string_lossy();
	let model = match store.get(&name) {
		Err(HubError::Name(_)) => return Err(HubError::NotInstalled(name.into_owned())),
		other => other?,
	};
	Ok(match &model.manifest.main {
		Some(main) => model.folder.join(main),
		None => model.folder,
	})
}
