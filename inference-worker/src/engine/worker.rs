//! The engine's own thread, seen through a handle that any task may clone.

use super::{
	evaluate::embed,
	generate::prepare,
	scheduler::{Options, Scheduler},
	sequence::Sink,
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
	Embed(Vec<u32>, oneshot::Sender<Result<Vec<f32>, EngineError>>),
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

/// A place in the engine, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
	fn drop(&mut self) {
		self.0.fetch_sub(1, Ordering::Relaxed);
	}
}

/// An answer's events.
struct Events {
	sender: mpsc::Sender<Event>,
	_place: Place,
}

impl Sink for Events {
	fn send(&mut self, event: Event) {
		// The channel has room for every token and the end, so sending fails only when nobody listens.
		drop(self.sender.try_send(event));
	}

	fn is_closed(&self) -> bool {
		self.sender.is_closed()
	}
}

/// A re-execution's result.
struct Verdict {
	sender: Option<oneshot::Sender<RecheckResult>>,
	_place: Place,
}

impl Sink for Verdict {
	fn send(&mut self, event: Event) {
		if let (Event::Checked(result), Some(sender)) = (event, self.sender.take()) {
			// Fails only when nobody listens.
			drop(sender.send(result));
		}
	}

	fn is_closed(&self) -> bool {
		self.sender.as_ref().is_some_and(oneshot::Sender::is_closed)
	}
}

impl Engine {
	/// Starts a thread that runs the model.
	pub fn spawn(
		model: Arc<Model>,
		backend: Backend,
		meter: Meter,
		options: Options,
	) -> std::io::Result<EngineHandle> {
		let limit = options.parallel.max(1) + options.queue;
		let (jobs, mut inbox) = mpsc::channel(limit);
		let queued = Arc::new(AtomicUsize::new(0));
		let (thread_model, thread_queued) = (model.clone(), queued.clone());
		std::thread::Builder::new()
			.name("engine".into())
			.spawn(move || {
				let mut scheduler = Scheduler::new(&thread_model, &backend, &meter, options);
				let place = || Place(thread_queued.clone());
				loop {
					// With nothing to do, wait for the next job; otherwise take those that are there.
					let job = if scheduler.is_idle() {
						match inbox.blocking_recv() {
							Some(job) => Some(job),
							None => return,
						}
					} else {
						inbox.try_recv().ok()
					};
					match job {
						Some(Job::Generate(request, sender)) => {
							let _place = place();
							scheduler.generate(request, Box::new(Events { sender, _place }));
						}
						Some(Job::Recheck(request, sender)) => {
							let (sender, _place) = (Some(sender), place());
							scheduler.recheck(request, Box::new(Verdict { sender, _place }));
						}
						Some(Job::Embed(tokens, sender)) => {
							let _place = place();
							if !sender.is_closed() {
								// Fails only when nobody listens.
								drop(sender.send(embed(&thread_model, &backend, &tokens)));
							}
						}
						None => scheduler.step(),
					}
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
		let full = SubmitError::QueueFull(self.limit);
		let taken = |queued: usize| (queued < self.limit).then_some(queued + 1);
		let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
		self.queued
			.fetch_update(set, fetch, taken)
			.map_err(|_| full.clone())?;
		self.jobs.try_send(job).map_err(|error| {
			self.queued.fetch_sub(1, Ordering::Relaxed);
			match error {
				mpsc::error::TrySendError::Full(_) => full,
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

	/// The embedding of tokens, see [`embed`]. Nothing else runs meanwhile.
	pub async fn embed(&self, tokens: Vec<u32>) -> Result<Vec<f32>, SubmitError> {
		let (answer, receiver) = oneshot::channel();
		self.send(Job::Embed(tokens, answer))?;
		let embedding = receiver.await.map_err(|_| SubmitError::Stopped)?;
		Ok(embedding?)
	}
}
