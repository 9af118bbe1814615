//! The engine's own thread: a bounded queue of jobs, one at a time, seen through a handle that any task may clone.

use super::{
	generate::{generate, prepare},
	recheck::recheck,
	types::*,
};
use crate::{energy::Meter, model::Model};
use aria_kernels::Backend;
use std::sync::{
	Arc,
	atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{mpsc, oneshot};

enum Job {
	Generate(GenerateRequest, mpsc::Sender<Event>),
	Recheck(RecheckRequest, oneshot::Sender<RecheckResult>),
}

/// A running engine; it ends when the last handle is dropped.
#[derive(Clone)]
pub struct EngineHandle {
	model: Arc<Model>,
	jobs: mpsc::Sender<Job>,
	queued: Arc<AtomicUsize>,
	limit: usize,
}

/// The engine.
pub struct Engine;

impl Engine {
	/// Starts a thread that runs the model; at most `queue` jobs wait.
	pub fn spawn(
		model: Arc<Model>,
		backend: Backend,
		meter: Meter,
		queue: usize,
	) -> std::io::Result<EngineHandle> {
		let limit = queue.max(1);
		let (jobs, mut inbox) = mpsc::channel(limit);
		let queued = Arc::new(AtomicUsize::new(0));
		let (thread_model, thread_queued) = (model.clone(), queued.clone());
		std::thread::Builder::new()
			.name("engine".into())
			.spawn(move || {
				while let Some(job) = inbox.blocking_recv() {
					run(&thread_model, &backend, &meter, job);
					thread_queued.fetch_sub(1, Ordering::Relaxed);
				}
			})?;
		Ok(EngineHandle {
			model,
			jobs,
			queued,
			limit,
		})
	}
}

fn run(model: &Model, backend: &Backend, meter: &Meter, job: Job) {
	match job {
		Job::Generate(request, events) => {
			let cancelled = || events.is_closed();
			// The channel has room for every token and the end, so sending fails only when nobody listens.
			let mut on_token = |token| drop(events.try_send(Event::Token(token)));
			let result = generate(model, backend, meter, request, &mut on_token, &cancelled);
			let last = match result {
				Ok(generation) => Event::Done(Box::new(generation)),
				Err(error) => Event::Error(error),
			};
			drop(events.try_send(last));
		}
		Job::Recheck(request, answer) => {
			let result = recheck(model, backend, &request, &|| answer.is_closed());
			if let Some(result) = result {
				drop(answer.send(result));
			}
		}
	}
}

impl EngineHandle {
	/// The model that answers.
	pub fn model(&self) -> &Arc<Model> {
		&self.model
	}

	/// Jobs waiting or running.
	pub fn queued(&self) -> usize {
		self.queued.load(Ordering::Relaxed)
	}

	fn send(&self, job: Job) -> Result<(), SubmitError> {
		self.queued.fetch_add(1, Ordering::Relaxed);
		self.jobs.try_send(job).map_err(|error| {
			self.queued.fetch_sub(1, Ordering::Relaxed);
			match error {
				mpsc::error::TrySendError::Full(_) => SubmitError::QueueFull(self.limit),
				mpsc::error::TrySendError::Closed(_) => SubmitError::Stopped,
			}
		})
	}

	/// Queues a request; dropping the receiver cancels it. The last event is `Done` or `Error`.
	pub fn submit(&self, request: GenerateRequest) -> Result<mpsc::Receiver<Event>, SubmitError> {
		let request = prepare(&self.model, request)?;
		let (events, receiver) = mpsc::channel(request.max_tokens as usize + 2);
		self.send(Job::Generate(request, events))?;
		Ok(receiver)
	}

	/// Re-executes an answer: log probabilities, or the fault found. Dropping the future cancels.
	pub async fn recheck(&self, request: RecheckRequest) -> Result<RecheckResult, SubmitError> {
		let (answer, receiver) = oneshot::channel();
		self.send(Job::Recheck(request, answer))?;
		receiver.await.map_err(|_| SubmitError::Stopped)
	}
}
