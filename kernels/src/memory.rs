//! Memory for packed weights: zeroed bytes, in large pages where the system has them.

use std::fmt;

#[cfg(all(unix, not(miri)))]
mod system {
	use memmap2::MmapMut;
	use std::ops::Range;

	/// Size of a large page on the CPUs that matter; elsewhere only the alignment is more than needed.
	const LARGE: usize = 2 << 20;

	/// Pages of the system, so that they can be large, and the part of them in use.
	pub(super) struct Pages(MmapMut, Range<usize>);

	impl Pages {
		/// `None` when the system refuses.
		pub(super) fn zeroed(len: usize) -> Option<Self> {
			// Only aligned pages can be large, and a map starts anywhere.
			let pages = MmapMut::map_anon(len.checked_add(LARGE)?).ok()?;
			let start = pages.as_ptr().align_offset(LARGE);
			// Reading a gigabyte per token touches 250,000 small pages: with large ones a plain read is
			// a third faster. A hint: a refusal changes nothing but speed.
			#[cfg(target_os = "linux")]
			let _ = pages.advise_range(memmap2::Advice::HugePage, start, len / LARGE * LARGE);
			Some(Self(pages, start..start + len))
		}

		pub(super) fn bytes(&self) -> &[u8] {
			&self.0[self.1.clone()]
		}

		pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
			&mut self.0[self.1.clone()]
		}
	}
}

#[cfg(not(all(unix, not(miri))))]
mod system {
	pub(super) struct Pages(Vec<u8>);

	impl Pages {
		pub(super) fn zeroed(len: usize) -> Option<Self> {
			Some(Self(vec![0; len]))
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

/// Asks for bytes that are read soon, where the order of reads says nothing about them.
pub(crate) fn prefetch(bytes: &[u8]) {
	#[cfg(target_arch = "x86_64")]
	for line in bytes.chunks(64) {
		use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
		// SAFETY: a hint, which every x86-64 has.
		unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
	}
	#[cfg(not(target_arch = "x86_64"))]
	let _ = bytes;
}
