//! Grammars that would keep a program busy without end, or bring it down.

use super::{run, seconds_taken, support::synth, text};
use std::{fmt::Write, path::Path};

/// What `generate` makes of a grammar: its exit code, and what it complains about.
fn generate(home: &Path, option: &str, grammar: &str) -> (Option<i32>, String) {
	let model = home.join("model.gguf");
	std::fs::write(&model, synth::model(1).bytes()).unwrap();
	let file = home.join("grammar");
	std::fs::write(&file, grammar).unwrap();
	let (model, file) = (model.to_str().unwrap(), file.to_str().unwrap());
	let output = run(
		home,
		&[
			"generate",
			"--model",
			model,
			"--prompt",
			"a",
			"--max-tokens",
			"4",
			option,
			file,
		],
	);
	(output.status.code(), text(&output.stderr).to_owned())
}

#[test]
fn rejects_grammars_that_would_take_all_memory_or_time() {
	let home = tempfile::tempdir().unwrap();
	// Each pair of patterns is compared.
	let patterns: Vec<String> = (0..1500)
		.map(|number| format!("\"^{number}x[a-z]{{1,40}}$\":true"))
		.collect();
	let patterns = format!(
		"{{\"type\":\"object\",\"patternProperties\":{{{}}}}}",
		patterns.join(",")
	);
	let before = seconds_taken();
	let (code, error) = generate(home.path(), "--json-schema", &patterns);
	assert_eq!(code, Some(2), "{error}");
	assert!(error.contains("make it simpler"), "{error}");
	// Two seconds. Not by the clock: the machine does other things as well.
	let taken = seconds_taken() - before;
	assert!(taken < 10, "{taken}");
}

#[test]
fn rejects_grammars_that_no_stack_holds() {
	let home = tempfile::tempdir().unwrap();
	let letter = |number: usize| char::from(b'a' + (number % 26) as u8);
	let name = |rule: usize| String::from_iter([rule / 676, rule / 26, rule].map(letter));
	// As long a chain as a grammar may be.
	let mut rules = String::from("start: aaa\n");
	for rule in 0..7800 {
		writeln!(rules, "{}:{}", name(rule), name(rule + 1)).unwrap();
	}
	writeln!(rules, "{}:\"a\"", name(7800)).unwrap();
	let (code, error) = generate(home.path(), "--grammar", &rules);
	// It may mean something, on a stack that suffices.
	assert!(matches!(code, Some(0 | 2)), "{code:?}: {error}");
	assert!(!error.contains("overflow"), "{error}");
}

#[test]
fn grammars_should_compile_in_a_process_of_their_own() {
	let home = tempfile::tempdir().unwrap();
	let (code, error) = generate(home.path(), "--grammar", "start: \"b\" | \"c\"");
	assert_eq!(code, Some(0), "{error}");
	let (code, error) = generate(home.path(), "--grammar", "begin: \"b\"");
	assert_eq!(code, Some(2));
	assert!(error.contains("start"), "{error}");
	let (code, error) = generate(
		home.path(),
		"--json-schema",
		r#"{"const":9007199254740993}"#,
	);
	assert_eq!(code, Some(2));
	assert!(
		error.contains("const has the number 9007199254740993"),
		"{error}"
	);
}
