//! Why a model can't be loaded.

use super::{config::ConfigError, template::TemplateError};
use crate::{gguf::GgufError, tokenizer::TokenizerError};
use aria_kernels::PackError;
use std::path::PathBuf;

/// Why a model can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
	/// A file can't be read.
	#[error("can't read {path}: {error}")]
	Io {
		/// Which file.
		path: PathBuf,
		/// Why.
		error: std::io::Error,
	},
	/// The container is damaged or of another format.
	#[error(transparent)]
	Gguf(#[from] GgufError),
	/// A file is not what it has to be, without being damaged.
	#[error("can't use {path}: {reason}")]
	Unusable {
		/// Which file.
		path: PathBuf,
		/// Why.
		reason: String,
	},
	/// A file is damaged.
	#[error("{path} is damaged: {reason}")]
	Damaged {
		/// Which file.
		path: PathBuf,
		/// What is wrong.
		reason: String,
	},
	/// A tensor outside its file.
	#[error("a tensor reaches past the end of its file: the download is incomplete")]
	Short,
	/// The model is of another kind.
	#[error(transparent)]
	Config(#[from] ConfigError),
	/// The vocabulary is damaged or of another kind.
	#[error(transparent)]
	Tokenizer(#[from] TokenizerError),
	/// The chat template can't be tried.
	#[error(transparent)]
	Template(#[from] TemplateError),
	/// A tensor that must be there.
	#[error("tensor {0:?} is missing")]
	MissingTensor(String),
	/// A tensor that this architecture does not have.
	#[error(
		"tensor {0:?} is not part of the architecture: the model needs something this engine does not do"
	)]
	ExtraTensor(String),
	/// A tensor of another shape or type than its place needs.
	#[error("tensor {name:?} is {found}, expected {expected}")]
	Tensor {
		/// Which.
		name: String,
		/// What it is.
		found: String,
		/// What its place needs.
		expected: String,
	},
	/// A weight that is not a finite number, or ternary codes that do not exist.
	#[error("tensor {0:?} holds values that are not weights: the file is damaged")]
	Values(String),
	/// Ternary weights that can't be packed.
	#[error("tensor {name:?}: {error}")]
	Pack {
		/// Which.
		name: String,
		/// Why.
		error: PackError,
	},
	/// The head can't be used.
	#[error("the head can't be used: {0}")]
	Head(String),
}
