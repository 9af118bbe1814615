//! How a model is loaded.

use super::Dither;
use aria_kernels::{I2Block, Packing};

/// How a model is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
	/// How ternary weights lie in memory.
	pub packing: Packing,
	/// The blocks of I2_S tensors, which files do not say.
	pub i2_block: I2Block,
	/// What the dither of the head is made of.
	pub dither: Dither,
}

#[cfg(feature = "native")]
impl From<Packing> for LoadOptions {
	fn from(packing: Packing) -> Self {
		Self {
			packing,
			i2_block: I2Block::B128,
			dither: Dither::random(),
		}
	}
}
