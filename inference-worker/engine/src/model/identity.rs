//! Identity of a model: a Merkle root over everything that decides its answers, whatever files it came from.
//!
//! The tree's leaf 0 is the manifest, SCALE of: `"aria-model-v1"`, specification version, family, activation, the shape
//! (hidden, layers, heads, key heads, head width, feed-forward width, vocabulary, context as `u32`), bits of rope base
//! and norm epsilon, how rotary frequencies are scaled, blake2b-256 of the tokenizer ([`Tokenizer::canonical`]),
//! blake2b-256 of the chat template (zero if none), whether there is a head and whether it is the embedding, and each
//! tensor's name, rows and columns in ascending order of names. The nodes after it are the tensors' own roots in that
//! order: each the root over the tensor's rows. Rows are
//!
//! - of a ternary matrix, the codes `weight + 1`, two bits each, low bits first, queries and keys in the order of
//!   [`RopePairing::Neox`](aria_kernels::RopePairing); its scales are a tensor `….scale`, one f32 LE, or for each row
//!   its blocks' as binary16 LE;
//! - of the embedding, binary16 LE;
//! - of a head of its own, the scale (f32 LE) and the integers in eight bits;
//! - of a norm, f32 LE, one row.

use super::{Activation, Head, ModelConfig, config::RopeScaling, template::ChatTemplate};
use crate::tokenizer::Tokenizer;
use aria_kernels::{HeadMatrix, TernaryMatrix, math};
use aria_primitives::{H256, ModelId, SPEC_VERSION, merkle};
use blake2b_simd::{
	Params,
	many::{HashManyJob, hash_many},
};
use codec::Encode;
use rayon::prelude::*;
use sp_crypto_hashing::blake2_256;
use std::{collections::BTreeMap, sync::OnceLock};

/// Rows that are hashed together.
const ROWS_AT_ONCE: usize = 8;

/// Hashes of a tensor's rows, which may be found in any order on several threads.
pub(super) struct Leaves(Vec<OnceLock<H256>>);

fn leaf(bytes: &[u8]) -> H256 {
	// As `merkle::leaf_hash`, without a copy.
	let hash = Params::new()
		.hash_length(32)
		.to_state()
		.update(&[0])
		.update(bytes)
		.finalize();
	let mut out = H256::zero();
	out.0.copy_from_slice(hash.as_bytes());
	out
}

impl Leaves {
	/// None found yet.
	pub(super) fn new(rows: usize) -> Self {
		Self((0..rows).map(|_| OnceLock::new()).collect())
	}

	fn put(&self, row: usize, hash: H256) {
		if let Some(slot) = self.0.get(row) {
			// Each row is seen once.
			let _ = slot.set(hash);
		}
	}

	/// Hashes rows of one length, the first of them number `first`; `write` appends a row's bytes.
	fn hash<T>(&self, first: usize, rows: &[T], mut write: impl FnMut(&T, &mut Vec<u8>)) {
		let mut params = Params::new();
		params.hash_length(32);
		let mut bytes = Vec::new();
		for (group, rows) in rows.chunks(ROWS_AT_ONCE).enumerate() {
			bytes.clear();
			for row in rows {
				// What marks a leaf.
				bytes.push(0);
				write(row, &mut bytes);
			}
			let mut jobs: Vec<HashManyJob> = bytes
				.chunks_exact(bytes.len() / rows.len())
				.map(|bytes| HashManyJob::new(&params, bytes))
				.collect();
			hash_many(&mut jobs);
			for (row, job) in (first + group * ROWS_AT_ONCE..).zip(&jobs) {
				let mut hash = H256::zero();
				hash.0.copy_from_slice(job.to_hash().as_bytes());
				self.put(row, hash);
			}
		}
	}

	/// Rows of codes, from `first` on.
	pub(super) fn codes(&self, first: usize, rows: &[&[u8]]) {
		self.hash(first, rows, |codes, bytes| {
			let (whole, rest) = codes.as_chunks::<4>();
			bytes.extend(whole.iter().map(|codes| {
				// The lowest byte gets all four.
				let codes = u32::from_le_bytes(*codes);
				(codes | codes >> 6 | codes >> 12 | codes >> 18) as u8
			}));
			if !rest.is_empty() {
				bytes.push(rest.iter().rev().fold(0, |byte, code| byte << 2 | code));
			}
		});
	}

	/// Rows of binary16, from `first` on.
	pub(super) fn halves(&self, first: usize, halves: &[u16], cols: usize) {
		let rows: Vec<&[u16]> = halves.chunks_exact(cols).collect();
		self.hash(first, &rows, |halves, bytes| {
			bytes.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
		});
	}

	fn hashes(self) -> Vec<H256> {
		self.0
			.into_iter()
			.map(|slot| slot.into_inner().unwrap_or_default())
			.collect()
	}
}

struct Tensor {
	rows: u32,
	cols: u32,
	root: H256,
	bytes: u64,
}

/// The tensors of a model, as they are loaded.
#[derive(Default)]
pub(super) struct Manifest(BTreeMap<String, Tensor>);

impl Manifest {
	fn add(&mut self, name: String, cols: usize, row_bytes: usize, leaves: &[H256]) {
		let tensor = Tensor {
			rows: leaves.len() as u32,
			cols: cols as u32,
			root: merkle::root(leaves),
			bytes: (leaves.len() * row_bytes) as u64,
		};
		self.0.insert(name, tensor);
	}

	/// A tensor whose rows were hashed.
	pub(super) fn rows(&mut self, name: &str, cols: usize, row_bytes: usize, leaves: Leaves) {
		self.add(name.to_owned(), cols, row_bytes, &leaves.hashes());
	}

	/// A norm.
	pub(super) fn norm(&mut self, name: &str, values: &[f32]) {
		let bytes: Vec<u8> = values
			.iter()
			.flat_map(|value| value.to_le_bytes())
			.collect();
		self.add(name.to_owned(), values.len(), bytes.len(), &[leaf(&bytes)]);
	}

	/// The scales of a ternary matrix.
	pub(super) fn scales(&mut self, name: &str, matrix: &TernaryMatrix) {
		let name = format!("{name}.scale");
		let Some(block) = matrix.block() else {
			return self.add(name, 1, 4, &[leaf(&matrix.scale().to_le_bytes())]);
		};
		let count = matrix.cols() / block;
		let leaves: Vec<H256> = (0..matrix.rows())
			.map(|row| {
				let bits = |block| math::f32_to_f16(matrix.block_scale(row, block));
				let bytes: Vec<u8> = (0..count)
					.flat_map(|block| bits(block).to_le_bytes())
					.collect();
				leaf(&bytes)
			})
			.collect();
		self.add(name, count, 2 * count, &leaves);
	}

	/// A head of its own.
	pub(super) fn head(&mut self, name: &str, head: &HeadMatrix) {
		let leaves: Vec<H256> = (0..head.rows())
			.into_par_iter()
			.map(|row| {
				let mut bytes = head.scale(row).to_le_bytes().to_vec();
				bytes.extend(head.row(row).into_iter().map(|value| value as u8));
				leaf(&bytes)
			})
			.collect();
		self.add(name.to_owned(), head.cols(), 4 + head.cols(), &leaves);
	}

	/// The root, and the canonical bytes in all leaves.
	pub(super) fn finish(
		self,
		config: &ModelConfig,
		tokenizer: &Tokenizer,
		template: &ChatTemplate,
		tied: bool,
		head: &Option<Head>,
	) -> (ModelId, u64) {
		let shape = [
			config.hidden,
			config.layers,
			config.heads,
			config.kv_heads,
			config.head_dim,
			config.ffn,
			config.vocab,
			config.context,
		]
		.map(|size| size as u32);
		let family = config.family.row().manifest;
		let activation = match config.activation {
			Activation::SquaredRelu => "relu2",
			Activation::Silu => "silu",
		};
		let listing: Vec<(&str, u32, u32)> = self
			.0
			.iter()
			.map(|(name, tensor)| (name.as_str(), tensor.rows, tensor.cols))
			.collect();
		let manifest = (
			("aria-model-v1", SPEC_VERSION, family, activation, shape),
			(config.rope_theta.to_bits(), config.norm_eps.to_bits()),
			scaling(&config.rope_scaling),
			blake2_256(&tokenizer.canonical()),
			template
				.source()
				.map_or([0; 32], |source| blake2_256(source.as_bytes())),
			(head.is_some(), tied, listing),
		)
			.encode();
		let nodes: Vec<H256> = std::iter::once(leaf(&manifest))
			.chain(self.0.values().map(|tensor| tensor.root))
			.collect();
		let bytes = self.0.values().map(|tensor| tensor.bytes).sum::<u64>();
		(merkle::root(&nodes), manifest.len() as u64 + bytes)
	}
}

/// A kind and its numbers, floats as bits.
fn scaling(scaling: &RopeScaling) -> (u8, Vec<u32>) {
	match scaling {
		RopeScaling::None => (0, Vec::new()),
		RopeScaling::Factors(factors) => {
			(1, factors.iter().map(|factor| factor.to_bits()).collect())
		}
		RopeScaling::Yarn {
			factor,
			original,
			beta_fast,
			beta_slow,
			attention,
		} => {
			let floats = [*factor, *beta_fast, *beta_slow, attention.unwrap_or(0.0)];
			(
				2,
				std::iter::once(*original)
					.chain(floats.map(f32::to_bits))
					.collect(),
			)
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn leaves_should_be_those_of_the_tree() {
		assert_eq!(leaf(b"row"), merkle::leaf_hash(b"row"));
		let leaves = Leaves::new(1);
		leaves.codes(0, &[&[0, 1, 2, 1, 2, 0]]);
		assert_eq!(
			leaves.hashes(),
			[merkle::leaf_hash(&[0b01_10_01_00, 0b00_10])]
		);
		let halves: Vec<u16> = (0..60).collect();
		let leaves = Leaves::new(22);
		leaves.halves(2, &halves, 3);
		let expected = |row: u16| {
			let bytes: Vec<u8> = (3 * row..3 * row + 3).flat_map(u16::to_le_bytes).collect();
			merkle::leaf_hash(&bytes)
		};
		let hashes = leaves.hashes();
		assert_eq!(hashes[..2], [H256::zero(); 2]);
		assert_eq!(hashes[2..], (0..20).map(expected).collect::<Vec<_>>());
	}
}
