//! Grammars that would keep a program busy without end, or bring it down.

use super::{run, support::synth, text};
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

/// Seconds of processors that ended processes have taken: this test's and those below them.
fn seconds_taken() -> u64 {
	let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
	// After the name: the state, and 12 more fields before those of waited-for children, in hundredths.
	let fields = stat.rsplit(')').next().unwrap().split_whitespace();
	let taken = fields.skip(13).take(2);
	taken
		.map(|ticks| ticks.parse::<u64>().unwrap())
		.sum::<u64>()
		/ 100
}

#[test]
fn rejects_grammars_that_would_take_all_memory_or_time() {
	let home = tempfile::tempdir().unwrap();
	// Overflows the stack.
	let mut rules = String::from("start: r0\n");
	for rule in 0..3000 {
		writeln!(rules, "r{rule}: r{0} r{0}", rule + 1).unwrap();
	}
	rules.push_str("r3000: \"a\"\n");
	// Each pair of patterns is compared.
	let patterns: Vec<String> = (0..1500)
		.map(|number| format!("\"^{number}x[a-z]{{1,40}}$\":true"))
		.collect();
	let patterns = format!(
		"{{\"type\":\"object\",\"patternProperties\":{{{}}}}}",
		patterns.join(",")
	);
	let before = seconds_taken();
	for (option, grammar) in [("--grammar", &rules), ("--json-schema", &patterns)] {
		let (code, error) = generate(home.path(), option, grammar);
		assert_eq!(code, Some(2), "{option}: {error}");
		assert!(error.contains("make it simpler"), "{option}: {error}");
	}
	// Two seconds each. Not by the clock: the machine does other things as well.
	let taken = seconds_taken() - before;
	assert!(taken < 20, "{taken}");
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
