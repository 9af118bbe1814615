//! Ctrl-C, where it stops an answer and not the program.

use anyhow::{Context, Result};
use std::sync::{
	Arc,
	atomic::{AtomicBool, Ordering},
};

/// Whether Ctrl-C was pressed since it was last asked.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
	/// From now on Ctrl-C does not end the program.
	pub(super) fn watch() -> Result<Self> {
		let pressed = Arc::new(AtomicBool::new(false));
		let seen = pressed.clone();
		let runtime = tokio::runtime::Builder::new_current_thread()
			.enable_all()
			.build()
			.context("can't watch for Ctrl-C")?;
		std::thread::Builder::new()
			.name("interrupt".into())
			.spawn(move || {
				runtime.block_on(async {
					while tokio::signal::ctrl_c().await.is_ok() {
						seen.store(true, Ordering::Relaxed);
					}
				});
			})?;
		Ok(Self(pressed))
	}

	/// One that is never pressed: Ctrl-C ends the program as usual.
	pub(super) fn never() -> Self {
		Self(Arc::new(AtomicBool::new(false)))
	}

	/// Forgets what was pressed before.
	pub(super) fn clear(&self) {
		self.0.store(false, Ordering::Relaxed);
	}

	pub(super) fn pressed(&self) -> bool {
		self.0.load(Ordering::Relaxed)
	}
}
