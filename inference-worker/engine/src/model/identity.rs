//! Identity of a model: the root of [`aria_primitives::identity`], with many rows hashed at a time as they are loaded.

use super::{Activation, Head, ModelConfig, config::RopeScaling, template::ChatTemplate};
use crate::tokenizer::Tokenizer;
use aria_kernels::{HeadMatrix, TernaryMatrix, math};
use aria_primitives::{H256, ModelId, identity, merkle};
use blake2b_simd::{
	Params,
	many::{HashManyJob, hash_many},
};
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

/// The tensors of a model, as they are loaded.
#[derive(Default)]
pub(super) struct Manifest {
	tensors: BTreeMap<String, identity::Tensor>,
	/// Canonical bytes of all rows.
	bytes: u64,
}

impl Manifest {
	fn add(&mut self, name: String, cols: usize, row_bytes: usize, leaves: &[H256]) {
		let tensor = identity::Tensor {
			rows: leaves.len() as u32,
			cols: cols as u32,
			root: merkle::root(leaves),
		};
		self.bytes += (leaves.len() * row_bytes) as u64;
		self.tensors.insert(name, tensor);
	}

	/// A tensor whose rows were hashed.
	pub(super) fn rows(&mut self, name: &str, cols: usize, row_bytes: usize, leaves: Leaves) {
		self.add(name.to_owned(), cols, row_bytes, &leaves.hashes());
	}

	/// A norm.
	pub(super) fn norm(&mut self, name: &str, values: &[f32]) {
		let bytes = identity::binary32_row(values.iter().map(|value| value.to_bits()));
		self.add(name.to_owned(), values.len(), bytes.len(), &[leaf(&bytes)]);
	}

	/// The scales of a ternary matrix.
	pub(super) fn scales(&mut self, name: &str, matrix: &TernaryMatrix) {
		let name = format!("{name}{}", identity::SCALE_SUFFIX);
		let Some(block) = matrix.block() else {
			let bytes = identity::binary32_row([matrix.scale().to_bits()]);
			return self.add(name, 1, bytes.len(), &[leaf(&bytes)]);
		};
		let count = matrix.cols() / block;
		let leaves: Vec<H256> = (0..matrix.rows())
			.map(|row| {
				let bits = |block| math::f32_to_f16(matrix.block_scale(row, block));
				leaf(&identity::binary16_row((0..count).map(bits)))
			})
			.collect();
		self.add(name, count, 2 * count, &leaves);
	}

	/// A head of its own.
	pub(super) fn head(&mut self, name: &str, head: &HeadMatrix) {
		let leaves: Vec<H256> = (0..head.rows())
			.into_par_iter()
			.map(|row| {
				let scale = head.scale(row).to_bits();
				leaf(&identity::int8_row(scale, &head.row(row)))
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
		let family = config.family.row().manifest;
		let activation = match config.activation {
			Activation::SquaredRelu => "relu2",
			Activation::Silu => "silu",
		};
		let manifest = identity::Manifest {
			family,
			activation,
			shape: identity::Shape {
				hidden: config.hidden as u32,
				layers: config.layers as u32,
				heads: config.heads as u32,
				kv_heads: config.kv_heads as u32,
				head_dim: config.head_dim as u32,
				ffn: config.ffn as u32,
				vocab: config.vocab as u32,
				context: config.context as u32,
			},
			rope_theta: config.rope_theta.to_bits(),
			norm_eps: config.norm_eps.to_bits(),
			rope_scaling: scaling(&config.rope_scaling),
			tokenizer: H256(blake2_256(&tokenizer.canonical())),
			template: template
				.source()
				.map_or(H256::zero(), |source| H256(blake2_256(source.as_bytes()))),
			head: head.is_some(),
			tied,
			tensors: &self.tensors,
		};
		let bytes = manifest.to_bytes().len() as u64 + self.bytes;
		(manifest.id(), bytes)
	}
}

/// With floats as bits.
fn scaling(scaling: &RopeScaling) -> identity::RopeScaling {
	match scaling {
		RopeScaling::None => identity::RopeScaling::None,
		RopeScaling::Factors(factors) => {
			identity::RopeScaling::Factors(factors.iter().map(|factor| factor.to_bits()).collect())
		}
		RopeScaling::Yarn {
			factor,
			original,
			beta_fast,
			beta_slow,
			attention,
		} => identity::RopeScaling::Yarn {
			original: *original,
			factor: factor.to_bits(),
			beta_fast: beta_fast.to_bits(),
			beta_slow: beta_slow.to_bits(),
			attention: attention.unwrap_or(0.0).to_bits(),
		},
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn leaves_should_be_those_of_the_definition() {
		let leaf_of = |row: Vec<u8>| merkle::leaf_hash(&row);
		assert_eq!(leaf(b"row"), merkle::leaf_hash(b"row"));
		for cols in 1..20 {
			let codes: Vec<u8> = (0..cols).map(|col| (5 * col % 7 % 3) as u8).collect();
			let leaves = Leaves::new(1);
			leaves.codes(0, &[&codes]);
			assert_eq!(leaves.hashes(), [leaf_of(identity::ternary_row(&codes))]);
		}
		let halves: Vec<u16> = (0..60).collect();
		let leaves = Leaves::new(22);
		leaves.halves(2, &halves, 3);
		let expected = |row: u16| leaf_of(identity::binary16_row(3 * row..3 * row + 3));
		let hashes = leaves.hashes();
		assert_eq!(hashes[..2], [H256::zero(); 2]);
		assert_eq!(hashes[2..], (0..20).map(expected).collect::<Vec<_>>());
	}
}
