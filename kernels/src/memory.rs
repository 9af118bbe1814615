//! Memory for packed weights, keys and values: zeroed, in large pages where the system has them.

use std::{
	fmt,
	ops::{Deref, DerefMut},
};

/// Bytes in a cache line.
const LINE: usize = 64;

#[cfg(all(unix, not(miri)))]
mod system {
	// Pieces start at a cache line.
	use super::LINE;
	use memmap2::MmapRaw;
	use std::{
		ops::Range,
		slice,
		sync::{Arc, Mutex, PoisonError},
	};

	/// Size of a large page on the CPUs that matter; elsewhere only the alignment is more than needed.
	const LARGE: usize = 2 << 20;
	/// Smaller pieces share a slab of this size: what a matrix takes is seldom a multiple of a large
	/// page, and a rest in small ones made decoding a third slower. No more memory is in use than is
	/// written, up to whole large pages.
	const SLAB: usize = 32 << 20;
	/// Larger pieces have a slab of their own.
	const LARGEST_SHARED: usize = SLAB / 2;
	/// Pages of the system, zeroed, large where it has such.
	struct Slab {
		pages: MmapRaw,
		/// Aligned start.
		start: usize,
		/// Bytes from `start` on.
		len: usize,
	}

	impl Slab {
		/// `None` when the system refuses.
		fn new(len: usize) -> Option<Self> {
			let len = len.checked_next_multiple_of(LARGE)?;
			// Only aligned pages can be large, and a map starts anywhere.
			let pages = memmap2::MmapMut::map_anon(len.checked_add(LARGE)?).ok()?;
			let start = pages.as_ptr().align_offset(LARGE);
			// A hint: a refusal changes nothing but speed.
			#[cfg(target_os = "linux")]
			let _ = pages.advise_range(memmap2::Advice::HugePage, start, len);
			let pages = MmapRaw::from(pages);
			Some(Self { pages, start, len })
		}
	}

	/// The slab that pieces are taken from, and how much of it is taken.
	static CURRENT: Mutex<Option<(Arc<Slab>, usize)>> = Mutex::new(None);

	/// A part of a slab that nobody else has.
	pub(super) struct Pages {
		slab: Arc<Slab>,
		/// From the slab's start.
		range: Range<usize>,
	}

	impl Pages {
		/// `None` when the system refuses.
		pub(super) fn zeroed(len: usize) -> Option<Self> {
			if len > LARGEST_SHARED {
				return Self::alone(len);
			}
			let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
			let (slab, taken) = match current.take() {
				Some((slab, taken)) if len <= slab.len - taken => (slab, taken),
				_ => (Arc::new(Slab::new(SLAB)?), 0),
			};
			let end = (taken + len).next_multiple_of(LINE);
			*current = Some((Arc::clone(&slab), end.min(slab.len)));
			Some(Self {
				slab,
				range: taken..taken + len,
			})
		}

		/// A slab alone. `None` when the system refuses.
		pub(super) fn alone(len: usize) -> Option<Self> {
			let slab = Arc::new(Slab::new(len)?);
			Some(Self {
				slab,
				range: 0..len,
			})
		}

		/// Where the part starts.
		fn pointer(&self) -> *mut u8 {
			// In bounds: `zeroed` took the range from the slab's bytes.
			let at = self.slab.start + self.range.start;
			self.slab.pages.as_mut_ptr().wrapping_add(at)
		}

		pub(super) fn bytes(&self) -> &[u8] {
			// SAFETY: the range lies in the map, whose bytes are initialised; ranges of different
			// parts do not overlap, so that `bytes_mut` of this one is all that could write here.
			unsafe { slice::from_raw_parts(self.pointer(), self.range.len()) }
		}

		pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
			// SAFETY: as above, and `self` is borrowed alone.
			unsafe { slice::from_raw_parts_mut(self.pointer(), self.range.len()) }
		}
	}
}

/// Where there are no maps, as in Wasm: what the allocator has.
#[cfg(not(all(unix, not(miri))))]
mod system {
	pub(super) struct Pages(Vec<u8>);

	impl Pages {
		/// `None` when the allocator refuses.
		pub(super) fn zeroed(len: usize) -> Option<Self> {
			let mut bytes = Vec::new();
			bytes.try_reserve_exact(len).ok()?;
			bytes.resize(len, 0);
			Some(Self(bytes))
		}

		/// `None`: there are no large pages, and bytes of the allocator need not be aligned for numbers.
		pub(super) fn alone(_len: usize) -> Option<Self> {
			None
		}

		pub(super) fn bytes(&self) -> &[u8] {
			&self.0
		}

		pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
			&mut self.0
		}
	}
}

/// A fixed number of bytes, at least one, all zero at first.
pub(crate) struct Memory(system::Pages);

impl Memory {
	/// `None` when the system has no memory left.
	pub(crate) fn zeroed(len: usize) -> Option<Self> {
		system::Pages::zeroed(len).map(Self)
	}

	pub(crate) fn bytes(&self) -> &[u8] {
		self.0.bytes()
	}

	pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
		self.0.bytes_mut()
	}
}

impl fmt::Debug for Memory {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		write!(f, "{} bytes", self.bytes().len())
	}
}

/// Half-precision numbers, at first all zero. Where they are many they have large pages of their own: attention reads
/// them by columns, and with small pages would miss the TLB.
#[derive(Debug)]
pub struct Halves(Store);

#[derive(Debug)]
enum Store {
	Small(Box<[u16]>),
	Large(Memory),
}

/// From how many bytes on large pages waste little.
const LARGE_HALVES: usize = 4 << 20;

impl Halves {
	/// `len` zeros; small pages if the system has no others.
	pub fn zeroed(len: usize) -> Self {
		let bytes = len.saturating_mul(size_of::<u16>());
		let large = (bytes >= LARGE_HALVES).then(|| system::Pages::alone(bytes));
		Self(match large.flatten() {
			Some(pages) => Store::Large(Memory(pages)),
			None => Store::Small(vec![0; len].into_boxed_slice()),
		})
	}
}

impl Deref for Halves {
	type Target = [u16];

	fn deref(&self) -> &[u16] {
		match &self.0 {
			Store::Small(halves) => halves,
			// SAFETY: any two bytes are a `u16`; what is not aligned would be left out, but pages are.
			Store::Large(memory) => unsafe { memory.bytes().align_to().1 },
		}
	}
}

impl DerefMut for Halves {
	fn deref_mut(&mut self) -> &mut [u16] {
		match &mut self.0 {
			Store::Small(halves) => halves,
			// SAFETY: as above.
			Store::Large(memory) => unsafe { memory.bytes_mut().align_to_mut().1 },
		}
	}
}

/// How far ahead of its use a kernel prefetches what it reads from memory, in bytes.
///
/// Kernels read packed weights in order, but slowly enough, and with enough loads between, that the CPU's own
/// prefetcher does not see a stream. Into the second-level cache, because the first has room for few requests. Several
/// times, because Zen 4 drops a prefetch when too many are under way, and the faster a kernel is, the more: with one
/// each, a kernel that is faster from the cache was slower from DRAM. Reading two or four runs of rows at once, to share the values they meet, is
/// slower.
#[cfg(target_arch = "x86_64")]
pub(crate) const AHEAD: [usize; 3] = [8192, 6144, 4096];

/// Prefetches the cache line at an address, which need not exist: into the first level if `NEAR`, else the second, since
/// the first has room for few requests. Does nothing where there is no such instruction.
#[inline(always)]
pub(crate) fn prefetch_line<const NEAR: bool>(address: *const u8) {
	#[cfg(target_arch = "x86_64")]
	{
		use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
		// SAFETY: a hint, which every x86-64 has, and which may name any address.
		unsafe {
			if NEAR {
				_mm_prefetch::<_MM_HINT_T0>(address.cast());
			} else {
				_mm_prefetch::<_MM_HINT_T1>(address.cast());
			}
		}
	}
	#[cfg(not(target_arch = "x86_64"))]
	let _ = address;
}

/// Prefetches what lies [`AHEAD`] of a part of a matrix, if anything does.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn prefetch_ahead<const N: usize>(part: &[u8; N]) {
	for line in (0..N).step_by(LINE) {
		for ahead in AHEAD {
			prefetch_line::<false>(part.as_ptr().wrapping_add(ahead + line));
		}
	}
}

/// Prefetches bytes that are read soon, where the order of reads gives the CPU no hint of them.
pub(crate) fn prefetch(bytes: &[u8]) {
	bytes
		.chunks(LINE)
		.for_each(|line| prefetch_line::<true>(line.as_ptr()));
}

/// As [`prefetch`], for bytes that are read later.
pub(crate) fn prefetch_later(bytes: &[u8]) {
	bytes
		.chunks(LINE)
		.for_each(|line| prefetch_line::<false>(line.as_ptr()));
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn halves_are_zeros_that_can_be_written() {
		for len in [0, 1, 1000, LARGE_HALVES / 2 - 1, LARGE_HALVES / 2, 3 << 20] {
			let mut halves = Halves::zeroed(len);
			assert_eq!(halves.len(), len);
			assert!(halves.iter().all(|half| *half == 0));
			halves.fill(0xabcd);
			assert!(halves.iter().all(|half| *half == 0xabcd));
		}
	}
}
