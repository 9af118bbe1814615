//! Tokenizers: published vectors, agreement with the `tokenizers` crate, and hostile input.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

#[path = "vocab/published.rs"]
mod published;
mod vocab;

use aria_engine::{
	gguf::Gguf,
	tokenizer::{TextDecoder, Tokenizer, TokenizerError},
};
use proptest::prelude::*;
use published::{cases, small, vocabularies, vocabulary};
use vocab::Metadata;

fn parsed(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
	Tokenizer::from_gguf(&Gguf::parse(bytes).unwrap())
}

#[test]
fn should_agree_with_published_vectors() {
	for file in vocabularies() {
		let tokenizer = match Tokenizer::open(&file) {
			Ok(tokenizer) => tokenizer,
			Err(TokenizerError::Model(model)) => {
				assert!(
					model == "bert" || model == "t5",
					"{}: {model}",
					file.display()
				);
				println!("refused by name: {} is {model}", file.display());
				continue;
			}
			Err(error) => panic!("{}: {error}", file.display()),
		};
		let cases = cases(&file);
		assert!(cases.len() > 40, "{}", file.display());
		for (text, ids) in &cases {
			let name = file.display();
			assert_eq!(
				tokenizer.encode(text, false, false).unwrap(),
				*ids,
				"{name}: {text:?}"
			);
			assert_eq!(tokenizer.detokenize(ids), *text, "{name}");
		}
		println!("{}: {} cases", file.display(), cases.len());
	}
}

#[test]
fn markup_in_text_should_stay_text() {
	let tokenizer = parsed(&small().bytes()).unwrap();
	let encode = |special| tokenizer.encode("the<|eot_id|>", false, special).unwrap();
	assert_eq!(encode(true), [257, 259]);
	assert!(!encode(false).contains(&259));
	assert_eq!(tokenizer.decode(&encode(false)), "the<|eot_id|>");
	assert!(tokenizer.is_end(259) && tokenizer.is_control(258));
}

#[test]
fn sentencepiece_should_never_merge_text_into_markup() {
	let tokens = [
		"<unk>",
		"<s>",
		"</s>",
		"<0x3C>",
		"\u{2581}",
		"s",
		">",
		"<s",
		"\u{2581}s",
		"<",
	];
	let scores = [0.0, 0.0, 0.0, 0.0, -9.0, -9.0, -9.0, -2.0, -1.0, -9.0];
	let file = Metadata::default()
		.text("tokenizer.ggml.model", "llama")
		.texts("tokenizer.ggml.tokens", &tokens)
		.ints("tokenizer.ggml.token_type", &[2, 3, 3, 6, 1, 1, 1, 1, 1, 1])
		.floats("tokenizer.ggml.scores", &scores);
	let tokenizer = parsed(&file.bytes()).unwrap();
	assert_eq!(tokenizer.encode("<s>", true, false).unwrap(), [1, 4, 7, 6]);
	assert_eq!(tokenizer.encode("<s>s", false, true).unwrap(), [1, 8]);
	assert_eq!(tokenizer.detokenize(&[1, 8, 7, 6]), "s<s>");
	assert_eq!(
		tokenizer.encode("é", false, false),
		Err(TokenizerError::Byte(0xC3))
	);
}

#[test]
fn limits_should_be_kept() {
	let tokenizer = parsed(&vocabulary(&["ab"], &[1], &["a b"]).bytes()).unwrap();
	let text = "ab ".repeat(100);
	let all = tokenizer.encode(&text, false, false).unwrap();
	assert_eq!(
		tokenizer.encode_limited(&text, false, false, all.len()),
		Ok(all.clone())
	);
	assert_eq!(
		tokenizer.encode_limited(&text, false, false, all.len() - 1),
		Err(TokenizerError::TooLong {
			limit: all.len() - 1
		})
	);
}

#[test]
fn long_words_should_take_seconds_at_most() {
	let merges = ["a a", "aa aa", "a b"];
	let tokenizer =
		parsed(&vocabulary(&["aa", "aaaa", "ab"], &[1, 1, 1], &merges).bytes()).unwrap();
	for piece in ["a", "ab", " ", "\n", " \n", "é", "1", "\u{301}"] {
		let text = piece.repeat((8 << 20) / piece.len());
		let start = std::time::Instant::now();
		let ids = tokenizer.encode(&text, false, false).unwrap();
		assert_eq!(tokenizer.decode(&ids), text);
		let time = start.elapsed();
		assert!(time.as_secs() < 60, "{piece:?} took {time:?}");
		println!("8 MiB of {piece:?}: {} tokens in {time:?}", ids.len());
	}
}

#[test]
fn rejects_damaged_vocabularies() {
	let error = |file: Metadata| parsed(&file.bytes()).err().unwrap().to_string();
	let named = |model: &str, pre: &str| {
		Metadata::default()
			.text("tokenizer.ggml.model", model)
			.text("tokenizer.ggml.pre", pre)
			.texts("tokenizer.ggml.tokens", &["a", "b"])
	};
	for model in ["bert", "t5", "rwkv", "no_vocab"] {
		assert!(error(named(model, "default")).contains(model));
	}
	let text = error(named("gpt2", "kimi-k2"));
	assert!(text.contains("kimi-k2") && text.contains("qwen2"), "{text}");
	assert!(error(named("gpt2", "qwen2")).contains("merges"));
	assert!(error(named("llama", "default")).contains("scores"));
	for scores in [vec![f32::NAN, 0.0], vec![0.0]] {
		let file = named("llama", "default").floats("tokenizer.ggml.scores", &scores);
		assert!(error(file).contains("one score per token"));
	}
	assert!(error(vocabulary(&["th"], &[1], &["th"])).contains("is not two tokens"));
	assert!(error(vocabulary(&["th"], &[], &[])).contains("256 token types for 257 tokens"));
	assert!(error(vocabulary(&["a"], &[1], &[])).contains("occurs twice"));
	let file = vocabulary(&["th"], &[1], &[]).int("tokenizer.ggml.bos_token_id", 257);
	assert!(error(file).contains("bos_token_id"));
}

proptest! {
	#[test]
	fn pieces_join_to_the_text(text in "\\PC{0,40}", sizes in prop::collection::vec(1usize..4, 200)) {
		let mut decoder = TextDecoder::default();
		let (mut rest, mut out) = (text.as_bytes(), String::new());
		for size in sizes {
			let (piece, tail) = rest.split_at(size.min(rest.len()));
			out += &decoder.push(piece);
			rest = tail;
		}
		out += &decoder.finish();
		prop_assert_eq!(out, text);
	}

	#[test]
	fn byte_level_text_should_come_back(text in any::<String>()) {
		let tokenizer = parsed(&small().bytes()).unwrap();
		let ids = tokenizer.encode(&text, false, false).unwrap();
		prop_assert_eq!(tokenizer.decode(&ids), text);
	}
}
