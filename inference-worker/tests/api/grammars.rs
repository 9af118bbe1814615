//! Forms of answers: where a request may have them, and what is said of those that can't be obeyed.

use super::*;

fn pet() -> Value {
	json!({
		"type": "object", "properties": { "animal": { "enum": ["cat", "dog"] } }, "required": ["animal"],
		"additionalProperties": false,
	})
}

fn of(schema: &Value) -> Value {
	json!({ "type": "json_schema", "json_schema": { "name": "pet", "schema": schema } })
}

#[tokio::test]
async fn schemas_in_another_server_s_place_should_be_obeyed_or_refused() {
	let server = Server::demo().await;
	for format in [
		of(&pet()),
		json!({ "type": "json_schema", "schema": pet() }),
		json!({ "type": "json_object", "schema": pet() }),
		json!({ "type": "json_object", "schema": pet(), "json_schema": { "schema": pet() } }),
	] {
		let change = json!({ "response_format": format, "max_completion_tokens": 60 });
		let answer = server.chat(change).await.json();
		let content = answer["choices"][0]["message"]["content"].as_str();
		let said: Value = serde_json::from_str(content.unwrap()).unwrap();
		assert!(["cat", "dog"].contains(&said["animal"].as_str().unwrap()));
		verified(&answer, &DEMO);
	}
	for (format, code) in [
		(json!({ "type": "json_schema" }), Value::Null),
		(
			json!({ "type": "json_schema", "schema": null }),
			Value::Null,
		),
		(
			json!({ "type": "json_schema", "json_schema": pet() }),
			Value::Null,
		),
		(
			json!({ "type": "json_object", "json_schema": pet() }),
			Value::Null,
		),
		(
			json!({ "type": "json_schema", "schema": [pet()] }),
			Value::Null,
		),
		(
			json!({ "type": "text", "schema": pet() }),
			json!("invalid_value"),
		),
		(
			json!({ "type": "json_schema", "schema": pet(), "json_schema": { "schema": {} } }),
			json!("invalid_value"),
		),
		(json!({}), json!("invalid_value")),
		(json!("json"), json!("invalid_value")),
	] {
		let reply = server.chat(json!({ "response_format": format })).await;
		let (kind, param, found) = reply.error(400);
		assert_eq!(
			(kind.as_str(), param, found),
			("invalid_request_error", json!("response_format"), code),
			"{format}"
		);
	}
}

#[tokio::test]
async fn schemas_that_can_t_be_obeyed_should_be_refused_by_name() {
	let server = Server::demo().await;
	let long = "ж".repeat(120);
	for (schema, word) in [
		(json!({ "const": 9_007_199_254_740_993_i64 }), "const"),
		(
			json!({ "type": "integer", "multipleOf": 1_000_000_000 }),
			"multipleOf",
		),
		(
			json!({ "type": "integer", "multipleOf": 10_000_019 }),
			"multipleOf",
		),
		(json!({ "type": "string", "pattern": [long] }), "pattern"),
		(json!({ "type": "object", "required": long }), "required"),
		(
			json!({ "type": "integer", "minimum": 5, "maximum": 3 }),
			"minimum",
		),
		(
			json!({ "type": "string", "not": { "const": long.repeat(100) } }),
			"not",
		),
		(json!({ "type": long.repeat(100) }), "type"),
	] {
		let reply = server.chat(json!({ "response_format": of(&schema) })).await;
		assert_eq!(
			reply.error(400),
			field("response_format", "invalid_grammar"),
			"{schema:.99}"
		);
		let body = &reply.body;
		assert!(body.contains(word) && body.len() < 2048, "{body}");
		assert!(
			!body.contains("::") && !body.contains("backtrace"),
			"{body}"
		);
	}
	// Bounds that binary64 does not have move inside.
	let id = json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX });
	let change = json!({ "response_format": of(&id), "max_completion_tokens": 40 });
	let answer = server.chat(change).await.json();
	let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
	assert!(
		content.parse::<i64>().is_ok() || answer["choices"][0]["finish_reason"] == "length",
		"{answer}"
	);
	verified(&answer, &DEMO);
}

#[tokio::test]
async fn answers_that_can_t_go_on_should_end_as_cut_off() {
	let server = Server::demo().await;
	let change = json!({ "grammar": "start: \"ab\" T\nT: /c+/ & /d+/", "max_tokens": 40 });
	let answer = server.complete(change.clone()).await.json();
	assert_eq!(answer["choices"][0]["text"], "ab");
	assert_eq!(answer["choices"][0]["finish_reason"], "length");
	verified(&answer, &DEMO);
	let streamed = with(change, json!({ "stream": true }));
	let chunks = server.complete(streamed).await.chunks();
	let last = chunks.last().unwrap();
	assert_eq!(last["choices"][0]["finish_reason"], "length");
	verified(last, &DEMO);
}
