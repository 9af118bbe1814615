//! How much connections and requests may take.

use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Longest request body, bytes.
pub(crate) const MAX_BODY: usize = 8 * 1024 * 1024;
/// Unit in which the memory of bodies is counted, bytes.
pub(super) const UNIT: usize = 1024;

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
	/// Connections at once.
	pub connections: usize,
	/// Time for a request's headers, for a handshake of TLS, and for which a connection may lie idle.
	pub header: Duration,
	/// Time for a request's body.
	pub body: Duration,
	/// Time for which a client may take nothing of an answer.
	pub write: Duration,
	/// Time for a whole answer, waiting included.
	pub answer: Duration,
	/// Bytes of all bodies that are being read.
	pub bodies: usize,
	/// Time for which an engine with requests may seem to do nothing.
	pub stuck: Duration,
}

impl Default for Limits {
	fn default() -> Self {
		Self {
			connections: 512,
			header: Duration::from_secs(20),
			body: Duration::from_secs(30),
			write: Duration::from_secs(30),
			answer: Duration::from_secs(3600),
			bodies: 256 * 1024 * 1024,
			stuck: Duration::from_secs(120),
		}
	}
}

/// The memory for bodies.
pub(super) fn memory(limits: &Limits) -> Arc<Semaphore> {
	Arc::new(Semaphore::new((limits.bodies / UNIT).max(MAX_BODY / UNIT)))
}
