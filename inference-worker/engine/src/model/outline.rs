//! What can be said about a model before its weights are read.

use super::{
	Model, ModelConfig, ModelError,
	config::HfConfig,
	extras::{file_name, folder_config, folder_name},
	open::open_gguf,
};
use aria_kernels::I2Block;
use std::path::Path;

/// A model's name and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
	/// As [`Model::name`].
	pub name: String,
	/// As [`Model::config`], except for factors of rotary frequencies that are a tensor.
	pub config: ModelConfig,
}

impl Model {
	/// Reads what a GGUF file or a folder says about its model.
	///
	/// # Errors
	///
	/// As [`open`](Self::open), as far as this gets.
	pub fn outline(path: &Path) -> Result<Outline, ModelError> {
		if path.is_dir() {
			return Ok(Outline {
				name: folder_name(path),
				config: HfConfig::parse(&folder_config(path)?)?.model,
			});
		}
		// Neither name nor shape depends on the blocks of I2_S.
		let gguf = open_gguf(path, I2Block::B128)?;
		let embedding = gguf.tensors.get("token_embd.weight");
		let rows = embedding.and_then(|tensor| tensor.dims.get(1).copied());
		let listed = || gguf.texts("tokenizer.ggml.tokens").map(<[String]>::len);
		let vocab = rows.or_else(|| Some(listed()? as u64)).unwrap_or(0);
		let name = gguf.text("general.name").map(str::to_owned);
		Ok(Outline {
			name: name.unwrap_or_else(|| file_name(path)),
			config: ModelConfig::from_gguf(&gguf, vocab, None)?,
		})
	}
}
