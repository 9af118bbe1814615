//! Binary Merkle trees over blake2b-256 with domain-separated leaves and nodes.
//!
//! A leaf hashes as `H(0x00 || data)`, an inner node as `H(0x01 || left || right)`; a node without a right sibling is
//! promoted unchanged. The prefixes stop a node from being passed off as a leaf (RFC 6962, section 2.1), and proofs
//! carry index and count, so the shape of the path is fixed by them and not by the prover.

use crate::H256;
use alloc::vec::Vec;
use sp_crypto_hashing::blake2_256;

/// Longest possible proof: a tree of 2^32 leaves.
pub const MAX_PROOF_LEN: u32 = 32;

/// Hash of a leaf's bytes.
pub fn leaf_hash(data: &[u8]) -> H256 {
	let mut bytes = Vec::with_capacity(1 + data.len());
	bytes.push(0u8);
	bytes.extend_from_slice(data);
	H256(blake2_256(&bytes))
}

fn node_hash(left: &H256, right: &H256) -> H256 {
	let mut bytes = [0u8; 65];
	bytes[0] = 1;
	bytes[1..33].copy_from_slice(left.as_bytes());
	bytes[33..].copy_from_slice(right.as_bytes());
	H256(blake2_256(&bytes))
}

fn parent_level(level: &[H256]) -> Vec<H256> {
	level
		.chunks(2)
		.map(|pair| match pair {
			[left, right] => node_hash(left, right),
			[single] => *single,
			_ => H256::zero(),
		})
		.collect()
}

/// Root of the tree over leaf hashes; the zero hash for no leaves.
pub fn root(leaves: &[H256]) -> H256 {
	let mut level = leaves.to_vec();
	while level.len() > 1 {
		level = parent_level(&level);
	}
	level.first().copied().unwrap_or_default()
}

/// Sibling hashes from leaf `index` up to the root, or `None` if there is no such leaf.
pub fn proof(leaves: &[H256], index: usize) -> Option<Vec<H256>> {
	if index >= leaves.len() {
		return None;
	}
	let mut path = Vec::new();
	let mut level = leaves.to_vec();
	let mut position = index;
	while level.len() > 1 {
		if let Some(sibling) = level.get(position ^ 1) {
			path.push(*sibling);
		}
		level = parent_level(&level);
		position /= 2;
	}
	Some(path)
}

/// Whether `leaf` is leaf number `index` of the tree of `count` leaves with the given root.
pub fn verify(root: &H256, count: u32, index: u32, leaf: &H256, proof: &[H256]) -> bool {
	if index >= count {
		return false;
	}
	let (mut width, mut position, mut hash) = (count, index, *leaf);
	let mut path = proof.iter();
	while width > 1 {
		let has_sibling = position % 2 == 1 || position.saturating_add(1) < width;
		if has_sibling {
			let Some(sibling) = path.next() else {
				return false;
			};
			hash = if position % 2 == 1 {
				node_hash(sibling, &hash)
			} else {
				node_hash(&hash, sibling)
			};
		}
		position /= 2;
		width = width.div_ceil(2);
	}
	path.next().is_none() && hash == *root
}

#[cfg(test)]
mod tests {
	use super::*;
	use alloc::vec;
	use proptest::prelude::*;

	fn leaves(count: usize) -> Vec<H256> {
		(0..count)
			.map(|i| leaf_hash(&(i as u64).to_le_bytes()))
			.collect()
	}

	#[test]
	fn empty_tree_has_the_zero_root() {
		assert_eq!(root(&[]), H256::zero());
		assert_eq!(proof(&[], 0), None);
		assert!(!verify(&H256::zero(), 0, 0, &H256::zero(), &[]));
	}

	#[test]
	fn node_should_not_pass_as_leaf() {
		let leaves = leaves(4);
		let inner = parent_level(&leaves);
		let root = root(&leaves);
		assert!(verify(&root, 4, 0, &leaves[0], &[leaves[1], inner[1]]));
		assert!(!verify(&root, 4, 0, &inner[0], &[inner[1]]));
	}

	proptest! {
		#[test]
		fn every_leaf_has_a_proof_and_only_its_own(count in 1usize..70, pick in any::<usize>(), other in any::<usize>()) {
			let leaves = leaves(count);
			let (index, wrong) = (pick % count, other % count);
			let root = root(&leaves);
			let path = proof(&leaves, index).unwrap();
			prop_assert!(path.len() <= MAX_PROOF_LEN as usize);
			prop_assert!(verify(&root, count as u32, index as u32, &leaves[index], &path));
			if wrong != index {
				prop_assert!(!verify(&root, count as u32, wrong as u32, &leaves[index], &path));
			}
			let mut longer = path.clone();
			longer.push(H256::zero());
			prop_assert!(!verify(&root, count as u32, index as u32, &leaves[index], &longer));
			if !path.is_empty() {
				prop_assert!(!verify(&root, count as u32, index as u32, &leaves[index], &path[1..]));
				let mut changed = path;
				changed[0].0[0] ^= 1;
				prop_assert!(!verify(&root, count as u32, index as u32, &leaves[index], &changed));
			}
			prop_assert_eq!(proof(&leaves, count), None);
			prop_assert_eq!(vec![root], vec![super::root(&leaves)]);
		}
	}
}
