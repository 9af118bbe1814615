//! The operations of a transformer layer on one instruction set and some threads.
//!
//! Every output element is computed whole by one thread, and every token as if it were alone, so
//! neither the number of threads nor the grouping of tokens changes a bit.

use crate::{
	isa::Isa,
	pool::{Pool, share},
	ternary::Packing,
};
use std::ops::Range;

mod attention;
mod best;
mod blocks;
mod elementwise;
mod fives;
#[cfg(target_arch = "x86_64")]
mod fives_many;
mod head;
mod linear;
#[cfg(target_arch = "x86_64")]
mod lookup;
#[cfg(target_arch = "x86_64")]
mod mixed;
mod part;
mod way;

pub use attention::{AttentionJob, KV_PAGE_ROWS};
pub use best::Best;

/// Below this many multiplications or elements, waking threads costs more than it saves.
const PARALLEL_WORK: usize = 1 << 15;

/// The fewest multiplications in a part, when a thread gets several parts.
const PART_WORK: usize = 1 << 19;
/// The most parts that a thread gets.
const MAX_PARTS: usize = 4;

/// An instruction set and a thread pool.
#[derive(Debug)]
pub struct Backend {
	/// Supported by this CPU: checked once, in [`Backend::new`].
	isa: Isa,
	pool: Pool,
}

/// Calls the kernel of the backend's level.
macro_rules! kernel {
	($backend:expr, $name:ident($($argument:expr),* $(,)?)) => {{
			#[allow(unused_unsafe, reason = "some levels have kernels without special features")]
			let result = match $backend.isa {
				#[cfg(target_arch = "x86_64")]
				// SAFETY: `Backend::new` checked that the CPU has the features of the level.
				$crate::Isa::Avx512Vbmi => unsafe { $crate::x86::avx512vbmi::$name($($argument),*) },
				#[cfg(target_arch = "x86_64")]
				// SAFETY: as above.
				$crate::Isa::Avx512 => unsafe { $crate::x86::avx512::$name($($argument),*) },
				#[cfg(target_arch = "x86_64")]
				// SAFETY: as above.
				$crate::Isa::AvxVnni => unsafe { $crate::x86::avxvnni::$name($($argument),*) },
				#[cfg(target_arch = "x86_64")]
				// SAFETY: as above.
				$crate::Isa::Avx2 => unsafe { $crate::x86::avx2::$name($($argument),*) },
				#[cfg(target_arch = "aarch64")]
				// SAFETY: as above.
				$crate::Isa::I8mm => unsafe { $crate::aarch64::i8mm::$name($($argument),*) },
				#[cfg(target_arch = "aarch64")]
				// SAFETY: as above.
				$crate::Isa::Dotprod => unsafe { $crate::aarch64::dotprod::$name($($argument),*) },
				#[cfg(target_arch = "aarch64")]
				// SAFETY: as above.
				$crate::Isa::Neon => unsafe { $crate::aarch64::neon::$name($($argument),*) },
				_ => $crate::portable::$name($($argument),*),
			};
			result
	}};
}
use kernel;

impl Backend {
	/// A backend on `threads` threads, the calling thread included; 0 counts as 1.
	///
	/// # Panics
	///
	/// If this CPU does not support `isa`; [`Isa::from_env`] and [`Isa::detect`] give one it does.
	pub fn new(isa: Isa, threads: usize) -> Self {
		assert!(
			isa.is_supported(),
			"this CPU does not support the instruction set {isa}"
		);
		Self {
			isa,
			pool: Pool::new(threads),
		}
	}

	/// The instruction set in use.
	pub fn isa(&self) -> Isa {
		self.isa
	}

	/// The packing of weights that is fastest here.
	///
	/// Threads share the memory's bandwidth but not their arithmetic: the more there are, the more
	/// the fewer bytes of the dense packings count. `docs/benchmarks/` has the measurements.
	pub fn packing(&self) -> Packing {
		if self.isa == Isa::Avx512Vbmi {
			Packing::Fives
		} else if self.threads() == 1 {
			Packing::TwoBit
		} else {
			Packing::Dense
		}
	}

	/// The number of threads in use.
	pub fn threads(&self) -> usize {
		self.pool.threads()
	}

	/// The threads, for other work that is divided in the same way.
	pub fn pool(&self) -> &Pool {
		&self.pool
	}

	/// Calls `f` with disjoint ranges that cover `0..items`, on all threads when `work` is large.
	fn split(&self, items: usize, work: usize, f: impl Fn(Range<usize>) + Sync) {
		self.split_by(1, items, work, f);
	}

	/// As [`split`](Self::split), with ranges of at least `grain` items when there are several for a thread.
	fn split_by(&self, grain: usize, items: usize, work: usize, f: impl Fn(Range<usize>) + Sync) {
		if work < PARALLEL_WORK {
			return f(0..items);
		}
		// More parts than threads, so that a thread which the system did not run for a while has less to
		// catch up with.
		let each = (work / PART_WORK).min(items / grain) / self.threads();
		let parts = self.threads() * each.clamp(1, MAX_PARTS);
		self.pool.run(parts, |part| {
			let range = share(items, part, parts);
			if !range.is_empty() {
				f(range);
			}
		});
	}
}

/// Number of rows of `cols` elements in `len`.
fn whole_rows(len: usize, cols: usize) -> usize {
	assert!(
		cols > 0 && len.is_multiple_of(cols),
		"{len} elements are not rows of {cols}"
	);
	len / cols
}
