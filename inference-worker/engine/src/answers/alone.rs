//! One answer, or one re-execution, on the caller's thread.

use super::{
	request::{ClaimError, check, prepare},
	scheduler::{Options, Scheduler},
	sequence::Sink,
	types::*,
};
use crate::{
	error::EngineError,
	grammar::Purpose,
	host::{Host, Lap},
	model::Model,
};
use aria_kernels::Backend;
use std::{sync::mpsc, time::Duration};

/// Sends events to the thread that asked.
struct Channel(mpsc::Sender<Event>);

impl Sink for Channel {
	fn send(&mut self, event: Event) {
		// Fails only when nobody listens.
		drop(self.0.send(event));
	}

	fn is_closed(&self) -> bool {
		false
	}
}

/// Generates one answer on this thread; `on_token` sees each token as it is chosen, `cancelled` is asked before each
/// pass.
///
/// A token that ends the turn belongs to the output tokens, to the receipt and to the log probabilities, but not to
/// the text. A cancelled answer has the tokens chosen so far.
pub fn generate(
	model: &Model,
	backend: &Backend,
	host: &dyn Host,
	request: GenerateRequest,
	on_token: &mut dyn FnMut(TokenEvent),
	cancelled: &dyn Fn() -> bool,
) -> Result<Generation, EngineError> {
	let prepared = prepare(model, request)?;
	let mut scheduler = Scheduler::new(model, backend, host, Options::default());
	let (sender, events) = mpsc::channel();
	scheduler.generate(prepared, Box::new(Channel(sender)));
	loop {
		if cancelled() {
			scheduler.cancel();
		}
		scheduler.step();
		for event in events.try_iter() {
			match event {
				Event::Token(token) => on_token(token),
				Event::Done(generation) => return Ok(*generation),
				Event::Error(error) => return Err(error),
				Event::Checked(_) => {}
			}
		}
	}
}

/// Of a re-execution only its bits count.
struct Untimed;

impl Host for Untimed {
	fn elapsed(&self) -> Duration {
		Duration::ZERO
	}

	fn unix_ms(&self) -> u64 {
		0
	}

	fn measure(&self) -> Box<dyn Lap + '_> {
		Box::new(())
	}
}

/// Feeds prompt and output in a few large passes on this thread, and compares every choice, then the trace root.
///
/// `None` when cancelled. The output's last token is chosen but never fed.
///
/// # Errors
///
/// [`EngineError::GrammarTooCostly`] and [`EngineError::GrammarsBusy`]: no verdict.
pub fn recheck(
	model: &Model,
	backend: &Backend,
	request: &RecheckRequest,
	cancelled: &dyn Fn() -> bool,
) -> Result<Option<RecheckResult>, EngineError> {
	let claim = match check(model, request.clone(), Purpose::Claim) {
		Ok(claim) => claim,
		Err(ClaimError::Fault(fault)) => return Ok(Some(Err(fault))),
		Err(ClaimError::Unable(error)) => return Err(error),
	};
	let mut scheduler = Scheduler::new(model, backend, &Untimed, Options::default());
	let (sender, events) = mpsc::channel();
	scheduler.recheck(claim, Box::new(Channel(sender)));
	loop {
		if cancelled() {
			return Ok(None);
		}
		scheduler.step();
		if let Ok(Event::Checked(result)) = events.try_recv() {
			return Ok(Some(result));
		}
	}
}
