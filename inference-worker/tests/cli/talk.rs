//! `infer` and `chat`, on a model file and against a running worker.

use super::*;

fn infer(home: &Path, extra: &[&str]) -> Output {
	let mut arguments = vec!["infer", "--max-tokens", "12", "--seed", "3"];
	arguments.extend(extra);
	run(home, &arguments)
}

#[test]
fn infer_should_print_the_answer_and_its_receipt_should_verify() {
	let home = tempfile::tempdir().unwrap();
	let model = model();
	let model = model.to_str().unwrap();
	let plain = infer(
		home.path(),
		&["--raw", "Once upon a time", "--model", model],
	);
	assert!(plain.status.success(), "{}", text(&plain.stderr));
	let answer = json(&infer(
		home.path(),
		&["--raw", "Once upon a time", "--model", model, "--json"],
	));
	assert_eq!(
		format!("{}\n", answer["text"].as_str().unwrap()),
		text(&plain.stdout)
	);
	assert_eq!(answer["usage"]["completion_tokens"], 12);
	assert_eq!(answer["finish_reason"], "length");

	let receipt = home.path().join("receipt.json");
	std::fs::write(&receipt, answer["aria"]["receipt_file"].to_string()).unwrap();
	let receipt = receipt.to_str().unwrap();
	let verdict = json(&run(
		home.path(),
		&["verify", receipt, "--model", model, "--json"],
	));
	assert_eq!(verdict["ok"], true);
	assert_eq!(verdict["tokens"], 12);

	let mut forged = answer["aria"]["receipt_file"].clone();
	let token = forged["output"][0].as_u64().unwrap();
	forged["output"][0] = (token ^ 1).into();
	std::fs::write(receipt, forged.to_string()).unwrap();
	let wrong = run(
		home.path(),
		&["verify", receipt, "--model", model, "--json"],
	);
	assert_eq!(wrong.status.code(), Some(1));
	let verdict: Value = serde_json::from_slice(&wrong.stdout).unwrap();
	assert_eq!(verdict["ok"], false);
	assert!(verdict["failure"].is_string());
}

#[test]
fn infer_should_give_the_same_answer_here_and_from_a_worker() {
	let home = tempfile::tempdir().unwrap();
	let worker = Worker::start(home.path(), &["--api-key", "sk-secret"]);
	let model = model();
	let question = ["A story, please", "--temperature", "0.7", "--json"];
	let here = [&question[..], &["--model", model.to_str().unwrap()]].concat();
	let there = [
		&question[..],
		&["--url", &worker.url, "--api-key", "sk-secret"],
	]
	.concat();
	let (here, there) = (
		json(&infer(home.path(), &here)),
		json(&infer(home.path(), &there)),
	);
	assert_eq!(here["text"], there["text"]);
	assert_eq!(
		here["usage"]["prompt_tokens"],
		there["usage"]["prompt_tokens"]
	);
	assert_eq!(there["usage"]["completion_tokens"], 12);
	let root = |answer: &Value| answer["aria"]["receipt_file"]["receipt"]["trace_root"].clone();
	assert!(root(&here).is_string());
	assert_eq!(root(&here), root(&there));

	let versioned = format!("{}/v1/", worker.url);
	let raw = infer(
		home.path(),
		&[
			"--raw",
			"Once",
			"--url",
			&versioned,
			"--api-key",
			"sk-secret",
		],
	);
	assert!(raw.status.success(), "{}", text(&raw.stderr));
	let refused = infer(
		home.path(),
		&["Hello", "--url", &worker.url, "--api-key", "wrong"],
	);
	assert_eq!(refused.status.code(), Some(2));
	assert!(
		text(&refused.stderr).contains("--api-key"),
		"{}",
		text(&refused.stderr)
	);
}

#[test]
fn infer_should_say_what_to_do_when_it_can_not_answer() {
	let home = tempfile::tempdir().unwrap();
	let cases: [(&[&str], &str); 5] = [
		(&["infer", "Hello"], "--model"),
		(
			&["infer", "Hello", "--model", "no-such-model"],
			"model pull",
		),
		(
			&["infer", "Hello", "--url", "http://127.0.0.1:1"],
			"aria-worker serve",
		),
		(
			&["infer", "Hello", "--url", "127.0.0.1:3000"],
			"http://127.0.0.1:3000",
		),
		(
			&["infer", "Hello", "--model", "x", "--top-p", "2"],
			"between 0 and 1",
		),
	];
	for (arguments, hint) in cases {
		let done = run(home.path(), arguments);
		let said = text(&done.stderr);
		assert_eq!(done.status.code(), Some(2), "{arguments:?}: {said}");
		assert!(said.contains(hint), "{arguments:?}: {said}");
		assert!(!said.contains("panicked"), "{said}");
	}
}

#[test]
fn infer_should_read_the_question_from_standard_input() {
	let home = tempfile::tempdir().unwrap();
	let mut command = program(home.path());
	command
		.args(["infer", "-", "--raw", "--max-tokens", "8", "--model"])
		.arg(model());
	let piped = feed(command, "Once upon a time");
	let given = run(
		home.path(),
		&[
			"infer",
			"Once upon a time",
			"--raw",
			"--max-tokens",
			"8",
			"--model",
			model().to_str().unwrap(),
		],
	);
	assert!(piped.status.success(), "{}", text(&piped.stderr));
	assert_eq!(text(&piped.stdout), text(&given.stdout));
}

#[test]
fn chat_should_take_lines_from_a_pipe() {
	let home = tempfile::tempdir().unwrap();
	let chat = |input: &str| {
		let mut command = program(home.path());
		command
			.args(["chat", "--max-tokens", "8", "--temperature", "0", "--model"])
			.arg(model());
		feed(command, input)
	};
	let done = chat("Hello\n/stats\nAnd then?\n/save talk.json\n/nonsense\n/quit\nnot read\n");
	let said = text(&done.stderr);
	assert!(done.status.success(), "{said}");
	assert!(said.contains("8 tokens"), "{said}");
	assert!(said.contains("no command /nonsense"), "{said}");
	assert!(!said.contains('\u{1b}'), "no colours in a pipe: {said}");
	let saved = std::fs::read(home.path().join("talk.json")).unwrap();
	let saved: Value = serde_json::from_slice(&saved).unwrap();
	let roles: Vec<&str> = saved["messages"]
		.as_array()
		.unwrap()
		.iter()
		.map(|m| m["role"].as_str().unwrap())
		.collect();
	assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
	assert_eq!(saved["receipts"].as_array().unwrap().len(), 2);
	for message in saved["messages"]
		.as_array()
		.unwrap()
		.iter()
		.filter(|m| m["role"] == "assistant")
	{
		assert!(text(&done.stdout).contains(message["content"].as_str().unwrap()));
	}

	// The same question alone gets another answer than after a conversation, and /clear makes it alone.
	let cleared = chat("Hello\n/clear\nAnd then?\n");
	let alone = chat("And then?\n");
	assert!(text(&cleared.stdout).ends_with(text(&alone.stdout)));
	// Nothing is overwritten.
	let again = chat("/save talk.json\n");
	assert!(text(&again.stderr).contains("choose a name that is free"));
}

#[test]
fn api_status_should_tell_whether_a_worker_is_ready() {
	let home = tempfile::tempdir().unwrap();
	let worker = Worker::start(home.path(), &["--api-key", "sk-secret"]);
	let status = |key| {
		run(
			home.path(),
			&[
				"api",
				"status",
				"--url",
				&worker.url,
				"--api-key",
				key,
				"--json",
			],
		)
	};
	let ready = json(&status("sk-secret"));
	assert_eq!(ready["ready"], true);
	assert_eq!(ready["models"][0]["id"], "aria-demo");
	assert_eq!(status("wrong").status.code(), Some(2));
	let nobody = run(
		home.path(),
		&["api", "status", "--url", "http://127.0.0.1:1"],
	);
	assert!(
		text(&nobody.stderr).contains("aria-worker serve"),
		"{}",
		text(&nobody.stderr)
	);
}

#[test]
fn infer_should_wait_for_a_model_that_the_worker_loads() {
	let home = tempfile::tempdir().unwrap();
	let second = format!("second={}", model().display());
	let worker = Worker::start(home.path(), &["--model", &second]);
	let ready = || {
		let status = json(&run(
			home.path(),
			&["api", "status", "--url", &worker.url, "--json"],
		));
		assert_eq!(status["status"], "ok");
		let models = status["models"].as_array().unwrap();
		let ready = models.iter().map(|model| model["ready"] == true);
		ready.collect::<Vec<_>>()
	};
	assert_eq!(ready(), [true, false]);
	let answer = infer(
		home.path(),
		&["--raw", "Once", "--url", &worker.url, "--model", "second"],
	);
	assert!(answer.status.success(), "{}", text(&answer.stderr));
	assert_eq!(ready(), [true, true]);
}

#[test]
fn top_p_of_zero_should_be_the_likeliest_token_everywhere() {
	let home = tempfile::tempdir().unwrap();
	let worker = Worker::start(home.path(), &[]);
	let model = model();
	let model = model.to_str().unwrap();
	let hot = ["--temperature", "1.3", "--top-p", "0"];
	let answer = |extra: &[&str]| {
		let arguments = [&["--raw", "Once upon a time", "--json"], extra].concat();
		json(&infer(home.path(), &arguments))["text"].clone()
	};
	let likeliest = answer(&["--model", model]);
	assert_eq!(answer(&[&hot[..], &["--model", model]].concat()), likeliest);
	assert_eq!(
		answer(&[&hot[..], &["--url", &worker.url]].concat()),
		likeliest
	);
	let asked = [
		"generate",
		"--model",
		model,
		"--prompt",
		"Once upon a time",
		"--max-tokens",
		"12",
		"--json",
	];
	let generated = json(&run(home.path(), &[&asked[..], &hot[..]].concat()));
	assert_eq!(generated["text"], likeliest);
	for (option, value) in [
		("--top-p", "1.5"),
		("--min-p", "nan"),
		("--repetition-penalty", "0"),
	] {
		let done = run(home.path(), &[&asked[..], &[option, value]].concat());
		assert_eq!(done.status.code(), Some(2), "{option} {value}");
		assert!(text(&done.stderr).contains(&format!("{option} must be between")));
	}
}
