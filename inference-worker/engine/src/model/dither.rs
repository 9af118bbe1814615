//! The secret dither of a quantised head.

use blake2b_simd::Params;
use std::fmt;

/// A secret from which the dither of the head is made. It has no effect on logits; who knows it could write weights for
/// which the head's first pass is slow, see `aria_kernels::head`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Dither([u8; 32]);

impl Dither {
	/// From 32 bytes that nobody else knows.
	pub fn new(secret: [u8; 32]) -> Self {
		Self(secret)
	}

	/// From the system's random bytes.
	#[cfg(feature = "native")]
	pub fn random() -> Self {
		Self(rand::random())
	}

	/// Numbers below 16, one for each element of a row.
	pub(super) fn row(&self, len: usize) -> Vec<u8> {
		let block = |number: u64| {
			let mut params = Params::new();
			params.key(&self.0);
			*params.hash(&number.to_le_bytes()).as_array()
		};
		let numbers = (0..).flat_map(block).map(|byte: u8| byte & 15);
		numbers.take(len).collect()
	}
}

impl fmt::Debug for Dither {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str("Dither(secret)")
	}
}
