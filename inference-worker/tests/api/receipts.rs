//! Receipts in the journal: all of them for whoever has their keys, and no word of a prompt or an answer for others.

use super::*;
use std::collections::HashSet;

impl Server {
	/// A receipt by its identifier, with a key if there is one.
	async fn receipt(&self, id: &Value, key: Option<&str>) -> Reply {
		let key = key.map(|key| format!("x-aria-receipt-key: {key}\r\n"));
		let path = format!("/v1/receipts/{}", id.as_str().unwrap());
		self.send("GET", &path, &key.unwrap_or_default(), b"").await
	}
}

#[tokio::test]
async fn receipt_should_be_shown_whole_with_its_key() {
	let server = Server::demo().await;
	let chat = json!({ "n": 2, "temperature": 1, "seed": 1 });
	let answers = [
		server.complete(json!({})).await.json()["aria"].clone(),
		server.chat(chat.clone()).await.json()["choices"][1]["aria"].clone(),
		// In a stream, in the chunk that says why the choice ended.
		server
			.chat(with(chat, json!({ "stream": true })))
			.await
			.chunks()
			.iter()
			.find_map(|chunk| chunk["choices"][0].get("aria").cloned())
			.unwrap(),
		server
			.post(
				"/v1/responses",
				json!({ "model": "aria-demo", "input": "A dog", "max_output_tokens": 16 }),
			)
			.await
			.json()["aria"]
			.clone(),
	];
	for aria in answers {
		let key = aria["receipt_key"].as_str().unwrap();
		let reply = server.receipt(&aria["receipt_id"], Some(key)).await;
		assert_eq!(reply.status, 200, "{}", reply.body);
		// No cache may give it to the next who asks for the path.
		assert_eq!(reply.header("cache-control"), Some("no-store"));
		let stored = reply.json();
		assert_eq!(stored["id"], aria["receipt_id"]);
		assert_eq!(stored["receipt_file"], aria["receipt_file"]);
		assert_eq!(stored["committed"], Value::Null);
	}
	let unknown = json!(format!("0x{}", "0".repeat(64)));
	let unknown = server.receipt(&unknown, None).await;
	assert_eq!(
		unknown.error(404),
		request_error(json!("receipt_not_found"))
	);
}

#[tokio::test]
async fn receipt_should_say_nothing_of_its_answer_without_its_key() {
	let server = Server::demo().await;
	let answer = server.complete(json!({})).await.json();
	let other = server.complete(json!({ "seed": 2 })).await.json();
	let (aria, file) = (&answer["aria"], &answer["aria"]["receipt_file"]);
	let reply = server.receipt(&aria["receipt_id"], None).await;
	let shown = reply.json();
	assert_eq!(shown["receipt_file"], Value::Null);
	let keys: HashSet<&str> = shown
		.as_object()
		.unwrap()
		.keys()
		.map(|key| &**key)
		.collect();
	let expected = ["id", "object", "receipt", "receipt_file", "committed"];
	assert_eq!(keys, HashSet::from(expected));
	// What it says is true, and nothing by which a guess at the prompt or the answer could be tried.
	let receipt = shown["receipt"].as_object().unwrap();
	for (field, value) in receipt {
		assert_eq!(value, &file["receipt"][field], "{field}");
	}
	for secret in ["request", "output", "trace_root", "sampling", "salt"] {
		assert!(!receipt.contains_key(secret), "{secret}");
	}
	for text in [
		&file["text"],
		&file["salt"],
		&file["receipt"]["output"],
		&aria["receipt_key"],
	] {
		let text = text.as_str().unwrap();
		assert!(!reply.body.contains(text), "{text}");
	}
	assert_eq!(receipt["output_tokens"], 8);
	assert_eq!(receipt["consent_version"], 7);

	let key = aria["receipt_key"].as_str().unwrap();
	let another = other["aria"]["receipt_key"].as_str().unwrap();
	for wrong in ["", "x", "\u{e4}", &key[1..], &format!("{key}0"), another] {
		let reply = server.receipt(&aria["receipt_id"], Some(wrong)).await;
		let (kind, _, code) = reply.error(403);
		assert_eq!(
			(&*kind, code),
			("permission_error", json!("invalid_receipt_key")),
			"{wrong}"
		);
		assert!(!reply.body.contains(file["text"].as_str().unwrap()));
	}
}

#[tokio::test]
async fn key_of_the_api_should_not_be_a_key_of_receipts() {
	let server = Server::start(&DEMO, 8, Some("secret")).await;
	let key = "authorization: Bearer secret\r\n";
	let body = story().to_string();
	let answer = server
		.send("POST", "/v1/completions", key, body.as_bytes())
		.await
		.json();
	let path = format!(
		"/v1/receipts/{}",
		answer["aria"]["receipt_id"].as_str().unwrap()
	);
	// Somebody else may have the same key of the API.
	let shown = server.send("GET", &path, key, b"").await.json();
	assert_eq!(shown["receipt_file"], Value::Null);
	let receipt_key = answer["aria"]["receipt_key"].as_str().unwrap();
	let receipt_key = format!("x-aria-receipt-key: {receipt_key}\r\n");
	assert_eq!(
		server.send("GET", &path, &receipt_key, b"").await.status,
		401
	);
	let both = format!("{key}{receipt_key}");
	let shown = server.send("GET", &path, &both, b"").await.json();
	assert_eq!(shown["receipt_file"], answer["aria"]["receipt_file"]);
}
