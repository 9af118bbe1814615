//! The command line, as users and scripts meet it: the built program, its output and its exit codes.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod bench;
mod doctor;
mod grammars;
mod logs;
mod pipes;
#[path = "../../engine/tests/vocab/published.rs"]
mod published;
mod receipt;
mod settings;
#[path = "../../engine/tests/support/mod.rs"]
mod support;
mod talk;
mod templates;
mod tokenize;
#[expect(dead_code, reason = "the engine's own tests use the rest")]
#[path = "../../engine/tests/vocab/mod.rs"]
mod vocab;

use serde_json::Value;
use std::{
	io::{Read, Write},
	net::{TcpListener, TcpStream},
	path::{Path, PathBuf},
	process::{Child, Command, Output, Stdio},
	time::{Duration, Instant},
};

pub(crate) fn model() -> PathBuf {
	Path::new(env!("CARGO_MANIFEST_DIR")).join("models/aria-demo.gguf")
}

/// The program, in an empty environment and home.
pub(crate) fn program(home: &Path) -> Command {
	let mut command = Command::new(env!("CARGO_BIN_EXE_aria-worker"));
	command
		.env_clear()
		.env("HOME", home)
		.current_dir(home)
		.stdin(Stdio::null());
	command
}

pub(crate) fn run(home: &Path, arguments: &[&str]) -> Output {
	program(home).args(arguments).output().unwrap()
}

pub(crate) fn feed(mut command: Command, input: impl AsRef<[u8]>) -> Output {
	let mut child = command
		.stdin(Stdio::piped())
		.stdout(Stdio::piped())
		.stderr(Stdio::piped())
		.spawn()
		.unwrap();
	child
		.stdin
		.take()
		.unwrap()
		.write_all(input.as_ref())
		.unwrap();
	child.wait_with_output().unwrap()
}

/// Seconds of processors that ended processes have taken: this test's and those below them.
pub(crate) fn seconds_taken() -> u64 {
	let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
	// After the name: the state, and 12 more fields before those of waited-for children, in hundredths.
	let fields = stat.rsplit(')').next().unwrap().split_whitespace();
	let taken = fields.skip(13).take(2);
	taken
		.map(|ticks| ticks.parse::<u64>().unwrap())
		.sum::<u64>()
		/ 100
}

pub(crate) fn text(bytes: &[u8]) -> &str {
	std::str::from_utf8(bytes).unwrap()
}

pub(crate) fn json(output: &Output) -> Value {
	assert!(output.status.success(), "{}", text(&output.stderr));
	serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn free_port() -> u16 {
	let probe = TcpListener::bind("127.0.0.1:0").unwrap();
	probe.local_addr().unwrap().port()
}

/// A running worker without a chain.
pub(crate) struct Worker {
	child: Child,
	pub(crate) port: u16,
	pub(crate) url: String,
}

impl Worker {
	pub(crate) fn start(home: &Path, extra: &[&str]) -> Self {
		Self::logging(program(home), extra, Stdio::null())
	}

	/// A worker whose log goes somewhere.
	pub(crate) fn logging(mut program: Command, extra: &[&str], log: impl Into<Stdio>) -> Self {
		let port = free_port();
		let child = program
			.args(["serve", "--offline", "--threads", "1", "--model"])
			.arg(model())
			.args(["--api-port", &port.to_string()])
			.args(extra)
			.stdout(Stdio::null())
			.stderr(log)
			.spawn()
			.unwrap();
		let mut worker = Self {
			child,
			port,
			url: format!("http://127.0.0.1:{port}"),
		};
		let end = Instant::now() + Duration::from_secs(60);
		while !is_ready(port) {
			assert_eq!(
				worker.child.try_wait().unwrap(),
				None,
				"the worker has ended"
			);
			assert!(Instant::now() < end, "the worker does not answer");
			std::thread::sleep(Duration::from_millis(50));
		}
		worker
	}
}

/// Whether a worker answers there, its model in memory.
fn is_ready(port: u16) -> bool {
	let mut answer = String::new();
	let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
		stream.write_all(b"GET /health HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n")?;
		stream.read_to_string(&mut answer)
	});
	asked.is_ok() && answer.starts_with("HTTP/1.1 200")
}

impl Drop for Worker {
	fn drop(&mut self) {
		// It may have ended by itself.
		drop(self.child.kill());
		drop(self.child.wait());
	}
}
