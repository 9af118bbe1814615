//! Installed models: a folder each, with a manifest.

use super::{
	HubError, Result, Source,
	source::{is_safe, local_name},
};
use serde::{Deserialize, Serialize};
use sha1::Digest as _;
use std::{
	fs::File,
	io::{ErrorKind, Read, Write},
	path::{Path, PathBuf},
};

/// Name of the manifest in a model's folder.
pub const MANIFEST: &str = "aria-manifest.json";
const MANIFEST_BYTES: u64 = 16 << 20;
/// Downloads that are not complete, named after their hash.
pub(super) const PARTIAL: &str = ".partial";

/// A file of an installed model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
	/// Path below the commit's folder, with forward slashes.
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
	/// Folder of the installed commit, with its files.
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

fn is_commit(text: &str) -> bool {
	text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where a file is kept until it is complete. Its hash is the name, so that one version is never continued with another.
pub(super) fn part_path(model_folder: &Path, file: &FileEntry) -> PathBuf {
	model_folder.join(PARTIAL).join(&file.hash)
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

	/// The folder of a model whose name the user gave in another form.
	fn folder_of(&self, name: &str, asked: &str) -> Result<PathBuf> {
		self.model_folder(name)
			.map_err(|_| HubError::Name(asked.to_owned()))
	}

	/// A model's manifest, or an error if it is not installed or damaged.
	pub fn get(&self, name: &str) -> Result<Installed> {
		let (asked, name) = (name, &local_name(name));
		let model_folder = self.folder_of(name, asked)?;
		let path = model_folder.join(MANIFEST);
		let file = match File::open(&path) {
			Err(error)
				if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
			{
				return Err(HubError::NotInstalled(asked.to_owned()));
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
		if !is_commit(&manifest.commit) {
			return Err(damaged(format!("it names commit {:?}", manifest.commit)));
		}
		let sizes = manifest.files.iter().map(|file| file.size);
		Ok(Installed {
			name: name.to_owned(),
			size: sizes.fold(0, u64::saturating_add),
			folder: model_folder.join(&manifest.commit),
			manifest,
		})
	}

	/// The installed model that `source` means, opening the file that it names.
	///
	/// # Errors
	/// [`HubError::NotInstalled`] also if the file, the revision or the repository is another.
	pub fn find(&self, source: &Source) -> Result<Installed> {
		// The name to pull, which that of the folder is not.
		let missing = || {
			let file = source.file.as_ref().map(|file| format!(":{file}"));
			let revision = source.revision.as_ref().map(|name| format!("@{name}"));
			let (file, revision) = (file.unwrap_or_default(), revision.unwrap_or_default());
			HubError::NotInstalled(format!("{}{file}{revision}", source.repo))
		};
		let mut model = self.get(&source.name).map_err(|error| match error {
			HubError::NotInstalled(_) => missing(),
			other => other,
		})?;
		let Manifest {
			repo,
			commit,
			revision,
			files,
			main,
			..
		} = &mut model.manifest;
		let asked = source.revision.as_ref();
		let fits =
			*repo == source.repo && asked.is_none_or(|asked| asked == revision || asked == commit);
		if let Some(file) = source.file.as_ref().filter(|_| fits) {
			if files.iter().any(|entry| entry.path == *file) {
				*main = Some(file.clone());
				return Ok(model);
			}
		} else if fits {
			return Ok(model);
		}
		Err(missing())
	}

	/// All installed models by name; a damaged one is an error in its place.
	pub fn list(&self) -> Result<Vec<Result<Installed>>> {
		let entries = match std::fs::read_dir(&self.folder) {
			Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
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
		let missing = || HubError::NotInstalled(name.to_owned());
		let (asked, name) = (name, &local_name(name));
		let folder = self.folder_of(name, asked)?;
		let about = std::fs::symlink_metadata(&folder).map_err(|_| missing())?;
		let _lock = self.lock(name)?;
		if about.is_symlink() {
			return std::fs::remove_file(&folder).map_err(HubError::io(folder));
		}
		// Other folders here are not ours to remove. A pull that stopped early leaves no manifest.
		if !folder.join(MANIFEST).is_file() && !folder.join(PARTIAL).is_dir() {
			return Err(missing());
		}
		std::fs::remove_dir_all(&folder).map_err(HubError::io(folder))
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

	/// Makes `manifest` the model's, in one step, then removes other commits and what is left of downloads.
	pub(super) fn switch(&self, name: &str, manifest: &Manifest) -> Result<()> {
		let folder = self.model_folder(name)?;
		let path = folder.join(MANIFEST);
		let part = path.with_extension("json.part");
		let text = serde_json::to_vec_pretty(manifest).map_err(|error| HubError::Manifest {
			path: path.clone(),
			reason: error.to_string(),
		})?;
		let mut file = File::create(&part).map_err(HubError::io(&part))?;
		file.write_all(&text)
			.and_then(|()| file.sync_all())
			.and_then(|()| std::fs::rename(&part, &path))
			.and_then(|()| File::open(&folder)?.sync_all())
			.map_err(HubError::io(path))?;
		for entry in std::fs::read_dir(&folder).map_err(HubError::io(&folder))? {
			let entry = entry.map_err(HubError::io(&folder))?;
			let name = entry.file_name();
			let old = name
				.to_str()
				.is_some_and(|name| is_commit(name) && name != manifest.commit);
			if old || name == PARTIAL {
				std::fs::remove_dir_all(entry.path()).map_err(HubError::io(entry.path()))?;
			}
		}
		Ok(())
	}
}

/// The file or folder to open for `--model`: an existing path as it is, else an installed model.
///
/// # Errors
/// Neither exists; the error repeats the name as it was given, and says how to pull it if the hub may have it.
pub fn resolve(name_or_path: impl AsRef<Path>) -> Result<PathBuf> {
	resolve_in(&Store::new(Store::default_folder()), name_or_path.as_ref())
}

/// [`resolve`] in a given store.
pub fn resolve_in(store: &Store, name_or_path: &Path) -> Result<PathBuf> {
	if name_or_path.exists() {
		return Ok(name_or_path.to_owned());
	}
	let name = name_or_path.to_string_lossy();
	let given = |error: HubError, missing: fn(String) -> HubError| match error {
		HubError::Name(_) | HubError::NotInstalled(_) => missing(name.clone().into_owned()),
		other => other,
	};
	let model = match name.parse::<Source>() {
		Ok(source) => store
			.find(&source)
			.map_err(|error| given(error, HubError::NotInstalled))?,
		// A name as `list` shows it.
		Err(_) => store
			.get(&name)
			.map_err(|error| given(error, HubError::NotHere))?,
	};
	Ok(match &model.manifest.main {
		Some(main) => model.folder.join(main),
		None => model.folder,
	})
}
