//! The JSON-RPC methods of a node with a worker, without a chain.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use aria_worker::{
	receipts::file::ReceiptFile,
	rpc::{
		AriaRpcServer, Code, Page, PendingBatch, Proof, Receipt, ReceiptState, Rpc, State, Status,
	},
	service::{self, ApiArgs, Handle, ServiceArgs},
};
use jsonrpsee::{
	Extensions, MethodsError, RpcModule,
	core::{EmptyServerParams, traits::ToRpcParams},
	rpc_params,
	types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE},
};
use prometheus::Registry;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
	path::{Path, PathBuf},
	time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

type Module = RpcModule<Rpc>;

const DENIED: i32 = -32601;

fn module(worker: Option<&Handle>) -> Module {
	Rpc::new(worker.cloned(), |_| Ok(())).into_rpc()
}

/// As the node has it for strangers.
fn from_outside(worker: Option<&Handle>) -> Module {
	fn deny(_: &Extensions) -> Result<(), ErrorObjectOwned> {
		Err(ErrorObjectOwned::owned(DENIED, "denied", None::<()>))
	}
	Rpc::new(worker.cloned(), deny).into_rpc()
}

async fn call<T: DeserializeOwned + Clone>(
	module: &Module,
	method: &str,
	params: impl ToRpcParams,
) -> Result<T, ErrorObjectOwned> {
	match module.call(method, params).await {
		Ok(result) => Ok(result),
		Err(MethodsError::JsonRpc(error)) => Err(error),
		Err(other) => panic!("{method}: {other}"),
	}
}

async fn refusal(module: &Module, method: &str, params: impl ToRpcParams) -> ErrorObjectOwned {
	call::<Value>(module, method, params).await.unwrap_err()
}

/// All items of a completion's subscription, or why there is none.
async fn subscribe(module: &Module, request: &Value) -> Result<Vec<Value>, ErrorObjectOwned> {
	let method = "aria_subscribeCompletion";
	let subscription = module
		.subscribe_unbounded(method, rpc_params![request])
		.await;
	let mut subscription = match subscription {
		Ok(subscription) => subscription,
		Err(MethodsError::JsonRpc(error)) => return Err(error),
		Err(other) => panic!("{other}"),
	};
	let mut items = Vec::new();
	loop {
		let next = tokio::time::timeout(Duration::from_secs(30), subscription.next::<Value>());
		match next.await.unwrap() {
			Some(item) => items.push(item.unwrap().0),
			None => return Ok(items),
		}
	}
}

/// A worker without a chain.
struct Worker {
	handle: Handle,
	stop: Option<oneshot::Sender<()>>,
	running: JoinHandle<anyhow::Result<()>>,
}

impl Worker {
	async fn start(dir: &Path) -> Self {
		let args = ServiceArgs {
			models: vec![
				PathBuf::from(env!("CARGO_MANIFEST_DIR"))
					.join("models/aria-demo.gguf")
					.into(),
			],
			api: ApiArgs {
				port: 0,
				..ApiArgs::default()
			},
			offline: true,
			state_dir: Some(dir.to_owned()),
			threads: Some(1),
			..ServiceArgs::default()
		};
		let handle = Handle::default();
		let (stop, stopped) = oneshot::channel::<()>();
		let running = service::run(args, Registry::new(), handle.clone(), async {
			drop(stopped.await);
		});
		let worker = Self {
			handle,
			stop: Some(stop),
			running: tokio::spawn(running),
		};
		let module = module(Some(&worker.handle));
		for _ in 0..600 {
			let status: Status = call(&module, "aria_workerStatus", EmptyServerParams::new())
				.await
				.unwrap();
			if status.state != State::Loading {
				return worker;
			}
			tokio::time::sleep(Duration::from_millis(50)).await;
		}
		panic!("the worker does not get ready");
	}

	async fn end(&mut self) {
		drop(self.stop.take());
		let ended = tokio::time::timeout(Duration::from_secs(20), &mut self.running).await;
		ended.unwrap().unwrap().unwrap();
	}
}

#[tokio::test]
async fn node_without_a_worker_should_say_how_to_get_one() {
	let module = module(None);
	let id = format!("0x{}", "00".repeat(32));
	let request = json!({ "prompt": "Once" });
	let errors = [
		refusal(&module, "aria_workerStatus", EmptyServerParams::new()).await,
		refusal(&module, "aria_receipt", rpc_params![&id]).await,
		refusal(&module, "aria_receipts", EmptyServerParams::new()).await,
		refusal(&module, "aria_receiptProof", rpc_params![&id]).await,
		refusal(&module, "aria_pendingBatches", EmptyServerParams::new()).await,
		refusal(&module, "aria_complete", rpc_params![&request]).await,
		subscribe(&module, &request).await.unwrap_err(),
	];
	for error in errors {
		assert_eq!(error.code(), Code::NoWorker as i32, "{error}");
		assert!(error.message().contains("--worker"), "{error}");
	}
}

#[tokio::test]
async fn worker_should_tell_that_it_loads_and_that_it_has_stopped() {
	let handle = Handle::default();
	let loading = module(Some(&handle));
	let status = call(&loading, "aria_workerStatus", EmptyServerParams::new()).await;
	assert_eq!(status, Ok(json!({ "state": "loading", "worker": null })));
	let error = refusal(&loading, "aria_receipts", EmptyServerParams::new()).await;
	assert_eq!(error.code(), Code::Loading as i32);

	let dir = tempfile::tempdir().unwrap();
	let mut worker = Worker::start(dir.path()).await;
	let module = module(Some(&worker.handle));
	worker.end().await;
	let status = call(&module, "aria_workerStatus", EmptyServerParams::new()).await;
	assert_eq!(status, Ok(json!({ "state": "stopped", "worker": null })));
	let error = refusal(&module, "aria_complete", rpc_params![json!({})]).await;
	assert_eq!(error.code(), Code::Stopped as i32);
	assert!(error.message().contains("log"), "{error}");
}

#[tokio::test]
async fn completion_should_be_the_same_at_once_and_in_pieces() {
	let dir = tempfile::tempdir().unwrap();
	let worker = Worker::start(dir.path()).await;
	let module = module(Some(&worker.handle));
	let status: Value = call(&module, "aria_workerStatus", EmptyServerParams::new())
		.await
		.unwrap();
	assert_eq!(status["state"], "ready");
	let status = &status["worker"];
	assert_eq!(
		status["roles"],
		json!({ "worker": true, "verifier": false })
	);
	assert_eq!(status["requests"], 0);
	assert_eq!(
		status["chain"],
		json!({ "connected": false, "consentVersion": 0 })
	);
	assert_eq!(status["receipts"]["receipts"], 0);
	let model = &status["models"][0];
	assert!(model["contextLength"].as_u64().unwrap() > 0);
	assert_eq!(
		(&model["ready"], model["root"].is_string()),
		(&json!(true), true)
	);

	let chat = json!({
		"model": model["id"],
		"messages": [{ "role": "user", "content": "Tell me a story." }],
		"max_tokens": 12,
		"seed": 7,
		"stream": true,
	});
	let whole: Value = call(&module, "aria_complete", rpc_params![&chat])
		.await
		.unwrap();
	assert_eq!(
		whole["object"], "chat.completion",
		"the method says how, not the request"
	);
	let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
	let mut pieces = subscribe(&module, &chat).await.unwrap();
	assert_eq!(pieces.pop().unwrap(), "[DONE]");
	let delta = |piece: &Value| {
		piece["choices"][0]["delta"]["content"]
			.as_str()
			.map(String::from)
	};
	let streamed: Vec<String> = pieces.iter().filter_map(delta).collect();
	assert!(streamed.len() > 3, "{streamed:?}");
	assert_eq!(streamed.concat(), text);
	let last = pieces.last().unwrap();
	assert_eq!(last["choices"][0]["finish_reason"], "length");
	let trace = "/aria/receipt_file/receipt/trace_root";
	assert_eq!(last.pointer(trace).unwrap(), whole.pointer(trace).unwrap());

	let text = json!({ "model": model["id"], "prompt": "Once", "max_tokens": 3 });
	let whole: Value = call(&module, "aria_complete", rpc_params![text])
		.await
		.unwrap();
	assert_eq!(whole["object"], "text_completion");
}

#[tokio::test]
async fn receipts_should_come_in_pages_and_one_by_one() {
	let dir = tempfile::tempdir().unwrap();
	let worker = Worker::start(dir.path()).await;
	let module = module(Some(&worker.handle));
	let mut ids = Vec::new();
	for seed in 0..3 {
		let request =
			json!({ "model": "aria-demo", "prompt": "Once", "max_tokens": 2, "seed": seed });
		let answer: Value = call(&module, "aria_complete", rpc_params![request])
			.await
			.unwrap();
		ids.push(answer["aria"]["receipt_id"].as_str().unwrap().to_owned());
	}
	let page: Page = call(&module, "aria_receipts", rpc_params![2])
		.await
		.unwrap();
	let found: Vec<&String> = page.receipts.iter().map(|one| &one.id).collect();
	assert_eq!(found, [&ids[2], &ids[1]]);
	assert_eq!(page.next, Some(1));
	let newest = &page.receipts[0];
	assert_eq!(
		(newest.output_tokens, newest.state),
		(2, ReceiptState::Waiting)
	);
	assert!(newest.operations.parse::<u64>().unwrap() > 0);
	let rest: Page = call(&module, "aria_receipts", rpc_params![9, page.next])
		.await
		.unwrap();
	assert_eq!((rest.receipts.len(), rest.next), (1, None));
	assert_eq!(rest.receipts[0].id, ids[0]);
	// As much as a page holds, not as much as a caller likes.
	let all: Page = call(&module, "aria_receipts", rpc_params![u32::MAX])
		.await
		.unwrap();
	assert_eq!(all.receipts.len(), 3);

	let one: Option<Receipt> = call(&module, "aria_receipt", rpc_params![&ids[1]])
		.await
		.unwrap();
	assert_eq!(one.unwrap().info, page.receipts[1]);
	let unknown = format!("0x{}", "11".repeat(32));
	let none: Option<Receipt> = call(&module, "aria_receipt", rpc_params![&unknown])
		.await
		.unwrap();
	assert_eq!(none, None);
	let proof: Option<Proof> = call(&module, "aria_receiptProof", rpc_params![&ids[1]])
		.await
		.unwrap();
	assert_eq!(proof, None, "it is in no batch");
	let pending: Vec<PendingBatch> = call(&module, "aria_pendingBatches", EmptyServerParams::new())
		.await
		.unwrap();
	assert_eq!(pending, []);
	for method in ["aria_receipt", "aria_receiptProof"] {
		for wrong in [json!(["0x12"]), json!([7]), json!([]), json!(["\u{0}"])] {
			let params = wrong.as_array().unwrap().clone();
			let error = refusal(&module, method, params).await;
			assert_eq!(
				error.code(),
				INVALID_PARAMS_CODE,
				"{method} {wrong}: {error}"
			);
		}
	}
}

#[tokio::test]
async fn receipt_should_be_shown_whole_to_whoever_has_its_key_even_after_a_restart() {
	let dir = tempfile::tempdir().unwrap();
	let mut worker = Worker::start(dir.path()).await;
	let request = json!({ "model": "aria-demo", "prompt": "Once", "max_tokens": 2, "n": 2 });
	let answer: Value = call(
		&module(Some(&worker.handle)),
		"aria_complete",
		rpc_params![request],
	)
	.await
	.unwrap();
	worker.end().await;
	let worker = Worker::start(dir.path()).await;
	let module = module(Some(&worker.handle));
	let part = |choice: usize, field: &str| answer["choices"][choice]["aria"][field].clone();
	let (id, key) = (part(0, "receipt_id"), part(0, "receipt_key"));
	let one: Option<Receipt> = call(&module, "aria_receipt", rpc_params![&id, &key])
		.await
		.unwrap();
	let file = one.unwrap().receipt_file.unwrap();
	assert_eq!(file, part(0, "receipt_file"));
	let file = ReceiptFile::from_json(&file.to_string()).unwrap();
	assert!(file.signed.verify_signature());
	// Nobody else sees more than what it is about.
	let one: Value = call(&module, "aria_receipt", rpc_params![&id])
		.await
		.unwrap();
	assert_eq!(one["receiptFile"], Value::Null);
	assert_eq!(one["outputTokens"], 2);
	for wrong in [part(1, "receipt_key"), json!("")] {
		let error = refusal(&module, "aria_receipt", rpc_params![&id, wrong]).await;
		assert_eq!(error.code(), Code::Refused as i32, "{error}");
		let data: Value = serde_json::from_str(error.data().unwrap().get()).unwrap();
		assert_eq!(data["code"], "invalid_receipt_key");
	}
}

#[tokio::test]
async fn wrong_requests_should_be_refused_with_the_field_at_fault() {
	let dir = tempfile::tempdir().unwrap();
	let worker = Worker::start(dir.path()).await;
	let module = module(Some(&worker.handle));
	let long = "x".repeat(9 << 20);
	let cases = [
		(
			json!({ "model": "aria-demo", "prompt": "x", "temperature": -1 }),
			Code::Refused,
			json!("temperature"),
		),
		(
			json!({ "model": "aria-demo" }),
			Code::Refused,
			json!("prompt"),
		),
		(
			json!({ "model": "aria-demo", "messages": 3 }),
			Code::Refused,
			json!("messages"),
		),
		(
			json!({ "model": "nobody", "prompt": "x" }),
			Code::UnknownModel,
			json!("model"),
		),
		(json!([1, 2]), Code::Refused, Value::Null),
		(
			json!({ "model": "aria-demo", "prompt": long }),
			Code::Refused,
			Value::Null,
		),
	];
	for (request, code, param) in cases {
		let direct = refusal(&module, "aria_complete", rpc_params![&request]).await;
		let subscribed = subscribe(&module, &request).await.unwrap_err();
		assert_eq!(direct.code(), code as i32, "{direct}");
		assert_eq!(subscribed.code(), code as i32, "{subscribed}");
		let data: Value = serde_json::from_str(direct.data().unwrap().get()).unwrap();
		assert_eq!(data["param"], param, "{data}");
	}
	let error = refusal(&module, "aria_complete", EmptyServerParams::new()).await;
	assert_eq!(error.code(), INVALID_PARAMS_CODE);
}

#[tokio::test]
async fn strangers_should_not_use_the_machine_or_see_receipts() {
	let dir = tempfile::tempdir().unwrap();
	let worker = Worker::start(dir.path()).await;
	let inside = module(Some(&worker.handle));
	let request = json!({ "model": "aria-demo", "prompt": "Once", "max_tokens": 2 });
	let answer: Value = call(&inside, "aria_complete", rpc_params![&request])
		.await
		.unwrap();
	let id = answer["aria"]["receipt_id"].as_str().unwrap();
	let outside = from_outside(Some(&worker.handle));
	let errors = [
		refusal(&outside, "aria_receipt", rpc_params![id]).await,
		refusal(&outside, "aria_receipts", EmptyServerParams::new()).await,
		refusal(&outside, "aria_complete", rpc_params![&request]).await,
		subscribe(&outside, &request).await.unwrap_err(),
	];
	for error in errors {
		assert_eq!(error.code(), DENIED, "{error}");
	}
	// Nor do they learn whether there is a worker by trying.
	let error = refusal(
		&from_outside(None),
		"aria_receipts",
		EmptyServerParams::new(),
	)
	.await;
	assert_eq!(error.code(), DENIED);
	let status: Status = call(&outside, "aria_workerStatus", EmptyServerParams::new())
		.await
		.unwrap();
	assert_eq!(status.state, State::Ready);
	let proof: Option<Proof> = call(&outside, "aria_receiptProof", rpc_params![id])
		.await
		.unwrap();
	assert_eq!(proof, None);
}

#[tokio::test]
async fn answer_should_end_when_its_reader_goes_away() {
	let dir = tempfile::tempdir().unwrap();
	let worker = Worker::start(dir.path()).await;
	let module = module(Some(&worker.handle));
	let request = json!({ "model": "aria-demo", "prompt": "Once", "max_tokens": 200, "seed": 1 });
	let mut subscription = module
		.subscribe("aria_subscribeCompletion", rpc_params![&request], 1)
		.await
		.unwrap();
	let first = subscription.next::<Value>().await.unwrap().unwrap();
	assert!(first.0["choices"][0]["text"].is_string());
	drop(subscription);
	let mut left = 1;
	for _ in 0..200 {
		let status: Value = call(&module, "aria_workerStatus", EmptyServerParams::new())
			.await
			.unwrap();
		left = status["worker"]["requests"].as_u64().unwrap();
		if left == 0 {
			assert_eq!(
				status["worker"]["receipts"]["receipts"], 0,
				"an answer that nobody got has no receipt"
			);
			break;
		}
		tokio::time::sleep(Duration::from_millis(50)).await;
	}
	assert_eq!(left, 0);
}
