//! Byte layout of traces: what is hashed of every hidden state, and how the hashes fold into the root in a receipt
//! (docs/numerics.md, "Trace").
//!
//! A *boundary* of a position is its hidden state after the embedding (number 0) or after layer `l` (number `l + 1`).
//! Its hash is blake2b-256 of
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 1 | [`BOUNDARY_DOMAIN`] |
//! | 1 | 4 | [`SPEC_VERSION`] |
//! | 5 | 4 | position in the sequence, from 0 |
//! | 9 | 4 | boundary |
//! | 13 | 4 × width | the state, IEEE 754 binary32 |
//!
//! with all numbers little-endian. A position's root is the Merkle root over the hashes of its boundaries, the trace's
//! root that over the roots of its positions, both in ascending order and with the hashes as leaves as they are: the
//! domain byte differs from those of [`merkle`]'s leaves and nodes, so none can be passed off as another.
//!
//! This is the definition, and slow. Workers hash many states at once and must find the same.

use crate::{H256, SPEC_VERSION, merkle};
use sp_crypto_hashing::blake2_256;

/// First byte of what is hashed of a boundary; [`merkle`]'s leaves begin with 0x00 and nodes with 0x01.
pub const BOUNDARY_DOMAIN: u8 = 0x10;
/// Bytes before the state.
pub const HEADER_LEN: usize = 13;

/// The bytes before a boundary's state.
#[inline]
pub fn header(position: u32, boundary: u32) -> [u8; HEADER_LEN] {
	let mut bytes = [BOUNDARY_DOMAIN; HEADER_LEN];
	let words = [SPEC_VERSION, position, boundary];
	for (bytes, word) in bytes[1..].chunks_exact_mut(4).zip(words) {
		bytes.copy_from_slice(&word.to_le_bytes());
	}
	bytes
}

/// Hash of a boundary; `state` gives the bits of each element (`f32::to_bits`).
pub fn boundary_hash(position: u32, boundary: u32, state: impl IntoIterator<Item = u32>) -> H256 {
	let mut bytes = header(position, boundary).to_vec();
	bytes.extend(state.into_iter().flat_map(u32::to_le_bytes));
	H256(blake2_256(&bytes))
}

/// Root of a position, from the hashes of its boundaries in ascending order.
pub fn position_root(boundaries: &[H256]) -> H256 {
	merkle::root(boundaries)
}

/// Root of a trace, from the roots of positions 0, 1, 2, …
pub fn root(positions: &[H256]) -> H256 {
	merkle::root(positions)
}

#[cfg(test)]
mod tests {
	use super::*;
	use alloc::{vec, vec::Vec};
	use proptest::prelude::*;

	#[test]
	fn boundary_should_hash_the_bytes_of_the_layout() {
		#[rustfmt::skip]
		let bytes = [
			0x10,
			1, 0, 0, 0,
			0x04, 0x03, 0x02, 0x01,
			30, 0, 0, 0,
			0x00, 0x00, 0x80, 0x3f,
			0x00, 0x00, 0x00, 0x80,
		];
		assert_eq!(header(0x0102_0304, 30), bytes[..HEADER_LEN]);
		let state = [1.0f32, -0.0].map(f32::to_bits);
		assert_eq!(
			boundary_hash(0x0102_0304, 30, state),
			H256(blake2_256(&bytes))
		);
	}

	#[test]
	fn boundary_should_pass_neither_as_leaf_nor_as_node() {
		for domain in [0u8, 1] {
			assert_ne!(BOUNDARY_DOMAIN, domain);
		}
		assert_ne!(
			boundary_hash(0, 0, [0; 16]),
			merkle::leaf_hash(&[&header(0, 0)[..], &[0; 64]].concat())
		);
	}

	proptest! {
		/// What a dispute needs: one boundary leads to the trace's root by two paths.
		#[test]
		fn every_boundary_should_lead_to_the_root(
			positions in 1usize..12,
			boundaries in 1usize..12,
			pick in any::<(usize, usize)>(),
		) {
			let (position, boundary) = (pick.0 % positions, pick.1 % boundaries);
			let hashes: Vec<Vec<H256>> = (0..positions as u32)
				.map(|p| (0..boundaries as u32).map(|b| boundary_hash(p, b, vec![p ^ b; 3])).collect())
				.collect();
			let roots: Vec<H256> = hashes.iter().map(|own| position_root(own)).collect();
			let inner = merkle::proof(&hashes[position], boundary).unwrap();
			let outer = merkle::proof(&roots, position).unwrap();
			let claim = boundary_hash(position as u32, boundary as u32, [(position ^ boundary) as u32; 3]);
			prop_assert!(merkle::verify(&roots[position], boundaries as u32, boundary as u32, &claim, &inner));
			prop_assert!(merkle::verify(&root(&roots), positions as u32, position as u32, &roots[position], &outer));
		}
	}
}
