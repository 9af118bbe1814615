//! What an answer needs of the machine it runs on besides arithmetic: the time, and the energy that was drawn.

use aria_primitives::energy::Energy;
use std::time::Duration;

/// A machine with a clock and, perhaps, an energy meter.
pub trait Host {
	/// Time since a fixed moment; it never goes back.
	fn elapsed(&self) -> Duration;

	/// Milliseconds since the Unix epoch.
	fn unix_ms(&self) -> u64;

	/// Begins to measure energy.
	fn measure(&self) -> Box<dyn Lap + '_>;
}

/// A measurement under way.
pub trait Lap {
	/// Energy since the last call, or since the measurement began.
	fn energy(&mut self) -> Energy;
}

/// No energy is known.
impl Lap for () {
	fn energy(&mut self) -> Energy {
		Energy::default()
	}
}

/// The system's clocks, and no meter.
#[cfg(feature = "native")]
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[cfg(feature = "native")]
impl Host for System {
	fn elapsed(&self) -> Duration {
		use std::{sync::OnceLock, time::Instant};
		static FIRST: OnceLock<Instant> = OnceLock::new();
		FIRST.get_or_init(Instant::now).elapsed()
	}

	fn unix_ms(&self) -> u64 {
		use std::time::{SystemTime, UNIX_EPOCH};
		SystemTime::now()
			.duration_since(UNIX_EPOCH)
			.map_or(0, |elapsed| elapsed.as_millis() as u64)
	}

	fn measure(&self) -> Box<dyn Lap + '_> {
		Box::new(())
	}
}
