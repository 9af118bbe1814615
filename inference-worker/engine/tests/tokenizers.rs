//! Tokenizers: published vectors, agreement with the `tokenizers` crate, the command line, and hostile input.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod vocab;

use aria_engine::{
	gguf::Gguf,
	tokenizer::{TextDecoder, Tokenizer, TokenizerError},
};
use proptest::prelude::*;
use std::{
	io::Write,
	path::{Path, PathBuf},
	process::{Command, Output, Stdio},
};
use vocab::{Metadata, byte_token};

/// Between the cases of a vector file.
const CASE: &str = "\n__ggml_vocab_test__\n";

/// Vocabularies with vectors: those beside the project, and those of a folder that `ARIA_VOCABS` names.
fn vocabularies() -> Vec<PathBuf> {
	let beside =
		PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/ggml-vocab");
	let named = std::env::var_os("ARIA_VOCABS").map(PathBuf::from);
	let mut files = Vec::new();
	for folder in [Some(beside), named].into_iter().flatten() {
		let Ok(entries) = std::fs::read_dir(&folder) else {
			println!("skipped: {} is absent", folder.display());
			continue;
		};
		let gguf = entries.map(|entry| entry.unwrap().path());
		files.extend(gguf.filter(|path| {
			path.with_extension("gguf.inp").exists() && path.extension().unwrap() == "gguf"
		}));
	}
	files
}

/// Cases of a vector file: text and ids.
fn cases(vocabulary: &Path) -> Vec<(String, Vec<u32>)> {
	let read = |extension| std::fs::read_to_string(vocabulary.with_extension(extension)).unwrap();
	let (texts, ids) = (read("gguf.inp"), read("gguf.out"));
	let ids = ids.lines().map(|line| {
		let ids = line.split_whitespace();
		ids.map(|id| id.parse().unwrap()).collect()
	});
	let texts = texts.split(CASE).map(str::to_owned);
	texts.zip(ids).collect()
}

fn aria(args: &[&str], input: &[u8]) -> Output {
	let mut child = Command::new(env!("CARGO_BIN_EXE_aria-worker"))
		.args(args)
		.stdin(Stdio::piped())
		.stdout(Stdio::piped())
		.stderr(Stdio::piped())
		.spawn()
		.unwrap();
	child.stdin.take().unwrap().write_all(input).unwrap();
	child.wait_with_output().unwrap()
}

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
fn command_line_should_agree_with_published_vectors() {
	for file in vocabularies() {
		let Ok(tokenizer) = Tokenizer::open(&file) else {
			continue;
		};
		let model = file.to_str().unwrap();
		// Every case would start a process for each; the case with everything in it is the longest.
		let mut cases = cases(&file);
		cases.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
		cases.truncate(3);
		cases.extend([
			(String::new(), Vec::new()),
			("\n".into(), tokenizer.encode("\n", false, false).unwrap()),
		]);
		for (text, ids) in cases {
			let out = aria(
				&["tokenize", "--model", model, "--no-bos", "--json"],
				text.as_bytes(),
			);
			assert!(
				out.status.success(),
				"{}",
				String::from_utf8_lossy(&out.stderr)
			);
			assert_eq!(
				serde_json::from_slice::<Vec<u32>>(&out.stdout).unwrap(),
				ids,
				"{text:?}"
			);
			let back = aria(&["detokenize", "--model", model], &out.stdout);
			assert_eq!(String::from_utf8(back.stdout).unwrap(), text);
		}
	}
}

/// A vocabulary without tensors.
fn vocabulary(tokens: &[&str], types: &[i32], merges: &[&str]) -> Metadata {
	let mut all: Vec<String> = (0..=255).map(|byte| byte_token(byte).to_string()).collect();
	all.extend(tokens.iter().map(|token| (*token).to_owned()));
	let mut kinds = vec![1; 256];
	kinds.extend(types);
	Metadata::default()
		.text("tokenizer.ggml.model", "gpt2")
		.text("tokenizer.ggml.pre", "gpt-2")
		.texts("tokenizer.ggml.tokens", &all)
		.ints("tokenizer.ggml.token_type", &kinds)
		.texts("tokenizer.ggml.merges", merges)
}

/// Bytes, two merges, BOS and a token that ends an answer.
fn small() -> Metadata {
	let tokens = ["th", "the", "<s>", "<|eot_id|>"];
	vocabulary(&tokens, &[1, 1, 3, 3], &["t h", "th e"])
		.int("tokenizer.ggml.bos_token_id", 258)
		.bool("tokenizer.ggml.add_bos_token", true)
}

#[test]
fn command_line_should_show_pieces_and_refuse_what_is_no_text() {
	let folder = tempfile::tempdir().unwrap();
	let file = folder.path().join("vocabulary.gguf");
	std::fs::write(&file, small().bytes()).unwrap();
	let model = file.to_str().unwrap();
	let run = |args: &[&str], input: &[u8]| {
		let out = aria(&[&[args[0], "--model", model], &args[1..]].concat(), input);
		let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
		(out.status.success(), text(out.stdout), text(out.stderr))
	};
	assert_eq!(run(&["tokenize", "--json"], b"the").1, "[258,257]\n");
	assert_eq!(
		run(&["tokenize", "--json", "--no-bos"], b"the").1,
		"[257]\n"
	);
	assert_eq!(
		run(
			&["tokenize", "--json", "--no-bos", "--special"],
			b"the<|eot_id|>"
		)
		.1,
		"[257,259]\n"
	);
	assert_eq!(
		run(&["tokenize"], b"the").1,
		"    258  <s>\n    257  \"the\"\n"
	);
	assert_eq!(run(&["detokenize"], b"[258, 257, 259]").1, "the");
	assert_eq!(
		run(&["detokenize", "--special"], b"258 257\n259").1,
		"<s>the<|eot_id|>"
	);
	for (args, input, message) in [
		("tokenize", b"ab\xff".as_slice(), "not UTF-8 at byte 2"),
		("detokenize", b"12 x", "\"x\" is not a token id"),
		("detokenize", b"[1, -2]", "JSON array"),
		("detokenize", b"260", "token 260 is not in the vocabulary"),
	] {
		let (success, _, error) = run(&[args], input);
		assert!(!success && error.contains(message), "{error}");
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
