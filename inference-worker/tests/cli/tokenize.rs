//! `tokenize` and `detokenize`.

use super::{
	feed, program,
	published::{cases, small, vocabularies},
};
use aria_engine::tokenizer::Tokenizer;
use std::process::Output;

fn aria(args: &[&str], input: &[u8]) -> Output {
	let home = tempfile::tempdir().unwrap();
	let mut command = program(home.path());
	command.args(args);
	feed(command, input)
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
