//! Pulling from a hub: complete, interrupted, and in `faults` what goes wrong.

mod faults;
mod server;

use aria_worker::hub::{
	Endpoint, Event, HubError, Installed, KNOWN, PullOptions, Source, Store, pull, resolve_in,
};
use server::{Fault, REPO, Server, commit, git_hash, sha256};
use std::{
	path::{Path, PathBuf},
	time::Duration,
};

const FILE: &str = "model-i2_s.gguf";
const NAME: &str = "owner--model";

fn weights(seed: u8) -> Vec<u8> {
	(0..300_000u32)
		.map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed)
		.collect()
}

struct Setup {
	server: Server,
	folder: tempfile::TempDir,
	store: Store,
}

impl Setup {
	fn new(files: &[(&str, &[u8])]) -> Self {
		let folder = tempfile::tempdir().unwrap();
		Self {
			server: Server::start(files),
			store: Store::new(folder.path().join("models")),
			folder,
		}
	}

	fn options(&self) -> PullOptions {
		PullOptions {
			endpoint: Endpoint {
				url: self.server.url.clone(),
				token: None,
			},
			offline: false,
			retries: 3,
			pause: Duration::from_millis(1),
		}
	}

	fn pull(&self, name: &str) -> Result<Installed, HubError> {
		pull(&self.store, &source(name), &self.options(), &mut |_| {})
	}

	fn ranges(&self) -> Vec<Option<String>> {
		let downloads = self.server.downloads().into_iter();
		downloads.map(|(_, range)| range).collect()
	}

	fn model_folder(&self) -> PathBuf {
		self.folder.path().join("models").join(NAME)
	}

	/// Names in the model's folder, sorted.
	fn entries(&self) -> Vec<String> {
		let entries = std::fs::read_dir(self.model_folder()).unwrap();
		let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
		let mut names: Vec<String> = names.collect();
		names.sort();
		names
	}
}

fn source(name: &str) -> Source {
	name.parse().unwrap()
}

fn from(start: u32) -> Option<String> {
	Some(format!("bytes={start}-"))
}

fn checked(store: &Store, name: &str) -> Vec<Option<String>> {
	let files = store.verify(name).unwrap();
	files.into_iter().map(|(_, fault)| fault).collect()
}

#[test]
fn gguf_should_be_pulled_listed_resolved_and_removed() {
	let bytes = weights(1);
	let setup = Setup::new(&[("README.md", b"# model"), (FILE, &bytes)]);
	let mut start = None;
	let mut report = |event: Event<'_>| {
		if let Event::Start {
			licence,
			files,
			bytes,
		} = event
		{
			start = Some((licence.map(str::to_owned), files, bytes));
		}
	};
	let model = pull(&setup.store, &source(REPO), &setup.options(), &mut report).unwrap();
	assert_eq!(start, Some((Some("mit".into()), 1, 300_000)));
	assert_eq!(model.name, NAME);
	assert_eq!(model.size, 300_000);
	assert_eq!(model.manifest.commit, commit('a'));
	assert_eq!(model.manifest.files[0].hash, sha256(&bytes));
	assert_eq!(std::fs::read(model.folder.join(FILE)).unwrap(), bytes);
	assert_eq!(setup.entries(), [commit('a'), "aria-manifest.json".into()]);

	let listed = setup.store.list().unwrap();
	assert_eq!(listed.len(), 1);
	assert_eq!(listed[0].as_ref().unwrap().manifest, model.manifest);
	let path = model.folder.join(FILE);
	for name in [
		REPO,
		NAME,
		"owner/model:model-i2_s.gguf",
		"owner/model@main",
	] {
		let found = resolve_in(&setup.store, Path::new(name)).unwrap();
		assert_eq!(found, path, "{name}");
	}
	for name in ["owner/model:other.gguf", "owner/model@v2", "owner/other"] {
		let error = resolve_in(&setup.store, Path::new(name)).unwrap_err();
		assert!(
			matches!(error, HubError::NotInstalled(_)),
			"{name}: {error}"
		);
		let command = format!("model pull {name}`");
		assert!(error.to_string().contains(&command), "{error}");
	}

	// All is here: nothing is downloaded again.
	setup.server.downloads();
	setup.pull(REPO).unwrap();
	assert_eq!(setup.server.downloads(), []);

	setup.store.remove(REPO).unwrap();
	assert!(setup.store.list().unwrap().is_empty());
	assert!(!setup.model_folder().exists());
	let again = setup.store.remove(REPO).unwrap_err();
	assert!(matches!(again, HubError::NotInstalled(_)));
}

#[test]
fn folder_should_hold_the_files_that_a_loader_reads() {
	let (one, two) = (weights(1), weights(2));
	let config = b"{\"model_type\": \"bitnet\"}";
	let setup = Setup::new(&[
		("README.md", b"text"),
		("config.json", config),
		("tokenizer.json", b"{}"),
		("model.safetensors.index.json", b"{\"weight_map\": {}}"),
		("model-00001-of-00002.safetensors", &one),
		("model-00002-of-00002.safetensors", &two),
		("consolidated.safetensors", &one),
		("onnx/model.onnx", &two),
	]);
	let model = setup.pull(REPO).unwrap();
	assert_eq!(model.manifest.main, None);
	let files = &model.manifest.files;
	let mut names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
	names.sort_unstable();
	let wanted = [
		"config.json",
		"model-00001-of-00002.safetensors",
		"model-00002-of-00002.safetensors",
		"model.safetensors.index.json",
		"tokenizer.json",
	];
	assert_eq!(names, wanted);
	let entry = files.iter().find(|file| file.path == "config.json");
	assert_eq!(
		entry.unwrap().hash,
		git_hash(config),
		"small files by git's hash"
	);
	let path = resolve_in(&setup.store, Path::new(REPO)).unwrap();
	assert_eq!(path, model.folder);
	assert_eq!(checked(&setup.store, REPO), vec![None; 5]);
}

#[test]
fn cut_connection_should_be_gone_on_with_where_it_stopped() {
	let bytes = weights(3);
	let setup = Setup::new(&[(FILE, &bytes)]);
	setup.server.fault(Fault::Cut(100_000));
	setup.server.fault(Fault::Status(503));
	setup.server.fault(Fault::Cut(50_000));
	let model = setup.pull(REPO).unwrap();
	assert_eq!(std::fs::read(model.folder.join(FILE)).unwrap(), bytes);
	let ranges = [None, from(100_000), from(100_000), from(150_000)];
	assert_eq!(setup.ranges(), ranges);
}

#[test]
fn next_pull_should_use_what_an_earlier_one_left() {
	let bytes = weights(4);
	let setup = Setup::new(&[(FILE, &bytes)]);
	for cut in [200_000, 1, 1, 1] {
		setup.server.fault(Fault::Cut(cut));
	}
	let error = setup.pull(REPO).unwrap_err();
	assert!(matches!(error, HubError::Network { .. }), "{error}");
	assert!(setup.store.list().unwrap().is_empty());
	assert!(!setup.model_folder().join(commit('a')).join(FILE).exists());
	setup.server.downloads();

	// A server that can't go on in the middle gives the whole file.
	setup.server.fault(Fault::Cut(1));
	setup.server.fault(Fault::IgnoreRange);
	let model = setup.pull(REPO).unwrap();
	assert_eq!(std::fs::read(model.folder.join(FILE)).unwrap(), bytes);
	assert_eq!(setup.ranges(), [from(200_003), from(200_004)]);
}

#[test]
fn progress_should_count_the_attempts_anew() {
	let setup = Setup::new(&[(FILE, &weights(6).repeat(30))]);
	for _ in 0..6 {
		setup.server.fault(Fault::Cut(1_200_000));
	}
	let model = setup.pull(REPO).unwrap();
	assert_eq!(setup.ranges().len(), 7);
	assert_eq!(checked(&setup.store, REPO), [None]);
	assert_eq!(model.size, 9_000_000);
}

#[test]
fn offline_should_use_what_is_here_and_ask_no_one() {
	let setup = Setup::new(&[(FILE, &weights(11))]);
	let mut options = setup.options();
	options.offline = true;
	let offline = |name| pull(&setup.store, &source(name), &options, &mut |_| {});
	let error = offline(REPO).unwrap_err();
	assert!(matches!(error, HubError::Offline(_)), "{error}");
	let installed = setup.pull(REPO).unwrap();
	let before = setup.server.hub.lock().unwrap().seen.len();
	assert_eq!(offline(REPO).unwrap().manifest, installed.manifest);
	assert!(offline("owner/model:other.gguf").is_err());
	assert!(offline("owner/model@v2").is_err());
	assert_eq!(setup.server.hub.lock().unwrap().seen.len(), before);
}

#[test]
fn corruption_should_be_found_and_repaired() {
	let bytes = weights(12);
	let setup = Setup::new(&[(FILE, &bytes)]);
	let path = setup.pull(REPO).unwrap().folder.join(FILE);
	assert_eq!(checked(&setup.store, REPO), [None]);
	let mut damaged = bytes.clone();
	damaged[299_999] ^= 0x80;
	std::fs::write(&path, &damaged).unwrap();
	let fault = checked(&setup.store, REPO)[0].clone().unwrap();
	assert!(fault.contains(&sha256(&damaged)), "{fault}");
	setup.pull(REPO).unwrap();
	assert_eq!(std::fs::read(&path).unwrap(), bytes);
	std::fs::write(&path, b"short").unwrap();
	let fault = checked(&setup.store, REPO)[0].clone().unwrap();
	assert_eq!(fault, "5 bytes instead of 300000");
	std::fs::remove_file(&path).unwrap();
	assert_eq!(checked(&setup.store, REPO), [Some("missing".into())]);
	setup.pull(REPO).unwrap();
	assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn new_commit_should_come_whole_or_not_at_all() {
	let (one, old, new) = (weights(13), weights(14), weights(15));
	let second = "model-2.safetensors";
	let files = |content| -> Vec<(&str, &[u8])> {
		vec![
			("config.json", b"{}"),
			("model.safetensors.index.json", b"{}"),
			("model-1.safetensors", &one),
			(second, content),
		]
	};
	let setup = Setup::new(&files(&old));
	let read = |model: &Installed| std::fs::read(model.folder.join(second)).unwrap();
	let first = setup.pull(REPO).unwrap();
	setup.server.downloads();

	setup.server.publish('b', &files(&new));
	setup.server.fault(Fault::Cut(70_000));
	setup.server.fault(Fault::Status(404));
	assert!(setup.pull(REPO).is_err());
	let still = setup.store.get(REPO).unwrap();
	assert_eq!(still.manifest, first.manifest);
	assert_eq!(checked(&setup.store, REPO), vec![None; 4]);
	assert_eq!(read(&still), old);
	setup.server.downloads();

	let moved = setup.pull(REPO).unwrap();
	assert_eq!(moved.manifest.commit, commit('b'));
	assert_eq!(read(&moved), new);
	assert_eq!(checked(&setup.store, REPO), vec![None; 4]);
	// What is the same in both is not fetched again.
	let rest = [(second.to_owned(), from(70_000))];
	assert_eq!(setup.server.downloads(), rest);
	assert_eq!(setup.entries(), ["aria-manifest.json".into(), commit('b')]);
}

#[test]
fn second_file_of_a_commit_should_join_the_first() {
	let (one, two) = (weights(16), weights(17));
	let setup = Setup::new(&[("a.gguf", &one), ("sub dir/b.gguf", &two)]);
	let error = setup.pull(REPO).unwrap_err();
	assert!(matches!(error, HubError::Ambiguous { .. }), "{error}");
	setup.pull("owner/model:a.gguf").unwrap();
	let model = setup.pull("owner/model:sub dir/b.gguf").unwrap();
	assert_eq!(model.manifest.files.len(), 2);
	for (name, bytes) in [("a.gguf", one), ("sub dir/b.gguf", two)] {
		let path = resolve_in(&setup.store, Path::new(&format!("{REPO}:{name}"))).unwrap();
		assert_eq!(std::fs::read(path).unwrap(), bytes);
	}
}

#[test]
fn short_names_should_be_distinct_and_lead_to_their_repository() {
	for known in KNOWN {
		let by_name = source(known.name);
		assert_eq!(by_name.repo, known.repo);
		assert_eq!(by_name.name, known.name);
		assert_eq!(source(known.repo), by_name);
	}
	let mut names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
	names.sort_unstable();
	names.dedup();
	assert_eq!(names.len(), KNOWN.len());
}
