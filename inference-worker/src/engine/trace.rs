//! Traces: hashes of every hidden state, folded into one root (docs/numerics.md, "Trace").

use aria_primitives::{H256, SPEC_VERSION, merkle};
use sp_crypto_hashing::blake2_256;

/// Boundary number of the final logits.
pub const LOGITS: u32 = u32::MAX;
const DOMAIN: u8 = 0x10;

/// Sees each layer boundary of each position during a forward pass, in any order of positions but with the boundaries
/// of one position in ascending order.
pub trait TraceSink {
	/// `state` is the hidden state (or the logits) at a boundary of a position.
	fn record(&mut self, position: u32, boundary: u32, state: &[f32]);
}

/// Sees nothing.
impl TraceSink for () {
	fn record(&mut self, _: u32, _: u32, _: &[f32]) {}
}

/// Collects boundary hashes per position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
	positions: Vec<Vec<H256>>,
	buffer: Vec<u8>,
}

impl Trace {
	/// Number of positions seen.
	pub fn len(&self) -> usize {
		self.positions.len()
	}

	/// Whether no position was seen.
	pub fn is_empty(&self) -> bool {
		self.positions.is_empty()
	}

	/// Forgets all positions from `len` on.
	pub fn truncate(&mut self, len: usize) {
		self.positions.truncate(len);
	}

	/// Boundary hashes of a position.
	pub fn boundaries(&self, position: usize) -> &[H256] {
		self.positions.get(position).map_or(&[], Vec::as_slice)
	}

	/// Root over the roots of all positions.
	pub fn root(&self) -> H256 {
		let roots: Vec<H256> = self
			.positions
			.iter()
			.map(|list| merkle::root(list))
			.collect();
		merkle::root(&roots)
	}
}

impl TraceSink for Trace {
	fn record(&mut self, position: u32, boundary: u32, state: &[f32]) {
		self.buffer.clear();
		self.buffer.push(DOMAIN);
		for word in [SPEC_VERSION, position, boundary] {
			self.buffer.extend_from_slice(&word.to_le_bytes());
		}
		for value in state {
			self.buffer.extend_from_slice(&value.to_le_bytes());
		}
		let index = position as usize;
		if self.positions.len() <= index {
			self.positions.resize_with(index + 1, Vec::new);
		}
		self.positions[index].push(H256(blake2_256(&self.buffer)));
	}
}
