//! Downloading a model: choose files, check room, fetch what is missing, check hashes, then switch the manifest.

use super::{
	FileEntry, HubError, Installed, Manifest, Result, Source, Store,
	choose::choose,
	client::{Announced, Client, Description},
	options::{Event, PullOptions},
	store::{PARTIAL, hash_file, part_path},
	transfer::{attempt, download},
};
use std::{path::Path, time::SystemTime};

/// Most bytes of one file: more than any model here, less than a hostile size.
const FILE_BYTES: u64 = 1 << 40;

/// Downloads a model, or what is missing of it.
///
/// Each commit has a folder of its own. What was installed stays as it is until every file of the new commit is here and right.
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
		return store.find(source).map_err(|error| match error {
			HubError::NotInstalled(name) => HubError::Offline(name),
			other => other,
		});
	}
	let model_folder = store.model_folder(&source.name)?;
	let _lock = store.lock(&source.name)?;
	let client = Client::new(&options.endpoint);
	let revision = source.revision.as_deref().unwrap_or("main");
	let description = attempt(options, report, |_| client.describe(&source.repo, revision))?;
	let (names, main) = choose(source, &description)?;
	let mut files = Vec::new();
	for name in names {
		let Announced { size, hash } = attempt(options, report, |_| {
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
	let licence = source.licence.clone().or_else(|| licence(&description));
	report(Event::Start {
		licence: licence.as_deref(),
		files: files.len(),
		bytes: files.iter().map(|file| file.size).sum(),
	});
	let folder = model_folder.join(&description.sha);
	let partial = model_folder.join(PARTIAL);
	for folder in [&partial, &folder] {
		std::fs::create_dir_all(folder).map_err(HubError::io(folder))?;
	}
	let old = store
		.get(&source.name)
		.ok()
		.filter(|old| old.manifest.repo == source.repo);
	let mut missing = Vec::new();
	let mut needed = 0u64;
	for file in &files {
		if is_here(&folder.join(&file.path), file)? || take_over(old.as_ref(), &folder, file)? {
			continue;
		}
		let part = std::fs::metadata(part_path(&model_folder, file)).map_or(0, |part| part.len());
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
		let part = part_path(&model_folder, file);
		let path = folder.join(&file.path);
		attempt(options, report, |report| {
			download(&client, &url, &part, &path, file, report)
		})?;
	}
	// Other files of the same commit stay installed; those of another commit would not fit.
	let others = old
		.filter(|old| old.manifest.commit == description.sha)
		.map_or_else(Vec::new, |old| old.manifest.files);
	for other in others {
		if !files.iter().any(|file| file.path == other.path) {
			files.push(other);
		}
	}
	let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
	let manifest = Manifest {
		repo: source.repo.clone(),
		commit: description.sha,
		revision: revision.to_owned(),
		licence,
		installed: now.map_or(0, |now| now.as_secs()),
		main,
		files,
	};
	store.switch(&source.name, &manifest)?;
	store.get(&source.name)
}

/// Licence as the model's card names it: one word, or nothing.
fn licence(description: &Description) -> Option<String> {
	let text = description.card.as_ref()?.get("license")?.as_str()?;
	let plain = text.len() <= 200 && !text.chars().any(char::is_control);
	plain.then(|| text.to_owned())
}

/// Whether the file at `path` is the one announced.
fn is_here(path: &Path, file: &FileEntry) -> Result<bool> {
	let here =
		std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() == file.size);
	Ok(here && hash_file(path, &file.hash)? == file.hash)
}

/// Links a file that did not change since the installed commit into the new folder.
fn take_over(old: Option<&Installed>, folder: &Path, file: &FileEntry) -> Result<bool> {
	let Some(old) = old.filter(|old| old.folder != folder) else {
		return Ok(false);
	};
	let same = |other: &&FileEntry| other.hash == file.hash && other.size == file.size;
	let Some(other) = old.manifest.files.iter().find(same) else {
		return Ok(false);
	};
	let from = old.folder.join(&other.path);
	if !is_here(&from, file)? {
		return Ok(false);
	}
	let to = folder.join(&file.path);
	if let Some(parent) = to.parent() {
		std::fs::create_dir_all(parent).map_err(HubError::io(parent))?;
	}
	// A file system without links, or a wrong file in the place: it is downloaded.
	Ok(std::fs::hard_link(from, to).is_ok())
}
