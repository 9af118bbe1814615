//! Bringing models into memory, and making room for them.

use super::{
	Entry, Facts, GRACE, Inner, ModelChoice, Models, RETRY, Residency, SPEED, Served, Unavailable,
	choice::ChoiceError,
	engine::{Engine, EngineHandle},
};
use crate::{energy::Meter, metrics::Passes};
use aria_engine::{
	Options,
	model::{LoadOptions, Model},
};
use aria_kernels::{Backend, I2Block};
use std::{
	panic::{AssertUnwindSafe, catch_unwind},
	path::Path,
	sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
	time::{Duration, Instant},
};
use tokio::sync::watch;

/// How long a load waits for the memory of models that had to go.
const FREEING: Duration = Duration::from_secs(5);

/// Why a worker can't have these models.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
	/// One of them.
	#[error(transparent)]
	Choice(#[from] ChoiceError),
	/// None were named.
	#[error("no model was named: see --model")]
	None,
	/// Two have one name.
	#[error("two models are called {0:?}: give one another name, with --model NAME=MODEL")]
	SameName(Arc<str>),
	/// One that could never be loaded.
	#[error("the weights of {name:?} take about {needed} MiB, more than --weights-mib allows")]
	TooLarge {
		/// Its name.
		name: Arc<str>,
		/// What it needs.
		needed: u64,
	},
}

impl Models {
	/// Looks at all models and begins to load the first. At most `limit` bytes of weights are in memory at once.
	///
	/// # Errors
	///
	/// [`ModelsError`] if one of them is not there, or can never be loaded.
	pub fn open(
		choices: &[ModelChoice],
		limit: Option<u64>,
		backend: Backend,
		i2_block: I2Block,
		options: Options,
		watts: Option<f64>,
		passes: Option<Passes>,
	) -> Result<Self, ModelsError> {
		let limit = limit.unwrap_or(u64::MAX);
		let mut entries: Vec<Entry> = Vec::new();
		for choice in choices {
			let (path, name, outline) = choice.find()?;
			let name: Arc<str> = name.into();
			if entries.iter().any(|entry| entry.name == name) {
				return Err(ModelsError::SameName(name));
			}
			let needed = outline.config.weight_bytes();
			if needed > limit {
				let needed = needed.div_ceil(1 << 20);
				return Err(ModelsError::TooLarge { name, needed });
			}
			entries.push(Entry {
				name,
				path: Some(path),
				config: outline.config,
				facts: OnceLock::new(),
			});
		}
		let models = Self(Arc::new(Inner {
			states: Mutex::new(entries.iter().map(|_| Residency::Away).collect()),
			entries,
			limit,
			backend: Arc::new(backend),
			i2_block,
			options,
			watts,
			passes,
			turn: Mutex::default(),
			loads: watch::Sender::new(0),
		}));
		match models.first() {
			Err(Unavailable::Unknown) => Err(ModelsError::None),
			// It is being loaded.
			_ => Ok(models),
		}
	}

	/// A model for use, if it is in memory; else it begins to be loaded, if there is room.
	pub(super) fn take(&self, index: usize) -> Result<Served, Unavailable> {
		let entry = self.0.entries.get(index).ok_or(Unavailable::Unknown)?;
		let mut states = self.states();
		let state = states.get_mut(index).ok_or(Unavailable::Unknown)?;
		match state {
			Residency::Ready { engine, used, .. } if !engine.is_stopped() => {
				*used = Some(Instant::now());
				return Ok(Served {
					name: entry.name.clone(),
					engine: engine.clone(),
				});
			}
			Residency::Loading { since } => return Err(entry.loading(*since)),
			Residency::Failed { since, error } if since.elapsed() < RETRY => {
				return Err(Unavailable::Failed(error.clone()));
			}
			// An engine stops only by a fault: the model is loaded again.
			Residency::Ready { .. } | Residency::Failed { .. } | Residency::Away => {}
		}
		let Some(path) = entry.path.clone() else {
			return Err(Unavailable::Failed("the engine has stopped".into()));
		};
		*state = Residency::Away;
		let leaving = self.make_room(&mut states, entry.config.weight_bytes())?;
		let since = Instant::now();
		if let Some(state) = states.get_mut(index) {
			*state = Residency::Loading { since };
		}
		drop(states);
		let models = self.clone();
		let started = std::thread::Builder::new()
			.name("load-model".into())
			.spawn(move || models.load(index, &path, &leaving));
		match started {
			Ok(_) => Err(entry.loading(since)),
			Err(error) => Err(self.failed(index, format!("can't start a thread: {error}"))),
		}
	}

	/// Evicts models until the bytes fit; returns those evicted.
	fn make_room(
		&self,
		states: &mut [Residency],
		needed: u64,
	) -> Result<Vec<Weak<Model>>, Unavailable> {
		let weights = |index: usize| {
			let entry = self.0.entries.get(index);
			entry.map_or(0, |entry| entry.config.weight_bytes())
		};
		let loaded = |state: &Residency| {
			matches!(state, Residency::Ready { .. } | Residency::Loading { .. })
		};
		let each = states.iter().enumerate();
		let mut taken: u64 = each
			.filter(|(_, state)| loaded(state))
			.map(|(index, _)| weights(index))
			.sum();
		let mut idle: Vec<(Instant, usize)> = (states.iter().enumerate())
			.filter_map(|(index, state)| Some((state.idle_since()?, index)))
			.filter(|(_, index)| {
				self.0
					.entries
					.get(*index)
					.is_some_and(|entry| entry.path.is_some())
			})
			.collect();
		idle.sort_unstable();
		// Nothing goes in vain.
		let most: u64 = idle.iter().map(|(_, index)| weights(*index)).sum();
		if (taken - most).saturating_add(needed) > self.0.limit {
			let mut loads = states.iter().zip(&self.0.entries);
			return Err(loads
				.find_map(|(state, entry)| match state {
					// There may be room once that model has been of use.
					Residency::Loading { since } => Some(entry.loading(*since)),
					_ => None,
				})
				.unwrap_or(Unavailable::NoRoom));
		}
		let mut leaving = Vec::new();
		for (_, index) in idle {
			if taken.saturating_add(needed) <= self.0.limit {
				break;
			}
			if let (Some(state), Some(entry)) = (states.get_mut(index), self.0.entries.get(index)) {
				if let Residency::Ready { engine, .. } = &*state {
					leaving.push(Arc::downgrade(engine.model()));
				}
				tracing::info!("unloading {}", entry.name);
				*state = Residency::Away;
				taken -= weights(index);
			}
		}
		Ok(leaving)
	}

	fn load(&self, index: usize, path: &Path, leaving: &[Weak<Model>]) {
		let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
		let started = Instant::now();
		while leaving.iter().any(|model| model.strong_count() > 0) && started.elapsed() < FREEING {
			std::thread::sleep(Duration::from_millis(5));
		}
		let started = Instant::now();
		let loaded = catch_unwind(AssertUnwindSafe(|| self.start_engine(path)));
		let loaded = loaded.unwrap_or_else(|_| Err("the loader has panicked".into()));
		let Some(entry) = self.0.entries.get(index) else {
			return;
		};
		match loaded {
			Ok(engine) => {
				let facts = Facts::of(engine.model(), started.elapsed());
				tracing::info!(
					"loaded {} in {:.1} s",
					entry.name,
					facts.load_time.as_secs_f64()
				);
				if let Err(fault) = engine.model().template.usable() {
					tracing::warn!("{} answers no chats: {fault}", entry.name);
				}
				// Loaded before, and the same unless somebody has changed the file: then it is another model.
				if entry.facts.get_or_init(|| facts).id != engine.model().id {
					self.failed(index, format!("{} has changed: restart", path.display()));
					return;
				}
				if let Some(state) = self.states().get_mut(index) {
					*state = Residency::Ready {
						engine,
						since: Instant::now(),
						used: None,
					};
				}
				self.0.loads.send_modify(|loads| *loads += 1);
			}
			Err(error) => {
				self.failed(index, format!("can't load {}: {error}", path.display()));
			}
		}
	}

	fn start_engine(&self, path: &Path) -> Result<EngineHandle, String> {
		let Inner {
			backend, options, ..
		} = &*self.0;
		let load = LoadOptions {
			i2_block: self.0.i2_block,
			..backend.packing().into()
		};
		let model = Model::open(path, load).map_err(|error| error.to_string())?;
		let meter = Meter::discover(self.0.watts);
		let passes = self.0.passes.clone();
		Engine::spawn_counted(Arc::new(model), backend.clone(), meter, *options, passes)
			.map_err(|error| error.to_string())
	}

	/// Notes that a load has failed.
	fn failed(&self, index: usize, error: String) -> Unavailable {
		tracing::error!("{error}");
		if let Some(state) = self.states().get_mut(index) {
			*state = Residency::Failed {
				since: Instant::now(),
				error: error.clone(),
			};
		}
		self.0.loads.send_modify(|loads| *loads += 1);
		Unavailable::Failed(error)
	}
}

impl Entry {
	/// What to tell somebody who asks for a model that has been loading for a while.
	fn loading(&self, since: Instant) -> Unavailable {
		let guess = || Duration::from_secs(self.config.weight_bytes() / SPEED);
		let expected = self.facts.get().map_or_else(guess, |facts| facts.load_time);
		let left = expected.saturating_sub(since.elapsed()).as_secs() + 1;
		Unavailable::Loading {
			retry_after: Duration::from_secs(left.min(60)),
		}
	}
}

impl Residency {
	/// When a model that may go was last of use.
	fn idle_since(&self) -> Option<Instant> {
		match self {
			Self::Ready { engine, .. } if engine.is_in_use() => None,
			Self::Ready { since, used, .. } => match used {
				Some(used) => Some(*used),
				None => (since.elapsed() >= GRACE).then_some(*since),
			},
			_ => None,
		}
	}
}
