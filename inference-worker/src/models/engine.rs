//! The engine's own thread, seen through a handle that any task may clone.

use super::events::Events;
use crate::{energy::Meter, metrics::Passes};
use aria_engine::{
	answers::{
		evaluate::embed,
		request::{Claim, ClaimError, Prepared, check, prepare},
		scheduler::{Options, Scheduler},
		sequence::Sink,
		types::*,
	},
	error::EngineError,
	grammar::Purpose,
	model::Model,
};
use aria_kernels::Backend;
use std::{
	sync::{
		Arc,
		atomic::{AtomicU64, AtomicUsize, Ordering},
	},
	time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
	/// All places in the queue are taken; try again later.
	#[error("the engine is full ({0} requests running or waiting)")]
	QueueFull(usize),
	/// The engine's thread has ended.
	#[error("the engine has stopped")]
	Stopped,
	/// The request can never succeed.
	#[error(transparent)]
	Invalid(#[from] EngineError),
}

enum Job {
	Generate(Box<Prepared>, Writer),
	Recheck(Box<Claim>, oneshot::Sender<RecheckResult>),
	Embed(Vec<u32>, oneshot::Sender<Result<Vec<f32>, EngineError>>),
}

/// A running engine; it ends when the last handle is dropped.
#[derive(Clone)]
pub struct EngineHandle {
	model: Arc<Model>,
	jobs: mpsc::Sender<Job>,
	load: Arc<Load>,
	limit: usize,
}

/// The engine.
pub struct Engine;

/// What an engine has to do, and when it last did some of it.
struct Load {
	queued: AtomicUsize,
	since: Instant,
	/// Milliseconds from `since` to the last progress.
	progress: AtomicU64,
}

impl Load {
	fn new() -> Self {
		Self {
			queued: AtomicUsize::new(0),
			since: Instant::now(),
			progress: AtomicU64::new(0),
		}
	}

	fn note_progress(&self) {
		let now = self.since.elapsed().as_millis() as u64;
		self.progress.store(now, Ordering::Relaxed);
	}
}

/// A slot in the engine, freed when dropped.
struct Slot(Arc<Load>);

impl Drop for Slot {
	fn drop(&mut self) {
		self.0.queued.fetch_sub(1, Ordering::Relaxed);
	}
}

/// The engine's side of an answer's events. Dropping it ends them.
struct Writer {
	sender: mpsc::Sender<Event>,
	ended: Option<oneshot::Sender<()>>,
}

/// Sends an answer's events to whoever asked.
struct AnswerSink {
	writer: Writer,
	slot: Slot,
}

impl Sink for AnswerSink {
	fn send(&mut self, event: Event) {
		let last = !matches!(event, Event::Token(_));
		// The channel has room for every token and the end, so sending fails only when nobody listens.
		drop(self.writer.sender.try_send(event));
		if let Some(ended) = self.writer.ended.take_if(|_| last) {
			// As above.
			ended.send(()).ok();
		}
	}

	fn is_closed(&self) -> bool {
		// Asked before each layer.
		self.slot.0.note_progress();
		self.writer.sender.is_closed()
	}
}

/// Sends a re-execution's result to whoever asked.
struct RecheckSink {
	sender: Option<oneshot::Sender<RecheckResult>>,
	slot: Slot,
}

impl Sink for RecheckSink {
	fn send(&mut self, event: Event) {
		if let (Event::Checked(result), Some(sender)) = (event, self.sender.take()) {
			// Fails only when nobody listens.
			drop(sender.send(result));
		}
	}

	fn is_closed(&self) -> bool {
		self.slot.0.note_progress();
		self.sender.as_ref().is_some_and(oneshot::Sender::is_closed)
	}
}

/// What an engine tells of itself, until it ends.
struct Tally {
	passes: Option<Passes>,
	waiting: i64,
}

impl Tally {
	fn new(passes: Option<Passes>) -> Self {
		Self { passes, waiting: 0 }
	}

	fn passed(&self, tokens: usize) {
		if let Some(passes) = self.passes.as_ref().filter(|_| tokens > 0) {
			passes.passed(tokens);
		}
	}

	fn waiting(&mut self, now: usize) {
		let now = now as i64;
		if let Some(passes) = self.passes.as_ref().filter(|_| now != self.waiting) {
			passes.wait(now - self.waiting);
			self.waiting = now;
		}
	}
}

impl Drop for Tally {
	fn drop(&mut self) {
		self.waiting(0);
	}
}

impl Engine {
	/// Starts a thread that runs the model. Engines may share a backend: their passes then take turns.
	pub fn spawn(
		model: Arc<Model>,
		backend: impl Into<Arc<Backend>>,
		meter: Meter,
		options: Options,
	) -> std::io::Result<EngineHandle> {
		Self::spawn_counted(model, backend, meter, options, None)
	}

	/// As [`spawn`](Self::spawn), for a worker that counts passes.
	pub fn spawn_counted(
		model: Arc<Model>,
		backend: impl Into<Arc<Backend>>,
		meter: Meter,
		options: Options,
		passes: Option<Passes>,
	) -> std::io::Result<EngineHandle> {
		let limit = options.parallel.max(1) + options.queue;
		let (jobs, mut inbox) = mpsc::channel(limit);
		let (load, backend) = (Arc::new(Load::new()), backend.into());
		let (thread_model, thread_load) = (model.clone(), load.clone());
		std::thread::Builder::new()
			.name("engine".into())
			.spawn(move || {
				let mut scheduler = Scheduler::new(&thread_model, &backend, &meter, options);
				let slot = || Slot(thread_load.clone());
				let mut tally = Tally::new(passes);
				loop {
					thread_load.note_progress();
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
						Some(Job::Generate(prepared, writer)) => {
							let slot = slot();
							scheduler.generate(*prepared, Box::new(AnswerSink { writer, slot }));
						}
						Some(Job::Recheck(claim, sender)) => {
							let (sender, slot) = (Some(sender), slot());
							scheduler.recheck(*claim, Box::new(RecheckSink { sender, slot }));
						}
						Some(Job::Embed(tokens, sender)) => {
							let slot = slot();
							let cancelled = || {
								slot.0.note_progress();
								sender.is_closed()
							};
							let result = embed(&thread_model, &backend, &tokens, &cancelled);
							// Fails only when nobody listens.
							drop(sender.send(result));
						}
						None => tally.passed(scheduler.step()),
					}
					tally.waiting(scheduler.waiting());
				}
			})?;
		Ok(EngineHandle {
			model,
			jobs,
			load,
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
		self.load.queued.load(Ordering::Relaxed)
	}

	/// Whether there are other handles than this one, or jobs.
	pub fn is_in_use(&self) -> bool {
		self.jobs.strong_count() > 1 || self.queued() > 0
	}

	/// Whether the engine's thread has ended, which only a fault makes it do while there is a handle.
	pub fn is_stopped(&self) -> bool {
		self.jobs.is_closed()
	}

	/// For how long nothing has happened although there are jobs; zero when there are none.
	pub fn stalled(&self) -> Duration {
		if self.queued() == 0 {
			return Duration::ZERO;
		}
		let progress = Duration::from_millis(self.load.progress.load(Ordering::Relaxed));
		self.load.since.elapsed().saturating_sub(progress)
	}

	fn send(&self, job: Job) -> Result<(), SubmitError> {
		let full = SubmitError::QueueFull(self.limit);
		let taken = |queued: usize| (queued < self.limit).then_some(queued + 1);
		let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
		let queued = &self.load.queued;
		let before = queued
			.fetch_update(set, fetch, taken)
			.map_err(|_| full.clone())?;
		if before == 0 {
			// It was idle, not stalled.
			self.load.note_progress();
		}
		self.jobs.try_send(job).map_err(|error| {
			queued.fetch_sub(1, Ordering::Relaxed);
			match error {
				mpsc::error::TrySendError::Full(_) => full,
				mpsc::error::TrySendError::Closed(_) => SubmitError::Stopped,
			}
		})
	}

	/// Queues a request; dropping the events cancels it. The last event is `Done` or `Error`. Where the request has a
	/// grammar, compiling it may take a while: not for an async thread.
	pub fn submit(&self, request: GenerateRequest) -> Result<Events, SubmitError> {
		let prepared = Box::new(prepare(&self.model, request)?);
		let max_tokens = prepared.request().max_tokens;
		let (sender, receiver) = mpsc::channel(max_tokens as usize + 2);
		let (end, ended) = oneshot::channel();
		let writer = Writer {
			sender,
			ended: Some(end),
		};
		self.send(Job::Generate(prepared, writer))?;
		Ok(Events::new(receiver, ended))
	}

	/// Checks a claim, on a thread that may wait if it has a grammar to compile.
	async fn check(
		&self,
		request: RecheckRequest,
		purpose: Purpose,
	) -> Result<Result<Claim, ClaimError>, SubmitError> {
		if request.constraints.grammar.is_none() {
			return Ok(check(&self.model, request, purpose));
		}
		let model = self.model.clone();
		let checked = tokio::task::spawn_blocking(move || check(&model, request, purpose));
		checked.await.map_err(|_| SubmitError::Stopped)
	}

	/// Re-executes an answer: log probabilities, or the fault found. Dropping the future cancels.
	pub async fn recheck(
		&self,
		request: RecheckRequest,
		purpose: Purpose,
	) -> Result<RecheckResult, SubmitError> {
		let claim = match self.check(request, purpose).await? {
			Ok(claim) => Box::new(claim),
			Err(ClaimError::Fault(fault)) => return Ok(Err(fault)),
			Err(ClaimError::Unable(error)) => return Err(error.into()),
		};
		let (answer, receiver) = oneshot::channel();
		self.send(Job::Recheck(claim, answer))?;
		receiver.await.map_err(|_| SubmitError::Stopped)
	}

	/// The embedding of tokens, see [`embed`]. Nothing else runs meanwhile. Dropping the future cancels.
	pub async fn embed(&self, tokens: Vec<u32>) -> Result<Vec<f32>, SubmitError> {
		let (answer, receiver) = oneshot::channel();
		self.send(Job::Embed(tokens, answer))?;
		let embedding = receiver.await.map_err(|_| SubmitError::Stopped)?;
		Ok(embedding?)
	}
}
