//! Tokenizers by the name of a file or folder.

use super::{Tokenizer, error::TokenizerError};
use crate::model::gguf::Gguf;
use std::{fs::File, path::Path};

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
		// SAFETY: the map is read only; a model file must not be changed while it is read, as everywhere here.
		let bytes = unsafe { memmap2::Mmap::map(&file) };
		let bytes = bytes.map_err(|error| fail(error.to_string()))?;
		let gguf = Gguf::parse(&bytes).map_err(|error| fail(error.to_string()))?;
		Self::from_gguf(&gguf)
	}
}
