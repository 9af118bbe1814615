//! How a model's publisher recommends to sample from it.

use crate::gguf::Gguf;
use serde_json::{Value, json};

/// Recommended parameters: what a request that leaves them out gets. Values out of range are not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SamplingDefaults {
	/// Temperature, at most 100.
	pub temperature: Option<f64>,
	/// Nucleus, above 0 and at most 1.
	pub top_p: Option<f64>,
	/// Least share of the likeliest token's probability, from 0 to 1.
	pub min_p: Option<f64>,
	/// How many of the likeliest tokens; 0 is all.
	pub top_k: Option<u32>,
	/// Repetition penalty, between 0.01 and 100; 1 is none.
	pub repetition_penalty: Option<f64>,
}

impl SamplingDefaults {
	fn new(number: impl Fn(&str) -> Option<f64>) -> Self {
		// Receipts count in millionths.
		let exact = |value: f64| (value * 1e6).round() / 1e6;
		let within = |name, min: f64, max: f64| {
			number(name)
				.map(exact)
				.filter(|value| (min..=max).contains(value))
		};
		Self {
			temperature: within("temperature", 0.0, 100.0),
			top_p: within("top_p", 1e-6, 1.0),
			min_p: within("min_p", 0.0, 1.0),
			top_k: within("top_k", 0.0, f64::from(u32::MAX)).map(|top_k| top_k as u32),
			repetition_penalty: within("repetition_penalty", 0.01, 100.0),
		}
	}

	/// Of a folder's `generation_config.json`. One that says not to sample has leftovers at best.
	pub(super) fn from_generation_config(config: &Value) -> Self {
		if config["do_sample"] == false {
			return Self::default();
		}
		Self::new(|name| config[name].as_f64())
	}

	/// Of a GGUF file's `general.sampling.*`, where converters put them.
	pub(super) fn from_gguf(gguf: &Gguf) -> Self {
		Self::new(|name| {
			let name = match name {
				"temperature" => "temp",
				"repetition_penalty" => "penalty_repeat",
				same => same,
			};
			gguf.float(&format!("general.sampling.{name}"))
		})
	}

	/// Those that are known, by the names that requests have for them; `null` when none is.
	pub fn to_json(&self) -> Value {
		let known = [
			("temperature", self.temperature),
			("top_p", self.top_p),
			("min_p", self.min_p),
			("top_k", self.top_k.map(f64::from)),
			("repetition_penalty", self.repetition_penalty),
		];
		let known: serde_json::Map<String, Value> = known
			.into_iter()
			.filter_map(|(name, value)| {
				let value = value?;
				let whole = value.fract() == 0.0 && name == "top_k";
				let value = if whole {
					json!(value as u64)
				} else {
					json!(value)
				};
				Some((name.to_owned(), value))
			})
			.collect();
		if known.is_empty() {
			Value::Null
		} else {
			known.into()
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn published_parameters_should_be_read_and_wrong_ones_left_out() {
		let config = json!({
			"do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05,
			"min_p": "none",
		});
		let sampling = SamplingDefaults::from_generation_config(&config);
		let expected = SamplingDefaults {
			temperature: Some(0.6),
			top_p: Some(0.95),
			min_p: None,
			top_k: Some(20),
			repetition_penalty: Some(1.05),
		};
		assert_eq!(sampling, expected);
		assert_eq!(
			sampling.to_json(),
			json!({ "temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05 })
		);
		let wrong = json!({ "temperature": -1, "top_p": 0, "top_k": -5, "repetition_penalty": 0 });
		let sampling = SamplingDefaults::from_generation_config(&wrong);
		assert_eq!(sampling, SamplingDefaults::default());
		assert_eq!(sampling.to_json(), Value::Null);
		let greedy = json!({ "do_sample": false, "temperature": 0.6 });
		let sampling = SamplingDefaults::from_generation_config(&greedy);
		assert_eq!(sampling, SamplingDefaults::default());
	}
}
