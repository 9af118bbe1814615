//! Published vectors of vocabularies, and a small vocabulary.

use super::vocab::{Metadata, byte_token};
use std::path::{Path, PathBuf};

/// Vectors beside the project; the crates whose tests read them lie at different depths.
const BESIDE: &str = match option_env!("CARGO_BIN_EXE_aria-worker") {
	Some(_) => "../../shared/vectors/ggml-vocab",
	None => "../../../shared/vectors/ggml-vocab",
};
/// Between the cases of a vector file.
const CASE: &str = "\n__ggml_vocab_test__\n";

/// Vocabularies with vectors: those beside the project, and those of a folder that `ARIA_VOCABS` names.
pub(crate) fn vocabularies() -> Vec<PathBuf> {
	let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(BESIDE);
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
pub(crate) fn cases(vocabulary: &Path) -> Vec<(String, Vec<u32>)> {
	let read = |extension| std::fs::read_to_string(vocabulary.with_extension(extension)).unwrap();
	let (texts, ids) = (read("gguf.inp"), read("gguf.out"));
	let ids = ids.lines().map(|line| {
		let ids = line.split_whitespace();
		ids.map(|id| id.parse().unwrap()).collect()
	});
	let texts = texts.split(CASE).map(str::to_owned);
	texts.zip(ids).collect()
}

/// A vocabulary without tensors.
pub(crate) fn vocabulary(tokens: &[&str], types: &[i32], merges: &[&str]) -> Metadata {
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
pub(crate) fn small() -> Metadata {
	let tokens = ["th", "the", "<s>", "<|eot_id|>"];
	vocabulary(&tokens, &[1, 1, 3, 3], &["t h", "th e"])
		.int("tokenizer.ggml.bos_token_id", 258)
		.bool("tokenizer.ggml.add_bos_token", true)
}
