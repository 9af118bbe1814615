//! Readers that go away, and outputs that are full: every command ends quietly, or with an error in words.

use super::*;
use std::{collections::BTreeSet, fs::File, io};

/// A way to run a command.
struct Call {
	words: Vec<String>,
	input: &'static str,
	/// Exit code when its output is read.
	code: i32,
	/// Whether it prints to standard output.
	prints: bool,
}

impl Call {
	/// Its command with everything but the outputs.
	fn command(&self, home: &Path) -> Command {
		let input = home.join("input");
		std::fs::write(&input, self.input).unwrap();
		if self
			.words
			.starts_with(&["api", "key", "new"].map(str::to_owned))
		{
			// A name is given once.
			drop(std::fs::remove_dir_all(home.join("keys")));
		}
		let mut command = program(home);
		command.args(&self.words).stdin(File::open(&input).unwrap());
		command
	}
}

/// The end of a pipe that nobody reads.
fn closed() -> io::PipeWriter {
	let (_, writer) = io::pipe().unwrap();
	writer
}

/// Calls of all commands that end by themselves. Those that need a chain find none, and say so.
fn calls(home: &Path, worker: &Worker) -> Vec<Call> {
	const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
	let model = model();
	let model = model.to_str().unwrap();
	let receipt = home.join("receipt.json");
	let receipt = receipt.to_str().unwrap();
	let written = run(
		home,
		&[
			"generate",
			"--model",
			model,
			"--prompt",
			"Once",
			"--max-tokens",
			"2",
			"--receipt",
			receipt,
		],
	);
	assert!(written.status.success(), "{}", text(&written.stderr));
	let hash = "00".repeat(32);
	let url = worker.url.as_str();
	let call = |words: &str, input, code| {
		let words = words.replace("HASH", &hash).replace("ALICE", ALICE);
		let named = |word: &str| match word {
			"MODEL" => model.to_owned(),
			"RECEIPT" => receipt.to_owned(),
			"URL" => url.to_owned(),
			word => word.to_owned(),
		};
		Call {
			words: words.split(' ').map(named).collect(),
			input,
			code,
			prints: code == 0,
		}
	};
	let quiet = |words: &str, code| Call {
		prints: false,
		..call(words, "", code)
	};
	let chain = "--node-url ws://127.0.0.1:1";
	let mut calls = vec![
		call("chat --model MODEL --max-tokens 3", "Hi\nAgain\n", 0),
		call(
			"infer --raw Once --model MODEL --max-tokens 3 --stats",
			"",
			0,
		),
		call(
			"infer --raw Once --model MODEL --max-tokens 3 --json",
			"",
			0,
		),
		call("infer --raw Once --url URL --max-tokens 3", "", 0),
		call("api status --url URL", "", 0),
		call("api key new alice --state-dir keys", "", 0),
		call("api key list --state-dir keys", "", 0),
		quiet("api key revoke nobody --state-dir keys", 2),
		call("model list --known", "", 0),
		call("model list --known --json", "", 0),
		quiet("model list", 0),
		quiet("model pull nobody/nothing --offline", 2),
		quiet("model rm nothing --yes", 2),
		quiet("model verify nothing", 2),
		quiet("receipt HASH --state-dir nowhere", 2),
		call("verify RECEIPT --model MODEL", "", 0),
		call("verify RECEIPT --model MODEL --json", "", 0),
		call("bench --model MODEL -p 4 -n 2 -r 1 -t 1", "", 0),
		call("generate --model MODEL --prompt Once --max-tokens 3", "", 0),
		call(
			"generate --model MODEL --prompt Once --max-tokens 3 --json",
			"",
			0,
		),
		call("evaluate --model MODEL", "Once upon a time", 0),
		call("embed --model MODEL", "Once upon a time", 0),
		call("inspect MODEL", "", 0),
		call("inspect MODEL --json", "", 0),
		call("tokenize --model MODEL", "Once upon a time", 0),
		call("tokenize --model MODEL --json", "Once upon a time", 0),
		call("detokenize --model MODEL", "[300, 301]", 0),
		call("completions bash", "", 0),
		call("man", "", 0),
		call("help", "", 0),
	];
	for words in [
		"ledger stats",
		"ledger record HASH",
		"ledger worker",
		"ledger model",
		"ledger verify",
		"ledger export",
		"consent show ALICE",
		"consent grant --worker-key //Alice",
		"consent revoke --worker-key //Alice",
		"sobriety",
		"network status",
		"network peers",
	] {
		calls.push(quiet(&format!("{words} {chain}"), 2));
	}
	calls
}

/// All commands without commands below them, as help shows them.
fn leaves(home: &Path, words: &str, all: &mut BTreeSet<String>) {
	let mut arguments: Vec<&str> = words.split_whitespace().collect();
	arguments.push("--help");
	let help = run(home, &arguments);
	let inner: Vec<String> = text(&help.stdout)
		.lines()
		.skip_while(|line| *line != "Commands:")
		.skip(1)
		.take_while(|line| !line.is_empty())
		.filter(|line| line.starts_with("  ") && !line.starts_with("   "))
		.map(|line| line.split_whitespace().next().unwrap().to_owned())
		.filter(|name| name != "help")
		.collect();
	if inner.is_empty() {
		all.insert(words.trim().to_owned());
	}
	for name in inner {
		leaves(home, &format!("{words} {name}"), all);
	}
}

#[test]
fn commands_should_end_quietly_when_nobody_reads() {
	let home = tempfile::tempdir().unwrap();
	let home = home.path();
	let worker = Worker::start(home, &[]);
	let calls = calls(home, &worker);
	for call in &calls {
		let shown = call.words.join(" ");
		let read = call.command(home).output().unwrap();
		assert_eq!(
			read.status.code(),
			Some(call.code),
			"{shown}: {}",
			text(&read.stderr)
		);
		assert_eq!(!read.stdout.is_empty(), call.prints, "{shown}");

		let mut command = call.command(home);
		let half = command
			.stdout(closed())
			.stderr(Stdio::piped())
			.output()
			.unwrap();
		assert_eq!(half.status.code(), Some(call.code), "{shown}");
		assert!(
			!text(&half.stderr).contains("panicked"),
			"{shown}: {}",
			text(&half.stderr)
		);
		if call.code == 0 {
			assert!(
				!text(&half.stderr).contains("error"),
				"{shown}: {}",
				text(&half.stderr)
			);
		}

		let mut command = call.command(home);
		let status = command.stdout(closed()).stderr(closed()).status().unwrap();
		assert_eq!(status.code(), Some(call.code), "{shown}, neither is read");
	}
	// Services end when they are told to; doctor's exit code is this machine's affair.
	let services = ["worker", "api start", "doctor"];
	let mut all = BTreeSet::new();
	leaves(home, "", &mut all);
	for words in all
		.iter()
		.filter(|words| !services.contains(&words.as_str()))
	{
		let tried =
			|call: &Call| format!("{} ", call.words.join(" ")).starts_with(&format!("{words} "));
		assert!(
			calls.iter().any(tried),
			"{words} is not tried with a closed pipe"
		);
	}
}

#[test]
fn doctor_should_end_quietly_when_nobody_reads() {
	let home = tempfile::tempdir().unwrap();
	for arguments in [&["doctor", "--quick"][..], &["doctor", "--quick", "--json"]] {
		let mut command = program(home.path());
		let done = command.args(arguments).stdout(closed()).output().unwrap();
		assert!(
			matches!(done.status.code(), Some(0 | 1)),
			"{}",
			text(&done.stderr)
		);
		assert_eq!(text(&done.stderr), "");
	}
}

#[test]
fn finding_should_be_the_exit_code_even_if_nobody_reads_it() {
	let home = tempfile::tempdir().unwrap();
	let home = home.path();
	let model = model();
	let model = model.to_str().unwrap();
	let asked = run(
		home,
		&[
			"infer",
			"--raw",
			"Once",
			"--model",
			model,
			"--max-tokens",
			"3",
			"--json",
		],
	);
	let mut receipt = json(&asked)["aria"]["receipt_file"].clone();
	receipt["output"][0] = (receipt["output"][0].as_u64().unwrap() ^ 1).into();
	let file = home.join("receipt.json");
	std::fs::write(&file, receipt.to_string()).unwrap();
	let mut command = program(home);
	let status = command
		.args(["verify", file.to_str().unwrap(), "--model", model])
		.stdout(closed())
		.status();
	assert_eq!(status.unwrap().code(), Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn full_output_should_be_an_error_in_words() {
	let home = tempfile::tempdir().unwrap();
	let home = home.path();
	let model = model();
	let model = model.to_str().unwrap();
	for arguments in [
		&["model", "list", "--known"][..],
		&[
			"infer",
			"--raw",
			"Once",
			"--model",
			model,
			"--max-tokens",
			"3",
		],
		&[
			"generate",
			"--prompt",
			"Once",
			"--model",
			model,
			"--max-tokens",
			"3",
		],
		&["completions", "bash"],
		&["man"],
	] {
		let full = File::options().write(true).open("/dev/full").unwrap();
		let mut command = program(home);
		let done = command.args(arguments).stdout(full).output().unwrap();
		assert_eq!(done.status.code(), Some(2), "{arguments:?}");
		let said = text(&done.stderr);
		assert!(said.contains("standard output"), "{arguments:?}: {said}");
		assert!(!said.contains("panicked"), "{arguments:?}: {said}");
	}
}

#[test]
fn service_should_outlive_the_reader_of_its_log() {
	let home = tempfile::tempdir().unwrap();
	let mut program = program(home.path());
	program.env("RUST_LOG", "debug");
	let worker = Worker::logging(program, &[], closed());
	let question = [
		"infer",
		"--raw",
		"Once",
		"--max-tokens",
		"3",
		"--url",
		&worker.url,
	];
	let answer = run(home.path(), &question);
	assert!(answer.status.success(), "{}", text(&answer.stderr));
}
