//! Byte layout of a model's identity: a Merkle root over everything that decides its answers, whatever files it came
//! from.
//!
//! The first node is the [leaf](merkle::leaf_hash) of the manifest ([`Manifest::to_bytes`]). The nodes after it are the
//! roots of the tensors, in ascending order of their names (by bytes), each the Merkle root over the leaves of its rows.
//! [`Manifest::id`] is the root over these nodes as they are.
//!
//! # Tensors
//!
//! Names are those of GGUF without `.weight`; layers are `blk.0`, `blk.1`, … All numbers are little-endian.
//!
//! | tensor | names | a row |
//! |---|---|---|
//! | ternary matrix | `blk.*.attn_q`, `attn_k`, `attn_v`, `attn_output`, `ffn_gate`, `ffn_up`, `ffn_down`; `output` if the head is ternary | [`ternary_row`] |
//! | its scales | the matrix's and [`SCALE_SUFFIX`] | one row, [`binary32_row`] of the one scale; or for each row of the matrix [`binary16_row`] of its blocks' |
//! | embedding | `token_embd` | [`binary16_row`] |
//! | head of its own, in eight bits | `output` | [`int8_row`] |
//! | norm | `output_norm`, `blk.*.attn_norm`, `ffn_norm`, `attn_sub_norm`, `ffn_sub_norm`, `attn_q_norm`, `attn_k_norm`; a matrix's and `_norm_in` | one row, [`binary32_row`] |
//!
//! Rows of queries and keys are in the order in which element `d` of a head is rotated with element `d + width / 2`. A
//! head in eight bits that is made from the embedding is no tensor; one that is published as ternary weights always is.
//!
//! This is the definition, and slow. Workers hash many rows at once and must find the same.

use crate::{H256, ModelId, SPEC_VERSION, merkle};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use codec::Encode;

/// What every manifest begins with.
pub const DOMAIN: &str = "aria-model-v1";
/// What the name of a ternary matrix's scales ends with.
pub const SCALE_SUFFIX: &str = ".scale";

/// Sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct Shape {
	/// Width of the residual stream.
	pub hidden: u32,
	/// Layers.
	pub layers: u32,
	/// Query heads.
	pub heads: u32,
	/// Key and value heads.
	pub kv_heads: u32,
	/// Width of a head.
	pub head_dim: u32,
	/// Width of the feed-forward layer.
	pub ffn: u32,
	/// Rows of the embedding.
	pub vocab: u32,
	/// Positions.
	pub context: u32,
}

/// How rotary frequencies are changed for longer contexts. Numbers that are not whole come as bits of a binary32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RopeScaling {
	/// Not at all.
	None,
	/// Each is divided by its factor.
	Factors(Vec<u32>),
	/// YaRN.
	Yarn {
		/// Positions that the model was first trained on.
		original: u32,
		/// How many times the original context.
		factor: u32,
		/// Rotations in the original context above which a frequency stays.
		beta_fast: u32,
		/// Rotations below which a frequency is divided by the factor.
		beta_slow: u32,
		/// Factor of cosines and sines; zero if the files say none.
		attention: u32,
	},
}

impl RopeScaling {
	/// A kind and its numbers, as the manifest holds them.
	fn numbers(&self) -> (u8, Vec<u32>) {
		match self {
			Self::None => (0, Vec::new()),
			Self::Factors(factors) => (1, factors.clone()),
			Self::Yarn {
				original,
				factor,
				beta_fast,
				beta_slow,
				attention,
			} => {
				let numbers = [*original, *factor, *beta_fast, *beta_slow, *attention];
				(2, numbers.to_vec())
			}
		}
	}
}

/// A tensor in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct Tensor {
	/// Rows.
	pub rows: u32,
	/// Elements in a row.
	pub cols: u32,
	/// Root over its rows: not in the manifest, but among the nodes after it.
	#[codec(skip)]
	pub root: H256,
}

/// Everything that decides a model's answers beside the elements of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest<'a> {
	/// What the layers are: `bitnet`, `llama` or `qwen3`.
	pub family: &'a str,
	/// What the gate of a feed-forward layer does: `relu2` or `silu`.
	pub activation: &'a str,
	/// Sizes.
	pub shape: Shape,
	/// Base of the rotary frequencies, bits of a binary32.
	pub rope_theta: u32,
	/// What norms add to the mean square, bits of a binary32.
	pub norm_eps: u32,
	/// How rotary frequencies are changed.
	pub rope_scaling: RopeScaling,
	/// blake2b-256 of the tokenizer's canonical bytes.
	pub tokenizer: H256,
	/// blake2b-256 of the chat template, zero if there is none.
	pub template: H256,
	/// Whether there is a head.
	pub head: bool,
	/// Whether the head is the embedding.
	pub tied: bool,
	/// Tensors by their names.
	pub tensors: &'a BTreeMap<String, Tensor>,
}

impl Manifest<'_> {
	/// The manifest's bytes: SCALE of [`DOMAIN`], [`SPEC_VERSION`], and the fields in the order in which they are
	/// declared, with the kind of rotary scaling (0, 1, 2) before the list of its numbers.
	pub fn to_bytes(&self) -> Vec<u8> {
		(
			(DOMAIN, SPEC_VERSION, self.family, self.activation),
			(self.shape, self.rope_theta, self.norm_eps),
			self.rope_scaling.numbers(),
			(self.tokenizer, self.template, self.head, self.tied),
			self.tensors,
		)
			.encode()
	}

	/// Identity of the model.
	pub fn id(&self) -> ModelId {
		let nodes: Vec<H256> = core::iter::once(merkle::leaf_hash(&self.to_bytes()))
			.chain(self.tensors.values().map(|tensor| tensor.root))
			.collect();
		merkle::root(&nodes)
	}
}

/// Root of a tensor, from the bytes of its rows.
pub fn tensor_root<Row: AsRef<[u8]>>(rows: impl IntoIterator<Item = Row>) -> H256 {
	let leaves: Vec<H256> = rows
		.into_iter()
		.map(|row| merkle::leaf_hash(row.as_ref()))
		.collect();
	merkle::root(&leaves)
}

/// A row of ternary weights, from codes `weight + 1`: two bits each, four in a byte, the first in the lowest bits; what
/// is left of the last byte is zero.
#[inline]
pub fn ternary_row(codes: &[u8]) -> Vec<u8> {
	codes
		.chunks(4)
		.map(|codes| codes.iter().rev().fold(0, |byte, code| byte << 2 | code))
		.collect()
}

/// A row of binary16 numbers, from their bits.
#[inline]
pub fn binary16_row(values: impl IntoIterator<Item = u16>) -> Vec<u8> {
	values.into_iter().flat_map(u16::to_le_bytes).collect()
}

/// A row of binary32 numbers, from their bits.
#[inline]
pub fn binary32_row(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
	values.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A row of a head in eight bits: the bits of its scale, a binary32, then its integers.
#[inline]
pub fn int8_row(scale: u32, values: &[i8]) -> Vec<u8> {
	let mut bytes = scale.to_le_bytes().to_vec();
	bytes.extend(values.iter().map(|value| *value as u8));
	bytes
}

#[cfg(test)]
mod tests {
	use super::*;
	use alloc::vec;

	#[test]
	fn manifest_should_have_the_bytes_of_the_layout() {
		let tensor = |rows, cols, byte| Tensor {
			rows,
			cols,
			root: H256::repeat_byte(byte),
		};
		let tensors = BTreeMap::from([
			("b".into(), tensor(1, 2, 0xb0)),
			("a.scale".into(), tensor(3, 4, 0xa1)),
			("a".into(), tensor(0x0102, 5, 0xa0)),
		]);
		let manifest = Manifest {
			family: "llama",
			activation: "silu",
			shape: Shape {
				hidden: 1,
				layers: 2,
				heads: 3,
				kv_heads: 4,
				head_dim: 5,
				ffn: 6,
				vocab: 7,
				context: 0x0001_0000,
			},
			rope_theta: 10_000f32.to_bits(),
			norm_eps: 1e-5f32.to_bits(),
			rope_scaling: RopeScaling::None,
			tokenizer: H256::repeat_byte(0xdd),
			template: H256::zero(),
			head: true,
			tied: false,
			tensors: &tensors,
		};
		#[rustfmt::skip]
		let expected = [
			&b"\x34aria-model-v1"[..], &[1, 0, 0, 0],
			b"\x14llama", b"\x10silu",
			&[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0],
			&[5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 0, 0, 1, 0],
			&[0x00, 0x40, 0x1c, 0x46], &[0xac, 0xc5, 0x27, 0x37],
			&[0, 0],
			&[0xdd; 32], &[0; 32], &[1, 0],
			&[3 << 2],
			b"\x04a", &[2, 1, 0, 0, 5, 0, 0, 0],
			b"\x1ca.scale", &[3, 0, 0, 0, 4, 0, 0, 0],
			b"\x04b", &[1, 0, 0, 0, 2, 0, 0, 0],
		].concat();
		assert_eq!(manifest.to_bytes(), expected);
		let nodes = [
			merkle::leaf_hash(&expected),
			H256::repeat_byte(0xa0),
			H256::repeat_byte(0xa1),
			H256::repeat_byte(0xb0),
		];
		assert_eq!(manifest.id(), merkle::root(&nodes));
	}

	#[test]
	fn rotary_scaling_should_be_a_kind_and_its_numbers() {
		let none = RopeScaling::None;
		assert_eq!(none.numbers().encode(), [0, 0]);
		let factors = RopeScaling::Factors(vec![1f32.to_bits(), 8f32.to_bits()]);
		assert_eq!(
			factors.numbers().encode(),
			[1, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x41]
		);
		let yarn = RopeScaling::Yarn {
			original: 4096,
			factor: 2,
			beta_fast: 3,
			beta_slow: 4,
			attention: 0,
		};
		#[rustfmt::skip]
		assert_eq!(
			yarn.numbers().encode(),
			[2, 20, 0, 16, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]
		);
	}

	#[test]
	fn rows_should_have_the_bytes_of_the_layout() {
		assert_eq!(ternary_row(&[0, 1, 2, 1, 2, 0]), [0b01_10_01_00, 0b00_10]);
		assert!(ternary_row(&[]).is_empty());
		assert_eq!(binary16_row([0x3c00, 1]), [0, 0x3c, 1, 0]);
		assert_eq!(binary32_row([1f32.to_bits()]), [0, 0, 0x80, 0x3f]);
		assert_eq!(int8_row(2, &[-1, 127]), [2, 0, 0, 0, 0xff, 0x7f]);
		let rows = [vec![1], vec![2, 3], vec![4]];
		let leaves = rows.clone().map(|row| merkle::leaf_hash(&row));
		assert_eq!(tensor_root(rows), merkle::root(&leaves));
	}
}
