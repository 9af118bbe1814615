//! A receipt of the journal, for the operator of the machine.

use super::*;

fn complete(port: u16) -> Value {
	let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
	let body = r#"{"model":"aria-demo","prompt":"Once","max_tokens":3}"#;
	let head = "POST /v1/completions HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n";
	let length = format!("content-length: {}\r\n\r\n", body.len());
	let request = [head, &length, body].concat();
	stream.write_all(request.as_bytes()).unwrap();
	let mut answer = String::new();
	stream.read_to_string(&mut answer).unwrap();
	serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

#[test]
fn operator_should_read_the_journal_beside_the_worker_and_after_it() {
	let home = tempfile::tempdir().unwrap();
	let state = home.path().join("state");
	let state = state.to_str().unwrap();
	let worker = Worker::start(home.path(), &["--state-dir", state]);
	let answer = complete(worker.port);
	let id = answer["aria"]["receipt_id"].as_str().unwrap();
	let show = |id: &str| run(home.path(), &["receipt", id, "--state-dir", state]);
	assert_eq!(json(&show(id)), answer["aria"]["receipt_file"]);
	drop(worker);
	assert_eq!(json(&show(id)), answer["aria"]["receipt_file"]);

	let unknown = show(&"0".repeat(64));
	assert_eq!(unknown.status.code(), Some(2));
	assert!(text(&unknown.stderr).contains("no such receipt"));
	let nowhere = run(home.path(), &["receipt", id, "--state-dir", "nowhere"]);
	assert_eq!(nowhere.status.code(), Some(2));
	assert!(text(&nowhere.stderr).contains("nowhere"));
}
