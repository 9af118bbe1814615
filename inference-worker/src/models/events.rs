//! An answer's events, on the side of whoever reads them.

use aria_engine::answers::types::Event;
use std::{
	fmt,
	pin::Pin,
	sync::OnceLock,
	task::{Context, Poll, ready},
	time::Duration,
};
use tokio::{
	sync::{mpsc, oneshot},
	time::{Instant, Sleep, sleep_until},
};

/// After all events that were there have been read, the next ones wait for the next tick, unless the answer ends. Nobody
/// sees the difference; but waking a reader for each of a thousand tokens a second costs the engine more than it may.
/// Ticks are the same for all answers, so that their readers wake together: each wake takes a core from the engine.
const PACE: Duration = Duration::from_millis(20);

/// The next tick.
fn next_tick() -> Instant {
	static FIRST: OnceLock<Instant> = OnceLock::new();
	let first = *FIRST.get_or_init(Instant::now);
	let now = Instant::now();
	let over = now.duration_since(first).as_nanos() % PACE.as_nanos();
	// Less than a pace.
	now + PACE - Duration::from_nanos(over as u64)
}

/// The events of an answer. Dropping it cancels the answer.
pub struct Events {
	receiver: mpsc::Receiver<Event>,
	/// Resolves once the last event is there, however the answer ended.
	ended: Option<oneshot::Receiver<()>>,
	/// Whether events were read since the last pause.
	read: bool,
	pause: Option<Pin<Box<Sleep>>>,
	paused: bool,
}

impl Events {
	pub(super) fn new(receiver: mpsc::Receiver<Event>, ended: oneshot::Receiver<()>) -> Self {
		Self {
			receiver,
			ended: Some(ended),
			read: false,
			pause: None,
			paused: false,
		}
	}

	/// The next event; `None` after the last one.
	pub async fn recv(&mut self) -> Option<Event> {
		std::future::poll_fn(|context| self.poll_recv(context)).await
	}

	/// As [`recv`](Self::recv).
	pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
		loop {
			if self.paused {
				ready!(self.poll_pause(context));
				(self.paused, self.read) = (false, false);
			}
			match self.receiver.try_recv() {
				Ok(event) => {
					self.read = true;
					return Poll::Ready(Some(event));
				}
				Err(mpsc::error::TryRecvError::Disconnected) => return Poll::Ready(None),
				// The engine need not wake anybody while nobody asks the channel.
				Err(mpsc::error::TryRecvError::Empty) if self.read => self.start_pause(),
				Err(mpsc::error::TryRecvError::Empty) => {
					let event = ready!(self.receiver.poll_recv(context));
					self.read = true;
					return Poll::Ready(event);
				}
			}
		}
	}

	fn start_pause(&mut self) {
		self.paused = true;
		match &mut self.pause {
			Some(pause) => pause.as_mut().reset(next_tick()),
			None => self.pause = Some(Box::pin(sleep_until(next_tick()))),
		}
	}

	fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<()> {
		if let Some(ended) = &mut self.ended
			&& Pin::new(ended).poll(context).is_ready()
		{
			self.ended = None;
			return Poll::Ready(());
		}
		match &mut self.pause {
			// What is there after the end is there for good.
			Some(pause) if self.ended.is_some() => pause.as_mut().poll(context),
			_ => Poll::Ready(()),
		}
	}

	/// Waits on this thread for the next event; `None` after the last one.
	///
	/// # Panics
	///
	/// On a thread of an async runtime.
	pub fn blocking_recv(&mut self) -> Option<Event> {
		self.receiver.blocking_recv()
	}
}

impl Default for Events {
	/// Those of an answer that has ended.
	fn default() -> Self {
		Self::new(mpsc::channel(1).1, oneshot::channel().1)
	}
}

impl fmt::Debug for Events {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str("Events")
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use aria_engine::{TokenEvent, error::EngineError};
	use futures::FutureExt;

	fn token(id: u32) -> Event {
		Event::Token(TokenEvent {
			id,
			text: String::new(),
			logprob: 0.0,
			top: Vec::new(),
		})
	}

	#[tokio::test]
	async fn events_should_come_at_once_when_rare_together_when_fast_and_the_last_without_delay() {
		let (sender, receiver) = mpsc::channel(8);
		let (end, ended) = oneshot::channel();
		let mut events = Events::new(receiver, ended);
		sender.try_send(token(0)).unwrap();
		assert_eq!(events.recv().now_or_never(), Some(Some(token(0))));
		// Nothing is there, so the reader pauses; two come meanwhile.
		let tick = next_tick();
		assert_eq!(events.recv().now_or_never(), None);
		sender.try_send(token(1)).unwrap();
		sender.try_send(token(2)).unwrap();
		assert_eq!(events.recv().await, Some(token(1)));
		assert!(Instant::now() >= tick);
		assert_eq!(events.recv().now_or_never(), Some(Some(token(2))));
		// One that comes after the pause.
		assert_eq!(events.recv().now_or_never(), None);
		tokio::time::sleep(PACE * 2).await;
		assert_eq!(events.recv().now_or_never(), None);
		sender.try_send(token(3)).unwrap();
		assert_eq!(events.recv().now_or_never(), Some(Some(token(3))));
		// The last one, within a pause.
		assert_eq!(events.recv().now_or_never(), None);
		sender.try_send(Event::Error(EngineError::Stopped)).unwrap();
		end.send(()).unwrap();
		let last = events.recv().now_or_never();
		assert_eq!(last, Some(Some(Event::Error(EngineError::Stopped))));
		drop(sender);
		assert_eq!(events.recv().now_or_never(), Some(None));
	}

	#[tokio::test]
	async fn engine_that_has_gone_should_end_the_events() {
		let (sender, receiver) = mpsc::channel(8);
		let (end, ended) = oneshot::channel();
		let mut events = Events::new(receiver, ended);
		sender.try_send(token(0)).unwrap();
		assert_eq!(events.recv().await, Some(token(0)));
		drop((sender, end));
		assert_eq!(events.recv().await, None);
		assert_eq!(Events::default().recv().await, None);
	}
}
