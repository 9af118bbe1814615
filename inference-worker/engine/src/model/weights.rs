//! Weights of some of a model's layers: all that a pass sees of a model.

use super::ModelConfig;
use aria_kernels::{Halves, HeadMatrix, RopeTable, TernaryMatrix, math};
use std::ops::Range;

/// The embedding: a row of binary16 numbers for each token.
pub struct Embedding {
	pub(super) rows: Halves,
}

impl Embedding {
	/// Copies the row of a token, `out.len()` elements.
	pub fn row(&self, token: usize, out: &mut [f32]) {
		let range = token * out.len()..(token + 1) * out.len();
		for (out, value) in out.iter_mut().zip(&self.rows[range]) {
			*out = math::f16_to_f32(*value);
		}
	}
}

/// What turns the last hidden state into logits.
pub enum Head {
	/// Eight bits per weight, quantised from the published head or from the embedding.
	Int8(HeadMatrix),
	/// Published as ternary weights.
	Ternary(TernaryMatrix),
}

/// A linear layer of ternary weights.
pub struct Linear {
	/// Weights, one row for each output.
	pub weight: TernaryMatrix,
	/// Norm of this layer's own input, where the model has one: BitNet's sub-norms before the output and down
	/// projections, and the norm before every projection of BitNet's embedding models.
	pub norm: Option<Vec<f32>>,
}

/// Weights of one block.
pub struct Block {
	/// Norm before attention.
	pub attn_norm: Vec<f32>,
	/// Query projection; its rows are in the order of [`RopePairing::Neox`](aria_kernels::RopePairing).
	pub attn_q: Linear,
	/// Key projection; rows as of the query's.
	pub attn_k: Linear,
	/// Value projection.
	pub attn_v: Linear,
	/// Norm of each query head before rotation (Qwen 3).
	pub q_norm: Option<Vec<f32>>,
	/// Norm of each key head before rotation (Qwen 3).
	pub k_norm: Option<Vec<f32>>,
	/// Output projection.
	pub attn_output: Linear,
	/// Norm before the feed-forward layer.
	pub ffn_norm: Vec<f32>,
	/// Gate projection.
	pub ffn_gate: Linear,
	/// Up projection.
	pub ffn_up: Linear,
	/// Down projection.
	pub ffn_down: Linear,
}

impl Block {
	/// Linear layers with their names, in the order of use.
	pub fn linears(&self) -> [(&'static str, &Linear); 7] {
		[
			("attn_q", &self.attn_q),
			("attn_k", &self.attn_k),
			("attn_v", &self.attn_v),
			("attn_output", &self.attn_output),
			("ffn_gate", &self.ffn_gate),
			("ffn_up", &self.ffn_up),
			("ffn_down", &self.ffn_down),
		]
	}

	/// Norms with their names, in a fixed order; that of a linear layer ends in `_norm_in`.
	pub fn norms(&self) -> Vec<(String, &[f32])> {
		let own = [
			("attn_norm", Some(&self.attn_norm)),
			("ffn_norm", Some(&self.ffn_norm)),
			("attn_q_norm", self.q_norm.as_ref()),
			("attn_k_norm", self.k_norm.as_ref()),
		];
		let own = own.into_iter().map(|(name, norm)| (name.to_owned(), norm));
		let linears = self.linears().into_iter();
		let inputs =
			linears.map(|(name, linear)| (format!("{name}_norm_in"), linear.norm.as_ref()));
		own.chain(inputs)
			.filter_map(|(name, norm)| Some((name, norm?.as_slice())))
			.collect()
	}
}

/// Weights of a range of a model's layers, with what stands before the first and after the last.
pub struct Weights {
	/// Shape and constants of the whole model.
	pub config: ModelConfig,
	/// Which layers these are.
	pub layers: Range<usize>,
	/// Embedding, one row per token: with the first layer.
	pub embedding: Option<Embedding>,
	/// Blocks, one for each of `layers`.
	pub blocks: Vec<Block>,
	/// Norm before the head.
	pub output_norm: Vec<f32>,
	/// Head, one row per token; none in a model that only embeds.
	pub head: Option<Head>,
	/// Rotary angles of all positions.
	pub rope: RopeTable,
}

impl Weights {
	/// Bytes of the linear layers as they are packed.
	fn packed_linears(&self) -> usize {
		let linears = self.blocks.iter().flat_map(Block::linears);
		linears
			.map(|(_, linear)| linear.weight.packed_bytes())
			.sum()
	}

	/// Bytes of weights that choosing the best token reads, keys and values apart: the limit of one answer's speed.
	pub fn bytes_per_token(&self) -> u64 {
		let head = match &self.head {
			// The first of two planes decides nearly all.
			Some(Head::Int8(head)) => head.packed_bytes() / 2,
			Some(Head::Ternary(head)) => head.packed_bytes(),
			None => 0,
		};
		(self.packed_linears() + head) as u64
	}

	/// Bytes of weights in memory: linear layers and head as they are packed.
	pub fn packed_bytes(&self) -> u64 {
		let head = match &self.head {
			Some(Head::Int8(head)) => head.packed_bytes(),
			Some(Head::Ternary(head)) => head.packed_bytes(),
			None => 0,
		};
		(self.packed_linears() + head) as u64
	}

	/// Bytes of the embedding in memory.
	pub fn embedding_bytes(&self) -> u64 {
		let rows = self.embedding.as_ref().map_or(&[][..], |table| &table.rows);
		size_of_val(rows) as u64
	}
}
