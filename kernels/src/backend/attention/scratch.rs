//! Memory for intermediate results, kept from call to call.

use std::{cell::Cell, thread::LocalKey};

thread_local! {
	/// Memory of the thread that calls, used by all threads.
	pub(super) static SHARED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
	/// Memory of each thread.
	pub(super) static OWN: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Elements in a cache line.
const LINE: usize = 16;

/// Calls `f` with `len` elements of unspecified contents, kept from call to call.
///
/// They start at a cache line, as does every element a multiple of sixteen further on: loads that cross lines take
/// twice the time.
pub(super) fn with_memory(
	memory: &'static LocalKey<Cell<Vec<f32>>>,
	len: usize,
	f: impl FnOnce(&mut [f32]),
) {
	let mut buffer = memory.take();
	if buffer.len() < len + LINE {
		buffer.resize(len + LINE, 0.0);
	}
	let start = buffer
		.as_ptr()
		.align_offset(LINE * size_of::<f32>())
		.min(LINE);
	f(&mut buffer[start..][..len]);
	memory.set(buffer);
}
