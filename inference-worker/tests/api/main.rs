//! The HTTP API on a real socket: what OpenAI's clients send, and what they rely on.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod answers;
mod choices;
mod consent;
mod constraints;
mod embeddings;
mod faults;
mod fields;
mod grammars;
mod keys;
mod metrics;
mod models;
mod openapi;
mod prompts;
mod protection;
mod receipts;
mod responses;
mod sampling;
mod status;
#[path = "../../engine/tests/support/mod.rs"]
mod support;
mod templates;
mod tls;
mod tools;

use aria_engine::{Event, GenerateRequest, Options, model::Model};
use aria_kernels::{Backend, Isa, Packing};
use aria_primitives::consent::{ConsentView, Terms};
use aria_worker::{
	api::{About, ApiState, Limits, Origin, router, serve},
	chain::{Consent, Standing, link::ChainLink},
	energy::Meter,
	keys::{FILE_NAME as KEYS, KeyFile, Keys},
	metrics::Metrics,
	models::{
		Models,
		engine::{Engine, EngineHandle},
	},
	receipts::{check::verify_receipt, file::ReceiptFile, journal::Journal, keys::ReceiptKeys},
	text::parse_hash,
};
use prometheus::Registry;
use serde_json::{Value, json};
use sp_core::{Pair, sr25519};
use std::{
	net::SocketAddr,
	path::Path,
	sync::{Arc, LazyLock},
	time::Duration,
};
use tokio::{
	io::{AsyncReadExt, AsyncWriteExt},
	net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

static DEMO: LazyLock<Arc<Model>> = LazyLock::new(|| {
	let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/aria-demo.gguf");
	Arc::new(Model::open(&path, Packing::Dense).unwrap())
});

/// A BitNet model without a chat template, with `<s>` (258) and `<|eot_id|>` (259) as markup.
static PLAIN: LazyLock<Arc<Model>> = LazyLock::new(|| {
	Arc::new(Model::from_bytes(&support::synth::model(1).bytes(), "s", Packing::Dense).unwrap())
});

/// A model whose last norm is so large that its logits are infinite.
static DAMAGED: LazyLock<Arc<Model>> = LazyLock::new(|| {
	let mut bytes = support::synth::model(1).bytes();
	let norm = bytes.len() - 128 * 4;
	for weight in bytes[norm..].chunks_exact_mut(4) {
		weight.copy_from_slice(&3e38f32.to_le_bytes());
	}
	Arc::new(Model::from_bytes(&bytes, "damaged", Packing::Dense).unwrap())
});

/// Nothing is measured.
fn meter(watts: Option<f64>) -> Meter {
	Meter::new(Path::new("/nowhere"), watts)
}

fn backend() -> Backend {
	Backend::new(Isa::detect(), 1)
}

/// A worker's API on a free port.
struct Server {
	address: SocketAddr,
	engine: EngineHandle,
	journal: Journal,
	signer: Arc<sr25519::Pair>,
	consent: Arc<Consent>,
	_state_dir: tempfile::TempDir,
}

/// What a worker's API allows.
#[derive(Default)]
struct Guard<'a> {
	api_key: Option<&'a str>,
	limits: Limits,
	origins: Vec<Origin>,
	tls: Option<TlsAcceptor>,
	/// Declared power.
	watts: Option<f64>,
	/// What is known of the owner's consent; a contract of the default terms if not given.
	consent: Option<Standing>,
}

/// A contract in force, version 7.
fn contract(terms: Terms) -> Standing {
	Standing::Contract(ConsentView {
		terms,
		version: 7,
		changed_at: 1,
	})
}

struct Reply {
	status: u16,
	headers: Vec<(String, String)>,
	body: String,
}

impl Reply {
	fn json(&self) -> Value {
		serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
	}

	fn header(&self, name: &str) -> Option<&str> {
		let found = self.headers.iter().find(|(key, _)| key == name)?;
		Some(&found.1)
	}

	/// Data of the stream's events; the last one must be `[DONE]` and is left out.
	fn chunks(&self) -> Vec<Value> {
		let mut data = self.events();
		assert_eq!(data.pop().as_deref(), Some("[DONE]"));
		let parse = |text: &String| serde_json::from_str(text).unwrap();
		data.iter().map(parse).collect()
	}

	fn events(&self) -> Vec<String> {
		assert_eq!(self.status, 200, "{}", self.body);
		assert_eq!(self.header("content-type"), Some("text/event-stream"));
		let events = self.body.split("\n\n").filter(|event| !event.is_empty());
		events
			.map(|event| event.strip_prefix("data: ").unwrap().to_owned())
			.collect()
	}

	/// Asserts an error's status and shape; its type, field and code.
	fn error(&self, status: u16) -> (String, Value, Value) {
		assert_eq!(self.status, status, "{}", self.body);
		let body = self.json();
		let error = body["error"].as_object().unwrap();
		let mut keys: Vec<_> = error.keys().map(String::as_str).collect();
		keys.sort_unstable();
		assert_eq!(keys, ["code", "message", "param", "type"]);
		assert!(!error["message"].as_str().unwrap().is_empty());
		let kind = error["type"].as_str().unwrap().to_owned();
		(kind, error["param"].clone(), error["code"].clone())
	}
}

fn parse(bytes: &[u8]) -> Reply {
	let text = String::from_utf8(bytes.to_vec()).unwrap();
	let (head, mut rest) = text.split_once("\r\n\r\n").unwrap();
	let mut lines = head.lines();
	let status = lines.next().unwrap().split(' ').nth(1).unwrap();
	let headers: Vec<(String, String)> = lines
		.map(|line| line.split_once(": ").unwrap())
		.map(|(key, value)| (key.to_lowercase(), value.to_owned()))
		.collect();
	let chunked = headers.iter().any(|(key, _)| key == "transfer-encoding");
	let mut body = String::new();
	if chunked {
		while let Some((size, tail)) = rest.split_once("\r\n") {
			let size = usize::from_str_radix(size, 16).unwrap();
			body.push_str(&tail[..size]);
			rest = &tail[size + 2..];
		}
	} else {
		body.push_str(rest);
	}
	Reply {
		status: status.parse().unwrap(),
		headers,
		body,
	}
}

impl Server {
	/// An engine that may have a declared power.
	fn engine(
		model: &Arc<Model>,
		queue: usize,
		watts: Option<f64>,
		metrics: &Metrics,
	) -> EngineHandle {
		let options = Options {
			parallel: 1,
			queue,
			..Options::default()
		};
		let passes = Some(metrics.passes());
		Engine::spawn_counted(model.clone(), backend(), meter(watts), options, passes).unwrap()
	}

	async fn start(model: &Arc<Model>, queue: usize, api_key: Option<&str>) -> Self {
		let guard = Guard {
			api_key,
			..Guard::default()
		};
		Self::guarded(model, queue, guard).await
	}

	async fn guarded(model: &Arc<Model>, queue: usize, guard: Guard<'_>) -> Self {
		let metrics = Metrics::new(&Registry::new()).unwrap();
		let engine = Self::engine(model, queue, guard.watts, &metrics);
		let models = Models::of("aria-demo", engine.clone());
		Self::of(models, engine, metrics, guard).await
	}

	async fn options(&self, headers: &str) -> Reply {
		self.send("OPTIONS", "/v1/completions", headers, b"").await
	}

	/// A worker with these models; `engine` is of the one that tests watch.
	async fn of(models: Models, engine: EngineHandle, metrics: Metrics, guard: Guard<'_>) -> Self {
		let about = About::of(&backend(), &meter(guard.watts), &Options::default());
		let state_dir = tempfile::tempdir().unwrap();
		let journal = Journal::open(state_dir.path()).unwrap();
		let signer = Arc::new(sr25519::Pair::from_string("//Alice", None).unwrap());
		let standing = guard.consent.unwrap_or_else(|| contract(Terms::default()));
		let consent = Arc::new(Consent::new(standing));
		let app = router(Arc::new(ApiState {
			models,
			signer: signer.clone(),
			journal: journal.clone(),
			receipt_keys: ReceiptKeys::open(state_dir.path()).unwrap(),
			consent: consent.clone(),
			about,
			chain: Some(Arc::new(ChainLink::default())),
			api_key: guard.api_key.map(str::to_owned),
			keys: Keys::open(state_dir.path().join(KEYS)).unwrap(),
			metrics,
			limits: guard.limits,
			origins: guard.origins,
			#[cfg(feature = "fault-injection")]
			alter_token: false,
		}));
		let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
		let address = listener.local_addr().unwrap();
		let (tls, limits, never) = (guard.tls, guard.limits, std::future::pending());
		tokio::spawn(serve(listener, app, tls, limits, never));
		Self {
			address,
			engine,
			journal,
			signer,
			consent,
			_state_dir: state_dir,
		}
	}

	async fn demo() -> Self {
		Self::start(&DEMO, 8, None).await
	}

	async fn open(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> TcpStream {
		let mut socket = TcpStream::connect(self.address).await.unwrap();
		let head = format!(
			"{method} {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
			body.len()
		);
		socket.write_all(head.as_bytes()).await.unwrap();
		// A server that refuses a long body may close before it has all.
		drop(socket.write_all(body).await);
		socket
	}

	async fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
		let mut socket = self.open(method, path, headers, body).await;
		let mut bytes = Vec::new();
		drop(socket.read_to_end(&mut bytes).await);
		parse(&bytes)
	}

	async fn get(&self, path: &str) -> Reply {
		self.send("GET", path, "", b"").await
	}

	async fn post(&self, path: &str, body: Value) -> Reply {
		self.send("POST", path, "", body.to_string().as_bytes())
			.await
	}

	async fn complete(&self, change: Value) -> Reply {
		self.post("/v1/completions", with(story(), change)).await
	}

	async fn chat(&self, change: Value) -> Reply {
		self.post("/v1/chat/completions", with(talk(), change))
			.await
	}

	/// Waits until the engine has nothing to do.
	async fn idle(&self) {
		while self.engine.queued() > 0 {
			tokio::time::sleep(Duration::from_millis(2)).await;
		}
	}
}

fn with(mut request: Value, change: Value) -> Value {
	for (key, value) in change.as_object().unwrap() {
		request[key] = value.clone();
	}
	request
}

fn story() -> Value {
	json!({ "model": "aria-demo", "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0 })
}

fn talk() -> Value {
	json!({
		"model": "aria-demo",
		"messages": [{ "role": "user", "content": "Tell me a story." }],
		"max_completion_tokens": 8,
		"temperature": 0,
	})
}

/// A prompt whose answer fills the context: long enough to be interrupted.
fn long() -> GenerateRequest {
	GenerateRequest {
		prompt: DEMO.tokenizer.encode("Once", true, false).unwrap(),
		max_tokens: 250,
		sampling: aria_primitives::receipt::Sampling {
			// So hot that the one token that ends an answer has the chance of any other.
			temperature_micro: 100_000_000,
			seed: 3,
			..Default::default()
		},
		..Default::default()
	}
}

/// The receipt of an answer, re-executed.
fn verified(answer: &Value, model: &Model) -> ReceiptFile {
	let file = ReceiptFile::from_json(&answer["aria"]["receipt_file"].to_string()).unwrap();
	let id = parse_hash(answer["aria"]["receipt_id"].as_str().unwrap()).unwrap();
	assert_eq!(file.signed.leaf(), id);
	verify_receipt(model, &backend(), &file, &|| false).unwrap();
	file
}

fn field(param: &str, code: &str) -> (String, Value, Value) {
	("invalid_request_error".into(), json!(param), json!(code))
}

fn request_error(code: Value) -> (String, Value, Value) {
	("invalid_request_error".into(), Value::Null, code)
}
