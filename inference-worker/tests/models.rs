//! Several models in one worker: loaded on demand, within a limit.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

#[path = "../engine/tests/support/mod.rs"]
mod support;

use aria_engine::{Event, GenerateRequest, Options, model::Model};
use aria_kernels::{Backend, I2Block, Isa, Packing};
use aria_primitives::{H256, receipt::Sampling};
use aria_worker::models::{
	Health, ModelChoice, Models, ModelsError, Served, Unavailable, engine::EngineHandle,
};
use std::{path::Path, sync::mpsc, time::Duration};

/// Writes models of different weights and chooses them by the names `a`, `b` ...
fn choices(dir: &Path, count: u8) -> Vec<ModelChoice> {
	let write = |number: u8| {
		let name = char::from(b'a' + number).to_string();
		let path = dir.join(format!("{name}.gguf"));
		std::fs::write(&path, support::synth::model(u64::from(number)).bytes()).unwrap();
		ModelChoice {
			name: Some(name),
			model: path,
		}
	};
	(0..count).map(write).collect()
}

/// Bytes that each of them takes.
fn each(choices: &[ModelChoice]) -> u64 {
	let outline = Model::outline(&choices[0].model).unwrap();
	outline.config.weight_bytes()
}

fn open(choices: &[ModelChoice], limit: Option<u64>) -> Models {
	let backend = Backend::new(Isa::Scalar, 2);
	Models::open(
		choices,
		limit,
		backend,
		I2Block::B128,
		Options::default(),
		None,
		None,
	)
	.unwrap()
}

/// The model, once it is there.
async fn ready(models: &Models, name: &str) -> Served {
	loop {
		match models.get(name) {
			Ok(served) => return served,
			Err(Unavailable::Loading { retry_after }) => assert!(!retry_after.is_zero()),
			Err(error) => panic!("{name}: {error}"),
		}
		tokio::time::sleep(Duration::from_millis(2)).await;
	}
}

fn in_memory(models: &Models) -> String {
	let list = models.list().into_iter().filter(|model| model.ready);
	list.map(|model| model.name.to_string()).collect()
}

#[tokio::test]
async fn models_should_be_loaded_on_demand_and_the_one_unused_for_longest_should_go() {
	let dir = tempfile::tempdir().unwrap();
	let choices = choices(dir.path(), 3);
	let models = open(&choices, Some(each(&choices) * 2));
	assert_eq!(&*models.wait_for_first().await.unwrap().name, "a");
	assert_eq!(in_memory(&models), "a");
	let unknown = models
		.list()
		.into_iter()
		.filter(|model| model.facts.is_none());
	assert_eq!(unknown.count(), 2);
	assert_eq!(models.get("d").err(), Some(Unavailable::Unknown));

	assert!(matches!(models.get("b"), Err(Unavailable::Loading { .. })));
	drop(ready(&models, "b").await);
	assert_eq!(in_memory(&models), "ab");
	drop(models.get("a").unwrap());
	// Now b was not asked for the longest.
	let c = ready(&models, "c").await;
	assert_eq!(in_memory(&models), "ac");
	// Nobody takes memory from a model in use; what is known of models that are gone stays known.
	let a = models.get("a").unwrap();
	assert_eq!(models.get("b").err(), Some(Unavailable::NoRoom));
	assert!(models.list().iter().all(|model| model.facts.is_some()));
	drop(a);
	let b = ready(&models, "b").await;
	assert_eq!(in_memory(&models), "bc");
	let ids = [b, c].map(|served| served.engine.model().id);
	let expected = [1, 2].map(|seed| {
		let bytes = support::synth::model(seed).bytes();
		Model::from_bytes(&bytes, "", Packing::Dense).unwrap().id
	});
	assert_eq!(ids, expected);
}

#[tokio::test]
async fn model_should_stay_while_it_answers() {
	let dir = tempfile::tempdir().unwrap();
	let choices = choices(dir.path(), 2);
	let models = open(&choices, Some(each(&choices)));
	let engine = models.wait_for_first().await.unwrap().engine;
	let mut events = engine.submit(long()).unwrap();
	drop(engine);
	assert_eq!(models.get("b").err(), Some(Unavailable::NoRoom));
	while let Some(event) = events.recv().await {
		assert!(!matches!(event, Event::Error(_)), "{event:?}");
	}
	// The last event comes before the place is free.
	while models.get("b").err() == Some(Unavailable::NoRoom) {
		tokio::time::sleep(Duration::from_millis(2)).await;
	}
	drop(ready(&models, "b").await);
	assert_eq!(in_memory(&models), "b");
}

#[tokio::test]
async fn verifiers_should_find_models_by_their_roots() {
	let dir = tempfile::tempdir().unwrap();
	let choices = choices(dir.path(), 3);
	let models = open(&choices, Some(each(&choices)));
	let bytes = support::synth::model(2).bytes();
	let root = Model::from_bytes(&bytes, "", Packing::Dense).unwrap().id;
	// One that was loaded and never asked for would stay for a while.
	drop(models.wait_for_first().await.unwrap());
	// Nobody knows yet which of the others it is.
	let found = models.with_root(&root).await.unwrap().unwrap();
	assert_eq!((&*found.name, found.engine.model().id), ("c", root));
	drop(found);
	assert!(models.with_root(&H256::zero()).await.unwrap().is_none());
}

#[tokio::test]
async fn models_that_can_not_be_served_should_be_errors() {
	let dir = tempfile::tempdir().unwrap();
	let good = choices(dir.path(), 2);
	let refused = |choices: &[ModelChoice], limit| {
		let backend = Backend::new(Isa::Scalar, 1);
		let models = Models::open(
			choices,
			limit,
			backend,
			I2Block::B128,
			Options::default(),
			None,
			None,
		);
		models.err().unwrap()
	};
	assert!(matches!(refused(&[], None), ModelsError::None));
	let twice = [good[0].clone(), good[0].clone()];
	assert!(matches!(refused(&twice, None), ModelsError::SameName(name) if &*name == "a"));
	let limit = Some(each(&good) - 1);
	assert!(matches!(
		refused(&good, limit),
		ModelsError::TooLarge { .. }
	));
	let missing = dir.path().join("missing.gguf").into();
	assert!(matches!(refused(&[missing], None), ModelsError::Choice(_)));
	let text = dir.path().join("text.gguf");
	std::fs::write(&text, "no model").unwrap();
	assert!(matches!(
		refused(&[text.into()], None),
		ModelsError::Choice(_)
	));

	// One whose weights are gone when they are wanted.
	let models = open(&good, None);
	drop(models.wait_for_first().await.unwrap());
	let bytes = std::fs::read(&good[1].model).unwrap();
	std::fs::write(&good[1].model, &bytes[..bytes.len() / 2]).unwrap();
	let error = loop {
		match models.get("b") {
			Err(Unavailable::Loading { .. }) => tokio::time::sleep(Duration::from_millis(2)).await,
			other => break other.err().unwrap(),
		}
	};
	assert!(
		matches!(&error, Unavailable::Failed(why) if why.contains("b.gguf")),
		"{error}"
	);
	// It is not tried again at once.
	assert_eq!(models.get("b").err(), Some(error));
	assert_eq!(models.health(Duration::from_secs(60)), Health::Ready);
}

/// An answer that fills the context.
fn long() -> GenerateRequest {
	GenerateRequest {
		prompt: vec![3; 4],
		max_tokens: 90,
		sampling: Sampling {
			temperature_micro: 100_000_000,
			..Default::default()
		},
		..Default::default()
	}
}

#[tokio::test]
async fn engine_that_does_not_get_on_should_be_stuck() {
	let dir = tempfile::tempdir().unwrap();
	let backend = std::sync::Arc::new(Backend::new(Isa::Scalar, 2));
	let path = choices(dir.path(), 1)[0].model.clone();
	let model = std::sync::Arc::new(Model::open(&path, Packing::Dense).unwrap());
	let meter = aria_worker::energy::Meter::default();
	let engine: EngineHandle = aria_worker::models::engine::Engine::spawn(
		model,
		backend.clone(),
		meter,
		Options::default(),
	)
	.unwrap();
	let models = Models::of("a", engine.clone());
	// Somebody else holds the threads.
	let (release, released) = mpsc::channel::<()>();
	let (hold, held) = mpsc::channel();
	let other = std::thread::spawn(move || {
		let released = std::sync::Mutex::new(released);
		backend.pool().run(2, |_| {
			let _ = hold.send(());
			let _ = released.lock().unwrap().recv();
		});
	});
	held.recv().unwrap();
	let patience = Duration::from_millis(50);
	assert_eq!(
		models.health(patience),
		Health::Ready,
		"it has nothing to do"
	);
	let mut events = engine.submit(long()).unwrap();
	let mut seen = Vec::new();
	while seen.last() != Some(&Health::Stuck) {
		seen.push(models.health(patience));
		tokio::time::sleep(Duration::from_millis(5)).await;
	}
	assert_eq!(seen[0], Health::Ready, "it had just been asked");
	drop(release);
	other.join().unwrap();
	while events.recv().await.is_some() {}
	assert_eq!(models.health(patience), Health::Ready);
}
