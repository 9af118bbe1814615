//! Models in memory: weights, vocabulary, template and identity, whatever files they came from.

mod checkpoint;
pub mod config;
mod error;
pub mod gguf;
mod huggingface;
mod identity;
mod load;
mod open;
mod outline;
mod safetensors;
mod sampling;
pub mod template;

pub use config::{Activation, ModelConfig};
pub use error::ModelError;
pub use open::LoadOptions;
pub use outline::Outline;
pub use sampling::SamplingDefaults;

use crate::{
	engine::{EngineError, grammar::Grammars},
	tokenizer::Tokenizer,
};
use aria_kernels::{Halves, HeadMatrix, RopeTable, TernaryMatrix, math};
use aria_primitives::{ModelId, provenance::OperationCount};
use std::sync::OnceLock;
use template::ChatTemplate;

/// The embedding: a row of binary16 numbers for each token.
pub struct Embedding {
	rows: Halves,
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

/// A model ready to run.
pub struct Model {
	/// Shape and constants.
	pub config: ModelConfig,
	/// Vocabulary.
	pub tokenizer: Tokenizer,
	/// Conversation format.
	pub template: ChatTemplate,
	/// How its publisher recommends to sample.
	pub sampling: SamplingDefaults,
	/// Embedding, one row per token.
	pub embedding: Embedding,
	/// Head, one row per token; none in a model that only embeds.
	pub head: Option<Head>,
	/// Whether the head is made from the embedding.
	pub tied: bool,
	/// Blocks in order.
	pub blocks: Vec<Block>,
	/// Norm before the head.
	pub output_norm: Vec<f32>,
	/// Rotary angles of all positions.
	pub rope: RopeTable,
	/// Name in the file, or the file's.
	pub name: String,
	/// Licence in the file.
	pub licence: Option<String>,
	/// Root of everything above.
	pub id: ModelId,
	/// Canonical size, bytes.
	pub bytes: u64,
	/// Made when the first answer of a given form is asked for.
	pub(crate) grammars: OnceLock<Result<Grammars, EngineError>>,
}

impl Model {
	/// What compiles grammars for this vocabulary.
	///
	/// # Errors
	///
	/// As [`Grammars::new`].
	pub fn grammars(&self) -> Result<&Grammars, EngineError> {
		let make = || Grammars::new(&self.tokenizer, self.config.vocab);
		self.grammars
			.get_or_init(make)
			.as_ref()
			.map_err(Clone::clone)
	}

	/// Number of weights, however they are stored.
	pub fn parameters(&self) -> u64 {
		let table = (self.config.vocab * self.config.hidden) as u64;
		let head = if self.head.is_some() && !self.tied {
			table
		} else {
			0
		};
		let norms = self.blocks.iter().flat_map(Block::norms);
		let norms: usize = norms.map(|(_, norm)| norm.len()).sum();
		// A multiply-accumulate of the ternary layers is one of their weights.
		self.operations().position + table + head + (norms + self.output_norm.len()) as u64
	}

	/// Bytes of weights that choosing the best token reads, keys and values apart: the limit of one answer's speed.
	pub fn bytes_per_token(&self) -> u64 {
		let linears = self.blocks.iter().flat_map(Block::linears);
		let linears: usize = linears
			.map(|(_, linear)| linear.weight.packed_bytes())
			.sum();
		let head = match &self.head {
			// The first of two planes decides nearly all.
			Some(Head::Int8(head)) => head.packed_bytes() / 2,
			Some(Head::Ternary(head)) => head.packed_bytes(),
			None => 0,
		};
		(linears + head) as u64
	}

	/// Bytes of weights in memory: linear layers and head as they are packed.
	pub fn packed_bytes(&self) -> u64 {
		let linears = self.blocks.iter().flat_map(Block::linears);
		let linears: usize = linears
			.map(|(_, linear)| linear.weight.packed_bytes())
			.sum();
		let head = match &self.head {
			Some(Head::Int8(head)) => head.packed_bytes(),
			Some(Head::Ternary(head)) => head.packed_bytes(),
			None => 0,
		};
		(linears + head) as u64
	}

	/// Bytes of the embedding in memory.
	pub fn embedding_bytes(&self) -> u64 {
		size_of_val(&self.embedding.rows[..]) as u64
	}

	/// Multiply-accumulates of an answer.
	pub fn operations(&self) -> OperationCount {
		self.config.operations()
	}
}
