//! The models of a worker: which it has, and which of them are in memory.
//!
//! A model is loaded at the first request for it; the caller is told to retry. When its weights would exceed the memory
//! limit, the models that have gone longest without a request are evicted, but never one that is in use.

mod choice;
pub mod engine;
pub mod events;
mod load;

pub use choice::{ChoiceError, ModelChoice};
pub use load::ModelsError;

use crate::metrics::Passes;
use aria_engine::{
	Options,
	model::{Model, ModelConfig, SamplingDefaults},
};
use aria_kernels::{Backend, I2Block};
use aria_primitives::{ModelId, provenance::OperationCount};
use engine::EngineHandle;
use std::{
	ffi::OsStr,
	path::{Path, PathBuf},
	sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
	time::{Duration, Instant},
};
use tokio::sync::watch;

/// How long a model that could not be loaded is left alone.
const RETRY: Duration = Duration::from_secs(30);
/// How long a loaded model waits for its first request before it may be evicted: the caller is to find it loaded.
const GRACE: Duration = Duration::from_secs(15);
/// Bytes of weights that are loaded in a second, when nothing better is known.
const SPEED: u64 = 200_000_000;

/// All models of a worker. Clones are the same.
#[derive(Clone)]
pub struct Models(Arc<Inner>);

struct Inner {
	entries: Vec<Entry>,
	/// One for each entry.
	states: Mutex<Vec<Residency>>,
	/// Most bytes of weights in memory.
	limit: u64,
	/// Shared by all engines, so that they don't fight for cores.
	backend: Arc<Backend>,
	i2_block: I2Block,
	options: Options,
	watts: Option<f64>,
	/// Where engines count.
	passes: Option<Passes>,
	/// Held by the one load under way.
	turn: Mutex<()>,
	/// Counts loads that have ended.
	loads: watch::Sender<u64>,
}

/// A model that may be requested.
struct Entry {
	name: Arc<str>,
	/// Where it is; `None` of one that was given loaded, and stays.
	path: Option<PathBuf>,
	config: ModelConfig,
	/// What is known once it was loaded.
	facts: OnceLock<Facts>,
}

impl Entry {
	/// Whether a client may mean it by the name of its file, with or without the ending: other servers call models so.
	fn is_file(&self, name: &str) -> bool {
		let part = |part: fn(&Path) -> Option<&OsStr>| self.path.as_deref().and_then(part);
		part(Path::file_name).is_some_and(|file| file == name)
			|| part(Path::file_stem).is_some_and(|stem| stem == name)
			|| name.strip_suffix(".gguf") == Some(&*self.name)
	}
}

enum Residency {
	/// Not in memory.
	Away,
	Loading {
		since: Instant,
	},
	Ready {
		engine: EngineHandle,
		since: Instant,
		/// When it was last requested, if ever.
		used: Option<Instant>,
	},
	Failed {
		since: Instant,
		error: String,
	},
}

/// What only the loading of a model tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
	/// Its root.
	pub id: ModelId,
	/// Name in its file.
	pub name: String,
	/// Licence in its file.
	pub licence: Option<String>,
	/// Multiply-accumulates of an answer.
	pub operations: OperationCount,
	/// Number of weights.
	pub parameters: u64,
	/// Canonical size, bytes.
	pub bytes: u64,
	/// Whether its file has a chat template that can be used.
	pub template: bool,
	/// Whether that template shows functions.
	pub tools: bool,
	/// How its publisher recommends to sample.
	pub sampling: SamplingDefaults,
	/// Whether it writes; others make embeddings.
	pub writes: bool,
	/// How long loading took.
	pub load_time: Duration,
}

impl Facts {
	fn of(model: &Model, load_time: Duration) -> Self {
		Self {
			id: model.id,
			name: model.name.clone(),
			licence: model.licence.clone(),
			operations: model.operations(),
			parameters: model.parameters(),
			bytes: model.bytes,
			template: model.template.source().is_some() && model.template.usable().is_ok(),
			tools: model.template.takes_tools(),
			sampling: model.sampling,
			writes: model.weights.head.is_some(),
			load_time,
		}
	}
}

/// A model in use: it stays in memory as long as this or its engine's handle exists.
#[derive(Clone)]
pub struct Served {
	/// Name by which it is requested.
	pub name: Arc<str>,
	/// Runs it.
	pub engine: EngineHandle,
}

/// A model as lists show it.
#[derive(Clone, Debug)]
pub struct Listed {
	/// Name by which it is requested.
	pub name: Arc<str>,
	/// Whether it is in memory.
	pub ready: bool,
	/// Its shape.
	pub config: ModelConfig,
	/// Requests that it has, waiting or running.
	pub requests: usize,
	/// What is known once it was loaded.
	pub facts: Option<Facts>,
}

/// Why a model can't be used now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
	/// There is none of this name.
	#[error("there is no model of this name")]
	Unknown,
	/// It is being loaded, or waits for the load of another.
	#[error("the model is being loaded")]
	Loading {
		/// When it may be there.
		retry_after: Duration,
	},
	/// The memory is taken by models in use.
	#[error("there is no memory for this model while others are in use")]
	NoRoom,
	/// It can't be loaded.
	#[error("{0}")]
	Failed(String),
}

/// What a worker's engines are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
	/// Nothing can be answered yet: the first model is being loaded, or the owner's consent is not known.
	Loading,
	/// Requests are answered.
	Ready,
	/// An engine has work and has done none of it for too long.
	Stuck,
}

impl Models {
	/// One model that is loaded already and stays.
	pub fn of(name: &str, engine: EngineHandle) -> Self {
		let model = engine.model().clone();
		let entry = Entry {
			name: name.into(),
			path: None,
			config: model.config().clone(),
			facts: Facts::of(&model, Duration::ZERO).into(),
		};
		let ready = Residency::Ready {
			engine,
			since: Instant::now(),
			used: None,
		};
		Self(Arc::new(Inner {
			entries: vec![entry],
			states: Mutex::new(vec![ready]),
			limit: u64::MAX,
			backend: Arc::new(Backend::new(aria_kernels::Isa::Scalar, 1)),
			i2_block: I2Block::B128,
			options: Options::default(),
			watts: None,
			passes: None,
			turn: Mutex::default(),
			loads: watch::Sender::new(0),
		}))
	}

	fn states(&self) -> MutexGuard<'_, Vec<Residency>> {
		self.0.states.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// All models, in the order of the command line.
	pub fn list(&self) -> Vec<Listed> {
		let states = self.states();
		let each = self.0.entries.iter().zip(states.iter());
		each.map(|(entry, state)| Listed {
			name: entry.name.clone(),
			ready: matches!(state, Residency::Ready { engine, .. } if !engine.is_stopped()),
			config: entry.config.clone(),
			requests: match state {
				Residency::Ready { engine, .. } => engine.queued(),
				_ => 0,
			},
			facts: entry.facts.get().cloned(),
		})
		.collect()
	}

	/// Requests that the engines are answering, or that wait.
	pub fn requests(&self) -> usize {
		let queued = |state: &Residency| match state {
			Residency::Ready { engine, .. } => engine.queued(),
			_ => 0,
		};
		self.states().iter().map(queued).sum()
	}

	/// The first model: what requests mean that name none.
	pub fn first(&self) -> Result<Served, Unavailable> {
		self.take(0)
	}

	/// The model of this name, or else the one model whose file is called so. One that is not in memory begins to be
	/// loaded.
	pub fn get(&self, name: &str) -> Result<Served, Unavailable> {
		self.take(self.index(name).ok_or(Unavailable::Unknown)?)
	}

	/// The model that [`Self::get`] means, as lists show it.
	pub fn listed(&self, name: &str) -> Option<Listed> {
		let index = self.index(name)?;
		self.list().into_iter().nth(index)
	}

	fn index(&self, name: &str) -> Option<usize> {
		let entries = || self.0.entries.iter();
		if let Some(index) = entries().position(|entry| &*entry.name == name) {
			return Some(index);
		}
		let mut files = entries()
			.enumerate()
			.filter(|(_, entry)| entry.is_file(name));
		match (files.next(), files.next()) {
			(Some((index, _)), None) => Some(index),
			_ => None,
		}
	}

	/// The model with this root, once it is loaded; `None` if it is none of these. Models whose roots are not known
	/// are loaded to learn them.
	///
	/// # Errors
	///
	/// [`Unavailable::NoRoom`], and [`Unavailable::Failed`] if it may be one that can't be loaded.
	pub async fn with_root(&self, root: &ModelId) -> Result<Option<Served>, Unavailable> {
		let known = |entry: &Entry| entry.facts.get().map(|facts| facts.id);
		let mut failure = None;
		for (index, entry) in self.0.entries.iter().enumerate() {
			if known(entry).is_some_and(|id| id != *root) {
				continue;
			}
			match self.wait_for(index).await {
				Ok(served) if served.engine.model().id == *root => return Ok(Some(served)),
				Ok(_) => {}
				Err(error) => failure = Some(error),
			}
		}
		failure.map_or(Ok(None), Err)
	}

	/// Waits until the first model is loaded.
	///
	/// # Errors
	///
	/// If it can't be.
	pub async fn wait_for_first(&self) -> Result<Served, Unavailable> {
		self.wait_for(0).await
	}

	async fn wait_for(&self, index: usize) -> Result<Served, Unavailable> {
		let mut loads = self.0.loads.subscribe();
		loop {
			loads.mark_unchanged();
			match self.take(index) {
				Err(Unavailable::Loading { .. }) => {}
				other => return other,
			}
			// The sender lives as long as `self`.
			drop(loads.changed().await);
		}
	}

	/// What the engines are doing; `patience` is how long one may seem to do nothing.
	pub fn health(&self, patience: Duration) -> Health {
		let states = self.states();
		let (mut ready, mut loading) = (false, false);
		for state in states.iter() {
			match state {
				Residency::Ready { engine, .. } if engine.stalled() > patience => {
					return Health::Stuck;
				}
				Residency::Ready { engine, .. } => ready |= !engine.is_stopped(),
				Residency::Loading { .. } => loading = true,
				Residency::Away | Residency::Failed { .. } => {}
			}
		}
		match (ready, loading) {
			(false, true) => Health::Loading,
			_ => Health::Ready,
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn worker_should_be_loading_until_something_can_answer() {
		let dir = tempfile::tempdir().unwrap();
		let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/aria-demo.gguf");
		let copy = dir.path().join("copy.gguf");
		std::fs::copy(&path, &copy).unwrap();
		let named = |name: &str, model: &PathBuf| ModelChoice {
			name: Some(name.into()),
			model: model.clone(),
		};
		let choices = [named("a", &path), named("b", &copy)];
		let backend = Backend::new(aria_kernels::Isa::detect(), 1);
		let models = Models::open(
			&choices,
			None,
			backend,
			I2Block::B128,
			Options::default(),
			None,
			None,
		)
		.unwrap();
		let health = || models.health(Duration::from_secs(60));
		let loading = |state: &Residency| matches!(state, Residency::Loading { .. });
		let since = Instant::now();
		while models.states().iter().any(loading) {
			std::thread::sleep(Duration::from_millis(1));
		}
		assert_eq!(health(), Health::Ready);
		let set = |index: usize, state| models.states()[index] = state;
		set(0, Residency::Loading { since });
		assert_eq!(health(), Health::Loading);
		assert!(matches!(models.get("a"), Err(Unavailable::Loading { .. })));
		let Err(Unavailable::Loading { .. }) = models.get("b") else {
			panic!("b was in memory");
		};
		while models.states().iter().skip(1).any(loading) {
			std::thread::sleep(Duration::from_millis(1));
		}
		// Another one answers meanwhile.
		assert_eq!(health(), Health::Ready);
	}
}
