//! What the HTTP API takes of the engine's speed: the same requests on the demonstration model, to the engine's handle
//! and as streams over a socket, in turns; or on a larger one, whose file is named, with shorter answers.
//! `scripts/bench api` runs it.
//!
//! The client runs on the same machine, on a thread of its own: where the engine has a thread for every core, the
//! client's work counts as the API's.

#![expect(
	clippy::unwrap_used,
	clippy::print_stdout,
	reason = "a measurement may panic, and prints"
)]

use aria_engine::{Event, FinishReason, GenerateRequest, Options, model::Model};
use aria_kernels::{Backend, Isa};
use aria_primitives::consent::{ConsentView, Terms};
use aria_worker::{
	api::{About, ApiState, Limits, router, serve},
	chain::{Consent, Standing},
	energy::Meter,
	keys::Keys,
	metrics::Metrics,
	models::{
		Models,
		engine::{Engine, EngineHandle},
	},
	receipts::{journal::Journal, keys::ReceiptKeys},
};
use prometheus::Registry;
use serde_json::json;
use sp_core::{Pair, sr25519};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Instant};
use tokio::{
	io::{AsyncReadExt, AsyncWriteExt},
	net::{TcpListener, TcpStream},
	runtime::{Builder, Runtime},
	task::JoinSet,
};

const NAME: &str = "aria-demo";
/// The context has 256 places.
const PROMPT: usize = 16;
/// Tokens of an answer, and rounds, of the demonstration model and of another one.
const DEMO: Work = (200, 15);
const LARGER: Work = (48, 5);
/// What a chunk with a token has, and no other.
const MARK: &[u8] = b"\"finish_reason\":null";

/// Tokens of an answer, and how often all is measured.
type Work = (usize, usize);

/// When tokens of an answer came, with how many at a time.
type Times = Vec<(Instant, usize)>;

/// Tokens per second of answers together, once all had begun.
fn rate(answers: &[Times]) -> f64 {
	let begun = answers.iter().map(|times| times[0].0).max().unwrap();
	let after = answers.iter().flatten().filter(|(at, _)| *at > begun);
	let last = answers.iter().flatten().map(|(at, _)| *at).max().unwrap();
	let tokens: usize = after.map(|(_, count)| count).sum();
	tokens as f64 / (last - begun).as_secs_f64()
}

/// A prompt that means nothing; another one for each number.
fn prompt(model: &Model, number: u64) -> Vec<u32> {
	let mut state = number + 1;
	let next = |_| {
		// Knuth's MMIX generator.
		state = state
			.wrapping_mul(6_364_136_223_846_793_005)
			.wrapping_add(1_442_695_040_888_963_407);
		((state >> 33) % model.config().vocab as u64) as u32
	};
	(0..PROMPT).map(next).collect()
}

/// The answer straight from the engine.
async fn direct(engine: EngineHandle, prompt: Vec<u32>, tokens: usize) -> (Times, FinishReason) {
	let request = GenerateRequest {
		prompt,
		max_tokens: tokens as u32,
		..Default::default()
	};
	let (mut events, mut times) = (engine.submit(request).unwrap(), Vec::new());
	loop {
		match events.recv().await.unwrap() {
			Event::Token(_) => times.push((Instant::now(), 1)),
			Event::Done(answer) => return (times, answer.finish),
			other => panic!("{other:?}"),
		}
	}
}

/// The answer as a stream.
async fn streamed(address: SocketAddr, prompt: Vec<u32>, tokens: usize) -> Times {
	let body = json!({ "model": NAME, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": true });
	let body = body.to_string();
	let mut socket = TcpStream::connect(address).await.unwrap();
	let head = format!(
		"POST /v1/completions HTTP/1.1\r\nhost: worker\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
		body.len()
	);
	socket.write_all((head + &body).as_bytes()).await.unwrap();
	let (mut times, mut bytes) = (Vec::new(), Vec::new());
	loop {
		let start = bytes.len();
		if socket.read_buf(&mut bytes).await.unwrap() == 0 {
			assert!(bytes.ends_with(b"data: [DONE]\n\n\r\n0\r\n\r\n"));
			return times;
		}
		// A mark may have begun in what was read before.
		let from = start.saturating_sub(MARK.len() - 1);
		let count = bytes[from..]
			.windows(MARK.len())
			.filter(|w| *w == MARK)
			.count();
		if count > 0 {
			times.push((Instant::now(), count));
		}
	}
}

/// All of them together.
async fn together<T: Send + 'static>(
	answers: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
	answers.collect::<JoinSet<_>>().join_all().await
}

/// The API on a socket, as the service has it.
fn start(runtime: &Runtime, backend: &Backend, engine: &EngineHandle, folder: &Path) -> SocketAddr {
	let state = ApiState {
		models: Models::of(NAME, engine.clone()),
		signer: Arc::new(sr25519::Pair::from_string("//Alice", None).unwrap()),
		journal: Journal::open(folder).unwrap(),
		receipt_keys: ReceiptKeys::open(folder).unwrap(),
		consent: Arc::new(Consent::new(Standing::Contract(ConsentView {
			terms: Terms::default(),
			version: 1,
			changed_at: 1,
		}))),
		about: About::of(backend, &Meter::default(), &Options::default()),
		chain: None,
		api_key: None,
		keys: Keys::open(folder.join("keys.json")).unwrap(),
		metrics: Metrics::new(&Registry::new()).unwrap(),
		limits: Limits::default(),
		origins: Vec::new(),
		#[cfg(feature = "fault-injection")]
		alter_token: false,
	};
	let app = router(Arc::new(state));
	runtime.block_on(async {
		let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
		let address = listener.local_addr().unwrap();
		let never = std::future::pending();
		tokio::spawn(serve(listener, app, None, Limits::default(), never));
		address
	})
}

fn median(mut values: Vec<f64>) -> f64 {
	values.sort_by(f64::total_cmp);
	values[values.len() / 2]
}

fn main() {
	// Cargo adds an option of its own.
	let named = std::env::args().skip(1).find(|word| !word.starts_with('-'));
	let (tokens, rounds) = if named.is_some() { LARGER } else { DEMO };
	let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/aria-demo.gguf");
	let path = named.map_or(demo, Into::into);
	let cores = std::thread::available_parallelism().map_or(1, usize::from);
	println!("| threads | streams | engine, tokens/s | API, tokens/s | overhead |");
	println!("|---|---|---|---|---|");
	for threads in [1, cores] {
		let backend = Arc::new(Backend::new(Isa::from_env().unwrap(), threads));
		let model = Arc::new(Model::open(&path, backend.packing()).unwrap());
		let engine = Engine::spawn(
			model.clone(),
			backend.clone(),
			Meter::default(),
			Options::default(),
		)
		.unwrap();
		let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
		let client = Builder::new_current_thread().enable_all().build().unwrap();
		let folder = tempfile::tempdir().unwrap();
		let address = start(&runtime, &backend, &engine, folder.path());
		// Those whose answers do not end before.
		let prompts: Vec<Vec<u32>> = (0..)
			.map(|number| prompt(&model, number))
			.filter(|prompt| {
				let (_, finish) = client.block_on(direct(engine.clone(), prompt.clone(), tokens));
				finish == FinishReason::Length
			})
			.take(16)
			.collect();
		for streams in [1, 16] {
			let (mut bare, mut api, mut overhead) = (Vec::new(), Vec::new(), Vec::new());
			// One stream alone takes less time, and says less.
			let rounds = if streams == 1 { rounds * 3 } else { rounds };
			for round in 0..rounds {
				let own = (0..streams).map(|index| &prompts[(round + index) % prompts.len()]);
				let own: Vec<Vec<u32>> = own.cloned().collect();
				let of_engine = || {
					let ask = |prompt: &Vec<u32>| direct(engine.clone(), prompt.clone(), tokens);
					let asked: Vec<_> = own.iter().map(ask).collect();
					let answers = client.block_on(together(asked.into_iter()));
					let times: Vec<Times> = answers.into_iter().map(|(times, _)| times).collect();
					rate(&times)
				};
				let of_api = || {
					let ask = |prompt: &Vec<u32>| streamed(address, prompt.clone(), tokens);
					let asked: Vec<_> = own.iter().map(ask).collect();
					rate(&client.block_on(together(asked.into_iter())))
				};
				// What a machine can do drifts: each is first as often as the other.
				let (engine, over_http) = if round % 2 == 0 {
					let first = of_engine();
					(first, of_api())
				} else {
					let first = of_api();
					(of_engine(), first)
				};
				bare.push(engine);
				api.push(over_http);
				overhead.push((1.0 - over_http / engine) * 100.0);
			}
			let (bare, api, overhead) = (median(bare), median(api), median(overhead));
			println!("| {threads} | {streams} | {bare:.0} | {api:.0} | {overhead:.1} % |");
		}
	}
}
