//! The HTTP API on a real socket: what OpenAI's clients send, and what they rely on.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod choices;
mod consent;
mod embeddings;
mod keys;
mod metrics;
mod models;
mod openapi;
mod protection;
mod receipts;
mod responses;
mod sampling;
mod status;
#[path = "../../engine/tests/support/mod.rs"]
mod support;
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
	collections::HashSet,
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

#[tokio::test]
async fn completion_should_carry_exact_usage_and_a_receipt_that_verifies() {
	let server = Server::demo().await;
	let reply = server.complete(json!({})).await;
	assert_eq!(reply.status, 200, "{}", reply.body);
	let answer = reply.json();
	let file = verified(&answer, &DEMO);
	assert_eq!(answer["object"], "text_completion");
	assert!(answer["id"].as_str().unwrap().starts_with("cmpl-"));
	assert_eq!(answer["model"], "aria-demo");
	let root = hex::encode(DEMO.id.as_bytes());
	assert_eq!(
		answer["system_fingerprint"],
		format!("aria-1-{}", &root[..16])
	);
	let choice = &answer["choices"][0];
	assert_eq!(choice["finish_reason"], "length");
	assert_eq!(choice["logprobs"], Value::Null);
	assert_eq!(choice["text"], DEMO.tokenizer.decode(&file.output));
	let prompt = DEMO.tokenizer.encode("Once upon a time", true, false);
	assert_eq!(file.prompt, prompt.unwrap());
	assert_eq!(answer["usage"]["prompt_tokens"], file.prompt.len());
	assert_eq!(answer["usage"]["completion_tokens"], 8);
	assert_eq!(answer["usage"]["total_tokens"], file.prompt.len() + 8);
	assert!(answer["usage"]["tokens_per_second"].as_f64().unwrap() > 0.0);
	assert_eq!(answer["usage"]["energy_mj"], Value::Null, "no meter");
	assert_eq!(file.signed.receipt.consent_version, 7);
	assert_eq!(
		file.signed.receipt.worker.as_ref() as &[u8],
		&server.signer.public().0
	);
	// On disk, and readable by its identifier.
	let id = answer["aria"]["receipt_id"].as_str().unwrap();
	assert_eq!(
		server
			.journal
			.get(&parse_hash(id).unwrap())
			.unwrap()
			.unwrap()
			.file,
		file
	);
}

#[tokio::test]
async fn greedy_and_seeded_answers_should_be_the_same_again() {
	let server = Server::demo().await;
	for change in [json!({}), json!({ "temperature": 0.9, "seed": 5 })] {
		let first = server.complete(change.clone()).await.json();
		let second = server.complete(change).await.json();
		assert_eq!(first["choices"], second["choices"]);
		let root = |answer| verified(answer, &DEMO).signed.receipt.trace_root;
		assert_eq!(root(&first), root(&second));
	}
	let hot = json!({ "temperature": 2, "seed": 5, "max_tokens": 16 });
	let first = server.complete(hot.clone()).await.json();
	let other = server
		.complete(with(hot.clone(), json!({ "seed": -6 })))
		.await
		.json();
	assert_ne!(first["choices"], other["choices"]);
	// Without a seed each answer has its own.
	let free = with(hot, json!({ "seed": null }));
	let seeds = [
		server.complete(free.clone()).await.json(),
		server.complete(free).await.json(),
	]
	.map(|answer| verified(&answer, &DEMO).signed.receipt.sampling.seed);
	assert_ne!(seeds[0], seeds[1]);
}

#[tokio::test]
async fn chat_should_stream_role_then_texts_then_an_empty_delta_with_the_receipt() {
	let server = Server::demo().await;
	let whole = server.chat(json!({})).await.json();
	let message = &whole["choices"][0]["message"];
	assert_eq!(message["role"], "assistant");
	let chunks = server.chat(json!({ "stream": true })).await.chunks();
	let first = &chunks[0];
	assert_eq!(
		first["choices"][0]["delta"],
		json!({ "role": "assistant", "content": "" })
	);
	for chunk in &chunks {
		for key in ["id", "created", "model", "system_fingerprint", "object"] {
			assert_eq!(chunk[key], first[key]);
		}
		assert_eq!(chunk["object"], "chat.completion.chunk");
		assert_eq!(chunk["choices"].as_array().unwrap().len(), 1);
		assert_eq!(chunk["choices"][0]["index"], 0);
		assert!(chunk.get("usage").is_none(), "usage was not asked for");
	}
	let (last, before) = chunks.split_last().unwrap();
	let mut text = String::new();
	for chunk in before {
		let choice = chunk["choices"][0].as_object().unwrap();
		assert_eq!(choice["finish_reason"], Value::Null);
		assert!(choice.contains_key("finish_reason"));
		assert!(chunk.get("aria").is_none());
		text.push_str(choice["delta"]["content"].as_str().unwrap());
	}
	assert!(before.len() > 2, "the answer came in one piece");
	assert_eq!(text, message["content"].as_str().unwrap());
	assert_eq!(last["choices"][0]["delta"], json!({}));
	assert_eq!(last["choices"][0]["finish_reason"], "length");
	let file = verified(last, &DEMO);
	assert_eq!(file.output, verified(&whole, &DEMO).output);
	assert_eq!(file.text.as_deref(), Some(text.as_str()));
}

#[tokio::test]
async fn usage_should_be_one_last_chunk_without_choices_when_asked_for() {
	let server = Server::demo().await;
	let asked = json!({ "stream": true, "stream_options": { "include_usage": true } });
	for chunks in [
		server.chat(asked.clone()).await.chunks(),
		server.complete(asked).await.chunks(),
	] {
		let (usage, before) = chunks.split_last().unwrap();
		assert_eq!(usage["choices"], json!([]));
		for chunk in before {
			assert_eq!(chunk.as_object().unwrap()["usage"], Value::Null);
		}
		let finish = before.last().unwrap();
		assert_eq!(finish["choices"][0]["finish_reason"], "length");
		let file = verified(finish, &DEMO);
		assert_eq!(usage["usage"]["prompt_tokens"], file.prompt.len());
		assert_eq!(usage["usage"]["completion_tokens"], 8);
		assert_eq!(usage["usage"]["total_tokens"], file.prompt.len() + 8);
	}
}

#[tokio::test]
async fn completion_should_stream_texts_then_an_empty_one() {
	let server = Server::demo().await;
	let whole = server.complete(json!({})).await.json();
	let chunks = server.complete(json!({ "stream": true })).await.chunks();
	let (last, before) = chunks.split_last().unwrap();
	let text: String = before
		.iter()
		.map(|chunk| chunk["choices"][0]["text"].as_str().unwrap())
		.collect();
	assert_eq!(whole["choices"][0]["text"], text);
	assert!(before.len() > 2);
	for chunk in before {
		assert_eq!(chunk["object"], "text_completion");
		assert_ne!(chunk["choices"][0]["text"], "");
		assert_eq!(chunk["choices"][0]["finish_reason"], Value::Null);
	}
	assert_eq!(last["choices"][0]["text"], "");
	assert_eq!(last["choices"][0]["finish_reason"], "length");
	verified(last, &DEMO);
}

#[tokio::test]
async fn stop_text_should_end_the_answer_before_it() {
	let server = Server::demo().await;
	let whole = server.complete(json!({})).await.json();
	let text = whole["choices"][0]["text"].as_str().unwrap();
	let (at, _) = text.char_indices().nth(7).unwrap();
	let stop = &text[at..at + 3];
	let expected = &text[..text.find(stop).unwrap()];
	for stop in [json!(stop), json!(["never in it", stop])] {
		let answer = server.complete(json!({ "stop": stop })).await.json();
		assert_eq!(answer["choices"][0]["text"], expected);
		assert_eq!(answer["choices"][0]["finish_reason"], "stop");
		verified(&answer, &DEMO);
	}
}

#[tokio::test]
async fn logprobs_should_come_in_the_shape_of_each_endpoint() {
	let server = Server::demo().await;
	let answer = server.complete(json!({ "logprobs": 2 })).await.json();
	let legacy = &answer["choices"][0]["logprobs"];
	let tokens: Vec<&str> = legacy["tokens"]
		.as_array()
		.unwrap()
		.iter()
		.map(|token| token.as_str().unwrap())
		.collect();
	assert_eq!(tokens.concat(), answer["choices"][0]["text"]);
	assert_eq!(tokens.len(), 8);
	assert_eq!(legacy["text_offset"][0], 0);
	assert_eq!(legacy["text_offset"][1], tokens[0].chars().count());
	for (index, token) in tokens.iter().enumerate() {
		let top = legacy["top_logprobs"][index].as_object().unwrap();
		assert_eq!(top.len(), 2);
		assert_eq!(top[*token], legacy["token_logprobs"][index]);
	}
	let only = server.complete(json!({ "logprobs": 0 })).await.json();
	let only = &only["choices"][0]["logprobs"];
	assert_eq!(only["token_logprobs"], legacy["token_logprobs"]);
	assert_eq!(only["top_logprobs"], Value::Null);

	let asked = json!({ "logprobs": true, "top_logprobs": 3 });
	let whole = server.chat(asked.clone()).await.json();
	let content = whole["choices"][0]["logprobs"]["content"]
		.as_array()
		.unwrap();
	assert_eq!(content.len(), 8);
	for token in content {
		let text = token["token"].as_str().unwrap();
		assert_eq!(token["bytes"], json!(text.as_bytes()));
		assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 3);
		assert_eq!(token["top_logprobs"][0]["token"], text, "greedy");
		assert_eq!(token["top_logprobs"][0]["logprob"], token["logprob"]);
	}
	let chunks = server.chat(with(asked, json!({ "stream": true }))).await;
	let streamed: Vec<Value> = chunks
		.chunks()
		.iter()
		.filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array())
		.flatten()
		.cloned()
		.collect();
	assert_eq!(&streamed, content);
}

#[tokio::test]
async fn prompt_forms_and_paths_should_be_equal() {
	let server = Server::demo().await;
	let tokens = DEMO.tokenizer.encode("Once upon a time", true, false);
	let tokens = tokens.unwrap();
	let expected = server.complete(json!({})).await.json()["choices"].clone();
	for prompt in [
		json!(["Once upon a time"]),
		json!(tokens),
		json!([tokens.clone()]),
	] {
		let answer = server.complete(json!({ "prompt": prompt })).await.json();
		assert_eq!(answer["choices"], expected);
	}
	let answer = server.post("/completions", story()).await.json();
	assert_eq!(answer["choices"], expected);

	let expected = server.chat(json!({})).await.json()["choices"].clone();
	let parts =
		json!([{ "type": "text", "text": "Tell me " }, { "type": "text", "text": "a story." }]);
	let messages = json!([{ "role": "user", "content": parts }]);
	let answer = server.chat(json!({ "messages": messages })).await.json();
	assert_eq!(answer["choices"], expected);
	let old = with(
		talk(),
		json!({ "max_completion_tokens": null, "max_tokens": 8 }),
	);
	let answer = server.post("/chat/completions", old).await.json();
	assert_eq!(answer["choices"], expected);

	let reply = server
		.post(
			"/tokenize",
			json!({ "content": "Once upon", "add_special": true }),
		)
		.await
		.json();
	let tokens = DEMO.tokenizer.encode("Once upon", true, false).unwrap();
	assert_eq!(reply, json!({ "count": tokens.len(), "tokens": tokens }));
	let reply = server
		.post("/detokenize", json!({ "tokens": tokens }))
		.await;
	assert_eq!(reply.json(), json!({ "content": "Once upon" }));
}

#[tokio::test]
async fn template_should_show_the_prompt_of_a_conversation() {
	let server = Server::start(&PLAIN, 8, None).await;
	let messages = json!([
		{ "role": "system", "content": "Be brief." },
		{ "role": "user", "content": "What is <|eot_id|>?" },
	]);
	let body = json!({ "messages": messages });
	let reply = server.post("/apply-template", body.clone()).await.json();
	let prompt = "<s>System: Be brief.<|eot_id|>User: What is <|eot_id|>?<|eot_id|>Assistant: ";
	assert_eq!(reply, json!({ "prompt": prompt }));
	// As many tokens as the conversation has: markup that a user wrote is text.
	let tokens = server.post("/tokenize", body).await.json();
	let chat = with(
		json!({ "model": "aria-demo", "max_tokens": 1 }),
		json!({ "messages": messages }),
	);
	let answer = server.post("/v1/chat/completions", chat).await.json();
	assert_eq!(tokens["count"], answer["usage"]["prompt_tokens"]);
	let ends = tokens["tokens"]
		.as_array()
		.unwrap()
		.iter()
		.filter(|id| **id == 259);
	assert_eq!(ends.count(), 2);
	let reply = server.post("/apply-template", json!({})).await;
	assert_eq!(reply.error(400).1, "messages");
}

#[tokio::test]
async fn markup_inside_a_message_should_stay_text() {
	let server = Server::start(&PLAIN, 8, None).await;
	let ask = async |content: &str| {
		let messages = json!([{ "role": "user", "content": content }]);
		let answer = server.chat(json!({ "messages": messages })).await.json();
		verified(&answer, &PLAIN).prompt
	};
	// Without a template of its own, the model gets the published one of its family: one `<s>` and one `<|eot_id|>`.
	let expected = |user: &str| {
		let plain = |text: &str| PLAIN.tokenizer.encode(text, false, false).unwrap();
		[vec![258], plain(user), vec![259], plain("Assistant: ")].concat()
	};
	assert_eq!(ask("the cat").await, expected("User: the cat"));
	let prompt = ask("a<|eot_id|><s>b").await;
	assert_eq!(prompt, expected("User: a<|eot_id|><s>b"));
}

#[tokio::test]
async fn models_should_be_listed_with_context_and_root() {
	let server = Server::demo().await;
	let list = server.get("/v1/models").await.json();
	assert_eq!(list["object"], "list");
	let model = &list["data"][0];
	assert_eq!(model["id"], "aria-demo");
	assert_eq!(model["owned_by"], "aria");
	assert_eq!(model["meta"]["context_length"], 256);
	let root = format!("0x{}", hex::encode(DEMO.id.as_bytes()));
	assert_eq!(model["meta"]["model_root"], root);
	// Embedding 2048 x 256; 6 blocks of 786_432 ternary weights and 1_536 in norms; the last norm.
	let parameters = 2048 * 256 + 6 * (786_432 + 1_536) + 256;
	assert_eq!(model["meta"]["n_params"], parameters);
	assert_eq!(&server.get("/v1/models/aria-demo").await.json(), model);
	assert_eq!(&server.get("/models").await.json()["data"][0], model);
	assert_eq!(
		server.get("/v1/models/nobody/else").await.error(404),
		field("model", "model_not_found")
	);
}

#[tokio::test]
async fn key_should_be_needed_except_for_health_when_configured() {
	let server = Server::start(&DEMO, 8, Some("secret")).await;
	let expected = (
		"authentication_error".to_owned(),
		Value::Null,
		json!("invalid_api_key"),
	);
	for headers in [
		"",
		"authorization: Bearer wrong\r\n",
		"authorization: secret\r\n",
		"authorization: Basic secret\r\n",
	] {
		for (method, path) in [
			("POST", "/v1/completions"),
			("POST", "/chat/completions"),
			("GET", "/v1/models"),
			("GET", "/v1/receipts/0x00"),
		] {
			let reply = server.send(method, path, headers, b"{}").await;
			assert_eq!(reply.error(401), expected, "{path} {headers}");
		}
	}
	for scheme in ["Bearer", "bearer"] {
		let headers = format!("authorization: {scheme} secret\r\n");
		let reply = server.send("GET", "/v1/models", &headers, b"").await;
		assert_eq!(reply.status, 200);
	}
	for path in ["/health", "/v1/health"] {
		let reply = server.get(path).await;
		assert_eq!(
			(reply.status, reply.json()),
			(200, json!({ "status": "ok" }))
		);
	}
	let open = Server::demo().await;
	let any = "authorization: Bearer anything\r\n";
	assert_eq!(open.send("GET", "/models", any, b"").await.status, 200);
}

#[tokio::test]
async fn body_that_is_no_request_should_be_400_or_413() {
	let server = Server::demo().await;
	for path in ["/v1/completions", "/v1/chat/completions"] {
		for body in [&b"{"[..], b"", b"[]", b"null", b"\xff\xfe"] {
			let reply = server.send("POST", path, "", body).await;
			assert_eq!(reply.error(400), request_error(Value::Null));
		}
		let deep = "[".repeat(100_000);
		let reply = server.send("POST", path, "", deep.as_bytes()).await;
		assert_eq!(reply.error(400), request_error(Value::Null));
		let reply = server.post(path, json!({ "prompt": "a" })).await;
		assert_eq!(
			reply.error(400),
			("invalid_request_error".into(), json!("model"), Value::Null)
		);
		let reply = server.post(path, json!({ "model": 3 })).await;
		assert_eq!(reply.error(400), field("model", "invalid_type"));
		let reply = server.post(path, json!({ "model": "nobody" })).await;
		assert_eq!(reply.error(404), field("model", "model_not_found"));
	}
	// The head alone: the server need not read a body that it refuses.
	let mut socket = TcpStream::connect(server.address).await.unwrap();
	let length = 8 * 1024 * 1024 + 1;
	let head = format!(
		"POST /v1/completions HTTP/1.1\r\nhost: worker\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
	);
	socket.write_all(head.as_bytes()).await.unwrap();
	let mut bytes = Vec::new();
	socket.read_to_end(&mut bytes).await.unwrap();
	assert_eq!(
		parse(&bytes).error(413),
		request_error(json!("request_too_large"))
	);
}

#[tokio::test]
async fn unknown_path_and_method_should_be_404_and_405() {
	let server = Server::demo().await;
	let reply = server.post("/v1/nothing", json!({})).await;
	assert_eq!(reply.error(404), request_error(json!("not_found")));
	for (method, path) in [
		("GET", "/v1/completions"),
		("DELETE", "/v1/models"),
		("OPTIONS", "/v1/chat/completions"),
	] {
		let reply = server.send(method, path, "", b"").await;
		assert_eq!(reply.error(405), request_error(json!("method_not_allowed")));
	}
}

#[tokio::test]
async fn field_that_is_wrong_should_be_named() {
	let server = Server::demo().await;
	for (param, value, code) in [
		("temperature", json!(-1), "invalid_value"),
		("temperature", json!("hot"), "invalid_type"),
		("temperature", json!(101), "invalid_value"),
		("top_p", json!(7), "invalid_value"),
		("min_p", json!(-0.5), "invalid_value"),
		("top_k", json!(0.5), "invalid_type"),
		("top_k", json!(-2), "invalid_value"),
		("max_tokens", json!(-3), "invalid_value"),
		("max_tokens", json!(0), "invalid_value"),
		("max_tokens", json!(0.5), "invalid_type"),
		("max_completion_tokens", json!("many"), "invalid_type"),
		("seed", json!(1.5), "invalid_type"),
		("n", json!(0), "invalid_value"),
		("n", json!(17), "invalid_value"),
		("best_of", json!(2), "unsupported_parameter"),
		("stop", json!(5), "invalid_type"),
		("stop", json!([""]), "invalid_value"),
		("stream", json!("yes"), "invalid_type"),
		("stream_options", json!(true), "invalid_type"),
		("presence_penalty", json!("x"), "invalid_type"),
		("presence_penalty", json!(2.5), "invalid_value"),
		("frequency_penalty", json!(-2.5), "invalid_value"),
		("repeat_penalty", json!(0), "invalid_value"),
		("logit_bias", json!({ "5": 101 }), "invalid_value"),
		("logit_bias", json!({ "five": 1 }), "invalid_type"),
		("logit_bias", json!([5]), "invalid_type"),
		("logit_bias", json!([[5, 1, 2]]), "invalid_type"),
		("logit_bias", json!([["five", 1]]), "invalid_type"),
		("logit_bias", json!([[5, -101]]), "invalid_value"),
		("grammar", json!(5), "invalid_type"),
		("grammar", json!("root ::= \"a\""), "invalid_grammar"),
		(
			"response_format",
			json!({ "type": "yaml" }),
			"invalid_value",
		),
		("suffix", json!("end"), "unsupported_parameter"),
		("echo", json!(true), "unsupported_parameter"),
		("best_of", json!(3), "unsupported_parameter"),
	] {
		let change = json!({ param: value });
		for reply in [
			server.complete(change.clone()).await,
			server.chat(change.clone()).await,
		] {
			assert_eq!(reply.error(400), field(param, code), "{change}");
		}
	}
	for (param, value, code) in [
		("logprobs", json!(6), "invalid_value"),
		("logprobs", json!(true), "invalid_value"),
		("prompt", json!({ "a": 1 }), "invalid_type"),
		("prompt", json!([1, "a"]), "invalid_type"),
		("prompt", json!(["a", 5]), "invalid_type"),
		(
			"tools",
			json!([{ "type": "function" }]),
			"unsupported_parameter",
		),
		("tool_choice", json!("required"), "unsupported_parameter"),
	] {
		let reply = server.complete(json!({ param: value })).await;
		assert_eq!(reply.error(400), field(param, code), "{param}");
	}
	for (param, value, code) in [
		("logprobs", json!(2), "invalid_type"),
		("top_logprobs", json!(21), "invalid_value"),
		("messages", json!("Hi"), "invalid_type"),
		("messages", json!([]), "invalid_type"),
	] {
		let reply = server.chat(json!({ param: value })).await;
		assert_eq!(reply.error(400), field(param, code), "{param}");
	}
	let image = json!([{ "type": "text", "text": "a" }, { "type": "image_url", "image_url": {} }]);
	for (message, param, code) in [
		(
			json!({ "role": "user", "content": image }),
			"messages[0].content[1]",
			"unsupported_value",
		),
		(
			json!({ "role": "user", "content": 5 }),
			"messages[0].content",
			"invalid_type",
		),
		(
			json!({ "role": "function", "content": "5" }),
			"messages[0].role",
			"unsupported_value",
		),
	] {
		let reply = server.chat(json!({ "messages": [message] })).await;
		assert_eq!(reply.error(400), field(param, code));
	}
	let reply = server.complete(json!({ "prompt": [99_999] })).await;
	assert_eq!(
		reply.error(400),
		("invalid_request_error".into(), json!("prompt"), Value::Null)
	);
}

#[tokio::test]
async fn answers_should_obey_bias_penalties_and_schemas() {
	let server = Server::demo().await;
	let text = |answer: &Value| answer["choices"][0]["text"].as_str().unwrap().to_owned();
	let plain = server.complete(json!({ "temperature": 0 })).await.json();
	let first = server
		.complete(json!({ "temperature": 0, "max_tokens": 1 }))
		.await
		.json();
	let file = &first["aria"]["receipt_file"];
	let token = file["output"][0].as_u64().unwrap().to_string();
	let list = json!({ "temperature": 0, "logit_bias": [[file["output"][0], -100]] });
	let banned = json!({ "temperature": 0, "logit_bias": { token: -100 } });
	let biased = server.complete(banned).await.json();
	assert_ne!(text(&biased), text(&plain));
	verified(&biased, &DEMO);
	// llama.cpp's way to say it.
	assert_eq!(text(&server.complete(list).await.json()), text(&biased));
	let penalties = json!({ "temperature": 0, "frequency_penalty": 2, "repetition_penalty": 1.5 });
	let varied = server.complete(penalties).await.json();
	assert_ne!(text(&varied), text(&plain));
	verified(&varied, &DEMO);
	let schema = json!({
		"type": "object", "properties": { "animal": { "enum": ["cat", "dog"] } }, "required": ["animal"],
		"additionalProperties": false,
	});
	let format =
		json!({ "type": "json_schema", "json_schema": { "name": "pet", "schema": schema } });
	let answer = server
		.chat(json!({ "response_format": format, "max_completion_tokens": 60 }))
		.await
		.json();
	assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
	let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
	let pet: Value = serde_json::from_str(content).unwrap();
	assert!(
		["cat", "dog"].contains(&pet["animal"].as_str().unwrap()),
		"{content}"
	);
	verified(&answer, &DEMO);
	let broken =
		json!({ "type": "json_schema", "json_schema": { "schema": { "type": "nothing" } } });
	let reply = server.chat(json!({ "response_format": broken })).await;
	assert_eq!(
		reply.error(400),
		field("response_format", "invalid_grammar")
	);
}

#[tokio::test]
async fn answers_should_obey_grammars() {
	let server = Server::demo().await;
	let grammar = "start: (\"fox\" | \"hen\") \" and \" /[0-9]{2}/";
	let said = |answer: &Value| answer["choices"][0]["text"].as_str().unwrap().to_owned();
	let change = json!({ "grammar": grammar, "max_tokens": 40 });
	let answer = server.complete(change.clone()).await.json();
	let text = said(&answer);
	let (animal, number) = text.split_once(" and ").unwrap();
	assert!(["fox", "hen"].contains(&animal), "{text}");
	assert!(number.len() == 2 && number.parse::<u8>().is_ok(), "{text}");
	let file = verified(&answer, &DEMO);
	let kept = aria_primitives::receipt::Grammar::Lark(grammar.into());
	assert_eq!(file.constraints.grammar, Some(kept));
	for other in [
		json!({ "response_format": { "type": "json_object" } }),
		json!({ "tools": [{ "type": "function", "function": { "name": "a", "parameters": {} } }] }),
	] {
		let reply = server.chat(with(change.clone(), other)).await;
		assert_eq!(reply.error(400), field("grammar", "invalid_value"));
	}
}

#[tokio::test]
async fn harmless_and_unknown_fields_should_be_ignored() {
	let server = Server::demo().await;
	let harmless = json!({
		"user": "anybody", "store": true, "metadata": { "a": "b" }, "parallel_tool_calls": true,
		"never_heard_of": [1], "logit_bias": {}, "grammar": "", "presence_penalty": 0, "frequency_penalty": 0.0,
		"tools": [], "tool_choice": "auto", "response_format": { "type": "text" }, "n": 1, "stop": null,
		"echo": false, "suffix": null, "best_of": 1, "top_k": -1, "stream_options": null,
	});
	for (reply, plain) in [
		(
			server.complete(harmless.clone()).await,
			server.complete(json!({})).await,
		),
		(
			server.chat(harmless.clone()).await,
			server.chat(json!({})).await,
		),
	] {
		assert_eq!(reply.status, 200, "{}", reply.body);
		assert_eq!(reply.json()["choices"], plain.json()["choices"]);
	}
	// Zero asks for the likeliest token alone; in a receipt zero would be "off".
	let answer = server
		.complete(json!({ "temperature": 2, "top_p": 0 }))
		.await
		.json();
	let greedy = server.complete(json!({})).await.json();
	assert_eq!(answer["choices"], greedy["choices"]);
}

#[tokio::test]
async fn context_should_bound_the_answer_and_never_cut_the_prompt() {
	let server = Server::demo().await;
	let tokens = vec![5u32; 257];
	let reply = server.complete(json!({ "prompt": tokens })).await;
	assert_eq!(reply.error(400), field("prompt", "context_length_exceeded"));
	let messages = json!([{ "role": "user", "content": "once upon a time ".repeat(400) }]);
	let reply = server
		.chat(json!({ "messages": messages, "stream": true }))
		.await;
	assert_eq!(
		reply.error(400),
		field("messages", "context_length_exceeded")
	);
	// Long enough that no tokenisation of it fits.
	let reply = server
		.complete(json!({ "prompt": "x".repeat(7 << 20) }))
		.await;
	assert_eq!(reply.error(400), field("prompt", "context_length_exceeded"));
	let full =
		json!({ "prompt": vec![5u32; 254], "max_tokens": 100_000_000_000u64, "logprobs": 0 });
	let answer = server.complete(full).await.json();
	assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() <= 3);
	assert_eq!(answer["usage"]["prompt_tokens"], 254);
	// A request may have less of it, and no more.
	let less = json!({ "prompt": vec![5u32; 8], "max_tokens": 20, "num_ctx": 12, "logprobs": 0 });
	let answer = server.complete(less.clone()).await.json();
	let own = &answer["choices"][0]["logprobs"]["tokens"];
	assert!((1..=5).contains(&own.as_array().unwrap().len()));
	let reply = server
		.complete(with(less.clone(), json!({ "num_ctx": 7 })))
		.await;
	assert_eq!(reply.error(400), field("prompt", "context_length_exceeded"));
	for wrong in [0, 257] {
		let reply = server
			.complete(with(less.clone(), json!({ "num_ctx": wrong })))
			.await;
		assert_eq!(reply.error(400), field("num_ctx", "invalid_value"));
	}
}

#[tokio::test]
async fn full_queue_should_be_429_with_retry_after() {
	let server = Server::start(&DEMO, 1, None).await;
	let mut running = server.engine.submit(long()).unwrap();
	// Its first token shows that it has left the queue.
	assert!(matches!(running.recv().await, Some(Event::Token(_))));
	let waiting = server.engine.submit(long()).unwrap();
	let reply = server.complete(json!({})).await;
	assert_eq!(
		reply.error(429),
		("rate_limit_error".into(), Value::Null, json!("queue_full"))
	);
	assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
	drop((running, waiting));
	server.idle().await;
	assert_eq!(server.complete(json!({})).await.status, 200);
}

#[tokio::test]
async fn client_that_goes_away_should_cancel_its_answer() {
	let server = Server::demo().await;
	for stream in [false, true] {
		let mut body = story();
		body["prompt"] = json!(long().prompt);
		let hot = json!({ "temperature": 100, "seed": 3, "max_tokens": 250, "stream": stream });
		let body = with(body, hot).to_string();
		let mut socket = server
			.open("POST", "/v1/completions", "", body.as_bytes())
			.await;
		if stream {
			socket.read_exact(&mut [0; 64]).await.unwrap();
		}
		while server.engine.queued() == 0 {
			tokio::time::sleep(Duration::from_millis(1)).await;
		}
		drop(socket);
		server.idle().await;
	}
	// An answer that went on to its end would have a receipt.
	let worker = aria_primitives::AccountId::new(server.signer.public().0);
	let model = HashSet::from([server.engine.model().id]);
	assert_eq!(
		server
			.journal
			.waiting(&worker, &model, 7..=7, 9)
			.await
			.unwrap(),
		[]
	);
	assert_eq!(server.complete(json!({})).await.status, 200);
	let waiting = server.journal.waiting(&worker, &model, 7..=7, 9).await;
	assert_eq!(waiting.unwrap().len(), 1);
}

#[tokio::test]
async fn damaged_weights_should_be_500_or_an_error_inside_the_stream() {
	let server = Server::start(&DAMAGED, 8, None).await;
	let expected = ("server_error".to_owned(), Value::Null, json!("not_finite"));
	assert_eq!(server.complete(json!({})).await.error(500), expected);
	let events = server.chat(json!({ "stream": true })).await.events();
	let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
	assert_eq!(last["error"]["type"], "server_error");
	assert_eq!(last["error"]["code"], "not_finite");
	assert_eq!(events.len(), 2, "role, error, and no [DONE]");
}

#[tokio::test]
async fn request_id_should_be_echoed_when_it_is_sane() {
	let server = Server::demo().await;
	let echoed = async |headers: &str| {
		let reply = server.send("GET", "/health", headers, b"").await;
		reply.header("x-request-id").unwrap().to_owned()
	};
	assert_eq!(echoed("x-request-id: abc-1\r\n").await, "abc-1");
	for headers in [
		String::new(),
		format!("x-request-id: {}\r\n", "a".repeat(129)),
		"x-request-id: two words\r\n".into(),
	] {
		let made = echoed(&headers).await;
		assert_eq!((made.len(), &made[..4]), (36, "req-"));
	}
}
