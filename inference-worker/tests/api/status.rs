//! What the worker says about itself, and receipts that it executes again.

use super::*;

#[tokio::test]
async fn status_should_name_what_the_worker_is() {
	let server = Server::demo().await;
	let status = server.get("/v1/status").await.json();
	assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
	assert_eq!(status["specification"], 1);
	assert_eq!(status["backend"], "native");
	assert_eq!(status["models_count"], 1);
	assert_eq!(status["models"][0]["id"], "aria-demo");
	assert_eq!(status["models"][0]["context_length"], 256);
	assert_eq!(status["models"][0]["requests"], 0);
	assert_eq!(status["slots"], json!({ "parallel": 32, "queue": 64 }));
	let isa = Isa::detect().to_string();
	assert_eq!(
		status["machine"],
		json!({ "instruction_set": isa, "threads": 1 })
	);
	assert_eq!(status["energy"]["grade"], "unknown");
	assert_eq!(status["consent_version"], 7);
	assert!(status["account"].as_str().unwrap().starts_with('5'));
	let chain = json!({ "connected": false, "genesis": null, "finalized_block": null });
	assert_eq!(status["chain"], chain);
}

#[tokio::test]
async fn energy_should_be_null_until_it_is_known() {
	let server = Server::demo().await;
	server.complete(json!({})).await;
	let energy = server.get("/v1/energy").await.json();
	assert_eq!(energy["total_inferences"], 1);
	assert_eq!(energy["total_tokens_generated"], 8);
	assert_eq!(energy["measured_inferences"], 0);
	for key in [
		"total_energy_mj",
		"total_energy_kwh",
		"avg_energy_per_token_mj",
		"grade",
	] {
		assert!(energy[key].is_null(), "{key}");
	}
	let entry = &energy["recent_history"][0];
	assert_eq!(
		(&entry["tokens"], &entry["energy_mj"]),
		(&json!(8), &Value::Null)
	);
	assert!(entry["latency_ms"].as_f64().unwrap() > 0.0);

	let server = Server::guarded(
		&DEMO,
		8,
		Guard {
			watts: Some(50.0),
			..Guard::default()
		},
	)
	.await;
	let mut total = 0.0;
	for _ in 0..2 {
		let answer = server.complete(json!({})).await.json();
		total += answer["usage"]["energy_mj"].as_f64().unwrap();
	}
	let energy = server.get("/v1/energy").await.json();
	assert_eq!(energy["grade"], "estimated");
	assert_eq!(energy["measured_inferences"], 2);
	let close = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 0.01;
	assert!(close(&energy["total_energy_mj"], total), "{energy} {total}");
	assert!(close(&energy["avg_energy_per_token_mj"], total / 16.0));
	assert_eq!(energy["recent_history"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn receipt_should_be_executed_again_and_a_changed_one_named() {
	let server = Server::demo().await;
	let answer = server
		.complete(json!({ "temperature": 0.8, "seed": 3 }))
		.await
		.json();
	let file = &answer["aria"]["receipt_file"];
	for body in [file, &answer["aria"]] {
		let verdict = server.post("/v1/verify", body.clone()).await.json();
		assert_eq!(verdict["ok"], true, "{verdict}");
		assert_eq!(
			(&verdict["check"], &verdict["failure"]),
			(&Value::Null, &Value::Null)
		);
		assert_eq!(verdict["tokens"], 8);
	}
	let verdict = async |file: Value| server.post("/v1/verify", file).await.json();
	let mut other = file.clone();
	other["receipt"]["operations"] = json!("5");
	assert_eq!(verdict(other).await["check"], "signature");
	let mut other = file.clone();
	other["output"][3] = json!(file["output"][3].as_u64().unwrap() ^ 1);
	assert_eq!(verdict(other).await["check"], "output");
	// A worker that lies and signs it is found out by the model alone.
	let mut lie = ReceiptFile::from_json(&file.to_string()).unwrap();
	lie.output[3] ^= 1;
	lie.text = None;
	lie.signed.receipt.output = aria_primitives::receipt::output_hash(&lie.output);
	lie.signed.signature = server.signer.sign(&lie.signed.receipt.signing_payload());
	let found = verdict(lie.to_json()).await;
	assert_eq!(found["check"], "token", "{found}");
	assert!(found["failure"].as_str().unwrap().starts_with("token: "));
	for body in [
		json!({}),
		json!({ "receipt_file": 5 }),
		json!({ "receipt": {} }),
	] {
		let reply = server.post("/v1/verify", body).await;
		assert_eq!(reply.error(400), request_error(json!("invalid_receipt")));
	}
	// A receipt of another model.
	let plain = Server::start(&PLAIN, 8, None).await;
	let other = plain.complete(json!({})).await.json()["aria"]["receipt_file"].clone();
	assert_eq!(verdict(other).await["check"], "model");
}

#[tokio::test]
async fn verification_should_wait_in_the_queue() {
	let server = Server::start(&DEMO, 1, None).await;
	let file = server.complete(json!({})).await.json()["aria"].clone();
	let mut running = server.engine.submit(long()).unwrap();
	assert!(matches!(running.recv().await, Some(Event::Token(_))));
	let waiting = server.engine.submit(long()).unwrap();
	let reply = server.post("/v1/verify", file).await;
	assert_eq!(reply.error(429).2, json!("queue_full"));
	drop((running, waiting));
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
