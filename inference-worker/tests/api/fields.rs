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
		assert!(
			reply.body.contains("deeper than 127 levels"),
			"{}",
			reply.body
		);
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
		("seed", json!(9_007_199_254_740_992.0), "invalid_type"),
		("logit_bias", json!({ "5": 101 }), "invalid_value"),
		("logit_bias", json!({ "99999": 5 }), "invalid_value"),
		("logit_bias", json!([[99_999, 5]]), "invalid_value"),
		("logit_bias", json!({ "five": 1 }), "invalid_type"),
		("logit_bias", json!([5]), "invalid_type"),
		("logit_bias", json!([[5, 1, 2]]), "invalid_type"),
		("logit_bias", json!([["five", 1]]), "invalid_type"),
		("logit_bias", json!([[5, -101]]), "invalid_value"),
		("grammar", json!(5), "invalid_type"),
		("grammar", json!("root ::= \"a\""), "invalid_grammar"),
		("grammar", json!(" ".repeat(65_537)), "invalid_grammar"),
		(
			"response_format",
			json!({ "type": "yaml" }),
			"invalid_value",
		),
		("suffix", json!("end"), "unsupported_parameter"),
		("echo", json!(true), "unsupported_parameter"),
		("best_of", json!(3), "unsupported_parameter"),
		("n_predict", json!(3), "unsupported_parameter"),
		("allowed_token_ids", json!([5]), "unsupported_parameter"),
		("min_tokens", json!(5), "unsupported_parameter"),
		("top_n_sigma", json!(1.0), "unsupported_parameter"),
		("top_n_sigma", json!("1"), "invalid_type"),
		("samplers", json!(["top_k"]), "unsupported_parameter"),
		("skip_special_tokens", json!(false), "unsupported_parameter"),
		("truncate_prompt_tokens", json!(4), "unsupported_parameter"),
		("prompt_logprobs", json!(0), "unsupported_parameter"),
		("return_token_ids", json!(true), "unsupported_parameter"),
		(
			"add_generation_prompt",
			json!(false),
			"unsupported_parameter",
		),
		(
			"continue_final_message",
			json!(true),
			"unsupported_parameter",
		),
		(
			"documents",
			json!([{ "text": "x" }]),
			"unsupported_parameter",
		),
		("format", json!("json"), "unsupported_parameter"),
		("options", json!({ "num_ctx": 64 }), "unsupported_parameter"),
		(
			"thinking",
			json!({ "type": "enabled" }),
			"unsupported_parameter",
		),
		("max_output_tokens", json!(5), "unsupported_parameter"),
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
		("prompt", json!(vec!["a"; 33]), "invalid_value"),
		("top_logprobs", json!(2), "unsupported_parameter"),
	] {
		let reply = server.complete(json!({ param: value })).await;
		assert_eq!(reply.error(400), field(param, code), "{param}");
	}
	for (param, value, code) in [
		("logprobs", json!(2), "invalid_type"),
		("top_logprobs", json!(21), "invalid_value"),
		("messages", json!("Hi"), "invalid_type"),
		("messages", json!([]), "invalid_type"),
		("system", json!("Be brief."), "unsupported_parameter"),
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
		(
			json!({ "role": "assistant", "content": "a", "prefix": true }),
			"messages[0].prefix",
			"unsupported_parameter",
		),
		(
			json!({ "role": "assistant", "function_call": { "name": "f", "arguments": "{}" } }),
			"messages[0].function_call",
			"unsupported_parameter",
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
async fn error_should_say_what_to_use_instead() {
	let server = Server::demo().await;
	let reply = server.chat(json!({ "n_predict": 3 })).await.json();
	let message = "n_predict is not supported by this server: use max_tokens";
	assert_eq!(reply["error"]["message"], message);
	let asked = json!({ "stream_options": { "continuous_usage_stats": true } });
	let param = "stream_options.continuous_usage_stats";
	let reply = server.chat(asked).await;
	assert_eq!(reply.error(400), field(param, "unsupported_parameter"));
}

#[tokio::test]
async fn whole_floats_should_be_integers() {
	let server = Server::demo().await;
	let ask = async |change: Value| {
		let answer = server.complete(change).await.json();
		(answer["choices"].clone(), verified(&answer, &DEMO))
	};
	let whole = json!({
		"temperature": 1, "max_tokens": 4, "n": 1, "top_k": 5, "seed": 7, "logprobs": 2,
		"logit_bias": [[5, 1]], "prompt": [5, 6, 7],
	});
	let float = json!({
		"temperature": 1, "max_tokens": 4.0, "n": 1.0, "top_k": 5.0, "seed": 7.0, "logprobs": 2.0,
		"logit_bias": [[5.0, 1]], "prompt": [5.0, 6.0, 7.0],
	});
	let (whole, float) = (ask(whole).await, ask(float).await);
	assert_eq!(float.0, whole.0);
	assert_eq!(
		float.1.signed.receipt.sampling,
		whole.1.signed.receipt.sampling
	);
}

#[tokio::test]
async fn path_that_is_not_utf_8_should_be_400() {
	let server = Server::demo().await;
	for path in ["/v1/models/%FF", "/v1/receipts/%FF"] {
		let reply = server.get(path).await;
		assert_eq!(reply.error(400), request_error(Value::Null));
	}
}

#[tokio::test]
async fn harmless_and_unknown_fields_should_be_ignored() {
	let server = Server::demo().await;
	let harmless = json!({
		"user": "anybody", "store": true, "metadata": { "a": "b" }, "parallel_tool_calls": true,
		"never_heard_of": [1], "logit_bias": {}, "grammar": "", "presence_penalty": 0, "frequency_penalty": 0.0,
		"tools": [], "tool_choice": "auto", "response_format": { "type": "text" }, "n": 1, "stop": null,
		"echo": false, "suffix": null, "best_of": 1, "top_k": -1, "stream_options": null, "min_tokens": 0,
		"add_generation_prompt": true, "skip_special_tokens": true, "top_n_sigma": -1, "cache_prompt": true,
		"reasoning_effort": "high", "verbosity": "low", "thinking": { "type": "disabled" },
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
