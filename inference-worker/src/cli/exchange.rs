//! What `chat` and `infer` ask, and what comes back.

use serde_json::{Value, json};

/// What is asked.
pub(super) enum Question<'a> {
	/// A conversation, each message as `{"role", "content"}`.
	Chat(&'a [Value]),
	/// A text to continue.
	Text(&'a str),
}

/// How answers are made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
	pub(super) max_tokens: u32,
	pub(super) temperature: f64,
	pub(super) top_p: f64,
	pub(super) seed: u64,
}

/// An answer, and what it took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reply {
	pub(super) text: String,
	/// `stop`, `length` or `cancelled`.
	pub(super) finish: String,
	pub(super) model: String,
	pub(super) prompt_tokens: Option<u64>,
	pub(super) output_tokens: Option<u64>,
	pub(super) tokens_per_second: Option<f64>,
	/// Millijoules.
	pub(super) energy: Option<f64>,
	/// Until the first text, seconds.
	pub(super) first_text: Option<f64>,
	/// Until the end, seconds.
	pub(super) seconds: f64,
	/// The signed receipt as `verify` reads it.
	pub(super) receipt: Option<Value>,
}

impl Reply {
	pub(super) fn to_json(&self) -> Value {
		json!({
			"text": self.text,
			"finish_reason": self.finish,
			"model": self.model,
			"usage": {
				"prompt_tokens": self.prompt_tokens,
				"completion_tokens": self.output_tokens,
				"tokens_per_second": self.tokens_per_second,
				"energy_mj": self.energy,
			},
			"seconds": { "first_text": self.first_text, "total": self.seconds },
			"aria": { "receipt_file": self.receipt },
		})
	}

	/// One line for people.
	pub(super) fn stats(&self) -> String {
		let mut parts = Vec::new();
		if let Some(tokens) = self.output_tokens {
			parts.push(format!("{tokens} tokens"));
		}
		if let Some(rate) = self.tokens_per_second {
			parts.push(format!("{rate:.1} tokens/s"));
		}
		if let Some(first) = self.first_text {
			parts.push(format!("first after {first:.2} s"));
		}
		parts.push(match self.energy {
			Some(energy) => match self.output_tokens.filter(|tokens| *tokens > 0) {
				Some(tokens) => format!("{energy:.0} mJ ({:.1} mJ/token)", energy / tokens as f64),
				None => format!("{energy:.0} mJ"),
			},
			None => "energy unknown".into(),
		});
		parts.join(", ")
	}
}
