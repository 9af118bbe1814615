//! Shape and constants of a model, from its metadata.

use super::gguf::Gguf;
use aria_primitives::provenance::OperationCount;
use serde::Serialize;

/// Architectures that the forward pass implements.
pub const SUPPORTED: [&str; 2] = ["bitnet-b1.58", "bitnet-25"];

/// Why a model is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
	/// A key that must be there.
	#[error("metadata {0:?} is missing or of the wrong type")]
	Missing(String),
	/// Another kind of model.
	#[error("architecture {0:?} is not supported; supported: bitnet-b1.58, bitnet-25")]
	Architecture(String),
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
	/// Tokens in the vocabulary.
	pub vocab: usize,
	/// Positions.
	pub context: usize,
	/// Base of the rotary frequencies.
	pub rope_theta: f32,
	/// Added to the mean square in norms.
	pub norm_eps: f32,
	/// What the gate does.
	pub activation: Activation,
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
	/// Reads and checks the metadata.
	pub fn from_gguf(gguf: &Gguf) -> Result<Self, ConfigError> {
		let missing = |key: &str| ConfigError::Missing(key.to_owned());
		let arch = gguf
			.text("general.architecture")
			.ok_or_else(|| missing("general.architecture"))?;
		if !SUPPORTED.contains(&arch) {
			return Err(ConfigError::Architecture(arch.to_owned()));
		}
		let int = |name: &str| {
			let key = format!("{arch}.{name}");
			gguf.int(&key).ok_or(ConfigError::Missing(key))
		};
		let float = |name: &str, default: Option<f64>| {
			let key = format!("{arch}.{name}");
			gguf.float(&key)
				.or(default)
				.ok_or(ConfigError::Missing(key))
		};
		let hidden = ranged("embedding_length", int("embedding_length")?, 1, 65_536)?;
		let layers = ranged("block_count", int("block_count")?, 1, 1024)?;
		let heads = ranged(
			"attention.head_count",
			int("attention.head_count")?,
			1,
			1024,
		)?;
		let kv_heads = match int("attention.head_count_kv") {
			Ok(value) => ranged("attention.head_count_kv", value, 1, 1024)?,
			Err(_) => heads,
		};
		if heads % kv_heads != 0 {
			return Err(ConfigError::Shape(
				"query heads are not a multiple of key heads",
			));
		}
		let head_dim = match int("attention.key_length").or_else(|_| int("rope.dimension_count")) {
			Ok(value) => ranged("attention.key_length", value, 2, 1024)?,
			Err(_) => hidden / heads,
		};
		if head_dim == 0 || head_dim % 2 != 0 {
			return Err(ConfigError::Shape("the head width is not even"));
		}
		if let Ok(rope) = int("rope.dimension_count")
			&& rope != head_dim as u64
		{
			return Err(ConfigError::Shape(
				"rotary dimensions that are not the whole head are not supported",
			));
		}
		let ffn = ranged(
			"feed_forward_length",
			int("feed_forward_length")?,
			1,
			262_144,
		)?;
		let tokens = gguf
			.texts("tokenizer.ggml.tokens")
			.ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
		let vocab = ranged("the vocabulary", tokens.len() as u64, 1, 1 << 20)?;
		let context = ranged("context_length", int("context_length")?, 1, 1 << 20)?;
		let rope_theta = float("rope.freq_base", Some(10_000.0))? as f32;
		let norm_eps = float("attention.layer_norm_rms_epsilon", None)? as f32;
		if !(rope_theta.is_finite() && rope_theta > 1.0) {
			return Err(ConfigError::Shape("rope.freq_base is not a number above 1"));
		}
		if !(norm_eps.is_finite() && norm_eps > 0.0 && norm_eps < 1.0) {
			return Err(ConfigError::Shape(
				"layer_norm_rms_epsilon is not between 0 and 1",
			));
		}
		Ok(Self {
			architecture: arch.to_owned(),
			hidden,
			layers,
			heads,
			kv_heads,
			head_dim,
			ffn,
			vocab,
			context,
			rope_theta,
			norm_eps,
			activation: Activation::SquaredRelu,
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
