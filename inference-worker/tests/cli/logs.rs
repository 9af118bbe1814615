//! What a worker writes to its log, and what it never does.

use super::*;
use std::fs::File;

/// In every prompt that is sent here, and in no log.
const SECRET: &str = "xylophone";

/// The status of a request with this body.
fn post(worker: &Worker, path: &str, body: &str) -> u16 {
	let mut stream = TcpStream::connect(("127.0.0.1", worker.port)).unwrap();
	let head = format!(
		"POST {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\nx-request-id: watched-1\r\nauthorization: Bearer {SECRET}\r\ncontent-length: {}\r\n\r\n",
		body.len()
	);
	stream.write_all(head.as_bytes()).unwrap();
	stream.write_all(body.as_bytes()).unwrap();
	let mut answer = String::new();
	stream.read_to_string(&mut answer).unwrap();
	answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn prompts_and_answers_should_be_in_no_log() {
	let home = tempfile::tempdir().unwrap();
	let log = home.path().join("log");
	let mut program = program(home.path());
	program.env("RUST_LOG", "trace");
	let worker = Worker::logging(program, &[], File::create(&log).unwrap());
	let model = "aria-demo";
	let messages = serde_json::json!([{ "role": "user", "content": SECRET }]);
	let body = |fields: Value| {
		let mut body = serde_json::json!({ "model": model, "max_tokens": 4, "seed": 1 });
		for (key, value) in fields.as_object().unwrap() {
			body[key] = value.clone();
		}
		body.to_string()
	};
	let named = |name: &str| serde_json::json!({ "prompt": SECRET, "model": name });
	let prompt = serde_json::json!({ "prompt": SECRET });
	let chat = serde_json::json!({ "messages": messages, "stream": true });
	let schema = serde_json::json!({ "type": "json_schema", "json_schema": {
		"schema": { "type": "object", "properties": { SECRET: { "type": "string" } } }
	} });
	let typed = serde_json::json!({ "messages": messages, "response_format": schema });
	let stop = serde_json::json!({ "prompt": "Once", "stop": SECRET, "user": SECRET });
	for (path, body, status) in [
		("/v1/completions", body(prompt.clone()), 200),
		("/v1/completions", body(stop), 200),
		("/v1/completions", body(named(SECRET)), 404),
		("/v1/completions", format!("{{{SECRET}"), 400),
		("/v1/chat/completions", body(chat), 200),
		("/v1/chat/completions", body(typed), 200),
		(
			"/v1/embeddings",
			body(serde_json::json!({ "input": SECRET })),
			400,
		),
		("/tokenize", body(prompt.clone()), 200),
		(
			"/apply-template",
			body(serde_json::json!({ "messages": messages })),
			200,
		),
		(&format!("/v1/{SECRET}?q={SECRET}"), body(prompt), 404),
	] {
		assert_eq!(post(&worker, path, &body), status, "{path} {body}");
	}
	drop(worker);
	let log = std::fs::read_to_string(log).unwrap();
	assert!(log.contains("watched-1"), "the log shows requests: {log}");
	let found: Vec<&str> = log.lines().filter(|line| line.contains(SECRET)).collect();
	assert!(found.is_empty(), "{found:#?}");
}

/// What a worker writes to its log until it is ready.
fn log_of(variables: &[(&str, &str)]) -> String {
	let home = tempfile::tempdir().unwrap();
	let log = home.path().join("log");
	let mut program = program(home.path());
	program.envs(variables.iter().copied());
	drop(Worker::logging(program, &[], File::create(&log).unwrap()));
	std::fs::read_to_string(log).unwrap()
}

#[test]
fn log_files_should_have_colours_only_if_they_are_asked_for() {
	let plain = log_of(&[]);
	assert!(plain.contains("API on"), "{plain}");
	assert!(!plain.contains('\u{1b}'), "{plain:?}");
	assert!(log_of(&[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
	let refused = log_of(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
	assert!(!refused.contains('\u{1b}'), "{refused:?}");
}
