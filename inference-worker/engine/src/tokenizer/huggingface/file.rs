//! What is read of `tokenizer.json`.

use crate::tokenizer::error::{TokenizerError, damaged};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use std::{collections::HashMap, io::Read, path::Path};

/// Longest file.
const MAX_FILE: u64 = 128 << 20;

/// A merge, in the old and in the new spelling.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum MergeFile {
	/// Both sides with a space between.
	Text(String),
	/// Both sides.
	Pair(String, String),
}

/// A token outside the model's own vocabulary, or markup inside it.
#[derive(Deserialize)]
pub(super) struct Added {
	pub(super) id: u32,
	pub(super) content: String,
	#[serde(default)]
	pub(super) special: bool,
	#[serde(default)]
	pub(super) normalized: bool,
	#[serde(default)]
	pub(super) lstrip: bool,
	#[serde(default)]
	pub(super) rstrip: bool,
	#[serde(default)]
	pub(super) single_word: bool,
}

/// The model part of a BPE.
#[derive(Deserialize, Default)]
pub(super) struct ModelFile {
	pub(super) vocab: HashMap<String, u32>,
	pub(super) merges: Vec<MergeFile>,
	pub(super) dropout: Option<f64>,
	pub(super) unk_token: Option<String>,
	pub(super) continuing_subword_prefix: Option<String>,
	pub(super) end_of_word_suffix: Option<String>,
	#[serde(default)]
	pub(super) byte_fallback: bool,
	#[serde(default)]
	pub(super) ignore_merges: bool,
}

/// The file.
#[derive(Deserialize)]
pub(super) struct TokenizerFile {
	#[serde(default)]
	pub(super) added_tokens: Vec<Added>,
	#[serde(default)]
	pub(super) normalizer: Value,
	#[serde(default)]
	pub(super) pre_tokenizer: Value,
	#[serde(default)]
	post_processor: Value,
	#[serde(default)]
	decoder: Value,
	pub(super) model: ModelFile,
}

/// The file without its model.
#[derive(Deserialize)]
struct Head {
	#[serde(default)]
	added_tokens: Vec<Added>,
	#[serde(default)]
	normalizer: Value,
	#[serde(default)]
	pre_tokenizer: Value,
	#[serde(default)]
	post_processor: Value,
	#[serde(default)]
	decoder: Value,
	model: HeadModel,
}

#[derive(Deserialize)]
struct HeadModel {
	#[serde(rename = "type")]
	kind: Option<String>,
	merges: Option<IgnoredAny>,
}

/// A whole file, none if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
	let fail = |problem: String| TokenizerError::File {
		file: path.display().to_string(),
		problem,
	};
	let file = match std::fs::File::open(path) {
		Ok(file) => file,
		Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
		Err(error) => return Err(fail(error.to_string())),
	};
	let mut bytes = Vec::new();
	file.take(MAX_FILE + 1)
		.read_to_end(&mut bytes)
		.map_err(|error| fail(error.to_string()))?;
	if bytes.len() as u64 > MAX_FILE {
		return Err(fail(format!("longer than {MAX_FILE} bytes")));
	}
	Ok(Some(bytes))
}

/// The steps of a pipeline: those of a sequence, or the only one.
pub(super) fn steps<'a>(value: &'a Value, list: &str) -> Vec<&'a Value> {
	match value.get("type").and_then(Value::as_str) {
		Some("Sequence") => {
			let inner = value.get(list).and_then(Value::as_array);
			inner.map_or_else(|| vec![value], |inner| inner.iter().collect())
		}
		_ if value.is_null() => Vec::new(),
		_ => vec![value],
	}
}

/// A step's type.
pub(super) fn kind(step: &Value) -> &str {
	step.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn parse<'a, T: Deserialize<'a>>(source: &'a [u8]) -> Result<T, TokenizerError> {
	serde_json::from_slice(source).map_err(|error| damaged(format!("tokenizer.json: {error}")))
}

impl TokenizerFile {
	/// Reads the file of a BPE, none if it is another model's.
	pub(super) fn parse(source: &[u8]) -> Result<Option<Self>, TokenizerError> {
		let (_, kind) = Self::head(source)?;
		if kind == "BPE" {
			return parse(source).map(Some);
		}
		Ok(None)
	}

	/// Reads everything but the model, and the model's type.
	pub(super) fn head(source: &[u8]) -> Result<(Self, String), TokenizerError> {
		let head: Head = parse(source)?;
		let guess = head
			.model
			.merges
			.map_or("of unknown type", |IgnoredAny| "BPE");
		let kind = head.model.kind.unwrap_or_else(|| guess.to_owned());
		let file = Self {
			added_tokens: head.added_tokens,
			normalizer: head.normalizer,
			pre_tokenizer: head.pre_tokenizer,
			post_processor: head.post_processor,
			decoder: head.decoder,
			model: ModelFile::default(),
		};
		Ok((file, kind))
	}

	/// Whether a step of that type decides about words or their text.
	pub(super) fn mentions(&self, wanted: &str) -> bool {
		let mut all = steps(&self.pre_tokenizer, "pretokenizers");
		all.extend(steps(&self.decoder, "decoders"));
		all.into_iter().any(|step| kind(step) == wanted)
	}

	/// Whether a space is put before a text.
	pub(super) fn prepends(&self) -> bool {
		let mut all = steps(&self.normalizer, "normalizers");
		all.extend(steps(&self.pre_tokenizer, "pretokenizers"));
		all.into_iter().any(|step| match kind(step) {
			"Prepend" => true,
			"Metaspace" => {
				let scheme = step.get("prepend_scheme").and_then(Value::as_str);
				scheme != Some("never")
			}
			"ByteLevel" => step.get("add_prefix_space").and_then(Value::as_bool) == Some(true),
			_ => false,
		})
	}

	/// What the post-processor puts around a text, none if it has no say.
	fn template(&self) -> Option<&Vec<Value>> {
		let all = steps(&self.post_processor, "processors");
		let found = all
			.into_iter()
			.find(|step| kind(step) == "TemplateProcessing");
		found?.get("single")?.as_array()
	}

	/// Token that the post-processor puts before a text.
	pub(super) fn first_special(&self) -> Option<&str> {
		let template = self.template().filter(|template| template.len() > 1)?;
		template.first()?.get("SpecialToken")?.get("id")?.as_str()
	}

	/// Whether the post-processor puts BOS before a text, none if it has no say.
	pub(super) fn adds(&self, bos: Option<&str>) -> Option<bool> {
		if let Some(first) = self.first_special() {
			return Some(Some(first) == bos);
		}
		let all = steps(&self.post_processor, "processors");
		all.into_iter()
			.any(|step| kind(step) == "ByteLevel")
			.then_some(false)
	}

	/// Whether the post-processor puts a token after a text, none if it has no say.
	pub(super) fn adds_after(&self) -> Option<bool> {
		let template = self.template().filter(|template| template.len() > 1)?;
		Some(template.last()?.get("SpecialToken").is_some())
	}
}
