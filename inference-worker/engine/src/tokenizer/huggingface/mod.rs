//! Tokenizers from Hugging Face folders.

mod file;
mod pipeline;
mod sentencepiece;
mod settings;

use super::{
	Encoder, Parts, Tokenizer,
	bpe::Order,
	error::{TokenizerError, damaged, excerpt, large},
	foreign::Foreign,
	gguf::divide,
	pre::{self, Form},
	special::{Specials, end_tokens},
	vocab::{Kind, MAX_TOKENS, Vocabulary, named_byte},
};
use file::{MergeFile, TokenizerFile};
use pipeline::Pipeline;
use settings::Settings;
use std::{collections::HashMap, path::Path};

impl Tokenizer {
	/// Builds the tokenizer of a folder: `tokenizer.json`, and beside it `tokenizer_config.json`,
	/// `special_tokens_map.json`, `config.json` and `generation_config.json` for BOS and the tokens that end an answer.
	/// `vocab` is the model's vocabulary size; ids up to it that have no token are never in a text.
	///
	/// # Errors
	/// Files that are missing, too large or damaged, and vocabularies larger than `vocab`.
	pub fn from_huggingface(folder: &Path, vocab: usize) -> Result<Self, TokenizerError> {
		Self::from_tokenizer_json(&folder.join("tokenizer.json"), Some(vocab))
	}

	/// As [`Self::from_huggingface`], by the name of `tokenizer.json` itself; without `vocab` that of
	/// `config.json` beside it or the highest id counts.
	///
	/// # Errors
	/// As [`Self::from_huggingface`].
	pub fn from_tokenizer_json(file: &Path, vocab: Option<usize>) -> Result<Self, TokenizerError> {
		let source = file::read(file)?.ok_or_else(|| TokenizerError::File {
			file: file.display().to_string(),
			problem: "there is no such file; save the tokenizer with transformers' \
				save_pretrained, which writes it"
				.into(),
		})?;
		let settings = Settings::read(file.parent().unwrap_or(Path::new(".")))?;
		let vocab = vocab.or(settings.vocab);
		let Some(read) = TokenizerFile::parse(&source)? else {
			return foreign(source, &settings, vocab);
		};
		match recognised(&read, &settings, vocab)? {
			Some(parts) => Self::assemble(parts),
			None => foreign(source, &settings, vocab),
		}
	}
}

/// Whether a token that is not marked as special is markup all the same, as llama.cpp's converter has it.
fn looks_special(token: &str) -> bool {
	matches!(token, "<pad>" | "<mask>" | "<2mass>" | "[@BOS@]")
		|| token.starts_with("<|") && token.ends_with("|>")
		|| token.starts_with("<｜") && token.ends_with("｜>")
		|| token.starts_with("<unused") && token.ends_with('>')
}

/// Spellings and kinds by id.
fn tokens(
	vocab: &HashMap<String, u32>,
	file: &TokenizerFile,
	form: Form,
	size: Option<usize>,
) -> Result<Vocabulary, TokenizerError> {
	let added = file.added_tokens.iter();
	let ids = vocab.values().copied().chain(added.map(|token| token.id));
	let needed = ids.max().map_or(0, |id| id as usize + 1);
	let size = size.unwrap_or(needed);
	if size > MAX_TOKENS {
		let message = format!("{size} tokens; {MAX_TOKENS} are supported");
		return Err(large(message));
	}
	if needed > size {
		return Err(damaged(format!(
			"tokenizer.json has ids up to {needed}, the model {size} tokens"
		)));
	}
	let mut spellings: Vec<String> = (0..size).map(|id| format!("[PAD{id}]")).collect();
	let mut kinds = vec![Kind::Unused; size];
	let mut set = |id: u32, spelling: &str, kind: Kind| {
		let id = id as usize;
		if let (Some(slot), Some(known)) = (spellings.get_mut(id), kinds.get_mut(id)) {
			let fresh = *known == Kind::Unused || slot == spelling;
			(*slot, *known) = (spelling.to_owned(), kind);
			return fresh;
		}
		false
	};
	for (token, id) in vocab {
		let kind = if form != Form::ByteLevel && named_byte(token).is_some() {
			Kind::Byte
		} else if form != Form::ByteLevel && file.model.unk_token.as_ref() == Some(token) {
			Kind::Control
		} else {
			Kind::Normal
		};
		if !set(*id, token, kind) {
			return Err(damaged(format!("two tokens have the id {id}")));
		}
	}
	for token in &file.added_tokens {
		let kind = if token.special || looks_special(&token.content) {
			Kind::Control
		} else {
			Kind::UserDefined
		};
		if !set(token.id, &token.content, kind) {
			return Err(damaged(format!("two tokens have the id {}", token.id)));
		}
	}
	Vocabulary::new(spellings, kinds, form)
}

/// The parts of a tokenizer whose steps are known, none if they are not.
fn recognised(
	file: &TokenizerFile,
	settings: &Settings,
	size: Option<usize>,
) -> Result<Option<Parts>, TokenizerError> {
	let Some(pipeline) = Pipeline::recognise(file) else {
		return Ok(None);
	};
	let vocabulary = tokens(&file.model.vocab, file, pipeline.form, size)?;
	let merges = file.model.merges.iter().map(|merge| match merge {
		MergeFile::Text(text) => divide(text),
		MergeFile::Pair(left, right) => Ok((left.clone(), right.clone())),
	});
	let merges = merges.collect::<Result<Vec<_>, _>>()?;
	let order = if pipeline.form == Form::SentencePiece {
		match sentencepiece::scores(&vocabulary, &merges) {
			Some(scores) => Order::Scored(scores),
			None => return Ok(None),
		}
	} else {
		if !complete(&vocabulary, &merges) {
			return Ok(None);
		}
		Order::Listed(merges)
	};
	let special = settings.special(&vocabulary, file.first_special());
	let default = pipeline.rule.add_bos;
	Ok(Some(Parts {
		rule: pipeline.rule,
		order,
		bos: special.bos,
		ends: special.ends,
		add_bos: file
			.adds(special.bos_token.as_deref())
			.or(settings.add_bos)
			.unwrap_or(default),
		add_eos: file.adds_after().or(settings.add_eos).unwrap_or(false),
		space_prefix: pipeline.space_prefix,
		vocabulary,
	}))
}

/// Whether every byte and every part and result of a merge is a token, and no pair is listed twice.
fn complete(vocabulary: &Vocabulary, merges: &[(String, String)]) -> bool {
	let known: HashMap<&str, u32> = vocabulary
		.iter()
		.filter(|(_, _, kind)| *kind == Kind::Normal || *kind == Kind::UserDefined)
		.map(|(id, token, _)| (token, id))
		.collect();
	let mut pairs = std::collections::HashSet::new();
	let bytes = super::vocab::byte_chars();
	bytes.iter().all(|(char, byte)| {
		// These occur in no text.
		matches!(byte, 0xC0 | 0xC1 | 0xF5..)
			|| known.contains_key(char.encode_utf8(&mut [0; 4]) as &str)
	}) && merges.iter().all(|(left, right)| {
		known.contains_key(left.as_str())
			&& known.contains_key(right.as_str())
			&& known.contains_key([left.as_str(), right].concat().as_str())
			&& pairs.insert((left, right))
	})
}

fn foreign(
	source: Vec<u8>,
	settings: &Settings,
	size: Option<usize>,
) -> Result<Tokenizer, TokenizerError> {
	let (file, kind) = TokenizerFile::head(&source)?;
	if kind != "BPE" && kind != "Unigram" {
		return Err(TokenizerError::Model(excerpt(kind)));
	}
	let encoder = Foreign::new(source)?;
	let form = if file.mentions("ByteLevel") {
		Form::ByteLevel
	} else {
		Form::Metaspace
	};
	let vocabulary = tokens(&encoder.vocab(), &file, form, size)?;
	let special = settings.special(&vocabulary, file.first_special());
	let add_bos = file.adds(special.bos_token.as_deref()).or(settings.add_bos);
	Ok(Tokenizer {
		encoder: Encoder::Foreign(Box::new(encoder)),
		specials: Specials::new(&vocabulary)?,
		ends: end_tokens(&vocabulary, special.ends.into_iter()),
		vocabulary,
		rule: pre::FOREIGN,
		add_bos: add_bos.unwrap_or(false) && special.bos.is_some(),
		bos: special.bos,
		add_eos: file.adds_after().or(settings.add_eos).unwrap_or(false),
		space_prefix: file.prepends(),
	})
}
