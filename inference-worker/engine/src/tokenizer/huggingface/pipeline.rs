//! Which `tokenizer.json` files say the same as a GGUF vocabulary.

use super::file::{TokenizerFile, kind, steps};
use crate::tokenizer::{
	pre::{self, Form, Rule},
	vocab::SPACE,
};
use serde_json::Value;

/// A known way from text to tokens.
pub(super) struct Pipeline {
	pub(super) form: Form,
	pub(super) rule: Rule,
	pub(super) space_prefix: bool,
}

fn text<'a>(step: &'a Value, key: &str) -> Option<&'a str> {
	step.get(key)?.as_str()
}

fn flag(step: &Value, key: &str, default: bool) -> Option<bool> {
	match step.get(key) {
		None => Some(default),
		Some(value) => value.as_bool(),
	}
}

impl Pipeline {
	/// The pipeline of a BPE, none if it is not known exactly.
	pub(super) fn recognise(file: &TokenizerFile) -> Option<Self> {
		let model = &file.model;
		let affix = |affix: &Option<String>| affix.as_ref().is_none_or(String::is_empty);
		let usual = model.dropout.is_none_or(|dropout| dropout == 0.0)
			&& affix(&model.continuing_subword_prefix)
			&& affix(&model.end_of_word_suffix);
		let plain = file
			.added_tokens
			.iter()
			.all(|token| !token.lstrip && !token.rstrip && !token.single_word);
		if !usual || !plain {
			return None;
		}
		if model.byte_fallback {
			return Self::sentencepiece(file);
		}
		Self::byte_level(file)
	}

	fn byte_level(file: &TokenizerFile) -> Option<Self> {
		if file
			.model
			.unk_token
			.as_ref()
			.is_some_and(|token| !token.is_empty())
		{
			return None;
		}
		// NFC is left out, see `pre`.
		let normalizers = steps(&file.normalizer, "normalizers");
		if !normalizers.iter().all(|step| kind(step) == "NFC") {
			return None;
		}
		let all = steps(&file.pre_tokenizer, "pretokenizers");
		let (last, before) = all.split_last()?;
		let mut patterns = Vec::new();
		for step in before {
			patterns.push(match kind(step) {
				"Split" => {
					let isolated = text(step, "behavior") == Some("Isolated");
					if !isolated || flag(step, "invert", false)? {
						return None;
					}
					text(step.get("pattern")?, "Regex")?
				}
				"Digits" if flag(step, "individual_digits", false)? => r"\p{N}",
				_ => return None,
			});
		}
		if kind(last) != "ByteLevel" || flag(last, "add_prefix_space", true)? {
			return None;
		}
		if flag(last, "use_regex", true)? {
			patterns.push(pre::GPT2);
		}
		let rule = pre::by_patterns(&patterns, file.model.ignore_merges)?;
		Some(Self {
			form: Form::ByteLevel,
			rule,
			space_prefix: false,
		})
	}

	fn sentencepiece(file: &TokenizerFile) -> Option<Self> {
		// Whether it would be looked for before or after spaces became U+2581 must not matter.
		let clear = |content: &str| !content.contains([' ', SPACE]);
		let added = &file.added_tokens;
		if file.model.ignore_merges || !added.iter().all(|token| clear(&token.content)) {
			return None;
		}
		let space = SPACE.to_string();
		let prepends =
			|step: &Value| kind(step) == "Prepend" && text(step, "prepend") == Some(space.as_str());
		let replaces = |step: &Value| {
			kind(step) == "Replace"
				&& text(step, "content") == Some(space.as_str())
				&& step
					.get("pattern")
					.and_then(|pattern| text(pattern, "String"))
					== Some(" ")
		};
		let words = steps(&file.pre_tokenizer, "pretokenizers");
		// After the normalizer there are no spaces to split at.
		let idle = |step: &Value| {
			kind(step) == "Split"
				&& step
					.get("pattern")
					.and_then(|pattern| text(pattern, "String"))
					== Some(" ")
		};
		let metaspace = |step: &Value| {
			kind(step) == "Metaspace"
				&& text(step, "replacement") == Some(space.as_str())
				&& text(step, "prepend_scheme") == Some("never")
				&& flag(step, "split", true) == Some(false)
		};
		let normalizers = steps(&file.normalizer, "normalizers");
		let space_prefix = match (normalizers.as_slice(), words.as_slice()) {
			// Where a text is given a prefix, markup that is looked for afterwards might join it.
			([one, two], []) if prepends(one) && replaces(two) => true,
			([one], []) if replaces(one) => false,
			([one], [two]) if replaces(one) && idle(two) => false,
			([], [one]) if metaspace(one) => false,
			_ => return None,
		};
		if added
			.iter()
			.any(|token| token.normalized && !normalizers.is_empty())
		{
			return None;
		}
		Some(Self {
			form: Form::SentencePiece,
			rule: pre::SENTENCEPIECE,
			space_prefix,
		})
	}
}
