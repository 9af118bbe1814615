//! Bodies, paths and fields: what is wrong is refused by name, what is harmless is not.

use super::*;

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
