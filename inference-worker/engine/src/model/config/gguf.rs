//! The metadata of GGUF files.

use super::{Activation, ConfigError, Family, ModelConfig, Numbers, RopeScaling};
use crate::{gguf::Gguf, tokenizer::excerpt};
use aria_kernels::math::ln_f64;

/// Hidden widths of 1bitLLM's models, which Microsoft's converter marks as `bitnet-b1.58` too.
const SILU_WIDTHS: [u64; 3] = [1536, 2048, 3200];

fn activation(gguf: &Gguf, arch: &str, hidden: u64, vocab: u64) -> Result<Activation, ConfigError> {
	let key = format!("{arch}.hidden_activation");
	match gguf.text(&key) {
		Some("relu2" | "relu_squared" | "squared_relu") => Ok(Activation::SquaredRelu),
		Some("silu" | "swish") => Ok(Activation::Silu),
		Some(other) => Err(ConfigError::Unsupported {
			key,
			value: excerpt(other),
			supported: "relu2 or silu",
		}),
		None => Ok(match arch {
			// SiLU with the vocabulary of Llama 2.
			"bitnet-b1.58" if SILU_WIDTHS.contains(&hidden) && vocab < 33_000 => Activation::Silu,
			"bitnet-b1.58" | "bitnet-25" => Activation::SquaredRelu,
			_ => Activation::Silu,
		}),
	}
}

fn scaling(gguf: &Gguf, arch: &str, factors: Option<Vec<f32>>) -> Result<RopeScaling, ConfigError> {
	let key = |name: &str| format!("{arch}.rope.scaling.{name}");
	let kind = gguf.text(&key("type")).unwrap_or("none");
	if let Some(factors) = factors {
		return Ok(RopeScaling::Factors(factors));
	}
	let missing = |name: &str| ConfigError::Missing(key(name));
	let factor = gguf.float(&key("factor"));
	match kind {
		"none" => Ok(RopeScaling::None),
		"yarn" => Ok(RopeScaling::Yarn {
			factor: factor.ok_or_else(|| missing("factor"))? as f32,
			original: gguf
				.int(&key("original_context_length"))
				.and_then(|original| u32::try_from(original).ok())
				.ok_or_else(|| missing("original_context_length"))?,
			beta_fast: gguf.float(&key("yarn_beta_fast")).unwrap_or(32.0) as f32,
			beta_slow: gguf.float(&key("yarn_beta_slow")).unwrap_or(1.0) as f32,
			// A factor of what YaRN gives, not the whole as in Hugging Face's files.
			attention: gguf
				.float(&key("attn_factor"))
				.filter(|own| *own != 1.0)
				.zip(factor)
				.map(|(own, factor)| (own * (0.1 * ln_f64(factor.max(1.0)) + 1.0)) as f32),
		}),
		other => Err(ConfigError::Unsupported {
			key: key("type"),
			value: excerpt(other),
			supported: "none or yarn",
		}),
	}
}

impl ModelConfig {
	/// Reads and checks the metadata; `vocab` is the number of rows of the embedding, `factors` the tensor `rope_freqs`.
	///
	/// # Errors
	///
	/// [`ConfigError`] for another kind of model, missing keys, and numbers that no real model has.
	pub fn from_gguf(
		gguf: &Gguf,
		vocab: u64,
		factors: Option<Vec<f32>>,
	) -> Result<Self, ConfigError> {
		let missing = |key: &str| ConfigError::Missing(key.to_owned());
		let arch = gguf
			.text("general.architecture")
			.ok_or_else(|| missing("general.architecture"))?;
		let unknown = || ConfigError::Architecture(excerpt(arch));
		let family = Family::from_gguf(arch).ok_or_else(unknown)?;
		let optional = |name: &str| gguf.int(&format!("{arch}.{name}"));
		let int = |name: &str| {
			optional(name).ok_or_else(|| ConfigError::Missing(format!("{arch}.{name}")))
		};
		let float = |name: &str| gguf.float(&format!("{arch}.{name}"));
		if optional("expert_count").is_some_and(|count| count > 0) {
			return Err(ConfigError::Unsupported {
				key: format!("{arch}.expert_count"),
				value: "above 0".to_owned(),
				supported: "models without experts",
			});
		}
		let head_dim =
			optional("attention.key_length").or_else(|| optional("rope.dimension_count"));
		if let (Some(rope), Some(dim)) = (optional("rope.dimension_count"), head_dim)
			&& rope != dim
		{
			return Err(ConfigError::Shape(
				"rotary dimensions that are not the whole head are not supported",
			));
		}
		if optional("attention.value_length").is_some_and(|value| Some(value) != head_dim) {
			return Err(ConfigError::Shape(
				"keys and values of different widths are not supported",
			));
		}
		let hidden = int("embedding_length")?;
		let numbers = Numbers {
			hidden,
			layers: int("block_count")?,
			heads: int("attention.head_count")?,
			kv_heads: optional("attention.head_count_kv"),
			head_dim,
			ffn: int("feed_forward_length")?,
			vocab,
			context: int("context_length")?,
			rope_theta: float("rope.freq_base").unwrap_or(10_000.0),
			norm_eps: float("attention.layer_norm_rms_epsilon")
				.ok_or_else(|| missing("attention.layer_norm_rms_epsilon"))?,
		};
		let activation = activation(gguf, arch, hidden, vocab)?;
		Self::checked(
			arch,
			family,
			activation,
			scaling(gguf, arch, factors)?,
			&numbers,
		)
	}
}
