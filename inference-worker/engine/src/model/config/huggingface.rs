//! `config.json` of Hugging Face folders.

use super::{Activation, ConfigError, Family, ModelConfig, Numbers, RopeScaling};
use crate::tokenizer::excerpt;
use serde_json::Value;

/// How linear layers are stored and what their scale means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinearClass {
	/// Packed; the sum is divided by `weight_scale`.
	BitLinear,
	/// Packed; the sum is multiplied by `weight_scale`.
	AutoBitLinear,
	/// Master weights, quantised when loaded.
	Online,
}

/// What `config.json` says.
#[derive(Debug, Clone, PartialEq)]
pub struct HfConfig {
	/// Shape and constants.
	pub model: ModelConfig,
	/// How linear layers are stored.
	pub linear: LinearClass,
	/// Whether the embedding is the head too.
	pub tied: bool,
	/// Tokens that end an answer.
	pub eos: Vec<u32>,
}

fn missing(key: &str) -> ConfigError {
	ConfigError::Missing(key.to_owned())
}

fn unsupported(key: &str, value: &Value, supported: &'static str) -> ConfigError {
	ConfigError::Unsupported {
		key: key.to_owned(),
		value: excerpt(value),
		supported,
	}
}

fn linear_class(config: &Value, family: Family) -> Result<LinearClass, ConfigError> {
	const KEY: &str = "quantization_config";
	let quantization = match config.get(KEY).filter(|value| !value.is_null()) {
		Some(quantization) => quantization,
		// 1bitLLM's models: master weights, which their own code quantises.
		None if family == Family::BitNet => return Ok(LinearClass::Online),
		None => {
			return Err(ConfigError::Unsupported {
				key: KEY.to_owned(),
				value: "missing".to_owned(),
				supported: "models whose weights are ternary (quant_method bitnet)",
			});
		}
	};
	let text = |name: &str| quantization.get(name).and_then(Value::as_str);
	if text("quant_method") != Some("bitnet") {
		return Err(unsupported(KEY, quantization, "quant_method bitnet"));
	}
	match (text("linear_class"), text("quantization_mode")) {
		(None | Some("bitlinear"), None | Some("offline")) => Ok(LinearClass::BitLinear),
		(Some("autobitlinear"), None | Some("offline")) => Ok(LinearClass::AutoBitLinear),
		(Some("autobitlinear"), Some("online")) => Ok(LinearClass::Online),
		_ => Err(unsupported(
			KEY,
			quantization,
			"linear_class bitlinear or autobitlinear, quantization_mode offline or online",
		)),
	}
}

fn scaling(config: &Value, theta: f32, head_dim: usize) -> Result<RopeScaling, ConfigError> {
	// transformers 5 calls it rope_parameters.
	let scaling = config
		.get("rope_scaling")
		.or_else(|| config.get("rope_parameters"));
	let Some(scaling) = scaling.filter(|value| !value.is_null()) else {
		return Ok(RopeScaling::None);
	};
	let number = |name: &str| scaling.get(name).and_then(Value::as_f64);
	let needed = |name: &str| number(name).ok_or_else(|| missing(name));
	let kind = scaling
		.get("rope_type")
		.or_else(|| scaling.get("type"))
		.and_then(Value::as_str);
	match kind {
		None | Some("default") => Ok(RopeScaling::None),
		Some("llama3") => Ok(RopeScaling::llama3(
			theta,
			head_dim,
			needed("factor")?,
			needed("low_freq_factor")?,
			needed("high_freq_factor")?,
			needed("original_max_position_embeddings")?,
		)),
		Some("yarn") => Ok(RopeScaling::Yarn {
			factor: needed("factor")? as f32,
			original: needed("original_max_position_embeddings")? as u32,
			beta_fast: number("beta_fast").unwrap_or(32.0) as f32,
			beta_slow: number("beta_slow").unwrap_or(1.0) as f32,
			attention: number("attention_factor").map(|factor| factor as f32),
		}),
		Some(_) => Err(unsupported(
			"rope_scaling",
			scaling,
			"default, llama3 or yarn",
		)),
	}
}

impl HfConfig {
	/// Reads and checks the text of `config.json`.
	///
	/// # Errors
	///
	/// [`ConfigError`] for another kind of model, missing keys, and numbers that no real model has.
	pub fn parse(text: &str) -> Result<Self, ConfigError> {
		let config: Value =
			serde_json::from_str(text).map_err(|error| ConfigError::Json(excerpt(error)))?;
		let name = |key: &str| config.get(key).and_then(Value::as_str);
		let class = config.pointer("/architectures/0").and_then(Value::as_str);
		let kind = name("model_type")
			.or(class)
			.ok_or_else(|| missing("model_type"))?;
		let unknown = || ConfigError::Architecture(excerpt(kind));
		let family = Family::from_huggingface(kind, class).ok_or_else(unknown)?;
		let optional = |key: &str| config.get(key).and_then(Value::as_u64);
		let int = |key: &str| optional(key).ok_or_else(|| missing(key));
		let float = |key: &str| config.get(key).and_then(Value::as_f64);
		let activation = match name("hidden_act") {
			Some("relu2") => Activation::SquaredRelu,
			// The default of transformers' BitNetConfig.
			None if kind == "bitnet" => Activation::SquaredRelu,
			Some("silu") | None => Activation::Silu,
			Some(_) => {
				return Err(unsupported(
					"hidden_act",
					&config["hidden_act"],
					"relu2 or silu",
				));
			}
		};
		let parameters = config
			.pointer("/rope_parameters/rope_theta")
			.and_then(Value::as_f64);
		let numbers = Numbers {
			hidden: int("hidden_size")?,
			layers: int("num_hidden_layers")?,
			heads: int("num_attention_heads")?,
			kv_heads: optional("num_key_value_heads"),
			head_dim: optional("head_dim"),
			ffn: int("intermediate_size")?,
			vocab: int("vocab_size")?,
			context: int("max_position_embeddings")?,
			rope_theta: float("rope_theta")
				.or(parameters)
				.unwrap_or(if kind == "bitnet" {
					500_000.0
				} else {
					10_000.0
				}),
			norm_eps: float("rms_norm_eps").ok_or_else(|| missing("rms_norm_eps"))?,
		};
		let head_dim = numbers
			.head_dim
			.unwrap_or(numbers.hidden / numbers.heads.max(1));
		let rope = scaling(
			&config,
			numbers.rope_theta as f32,
			head_dim.min(1024) as usize,
		)?;
		let model = ModelConfig::checked(kind, family, activation, rope, &numbers)?;
		let eos = match config.get("eos_token_id") {
			Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_u64).collect(),
			Some(id) => id.as_u64().into_iter().collect::<Vec<u64>>(),
			None => Vec::new(),
		};
		Ok(Self {
			model,
			linear: linear_class(&config, family)?,
			tied: config
				.get("tie_word_embeddings")
				.and_then(Value::as_bool)
				.unwrap_or(false),
			eos: eos
				.into_iter()
				.filter_map(|id| u32::try_from(id).ok())
				.collect(),
		})
	}
}
