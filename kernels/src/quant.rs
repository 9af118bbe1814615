//! Activations as signed bytes with one scale per token.

use alloc::vec::Vec;
use core::fmt;

/// Activations of some tokens, quantised to -127..=127. The buffers are reused between calls.
///
/// Fields are private because the kernels' overflow bounds rest on them.
#[derive(Clone, Debug, Default)]
pub struct QuantizedActivations {
	pub(crate) tokens: usize,
	pub(crate) cols: usize,
	pub(crate) q: Vec<i8>,
	pub(crate) inv: Vec<f32>,
	pub(crate) sums: Vec<i32>,
}

/// An activation was infinite or not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonFinite {
	/// Index of the first such element in the input.
	pub index: usize,
}

impl fmt::Display for NonFinite {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		write!(f, "activation {} is not finite", self.index)
	}
}

impl core::error::Error for NonFinite {}

impl QuantizedActivations {
	/// No tokens, and no memory yet.
	pub fn new() -> Self {
		Self::default()
	}

	/// Number of rows.
	pub fn tokens(&self) -> usize {
		self.tokens
	}

	/// Activations per token.
	pub fn cols(&self) -> usize {
		self.cols
	}

	/// The quantised values, `tokens * cols`, row by row, each in -127..=127.
	pub fn q(&self) -> &[i8] {
		&self.q
	}

	/// Per token the factor `a = 127 / max(max |x|, 1e-5)` by which activations were multiplied.
	pub fn inv(&self) -> &[f32] {
		&self.inv
	}

	/// Per token the sum of its quantised values.
	pub fn sums(&self) -> &[i32] {
		&self.sums
	}

	#[cfg(feature = "std")]
	/// Sizes the buffers for `tokens` rows of `cols`; the contents are then overwritten.
	pub(crate) fn resize(&mut self, tokens: usize, cols: usize) {
		self.tokens = tokens;
		self.cols = cols;
		self.q.resize(tokens * cols, 0);
		self.inv.resize(tokens, 0.0);
		self.sums.resize(tokens, 0);
	}

	#[cfg(feature = "std")]
	/// Leaves no tokens, as after a failure.
	pub(crate) fn clear(&mut self) {
		self.resize(0, 0);
	}
}
