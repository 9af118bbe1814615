//! Activations as signed bytes with one scale per token, or one for each block of columns.

use crate::ternary::dense;
use std::{
	fmt,
	sync::atomic::{AtomicU64, Ordering},
};

/// Values of a token are followed by zeros up to a multiple of this: packings of weights pad columns
/// to multiples of 24, 32 and 64.
pub(crate) const PADDING: usize = 192;

/// Activations of some tokens, quantised to -127..=127. The buffers are reused between calls.
///
/// Fields are private because the kernels' overflow bounds rest on them.
#[derive(Clone, Debug, Default)]
pub struct QuantizedActivations {
	pub(crate) tokens: usize,
	pub(crate) cols: usize,
	/// Columns that share a factor: all, or a block.
	pub(crate) block: usize,
	/// Distance between tokens in `q`: `cols` padded.
	pub(crate) stride: usize,
	pub(crate) q: Vec<i8>,
	pub(crate) inv: Vec<f32>,
	pub(crate) sums: Vec<i32>,
	/// Of few tokens, for dense weights; empty when they were not expected.
	pub(crate) tables: Vec<dense::Table>,
	/// Of these values alone: threads know by it which tables they have built.
	pub(crate) id: u64,
}

/// The next [`QuantizedActivations::id`].
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

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

impl std::error::Error for NonFinite {}

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

	/// The quantised values of one token, `cols` of them, each in -127..=127.
	///
	/// # Panics
	///
	/// If `token` is not below [`tokens`](Self::tokens).
	pub fn q(&self, token: usize) -> &[i8] {
		&self.padded(token)[..self.cols]
	}

	/// The quantised values of one token and the zeros after them.
	pub(crate) fn padded(&self, token: usize) -> &[i8] {
		assert!(token < self.tokens, "token {token} of {}", self.tokens);
		&self.q[token * self.stride..][..self.stride]
	}

	/// Columns that share a factor: all of a token, or a block of them.
	pub fn block(&self) -> usize {
		self.block
	}

	/// Blocks in a token.
	pub(crate) fn blocks(&self) -> usize {
		self.cols / self.block.max(1)
	}

	/// Factors and sums of a token's blocks.
	pub(crate) fn of_blocks(&self, token: usize) -> (&[f32], &[i32]) {
		let blocks = self.blocks();
		let start = token * blocks;
		(&self.inv[start..][..blocks], &self.sums[start..][..blocks])
	}

	/// Per token, and for each of its blocks, the factor `a = 127 / max(max |x|, 1e-5)` by which
	/// activations were multiplied.
	pub fn inv(&self) -> &[f32] {
		&self.inv
	}

	/// Per token, and for each of its blocks, the sum of its quantised values.
	pub fn sums(&self) -> &[i32] {
		&self.sums
	}

	/// Sizes the buffers for `tokens` rows of `cols` in blocks; all but the padding is then overwritten.
	pub(crate) fn resize(&mut self, tokens: usize, cols: usize, block: usize) {
		let stride = cols.next_multiple_of(PADDING);
		if self.cols != cols {
			// What was padding may be written now, and the other way round.
			self.q.clear();
		}
		(self.tokens, self.cols, self.stride) = (tokens, cols, stride);
		self.q.resize(tokens * stride, 0);
		self.block = block;
		self.inv.resize(tokens * self.blocks(), 0.0);
		self.sums.resize(tokens * self.blocks(), 0);
		self.tables.clear();
		self.id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
	}

	/// Leaves no tokens, as after a failure.
	pub(crate) fn clear(&mut self) {
		self.resize(0, 0, 0);
	}
}
