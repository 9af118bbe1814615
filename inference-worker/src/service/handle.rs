//! What others in its process see of a service: from before it is ready until after it has ended.

use crate::{api::Shared, duties::context::Context};
use std::sync::{Arc, PoisonError, RwLock};

/// How a service stands.
#[derive(Clone, Default)]
pub(crate) enum Stage {
	/// It is not ready yet.
	#[default]
	Loading,
	/// It answers.
	Ready(Arc<Ready>),
	/// It has ended.
	Stopped,
}

/// A service that answers.
pub(crate) struct Ready {
	/// What its API works with.
	pub(crate) shared: Arc<Shared>,
	/// What its duties share.
	pub(crate) context: Arc<Context>,
	/// Where its API listens.
	pub(crate) url: String,
}

/// Tells others in the process how a service stands. Clones tell of the same service; a new one, that it loads.
#[derive(Clone, Default)]
pub struct Handle(Arc<RwLock<Stage>>);

impl Handle {
	/// How the service stands.
	pub(crate) fn stage(&self) -> Stage {
		self.0
			.read()
			.unwrap_or_else(PoisonError::into_inner)
			.clone()
	}

	fn set(&self, stage: Stage) {
		*self.0.write().unwrap_or_else(PoisonError::into_inner) = stage;
	}

	pub(super) fn ready(&self, shared: Arc<Shared>, context: Arc<Context>, url: String) {
		self.set(Stage::Ready(Arc::new(Ready {
			shared,
			context,
			url,
		})));
	}

	/// Says that the service has ended once the result is dropped, whatever ended it.
	pub(super) fn stop_when_dropped(&self) -> impl Drop + use<> {
		Stop(self.clone())
	}
}

impl std::fmt::Debug for Handle {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		f.write_str(match self.stage() {
			Stage::Loading => "Handle(loading)",
			Stage::Ready(_) => "Handle(ready)",
			Stage::Stopped => "Handle(stopped)",
		})
	}
}

struct Stop(Handle);

impl Drop for Stop {
	fn drop(&mut self) {
		self.0.set(Stage::Stopped);
	}
}
