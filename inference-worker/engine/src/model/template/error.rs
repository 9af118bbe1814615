//! Why messages can't become a prompt.

use serde::{Deserialize, Serialize};

/// Why messages can't become a prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TemplateError {
	/// The file's template does not parse: its model has no chats, and everything else.
	#[error("the model's chat template can't be used: {0}")]
	Parse(String),
	/// The template refuses these messages.
	#[error("{0}")]
	Refused(String),
	/// The template failed.
	#[error("the model's chat template failed: {0}")]
	Render(String),
	/// The machine lacks what running the template takes, such as a process or a file.
	#[error("the model's chat template can't be run now: {0}")]
	Unavailable(String),
}
