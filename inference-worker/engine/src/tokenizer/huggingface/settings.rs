//! BOS and the tokens that end an answer, from the files beside `tokenizer.json`.

use super::file::read;
use crate::tokenizer::{
	error::{TokenizerError, excerpt},
	vocab::Vocabulary,
};
use serde_json::Value;
use std::path::Path;

/// What the files say.
pub(super) struct Settings {
	bos: Option<String>,
	ends: Vec<String>,
	bos_id: Option<u64>,
	end_ids: Vec<u64>,
	/// `vocab_size` of the model.
	pub(super) vocab: Option<usize>,
	/// `add_bos_token`.
	pub(super) add_bos: Option<bool>,
	/// `add_eos_token`.
	pub(super) add_eos: Option<bool>,
}

/// Special tokens of a vocabulary.
pub(super) struct Special {
	pub(super) bos: Option<u32>,
	pub(super) bos_token: Option<String>,
	pub(super) ends: Vec<u32>,
}

fn json(path: &Path) -> Result<Value, TokenizerError> {
	let Some(bytes) = read(path)? else {
		return Ok(Value::Null);
	};
	serde_json::from_slice(&bytes).map_err(|error| TokenizerError::File {
		file: path.display().to_string(),
		problem: excerpt(error),
	})
}

/// A token written as text or as an object with its content.
fn token(file: &Value, key: &str) -> Option<String> {
	let value = file.get(key)?;
	let text = value.as_str().or_else(|| value.get("content")?.as_str());
	text.map(str::to_owned)
}

/// Ids written as a number or a list.
fn ids(file: &Value, key: &str) -> Vec<u64> {
	match file.get(key) {
		Some(Value::Array(list)) => list.iter().filter_map(Value::as_u64).collect(),
		Some(value) => value.as_u64().into_iter().collect(),
		None => Vec::new(),
	}
}

impl Settings {
	/// Reads the files that there are.
	pub(super) fn read(folder: &Path) -> Result<Self, TokenizerError> {
		let tokenizer = json(&folder.join("tokenizer_config.json"))?;
		let map = json(&folder.join("special_tokens_map.json"))?;
		let config = json(&folder.join("config.json"))?;
		let generation = json(&folder.join("generation_config.json"))?;
		let named = |key| token(&tokenizer, key).or_else(|| token(&map, key));
		let mut end_ids = ids(&config, "eos_token_id");
		end_ids.extend(ids(&generation, "eos_token_id"));
		let flag = |key: &str| tokenizer.get(key).and_then(Value::as_bool);
		Ok(Self {
			bos: named("bos_token"),
			ends: named("eos_token").into_iter().collect(),
			bos_id: ids(&config, "bos_token_id").first().copied(),
			end_ids,
			vocab: config
				.get("vocab_size")
				.and_then(Value::as_u64)
				.and_then(|size| usize::try_from(size).ok()),
			add_bos: flag("add_bos_token"),
			add_eos: flag("add_eos_token"),
		})
	}

	/// The special tokens. `first` is the one that the post-processor puts before a text: BOS where no file names it.
	pub(super) fn special(&self, vocabulary: &Vocabulary, first: Option<&str>) -> Special {
		let find = |wanted: &str| {
			let found = vocabulary.iter().find(|(_, token, _)| *token == wanted);
			found.map(|(id, _, _)| id)
		};
		let inside = |id: u64| {
			let id = u32::try_from(id).ok()?;
			vocabulary.kind(id).map(|_| id)
		};
		let named = self.bos.as_deref().and_then(find);
		let bos = named
			.or_else(|| self.bos_id.and_then(inside))
			.or_else(|| first.and_then(find));
		let by_id = self.end_ids.iter().filter_map(|id| inside(*id));
		Special {
			bos,
			bos_token: bos.and_then(|id| vocabulary.tokens.get(id as usize).cloned()),
			ends: self
				.ends
				.iter()
				.filter_map(|end| find(end))
				.chain(by_id)
				.collect(),
		}
	}
}
