//! Shape and constants of a model, from whatever its files say.

mod family;
mod gguf;
mod huggingface;
mod rope;

pub use family::Family;
pub use huggingface::{HfConfig, LinearClass};
pub use rope::{RopeScaling, rope_table};

use aria_primitives::provenance::OperationCount;
use serde::Serialize;

/// Models that the forward pass implements, for messages.
pub const SUPPORTED: &str = "BitNet b1.58 (bitnet-b1.58, bitnet-25, bitnet), Llama with ternary weights (llama: Llama3-8B-1.58, Falcon3 1.58bit, Falcon-E), Qwen 3 with ternary weights (qwen3: Ternary Bonsai, BitNet embedding)";

/// Why a model is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
	/// A key that must be there.
	#[error("{0:?} is missing or of the wrong type")]
	Missing(String),
	/// Another kind of model.
	#[error("architecture {0:?} is not supported; supported: {SUPPORTED}")]
	Architecture(String),
	/// Something that changes the arithmetic and is not implemented.
	#[error("{key} is {value}, which is not supported: {supported}")]
	Unsupported {
		/// Which key.
		key: String,
		/// Its value.
		value: String,
		/// What would be.
		supported: &'static str,
	},
	/// A number outside what any real model has.
	#[error("{what} is {value}, outside {low} to {high}")]
	Range {
		/// Which.
		what: &'static str,
		/// Its value.
		value: u64,
		/// Least.
		low: u64,
		/// Most.
		high: u64,
	},
	/// Numbers that do not fit together.
	#[error("{0}")]
	Shape(&'static str),
	/// A file that is not JSON.
	#[error("config.json: {0}")]
	Json(String),
}

/// What the gate of a feed-forward layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
	/// max(x, 0)², of BitNet b1.58 2B4T.
	SquaredRelu,
	/// x / (1 + exp(-x)), of all others.
	Silu,
}

/// Shape and constants of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelConfig {
	/// Architecture as the file names it.
	pub architecture: String,
	/// What the layers are.
	pub family: Family,
	/// Width of the residual stream.
	pub hidden: usize,
	/// Blocks.
	pub layers: usize,
	/// Query heads.
	pub heads: usize,
	/// Key and value heads.
	pub kv_heads: usize,
	/// Width of a head.
	pub head_dim: usize,
	/// Width of the feed-forward layer.
	pub ffn: usize,
	/// Rows of the embedding: tokens, and rows that no token has.
	pub vocab: usize,
	/// Positions.
	pub context: usize,
	/// Base of the rotary frequencies.
	pub rope_theta: f32,
	/// How the frequencies are changed for longer contexts.
	pub rope_scaling: RopeScaling,
	/// Added to the mean square in norms.
	pub norm_eps: f32,
	/// What the gate does.
	pub activation: Activation,
}

/// Numbers of a shape before they are checked.
pub(super) struct Numbers {
	pub(super) hidden: u64,
	pub(super) layers: u64,
	pub(super) heads: u64,
	pub(super) kv_heads: Option<u64>,
	pub(super) head_dim: Option<u64>,
	pub(super) ffn: u64,
	pub(super) vocab: u64,
	pub(super) context: u64,
	pub(super) rope_theta: f64,
	pub(super) norm_eps: f64,
}

fn ranged(what: &'static str, value: u64, low: u64, high: u64) -> Result<usize, ConfigError> {
	if value < low || value > high {
		return Err(ConfigError::Range {
			what,
			value,
			low,
			high,
		});
	}
	Ok(value as usize)
}

impl ModelConfig {
	pub(super) fn checked(
		architecture: &str,
		family: Family,
		activation: Activation,
		rope_scaling: RopeScaling,
		numbers: &Numbers,
	) -> Result<Self, ConfigError> {
		let hidden = ranged("the hidden width", numbers.hidden, 1, 65_536)?;
		let layers = ranged("the number of layers", numbers.layers, 1, 1024)?;
		let heads = ranged("the number of heads", numbers.heads, 1, 1024)?;
		let kv_heads = numbers.kv_heads.unwrap_or(numbers.heads);
		let kv_heads = ranged("the number of key heads", kv_heads, 1, 1024)?;
		if !heads.is_multiple_of(kv_heads) {
			return Err(ConfigError::Shape(
				"query heads are not a multiple of key heads",
			));
		}
		let head_dim = numbers.head_dim.unwrap_or((hidden / heads) as u64);
		let head_dim = ranged("the head width", head_dim, 2, 1024)?;
		if !head_dim.is_multiple_of(2) {
			return Err(ConfigError::Shape("the head width is not even"));
		}
		let ffn = ranged("the feed-forward width", numbers.ffn, 1, 262_144)?;
		let vocab = ranged("the vocabulary", numbers.vocab, 1, 1 << 20)?;
		let context = ranged("the context length", numbers.context, 1, 1 << 20)?;
		if context * head_dim > 1 << 25 {
			return Err(ConfigError::Shape(
				"the context is too long for tables of rotary angles",
			));
		}
		let (rope_theta, norm_eps) = (numbers.rope_theta as f32, numbers.norm_eps as f32);
		if !(rope_theta.is_finite() && rope_theta > 1.0) {
			return Err(ConfigError::Shape(
				"the base of rotary frequencies is not a number above 1",
			));
		}
		if !(norm_eps.is_finite() && norm_eps > 0.0 && norm_eps < 1.0) {
			return Err(ConfigError::Shape(
				"the epsilon of norms is not between 0 and 1",
			));
		}
		rope_scaling.check(head_dim)?;
		Ok(Self {
			architecture: architecture.to_owned(),
			family,
			hidden,
			layers,
			heads,
			kv_heads,
			head_dim,
			ffn,
			vocab,
			context,
			rope_theta,
			rope_scaling,
			norm_eps,
			activation,
		})
	}

	/// Width of all query heads.
	pub fn query_width(&self) -> usize {
		self.heads * self.head_dim
	}

	/// Width of all key heads.
	pub fn kv_width(&self) -> usize {
		self.kv_heads * self.head_dim
	}

	/// Bytes of keys and values of a position.
	pub fn cache_bytes(&self) -> u64 {
		4 * (self.kv_width() * self.layers) as u64
	}

	/// Bytes that weights of this shape take in memory: two bits each, two bytes in the embedding, one in the head.
	pub fn weight_bytes(&self) -> u64 {
		let table = (self.vocab * self.hidden) as u64;
		self.operations().position / 4 + 3 * table
	}

	/// Multiply-accumulates of this shape.
	pub fn operations(&self) -> OperationCount {
		let (hidden, query, kv) = (
			self.hidden as u64,
			self.query_width() as u64,
			self.kv_width() as u64,
		);
		let layer = hidden * (2 * query + 2 * kv) + 3 * hidden * self.ffn as u64;
		OperationCount {
			position: layer * self.layers as u64,
			attention: 2 * query * self.layers as u64,
			head: hidden * self.vocab as u64,
		}
	}
}
