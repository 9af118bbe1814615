//! Tokenizers by the name of a file or folder.

use super::{Tokenizer, error::TokenizerError};
use crate::gguf::Gguf;
use aria_kernels::I2Block;
use std::{fs::File, io::BufReader, path::Path};

impl Tokenizer {
	/// Opens the tokenizer of a GGUF file, of a Hugging Face folder or of a `tokenizer.json`. Weights are not looked at
	/// and need not be there.
	///
	/// # Errors
	/// Files that can't be read or hold no vocabulary that is supported.
	pub fn open(path: &Path) -> Result<Self, TokenizerError> {
		let fail = |problem: String| TokenizerError::File {
			file: path.display().to_string(),
			problem,
		};
		if path.is_dir() {
			return Self::from_tokenizer_json(&path.join("tokenizer.json"), None);
		}
		if path
			.extension()
			.is_some_and(|extension| extension == "json")
		{
			return Self::from_tokenizer_json(path, None);
		}
		let file = File::open(path).map_err(|error| fail(error.to_string()))?;
		let len = file
			.metadata()
			.map_err(|error| fail(error.to_string()))?
			.len();
		let head = Gguf::read(BufReader::new(file), len, I2Block::B128);
		let gguf = head.map_err(|error| fail(error.to_string()))?;
		Self::from_gguf(&gguf)
	}
}
