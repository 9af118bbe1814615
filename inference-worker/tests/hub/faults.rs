//! Servers that fail or lie, and two at once.

use super::{FILE, Setup, checked, from, source, weights};
use crate::server::{Fault, REPO, Server, commit};
use aria_worker::hub::{HubError, Source, Store, pull};
use std::{sync::Arc, time::Duration};

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
	assert_eq!(checked(&setup.store, REPO), [None]);
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
	assert_eq!(checked(&setup.store, REPO), [None]);
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
