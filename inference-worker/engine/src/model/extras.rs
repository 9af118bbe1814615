//! What files say of a model beside its weights.

use super::{
	ModelError, SamplingDefaults,
	config::HfConfig,
	huggingface,
	template::{self, ChatTemplate},
};
use crate::{gguf::Gguf, tokenizer::Tokenizer};
use std::path::Path;

/// What a folder or file says beside its weights.
pub(super) struct Extras {
	pub(super) tokenizer: Tokenizer,
	pub(super) template: ChatTemplate,
	pub(super) sampling: SamplingDefaults,
	pub(super) name: String,
	pub(super) licence: Option<String>,
}

pub(super) fn gguf_extras(gguf: &Gguf, name: &str) -> Result<Extras, ModelError> {
	let tokenizer = Tokenizer::from_gguf(gguf)?;
	let markup = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
	let eos = gguf.int("tokenizer.ggml.eos_token_id").map(|id| id as u32);
	let built_in = template::built_in(gguf.text("general.architecture"), &tokenizer);
	let source = gguf.text("tokenizer.chat_template").or(built_in);
	let template = ChatTemplate::new(source, markup(tokenizer.bos()), markup(eos))?;
	Ok(Extras {
		tokenizer,
		template,
		sampling: SamplingDefaults::from_gguf(gguf),
		name: gguf.text("general.name").unwrap_or(name).to_owned(),
		licence: gguf.text("general.license").map(str::to_owned),
	})
}

pub(super) fn folder_extras(folder: &Path, config: &HfConfig) -> Result<Extras, ModelError> {
	let tokenizer = Tokenizer::from_huggingface(folder, config.model.vocab)?;
	let settings = huggingface::json(folder, "tokenizer_config.json")?.unwrap_or_default();
	let mut source = huggingface::text(folder, "chat_template.jinja")?;
	if source.is_none() {
		source = match &settings["chat_template"] {
			serde_json::Value::String(text) => Some(text.clone()),
			// Several, by name.
			serde_json::Value::Array(list) => list
				.iter()
				.find(|entry| entry["name"] == "default")
				.and_then(|entry| entry["template"].as_str())
				.map(str::to_owned),
			_ => None,
		};
	}
	let built_in = template::built_in(Some(&config.model.architecture), &tokenizer);
	let markup = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
	let eos = tokenizer.end_tokens().first().copied();
	let source = source.as_deref().or(built_in);
	let template = ChatTemplate::new(source, markup(tokenizer.bos()), markup(eos))?;
	let generation = huggingface::json(folder, "generation_config.json")?.unwrap_or_default();
	Ok(Extras {
		tokenizer,
		template,
		sampling: SamplingDefaults::from_generation_config(&generation),
		name: folder_name(folder),
		licence: None,
	})
}

/// Name of a model whose folder is all that has one.
pub(super) fn folder_name(folder: &Path) -> String {
	let path = folder.canonicalize().ok();
	let name = path.as_deref().and_then(Path::file_name);
	name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Name of a model whose file is all that has one.
pub(super) fn file_name(path: &Path) -> String {
	let name = path.file_stem().unwrap_or_default();
	name.to_string_lossy().into_owned()
}

/// The text of a folder's `config.json`.
pub(super) fn folder_config(folder: &Path) -> Result<String, ModelError> {
	let missing = || ModelError::Unusable {
		path: folder.to_owned(),
		reason: "there is no config.json in it".to_owned(),
	};
	huggingface::text(folder, "config.json")?.ok_or_else(missing)
}
