//! What a check finds.

use serde::Serialize;
use serde_json::{Value, json};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
	Ok,
	Warn,
	Fail,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
	pub(super) name: &'static str,
	pub(super) status: Status,
	/// What was found.
	pub(super) found: String,
	/// What to do.
	pub(super) advice: Option<String>,
	/// What was measured, for scripts.
	pub(super) values: Value,
}

impl Check {
	pub(super) fn new(name: &'static str, status: Status, found: impl Into<String>) -> Self {
		Self {
			name,
			status,
			found: found.into(),
			advice: None,
			values: json!({}),
		}
	}

	pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
		Self::new(name, Status::Ok, found)
	}

	pub(super) fn warn(
		name: &'static str,
		found: impl Into<String>,
		advice: impl Into<String>,
	) -> Self {
		Self::new(name, Status::Warn, found).advise(advice)
	}

	pub(super) fn fail(
		name: &'static str,
		found: impl Into<String>,
		advice: impl Into<String>,
	) -> Self {
		Self::new(name, Status::Fail, found).advise(advice)
	}

	pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
		self.advice = Some(advice.into());
		self
	}

	pub(super) fn with(mut self, values: Value) -> Self {
		self.values = values;
		self
	}
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
	format!("{:.1} GB", bytes as f64 / 1e9)
}
