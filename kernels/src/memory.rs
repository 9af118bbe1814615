//! Memory for packed weights: zeroed bytes, in large pages where the system has them.

use std::fmt;

#[cfg(all(unix, not(miri)))]
mod system {
	use memmap2::{Advice, MmapMut};

	/// Pages of the system, so that they can be large.
	pub(super) type Pages = MmapMut;

	/// `None` when the system refuses.
	pub(super) fn zeroed(len: usize) -> Option<Pages> {
		let pages = MmapMut::map_anon(len).ok()?;
		// Reading a gigabyte per token touches 250,000 small pages: with large ones, plain reads were a third faster.
		#[cfg(target_os = "linux")]
		let _ = pages.advise(Advice::HugePage); // A hint: a refusal changes nothing but speed.
		#[cfg(not(target_os = "linux"))]
		let _ = pages.advise(Advice::WillNeed);
		Some(pages)
	}
}

#[cfg(not(all(unix, not(miri))))]
mod system {
	pub(super) type Pages = Vec<u8>;

	pub(super) fn zeroed(len: usize) -> Option<Pages> {
		Some(vec![0; len])
	}
}

/// A fixed number of bytes, at least one, all zero at first.
pub(crate) struct Memory(system::Pages);

impl Memory {
	/// `None` when the system has no memory left.
	pub(crate) fn zeroed(len: usize) -> Option<Self> {
		system::zeroed(len).map(Self)
	}

	pub(crate) fn bytes(&self) -> &[u8] {
		&self.0
	}

	pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
		&mut self.0
	}
}

impl fmt::Debug for Memory {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		write!(f, "{} bytes", self.bytes().len())
	}
}
