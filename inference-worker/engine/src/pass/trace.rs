//! Traces: hashes of every hidden state, many at a time, folded into one root as [`aria_primitives::trace`] defines it.

use aria_kernels::Pool;
use aria_primitives::{
	H256,
	trace::{HEADER_LEN, header, position_root, root},
};
use blake2b_simd::{
	Params,
	many::{HashManyJob, hash_many},
};
use std::sync::Mutex;

/// States that are hashed together: enough for all threads.
const FLUSH: usize = 64;

/// Roots of a sequence's positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
	positions: Vec<H256>,
}

impl Trace {
	/// Number of positions.
	pub fn len(&self) -> usize {
		self.positions.len()
	}

	/// Whether there is no position.
	pub fn is_empty(&self) -> bool {
		self.positions.is_empty()
	}

	/// Forgets all positions from `len` on.
	pub fn truncate(&mut self, len: usize) {
		self.positions.truncate(len);
	}

	/// Appends the roots of positions.
	pub fn extend(&mut self, roots: &[H256]) {
		self.positions.extend_from_slice(roots);
	}

	/// Roots of positions, in order.
	pub fn positions(&self) -> &[H256] {
		&self.positions
	}

	/// Root over the roots of all positions.
	pub fn root(&self) -> H256 {
		root(&self.positions)
	}
}

/// Hashes the states of one pass: for each of its tokens, the state after the embedding and after each layer.
#[derive(Default)]
pub(super) struct Recorder {
	/// Headers and states that are not hashed yet, `state_len` bytes each.
	pending: Vec<u8>,
	state_len: usize,
	/// Hashes by boundary, then token.
	hashes: Vec<H256>,
}

impl Recorder {
	/// Forgets all, for a pass whose states have `width` elements.
	pub(super) fn begin(&mut self, width: usize) {
		self.pending.clear();
		self.hashes.clear();
		self.state_len = HEADER_LEN + 4 * width;
	}

	/// Takes the states of all tokens at a boundary.
	pub(super) fn record(
		&mut self,
		pool: &Pool,
		boundary: u32,
		positions: &[usize],
		states: &[f32],
	) {
		let width = (self.state_len - HEADER_LEN) / 4;
		for (position, state) in positions.iter().zip(states.chunks_exact(width)) {
			self.pending
				.extend_from_slice(&header(*position as u32, boundary));
			let start = self.pending.len();
			self.pending.resize(start + 4 * width, 0);
			let (bytes, _) = self.pending[start..].as_chunks_mut();
			for (bytes, value) in bytes.iter_mut().zip(state) {
				*bytes = value.to_le_bytes();
			}
			if self.pending.len() >= FLUSH * self.state_len {
				self.flush(pool);
			}
		}
	}

	fn flush(&mut self, pool: &Pool) {
		let count = self.pending.len() / self.state_len;
		if count == 0 {
			return;
		}
		let old = self.hashes.len();
		self.hashes.resize(old + count, H256::zero());
		let each = count.div_ceil(pool.threads()).max(1);
		let parts: Vec<_> = self.hashes[old..]
			.chunks_mut(each)
			.zip(self.pending.chunks(each * self.state_len))
			.map(Mutex::new)
			.collect();
		let mut params = Params::new();
		params.hash_length(32);
		pool.run(parts.len(), |part| {
			// Each is locked once.
			let Ok(mut part) = parts[part].lock() else {
				return;
			};
			let (hashes, states) = &mut *part;
			let mut jobs: Vec<HashManyJob> = states
				.chunks_exact(self.state_len)
				.map(|state| HashManyJob::new(&params, state))
				.collect();
			hash_many(&mut jobs);
			for (hash, job) in hashes.iter_mut().zip(&jobs) {
				hash.0.copy_from_slice(job.to_hash().as_bytes());
			}
		});
		drop(parts);
		self.pending.clear();
	}

	/// Roots of the pass's tokens.
	pub(super) fn roots(&mut self, pool: &Pool, tokens: usize) -> Vec<H256> {
		self.flush(pool);
		let boundaries = self.hashes.len() / tokens.max(1);
		(0..tokens)
			.map(|token| {
				let own: Vec<H256> = (0..boundaries)
					.map(|boundary| self.hashes[boundary * tokens + token])
					.collect();
				position_root(&own)
			})
			.collect()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use aria_primitives::trace::boundary_hash;

	#[test]
	fn roots_should_be_those_of_the_definition() {
		let (width, tokens, boundaries) = (5, 3, 40);
		let state = |boundary: usize, token: usize| -> Vec<f32> {
			(0..width)
				.map(|i| (boundary * 7 + token * 3 + i) as f32 * 0.37 - 4.0)
				.collect()
		};
		let hash = |boundary: usize, token: usize| {
			let state = state(boundary, token).into_iter().map(f32::to_bits);
			boundary_hash(10 + token as u32, boundary as u32, state)
		};
		let expected: Vec<H256> = (0..tokens)
			.map(|token| {
				let own: Vec<H256> = (0..boundaries)
					.map(|boundary| hash(boundary, token))
					.collect();
				position_root(&own)
			})
			.collect();
		for threads in [1, 3] {
			let pool = Pool::new(threads);
			let mut recorder = Recorder::default();
			recorder.begin(width);
			for boundary in 0..boundaries {
				let states: Vec<f32> = (0..tokens)
					.flat_map(|token| state(boundary, token))
					.collect();
				recorder.record(&pool, boundary as u32, &[10, 11, 12], &states);
			}
			assert_eq!(recorder.roots(&pool, tokens), expected);
		}
	}
}
