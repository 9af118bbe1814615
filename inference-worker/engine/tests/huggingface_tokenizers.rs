//! Tokenizers of Hugging Face folders: the ids of the `tokenizers` crate, and the identity of the same vocabulary in a
//! GGUF file.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod vocab;

use aria_engine::{gguf::Gguf, tokenizer::Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
	collections::{BTreeMap, BTreeSet, HashMap},
	sync::LazyLock,
};
use tempfile::TempDir;
use vocab::{Metadata, byte_token};

const SAMPLE: &str = "the cat sat on the mat, and the dog's 1234 bones weren't there; aaaa aaa aa bababab \
	Über été naïve 你好你好 世界 hello hello world   spaces    more  the then than that this those, \n\n\t 12 123 99";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Merges of the most frequent pairs of a text, as a trainer finds them.
fn train(mut symbols: Vec<String>, count: usize, apart: &str) -> Vec<(String, String)> {
	let mut merges = Vec::new();
	for _ in 0..count {
		let mut pairs: BTreeMap<(String, String), usize> = BTreeMap::new();
		for pair in symbols.windows(2) {
			let joined = pair.concat();
			if !joined.chars().skip(1).any(|char| apart.contains(char)) {
				*pairs.entry((pair[0].clone(), pair[1].clone())).or_default() += 1;
			}
		}
		let best = pairs.into_iter().max_by_key(|(_, count)| *count);
		let Some((best, _)) = best.filter(|(_, count)| *count > 1) else {
			break;
		};
		let mut at = 0;
		while at + 1 < symbols.len() {
			if symbols[at] == best.0 && symbols[at + 1] == best.1 {
				let right = symbols.remove(at + 1);
				symbols[at].push_str(&right);
			}
			at += 1;
		}
		merges.push(best);
	}
	merges
}

fn folder(file: &Value, config: &Value, end: usize) -> TempDir {
	let folder = tempfile::tempdir().unwrap();
	let write = |name: &str, value: &Value| {
		std::fs::write(folder.path().join(name), value.to_string()).unwrap();
	};
	write("tokenizer.json", file);
	write("tokenizer_config.json", config);
	write("generation_config.json", &json!({ "eos_token_id": [end] }));
	folder
}

fn added(id: usize, content: &str) -> Value {
	json!({
		"id": id, "content": content, "special": true, "normalized": false,
		"single_word": false, "lstrip": false, "rstrip": false
	})
}

struct Pair {
	ours: Tokenizer,
	theirs: tokenizers::Tokenizer,
	gguf: Option<Tokenizer>,
}

fn byte_level(pre: &str, before: Value, ignore_merges: bool, normalizer: Value) -> Pair {
	let alphabet = (0..=255).map(|byte| byte_token(byte).to_string());
	let mut tokens: Vec<String> = alphabet.collect();
	let symbols = SAMPLE
		.bytes()
		.map(|byte| byte_token(byte).to_string())
		.collect();
	let mut seen = BTreeSet::new();
	let merges: Vec<(String, String)> = train(symbols, 90, "\u{120}\u{10a}\u{109}0123456789',;")
		.into_iter()
		.filter(|(left, right)| seen.insert([left.as_str(), right].concat()))
		.collect();
	tokens.extend(
		merges
			.iter()
			.map(|(left, right)| [left.as_str(), right].concat()),
	);
	let vocab: HashMap<&str, usize> = tokens
		.iter()
		.enumerate()
		.map(|(id, token)| (token.as_str(), id))
		.collect();
	// Markup has the ids after the others, as the crate gives them.
	let first = vocab.len();
	let markup = ["<s>", "<|end_of_text|>", "<|eot_id|>"];
	let plain = before.is_null();
	let mut steps: Vec<Value> = if plain { Vec::new() } else { vec![before] };
	steps.push(json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": plain }));
	let file = json!({
		"version": "1.0",
		"added_tokens": [added(first, markup[0]), added(first + 1, markup[1]), added(first + 2, markup[2])],
		"normalizer": normalizer,
		"pre_tokenizer": { "type": "Sequence", "pretokenizers": steps },
		"post_processor": { "type": "TemplateProcessing",
			"single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
			"pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
			"special_tokens": { "<s>": { "id": "<s>", "ids": [first], "tokens": ["<s>"] } } },
		"decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
		"model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
			"end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": ignore_merges,
			"vocab": vocab, "merges": merges }
	});
	let config = json!({ "bos_token": "<s>", "eos_token": { "content": "<|end_of_text|>" } });
	let ours =
		Tokenizer::from_huggingface(folder(&file, &config, first + 1).path(), first + 8).unwrap();
	let theirs = tokenizers::Tokenizer::from_bytes(file.to_string()).unwrap();
	// As llama.cpp's converter writes it.
	let mut kinds = vec![1; tokens.len()];
	for token in markup {
		tokens.push(token.to_owned());
		kinds.push(3);
	}
	for id in first + 3..first + 8 {
		tokens.push(format!("[PAD{id}]"));
		kinds.push(5);
	}
	let merges: Vec<String> = merges
		.iter()
		.map(|(left, right)| format!("{left} {right}"))
		.collect();
	let gguf = Metadata::default()
		.text("tokenizer.ggml.model", "gpt2")
		.text("tokenizer.ggml.pre", pre)
		.texts("tokenizer.ggml.tokens", &tokens)
		.ints("tokenizer.ggml.token_type", &kinds)
		.texts("tokenizer.ggml.merges", &merges)
		.int("tokenizer.ggml.bos_token_id", first as u32)
		.int("tokenizer.ggml.eos_token_id", first as u32 + 1)
		.bool("tokenizer.ggml.add_bos_token", true);
	let gguf = Tokenizer::from_gguf(&Gguf::parse(&gguf.bytes()).unwrap()).unwrap();
	Pair {
		ours,
		theirs,
		gguf: Some(gguf),
	}
}

fn split(regex: &str) -> Value {
	json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false })
}

fn sentencepiece() -> Pair {
	let text = format!("\u{2581}{}", SAMPLE.replace(' ', "\u{2581}"));
	let symbols: Vec<String> = text.chars().map(String::from).collect();
	let chars: BTreeSet<String> = symbols.iter().cloned().collect();
	let mut made = Vec::new();
	for (left, right) in train(symbols, 90, "\u{2581}\n\t") {
		let token = [left, right].concat();
		if !made.contains(&token) {
			made.push(token);
		}
	}
	let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
	tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
	let first = tokens.len();
	tokens.extend(made.iter().cloned());
	tokens.extend(chars);
	let vocab: HashMap<&str, usize> = tokens
		.iter()
		.enumerate()
		.map(|(id, token)| (token.as_str(), id))
		.collect();
	// As transformers makes merges of a SentencePiece model: by token, the ways to make it by the ids of the parts.
	let mut merges = Vec::new();
	for token in &made {
		let mut ways: Vec<(&str, &str)> = token
			.char_indices()
			.skip(1)
			.map(|(at, _)| token.split_at(at))
			.filter(|(left, right)| vocab.contains_key(left) && vocab.contains_key(right))
			.collect();
		ways.sort_by_key(|(left, right)| (vocab[left], vocab[right]));
		merges.extend(
			ways.into_iter()
				.map(|(left, right)| format!("{left} {right}")),
		);
	}
	let file = json!({
		"version": "1.0",
		"added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
		"normalizer": { "type": "Sequence", "normalizers": [
			{ "type": "Prepend", "prepend": "\u{2581}" },
			{ "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" }] },
		"pre_tokenizer": null, "post_processor": null, "decoder": null,
		"model": { "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
			"end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": merges }
	});
	let config = json!({ "bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true });
	let ours = Tokenizer::from_huggingface(folder(&file, &config, 2).path(), tokens.len()).unwrap();
	let theirs = tokenizers::Tokenizer::from_bytes(file.to_string()).unwrap();
	let mut kinds = vec![1; tokens.len()];
	kinds[0] = 2;
	kinds[1..3].fill(3);
	kinds[3..first].fill(6);
	let scores: Vec<f32> = (0..tokens.len())
		.map(|id| first as f32 - id.max(first) as f32)
		.collect();
	let gguf = Metadata::default()
		.text("tokenizer.ggml.model", "llama")
		.texts("tokenizer.ggml.tokens", &tokens)
		.ints("tokenizer.ggml.token_type", &kinds)
		.floats("tokenizer.ggml.scores", &scores);
	let gguf = Tokenizer::from_gguf(&Gguf::parse(&gguf.bytes()).unwrap()).unwrap();
	Pair {
		ours,
		theirs,
		gguf: Some(gguf),
	}
}

static PAIRS: LazyLock<Vec<(&str, Pair)>> = LazyLock::new(|| {
	let mut unknown = byte_level("gpt-2", split("[aeiou]"), false, Value::Null);
	unknown.gguf = None;
	vec![
		(
			"llama-bpe",
			byte_level("llama-bpe", split(LLAMA3), true, Value::Null),
		),
		(
			"qwen2",
			byte_level("qwen2", split(QWEN2), false, json!({ "type": "NFC" })),
		),
		(
			"gpt-2",
			byte_level("gpt-2", Value::Null, false, Value::Null),
		),
		("sentencepiece", sentencepiece()),
		("tokenizer.json", unknown),
	]
});

#[test]
fn the_same_vocabulary_should_have_the_same_identity() {
	for (name, pair) in PAIRS.iter() {
		assert_eq!(pair.ours.pre(), *name);
		let ends = pair
			.ours
			.end_tokens()
			.iter()
			.map(|id| pair.ours.token(*id).unwrap());
		let expected: &[&str] = match *name {
			"sentencepiece" => &["</s>"],
			_ => &["<|end_of_text|>", "<|eot_id|>"],
		};
		assert_eq!(ends.collect::<Vec<_>>(), expected, "{name}");
		assert!(pair.ours.adds_bos(), "{name}");
		assert_eq!(pair.ours.token(pair.ours.bos().unwrap()), Some("<s>"));
		if let Some(gguf) = &pair.gguf {
			assert!(pair.ours.canonical() == gguf.canonical(), "{name}");
		}
	}
}

/// A text of pieces that meet the vocabularies' merges and the patterns' corners.
fn texts() -> impl Strategy<Value = String> {
	let piece = prop_oneof![
		Just(" ".to_owned()),
		Just("\n".to_owned()),
		Just("'s".to_owned()),
		Just("<|eot_id|>".to_owned()),
		Just("\u{2581}".to_owned()),
		Just("Über".to_owned()),
		Just("ſ".to_owned()),
		"[a-z' ]{1,6}",
		"[0-9]{1,5}",
		"[ab]{1,9}",
		"[\\s]{1,4}",
		"\\PC{1,3}",
		any::<char>().prop_map(String::from),
	];
	prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
	#[test]
	fn ids_should_be_those_of_the_tokenizers_crate(text in texts()) {
		for (name, pair) in PAIRS.iter() {
			// Text is not composed, see the documentation of the patterns: here it is, first.
			let text = match *name {
				"qwen2" => composed(&text),
				_ => text.clone(),
			};
			let expected = pair.theirs.encode_fast(text.as_str(), false).unwrap();
			let ids = pair.ours.encode(&text, false, true).unwrap();
			prop_assert_eq!(&ids, expected.get_ids(), "{}: {:?}", name, text);
			if let Some(gguf) = &pair.gguf {
				prop_assert_eq!(gguf.encode(&text, false, false), pair.ours.encode(&text, false, false));
			}
		}
	}
}

fn composed(text: &str) -> String {
	use tokenizers::{NormalizedString, Normalizer, normalizers::unicode::NFC};
	let mut normalized = NormalizedString::from(text);
	NFC.normalize(&mut normalized).unwrap();
	normalized.get().to_owned()
}

#[test]
fn rejects_damaged_files() {
	let open = |file: &Value, size| {
		let folder = folder(file, &json!({}), 0);
		Tokenizer::from_huggingface(folder.path(), size)
			.err()
			.unwrap()
			.to_string()
	};
	assert!(
		Tokenizer::from_huggingface(std::path::Path::new("/nowhere"), 9)
			.err()
			.unwrap()
			.to_string()
			.contains("no such file")
	);
	assert!(open(&json!([]), 9).contains("tokenizer.json"));
	assert!(
		open(&json!({ "model": { "type": "WordPiece", "vocab": {} } }), 9).contains("WordPiece")
	);
	let model = json!({ "type": "BPE", "vocab": { "a": 10 }, "merges": [] });
	assert!(open(&json!({ "model": model }), 9).contains("ids up to 11"));
}

#[test]
fn texts_that_take_too_long_should_be_refused_without_a_word_of_damage() {
	// No step of ours: it runs in the tokenizers crate, whose regular expressions try without end.
	let vocab = json!({ "a": 0, "b": 1, "aa": 2 });
	let file = json!({
		"model": { "type": "BPE", "vocab": vocab, "merges": ["a a"] },
		"pre_tokenizer": { "type": "Split", "pattern": { "Regex": "(a+)+$" }, "behavior": "Isolated", "invert": false },
	});
	let folder = folder(&file, &json!({}), 0);
	let tokenizer = Tokenizer::from_huggingface(folder.path(), 3).unwrap();
	assert_eq!(tokenizer.encode("aab", false, false), Ok(vec![2, 1]));
	let long = "a".repeat(40) + "b";
	let error = tokenizer
		.encode(&long, false, false)
		.unwrap_err()
		.to_string();
	assert!(error.contains("shorter"), "{error}");
	assert!(!error.contains("damaged"), "{error}");
	assert_eq!(tokenizer.encode("aab", false, false), Ok(vec![2, 1]));
}

#[test]
fn errors_should_quote_files_in_brief() {
	let long = "x".repeat(100_000);
	let open = |file: &Value, config: &Value| {
		let folder = folder(file, config, 0);
		let error = Tokenizer::from_huggingface(folder.path(), 9).err();
		error.unwrap().to_string()
	};
	for error in [
		open(
			&json!({ "model": { "type": long, "vocab": {} } }),
			&json!({}),
		),
		open(
			&json!({ "model": { "type": "BPE", "vocab": { "a": long }, "merges": [] } }),
			&json!({}),
		),
		open(
			&json!({ "model": { "type": "BPE", "vocab": { "a": 0 }, "merges": [long] } }),
			&json!({}),
		),
	] {
		assert!(error.len() < 1000, "{} bytes: {error:.300}", error.len());
	}
}
