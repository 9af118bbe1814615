//! Pulling from a hub: complete, interrupted, hostile.

mod server;

use aria_worker::hub::{
	Endpoint, Event, HubError, Installed, KNOWN, PullOptions, Source, Store, pull, resolve_in,
};
use server::{Fault, REPO, Server, commit, git_hash, sha256};
use std::{
	path::{Path, PathBuf},
	sync::Arc,
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

fn faults(store: &Store, name: &str) -> Vec<Option<String>> {
	let checked = store.verify(name).unwrap();
	checked.into_iter().map(|(_, fault)| fault).collect()
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
	assert_eq!(faults(&setup.store, REPO), vec![None; 5]);
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
fn dripping_server_should_be_given_up() {
	let setup = Setup::new(&[(FILE, &weights(5))]);
	for _ in 0..40 {
		setup.server.fault(Fault::Cut(1));
	}
	let error = setup.pull(REPO).unwrap_err();
	assert!(matches!(error, HubError::Network { .. }), "{error}");
	assert_eq!(setup.ranges().len(), 4, "one attempt and three more");
}

#[test]
fn progress_should_count_the_attempts_anew() {
	let setup = Setup::new(&[(FILE, &weights(6).repeat(30))]);
	for _ in 0..6 {
		setup.server.fault(Fault::Cut(1_200_000));
	}
	let model = setup.pull(REPO).unwrap();
	assert_eq!(setup.ranges().len(), 7);
	assert_eq!(faults(&setup.store, REPO), [None]);
	assert_eq!(model.size, 9_000_000);
}

#[test]
fn refused_range_should_start_over_and_a_fresh_416_should_fail() {
	let bytes = weights(7);
	let setup = Setup::new(&[(FILE, &bytes)]);
	setup.server.fault(Fault::Cut(1000));
	setup.server.fault(Fault::Status(416));
	let model = setup.pull(REPO).unwrap();
	assert_eq!(std::fs::read(model.folder.join(FILE)).unwrap(), bytes);
	assert_eq!(setup.ranges(), [None, from(1000), None]);

	setup.store.remove(REPO).unwrap();
	setup.server.fault(Fault::Status(416));
	let error = setup.pull(REPO).unwrap_err();
	assert!(matches!(error, HubError::Protocol { .. }), "{error}");
	assert!(error.to_string().contains("416"), "{error}");
}

#[test]
fn wrong_content_should_not_get_its_name() {
	let setup = Setup::new(&[(FILE, &weights(8))]);
	setup.server.fault(Fault::Corrupt);
	let error = setup.pull(REPO).unwrap_err();
	assert!(matches!(error, HubError::Wrong { .. }), "{error}");
	assert!(!setup.model_folder().join(commit('a')).join(FILE).exists());
	let left = std::fs::read_dir(setup.model_folder().join(".partial")).unwrap();
	assert_eq!(left.count(), 0, "what is wrong is thrown away");
	setup.pull(REPO).unwrap();
	assert_eq!(faults(&setup.store, REPO), [None]);
}

#[test]
fn names_that_lead_elsewhere_should_be_refused() {
	let hostile = [
		"../evil.gguf",
		"/etc/evil.gguf",
		"a/../../evil.gguf",
		"a\\..\\evil.gguf",
		"",
	];
	for name in hostile {
		let setup = Setup::new(&[(FILE, &weights(9)), (name, b"x")]);
		let error = setup.pull(REPO).unwrap_err();
		assert!(matches!(error, HubError::UnsafeFile(_)), "{name}: {error}");
		assert_eq!(setup.server.downloads(), []);
	}
	for name in [
		"../model",
		"owner/..",
		"owner/model:../x",
		"owner/model@../x",
		"a/b/c",
		"",
		"x",
	] {
		assert!(name.parse::<Source>().is_err(), "{name}");
	}
	let folder = tempfile::tempdir().unwrap();
	let store = Store::new(folder.path());
	for name in ["..", ".", "../x/y", ".hidden"] {
		assert!(store.remove(name).is_err(), "{name}");
	}
}

#[test]
fn answers_for_another_commit_and_endless_lists_should_be_refused() {
	let setup = Setup::new(&[(FILE, &weights(10))]);
	setup.server.hub.lock().unwrap().other_commit = Some(commit('b'));
	let error = setup.pull(REPO).unwrap_err();
	assert!(error.to_string().contains("another commit"), "{error}");
	let names: Vec<String> = (0..4097).map(|i| format!("file{i}")).collect();
	let files: Vec<(&str, &[u8])> = names
		.iter()
		.map(|name| (name.as_str(), &b"x"[..]))
		.collect();
	setup.server.publish('c', &files);
	let error = setup.pull(REPO).unwrap_err();
	assert!(error.to_string().contains("more than 4096"), "{error}");
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
	assert_eq!(faults(&setup.store, REPO), [None]);
	let mut damaged = bytes.clone();
	damaged[299_999] ^= 0x80;
	std::fs::write(&path, &damaged).unwrap();
	let fault = faults(&setup.store, REPO)[0].clone().unwrap();
	assert!(fault.contains(&sha256(&damaged)), "{fault}");
	setup.pull(REPO).unwrap();
	assert_eq!(std::fs::read(&path).unwrap(), bytes);
	std::fs::write(&path, b"short").unwrap();
	let fault = faults(&setup.store, REPO)[0].clone().unwrap();
	assert_eq!(fault, "5 bytes instead of 300000");
	std::fs::remove_file(&path).unwrap();
	assert_eq!(faults(&setup.store, REPO), [Some("missing".into())]);
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
	assert_eq!(faults(&setup.store, REPO), vec![None; 4]);
	assert_eq!(read(&still), old);
	setup.server.downloads();

	let moved = setup.pull(REPO).unwrap();
	assert_eq!(moved.manifest.commit, commit('b'));
	assert_eq!(read(&moved), new);
	assert_eq!(faults(&setup.store, REPO), vec![None; 4]);
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
fn refusals_should_say_what_to_do() {
	let setup = Setup::new(&[(FILE, &weights(18))]);
	for (status, part) in [
		(401, "HF_TOKEN"),
		(403, "accept the model's licence"),
		(404, "check the spelling"),
		(500, "run the same command again"),
		(418, "HF_ENDPOINT"),
	] {
		setup.server.hub.lock().unwrap().status = Some(status);
		let error = setup.pull(REPO).unwrap_err().to_string();
		assert!(error.contains(part), "{status}: {error}");
	}
	setup.server.hub.lock().unwrap().status = None;
	let error = setup.pull("owner/model:none.gguf").unwrap_err();
	assert!(matches!(error, HubError::NotFound(_)), "{error}");
	let error = setup.pull("owner/model@v9").unwrap_err().to_string();
	assert!(error.contains("owner/model at revision v9"), "{error}");
	setup.server.publish('b', &[("README.md", b"x")]);
	let error = setup.pull(REPO).unwrap_err();
	assert!(matches!(error, HubError::NothingUsable { .. }), "{error}");
}

#[test]
fn second_pull_at_once_should_be_told_to_wait() {
	let setup = Setup::new(&[(FILE, &weights(19))]);
	let (reached, waiting) = std::sync::mpsc::channel();
	let go_on = Arc::new(tokio::sync::Notify::new());
	setup.server.fault(Fault::Wait(reached, go_on.clone()));
	std::thread::scope(|scope| {
		let first = scope.spawn(|| setup.pull(REPO));
		waiting.recv_timeout(Duration::from_secs(20)).unwrap();
		let second = setup.pull(REPO);
		let removal = setup.store.remove(REPO);
		go_on.notify_one();
		first.join().unwrap().unwrap();
		assert!(matches!(second, Err(HubError::Busy(_))));
		assert!(matches!(removal, Err(HubError::Busy(_))));
	});
	assert_eq!(faults(&setup.store, REPO), [None]);
	setup.pull(REPO).unwrap();
}

#[test]
fn token_should_not_leave_the_hubs_host() {
	let bytes = weights(20);
	let setup = Setup::new(&[(FILE, &bytes)]);
	let storage = Server::start(&[(FILE, &bytes)]);
	setup.server.hub.lock().unwrap().storage = Some(storage.url.clone());
	let mut options = setup.options();
	options.endpoint.token = Some("secret".into());
	pull(&setup.store, &source(REPO), &options, &mut |_| {}).unwrap();
	let at_hub = setup.server.hub.lock().unwrap().seen.clone();
	assert_eq!(at_hub.len(), 3, "description, size and hash, content");
	for seen in at_hub {
		assert_eq!(
			seen.token.as_deref(),
			Some("Bearer secret"),
			"{}",
			seen.path
		);
	}
	let elsewhere = storage.hub.lock().unwrap().seen.clone();
	assert_eq!(elsewhere.len(), 1);
	assert_eq!(elsewhere[0].token, None);
}

#[test]
fn foreign_things_in_the_models_folder_should_be_left_alone() {
	let setup = Setup::new(&[(FILE, &weights(21))]);
	setup.pull(REPO).unwrap();
	let models = setup.folder.path().join("models");
	std::fs::write(models.join("note"), "text").unwrap();
	std::fs::create_dir(models.join("mine")).unwrap();
	std::fs::create_dir(models.join("broken")).unwrap();
	std::fs::write(models.join("broken/aria-manifest.json"), "{").unwrap();
	let listed = setup.store.list().unwrap();
	assert_eq!(listed.len(), 2);
	assert!(matches!(listed[0], Err(HubError::Manifest { .. })));
	for name in ["note", "mine"] {
		let error = setup.store.remove(name).unwrap_err();
		assert!(matches!(error, HubError::NotInstalled(_)), "{error}");
		assert!(models.join(name).exists());
	}
	setup.store.remove("broken").unwrap();
	let mut manifest = setup.store.get(REPO).unwrap().manifest;
	manifest.files[0].path = "../../secret".into();
	let text = serde_json::to_vec(&manifest).unwrap();
	std::fs::write(setup.model_folder().join("aria-manifest.json"), text).unwrap();
	let error = setup.store.verify(REPO).unwrap_err();
	assert!(matches!(error, HubError::Manifest { .. }), "{error}");
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
