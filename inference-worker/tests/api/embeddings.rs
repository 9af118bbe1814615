//! Embeddings.

use super::*;
use aria_engine::answers::evaluate::embed;
use aria_primitives::consent::TaskKind;

/// A model that only makes embeddings.
static EMBEDS: LazyLock<Arc<Model>> = LazyLock::new(|| {
	let mut file = support::synth::model(2);
	file.int("bitnet-b1.58.pooling_type", 3);
	Arc::new(Model::from_bytes(&file.bytes(), "embeds", Packing::Dense).unwrap())
});

fn expected(text: &str) -> Vec<f32> {
	let tokens = EMBEDS.tokenizer.encode(text, true, false).unwrap();
	embed(&EMBEDS, &backend(), &tokens, &|| false).unwrap()
}

/// JSON as a client reads it: whose parser of numbers is exact depends on what else is built.
fn read(value: Value) -> Value {
	serde_json::from_str(&value.to_string()).unwrap()
}

#[tokio::test]
async fn owner_should_consent_to_embeddings() {
	let task = |kind: TaskKind| Terms {
		tasks: 1 << kind as u8,
		..Terms::default()
	};
	for (allowed, status) in [(TaskKind::Embedding, 200), (TaskKind::TextGen, 403)] {
		let guard = Guard {
			consent: Some(contract(task(allowed))),
			..Guard::default()
		};
		let server = Server::guarded(&EMBEDS, 8, guard).await;
		let body = json!({ "model": "aria-demo", "input": "the thing" });
		let reply = server.post("/v1/embeddings", body).await;
		assert_eq!(reply.status, status, "{}", reply.body);
		if status == 403 {
			assert_eq!(reply.error(403).2, json!("consent"));
		}
	}
}

#[tokio::test]
async fn texts_should_become_vectors_of_length_one() {
	let server = Server::start(&EMBEDS, 8, None).await;
	let ask = async |change: Value| {
		let body = with(
			json!({ "model": "aria-demo", "input": "the thing" }),
			change,
		);
		server.post("/v1/embeddings", body).await
	};
	let answer = ask(json!({})).await.json();
	let vector = expected("the thing");
	assert_eq!(answer["object"], "list");
	assert_eq!(answer["model"], "aria-demo");
	let one = read(json!({ "object": "embedding", "index": 0, "embedding": vector }));
	assert_eq!(answer["data"], json!([one]));
	let tokens = EMBEDS.tokenizer.encode("the thing", true, false).unwrap();
	let usage = json!({ "prompt_tokens": tokens.len(), "total_tokens": tokens.len() });
	assert_eq!(answer["usage"], usage);

	let several = json!({ "input": ["the thing", "another"], "dimensions": 128 });
	let answer = ask(several).await.json();
	assert_eq!(answer["data"][0], one);
	assert_eq!(answer["data"][1]["index"], 1);
	assert_eq!(
		answer["data"][1]["embedding"],
		read(json!(expected("another")))
	);
	let same = ask(json!({ "input": [tokens] })).await.json();
	assert_eq!(same["data"], json!([one]));

	use base64::{Engine as _, engine::general_purpose::STANDARD};
	let answer = ask(json!({ "encoding_format": "base64" })).await.json();
	let bytes = STANDARD
		.decode(answer["data"][0]["embedding"].as_str().unwrap())
		.unwrap();
	let (words, rest) = bytes.as_chunks::<4>();
	assert!(rest.is_empty());
	let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
	assert_eq!(values, vector);
}

#[tokio::test]
async fn what_has_no_vector_should_be_refused_by_name() {
	let server = Server::start(&EMBEDS, 8, None).await;
	for (change, name, code) in [
		(json!({ "model": "other" }), "model", "model_not_found"),
		(json!({ "input": null }), "input", "null"),
		(json!({ "input": 5 }), "input", "invalid_type"),
		(json!({ "input": ["a", 5] }), "input", "invalid_type"),
		(json!({ "input": vec!["a"; 257] }), "input", "invalid_value"),
		(
			json!({ "input": "a".repeat(97) }),
			"input",
			"context_length_exceeded",
		),
		(json!({ "input": [[99_999]] }), "input", "null"),
		(json!({ "input": [[]] }), "input", "null"),
		(
			json!({ "dimensions": 64 }),
			"dimensions",
			"unsupported_value",
		),
		(
			json!({ "encoding_format": "hex" }),
			"encoding_format",
			"invalid_value",
		),
	] {
		let body = with(
			json!({ "model": "aria-demo", "input": "a" }),
			change.clone(),
		);
		let reply = server.post("/v1/embeddings", body).await;
		let status = if code == "model_not_found" { 404 } else { 400 };
		let (_, param, found) = reply.error(status);
		let shown = |value: Value| value.as_str().unwrap_or("null").to_owned();
		assert_eq!(shown(param), name, "{change}");
		if code != "null" {
			assert_eq!(shown(found), code, "{change}");
		}
	}
	// A model that writes has none, and one that has none does not write.
	let writes = Server::demo().await;
	let body = json!({ "model": "aria-demo", "input": "a" });
	let reply = writes.post("/v1/embeddings", body).await;
	assert_eq!(reply.error(400), field("model", "unsupported_value"));
	let body = json!({ "model": "aria-demo", "prompt": "a" });
	assert_eq!(server.post("/v1/completions", body).await.status, 400);
}
