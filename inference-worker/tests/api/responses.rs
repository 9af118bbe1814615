//! `POST /v1/responses`, whole and as a stream of typed events.

use super::*;

fn ask(change: Value) -> Value {
	let body = json!({
		"model": "aria-demo",
		"input": "Tell me a story.",
		"max_output_tokens": 8,
		"temperature": 0,
	});
	with(body, change)
}

/// A form that the model can complete, and how long it may take.
fn formed() -> Value {
	let schema = json!({
		"type": "object", "properties": { "happy": { "type": "boolean" } },
		"required": ["happy"], "additionalProperties": false,
	});
	json!({
		"text": { "format": { "type": "json_schema", "name": "mood", "schema": schema } },
		"max_output_tokens": 60,
	})
}

fn calling() -> Value {
	json!({
		"tools": [{
			"type": "function",
			"name": "age",
			"parameters": {
				"properties": { "n": { "enum": [1, 2] } },
				"required": ["n"],
				"additionalProperties": false,
			},
			"strict": true,
		}],
		"tool_choice": "required",
		"parallel_tool_calls": false,
		"max_output_tokens": 120,
	})
}

impl Server {
	async fn respond(&self, change: Value) -> Reply {
		self.post("/v1/responses", ask(change)).await
	}

	/// Events of a stream: each is named by its type and numbered.
	async fn typed(&self, change: Value) -> Vec<Value> {
		let reply = self.respond(with(change, json!({ "stream": true }))).await;
		assert_eq!(reply.status, 200, "{}", reply.body);
		let events = reply.body.split("\n\n").filter(|event| !event.is_empty());
		let parse = |(number, event): (usize, &str)| {
			let (name, data) = event.split_once("\ndata: ").unwrap();
			let data: Value = serde_json::from_str(data).unwrap();
			assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
			assert_eq!(data["sequence_number"], number);
			data
		};
		events.enumerate().map(parse).collect()
	}
}

fn kinds(events: &[Value]) -> Vec<&str> {
	let mut kinds: Vec<&str> = events
		.iter()
		.map(|event| event["type"].as_str().unwrap())
		.collect();
	kinds.dedup();
	kinds
}

#[tokio::test]
async fn response_should_be_what_a_chat_says_with_its_receipt() {
	let server = Server::demo().await;
	let chat = server.chat(json!({})).await.json();
	let text = chat["choices"][0]["message"]["content"].clone();
	let input = json!([{ "role": "user", "content": [{ "type": "input_text", "text": "Tell me a story." }] }]);
	for change in [json!({}), json!({ "input": input })] {
		let answer = server.respond(change).await.json();
		let file = verified(&answer, &DEMO);
		assert_eq!(file.prompt, verified(&chat, &DEMO).prompt);
		assert_eq!(answer["object"], "response");
		assert!(answer["id"].as_str().unwrap().starts_with("resp_"));
		assert_eq!(answer["status"], "incomplete");
		assert_eq!(
			answer["incomplete_details"],
			json!({ "reason": "max_output_tokens" })
		);
		let message = &answer["output"][0];
		assert_eq!(message["type"], "message");
		assert_eq!(message["status"], "incomplete");
		assert_eq!(message["content"][0]["text"], text);
		assert_eq!(answer["usage"]["input_tokens"], file.prompt.len());
		assert_eq!(answer["usage"]["output_tokens"], 8);
		assert_eq!(answer["usage"]["total_tokens"], file.prompt.len() + 8);
		assert_eq!(answer["error"], Value::Null);
		assert_eq!(answer["store"], false);
	}
	// Instructions are a system message.
	let answer = server.respond(json!({ "instructions": "Be brief.", "metadata": { "a": "b" } }));
	let answer = answer.await.json();
	assert_eq!(answer["instructions"], "Be brief.");
	assert_eq!(answer["metadata"], json!({ "a": "b" }));
	let messages = json!([
		{ "role": "system", "content": "Be brief." },
		{ "role": "user", "content": "Tell me a story." },
	]);
	let chat = server.chat(json!({ "messages": messages })).await.json();
	assert_eq!(
		verified(&answer, &DEMO).prompt,
		verified(&chat, &DEMO).prompt
	);
	let bare = server.post("/responses", ask(json!({}))).await;
	assert_eq!(bare.status, 200);
}

#[tokio::test]
async fn events_should_build_up_the_whole_response() {
	let server = Server::demo().await;
	let whole = server.respond(formed()).await.json();
	assert_eq!(whole["status"], "completed");
	let events = server.typed(formed()).await;
	assert_eq!(
		kinds(&events),
		[
			"response.created",
			"response.in_progress",
			"response.output_item.added",
			"response.content_part.added",
			"response.output_text.delta",
			"response.output_text.done",
			"response.content_part.done",
			"response.output_item.done",
			"response.completed",
		]
	);
	assert_eq!(events[0]["response"]["status"], "in_progress");
	assert_eq!(events[0]["response"]["output"], json!([]));
	let text: String = events
		.iter()
		.filter_map(|event| event["delta"].as_str())
		.collect();
	let mood: Value = serde_json::from_str(&text).unwrap();
	assert!(mood["happy"].is_boolean(), "{text}");
	let last = &events.last().unwrap()["response"];
	verified(last, &DEMO);
	assert_eq!(last["output"][0]["content"], whole["output"][0]["content"]);
	assert_eq!(last["output"][0]["content"][0]["text"], text);
	let id = &last["output"][0]["id"];
	for event in events.iter().filter(|event| event.get("item_id").is_some()) {
		assert_eq!(&event["item_id"], id);
		assert_eq!(
			(&event["output_index"], &event["content_index"]),
			(&json!(0), &json!(0))
		);
	}
	for key in ["id", "created_at", "model"] {
		assert_eq!(events[0]["response"][key], last[key]);
	}
	let cut = server.typed(json!({})).await;
	assert_eq!(cut.last().unwrap()["type"], "response.incomplete");
	verified(&cut.last().unwrap()["response"], &DEMO);
}

#[tokio::test]
async fn calls_should_be_items_and_their_results_go_on() {
	let server = Server::demo().await;
	let whole = server.respond(calling()).await.json();
	verified(&whole, &DEMO);
	let call = &whole["output"][0];
	assert_eq!(whole["output"].as_array().unwrap().len(), 1);
	assert_eq!(
		(&call["type"], &call["name"]),
		(&json!("function_call"), &json!("age"))
	);
	let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
	assert!([1, 2].contains(&arguments["n"].as_u64().unwrap()));
	let events = server.typed(calling()).await;
	assert_eq!(
		kinds(&events)[2..],
		[
			"response.output_item.added",
			"response.function_call_arguments.delta",
			"response.function_call_arguments.done",
			"response.output_item.done",
			"response.completed",
		]
	);
	let told: String = events
		.iter()
		.filter_map(|event| event["delta"].as_str())
		.collect();
	assert_eq!(told, call["arguments"].as_str().unwrap());
	let input = json!([
		{ "role": "user", "content": "How old?" },
		{ "type": "function_call", "call_id": call["call_id"], "name": "age", "arguments": call["arguments"] },
		{ "type": "function_call_output", "call_id": call["call_id"], "output": "right" },
	]);
	let answer = server.respond(json!({ "input": input })).await.json();
	let prompt = DEMO.tokenizer.decode(&verified(&answer, &DEMO).prompt);
	assert!(prompt.contains("\"arguments\": {\"n\""), "{prompt}");
	assert!(prompt.contains("<tool_response>\nright"), "{prompt}");
	// What was answered goes back in as it came out.
	let mut input = whole["output"].as_array().unwrap().clone();
	input.push(server.respond(json!({})).await.json()["output"][0].clone());
	input.push(json!({ "type": "message", "role": "user", "content": "Go on." }));
	let answer = server.respond(json!({ "input": input })).await;
	assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn replayed_refusals_and_thoughts_should_be_taken() {
	let mut file = support::synth::model(1);
	let template = "{% for m in messages %}{{ m.role }}/{{ m.reasoning_content }}/{{ m.content }};{% endfor %}";
	file.text("tokenizer.chat_template", template);
	let model = Arc::new(Model::from_bytes(&file.bytes(), "s", Packing::Dense).unwrap());
	let server = Server::start(&model, 8, None).await;
	let thought = |text: &str| {
		json!({
			"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA",
			"content": [{ "type": "reasoning_text", "text": text }],
		})
	};
	let input = json!([
		thought("Hm."),
		{ "type": "message", "role": "assistant", "id": null, "content": [{ "type": "refusal", "refusal": "No." }] },
		{ "type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": null },
		{ "role": "assistant", "content": "A" },
		thought("Not said."),
		{ "role": "user", "content": [{ "type": "input_text", "text": "B" }] },
	]);
	let answer = server
		.respond(json!({ "input": input, "max_output_tokens": 1 }))
		.await
		.json();
	let prompt = model.tokenizer.decode(&verified(&answer, &model).prompt);
	assert_eq!(prompt, "assistant/Hm./No.;assistant//A;user//B;");
}

#[tokio::test]
async fn logprobs_should_stand_with_the_text() {
	let server = Server::demo().await;
	let asked = json!({ "include": ["message.output_text.logprobs"], "top_logprobs": 2 });
	let whole = server.respond(asked.clone()).await.json();
	let logprobs = whole["output"][0]["content"][0]["logprobs"]
		.as_array()
		.unwrap();
	assert_eq!(logprobs.len(), 8);
	for entry in logprobs {
		assert!(entry["logprob"].as_f64().unwrap() <= 0.0);
		assert_eq!(entry["top_logprobs"].as_array().unwrap().len(), 2);
	}
	let events = server.typed(asked).await;
	let streamed: Vec<&Value> = events
		.iter()
		.filter(|event| event["type"] == "response.output_text.delta")
		.flat_map(|event| event["logprobs"].as_array().unwrap())
		.collect();
	assert_eq!(streamed, logprobs.iter().collect::<Vec<_>>());
	let plain = server.respond(json!({})).await.json();
	assert_eq!(plain["output"][0]["content"][0]["logprobs"], json!([]));
}

#[tokio::test]
async fn what_can_not_be_obeyed_should_be_named() {
	let server = Server::demo().await;
	let message = |content: Value| json!([{ "role": "user", "content": content }]);
	for (change, param, code) in [
		(
			json!({ "previous_response_id": "resp_1" }),
			"previous_response_id",
			"unsupported_parameter",
		),
		(
			json!({ "conversation": "conv_1" }),
			"conversation",
			"unsupported_parameter",
		),
		(
			json!({ "background": true }),
			"background",
			"unsupported_parameter",
		),
		(
			json!({ "truncation": "auto" }),
			"truncation",
			"unsupported_parameter",
		),
		(json!({ "input": [] }), "input", "invalid_type"),
		(json!({ "input": [5] }), "input[0]", "invalid_type"),
		(
			json!({ "input": [{ "role": "robot", "content": "a" }] }),
			"input[0].role",
			"invalid_value",
		),
		(
			json!({ "input": message(json!([{ "type": "input_image" }])) }),
			"input[0].content[0]",
			"unsupported_value",
		),
		(
			json!({ "input": [{ "type": "item_reference", "id": "a" }] }),
			"input[0].type",
			"unsupported_value",
		),
		(
			json!({ "input": "a b ".repeat(2000) }),
			"input",
			"context_length_exceeded",
		),
		(
			json!({ "text": { "format": { "type": "yaml" } } }),
			"text.format",
			"invalid_value",
		),
		(json!({ "text": "json" }), "text", "invalid_type"),
		(
			json!({ "max_output_tokens": 0 }),
			"max_output_tokens",
			"invalid_value",
		),
		(
			json!({ "max_tokens": 5 }),
			"max_tokens",
			"unsupported_parameter",
		),
		(
			json!({ "response_format": { "type": "json_object" } }),
			"response_format",
			"unsupported_parameter",
		),
		(json!({ "n": 2 }), "n", "unsupported_parameter"),
		(json!({ "metadata": 5 }), "metadata", "invalid_type"),
		(json!({ "include": 5 }), "include", "invalid_type"),
		(
			json!({ "tools": [{ "type": "web_search" }] }),
			"tools[0].type",
			"unsupported_value",
		),
		(
			json!({ "tools": [{ "type": "function" }] }),
			"tools[0].name",
			"invalid_type",
		),
	] {
		let reply = server.respond(change.clone()).await;
		assert_eq!(reply.error(400), field(param, code), "{change}");
	}
	let harmless = json!({
		"store": true, "user": "a", "service_tier": "auto", "truncation": "disabled", "background": false,
		"previous_response_id": null, "reasoning": { "effort": "low" }, "include": [], "prompt_cache_key": "k",
	});
	assert_eq!(server.respond(harmless).await.status, 200);
}

#[tokio::test]
async fn damaged_weights_should_fail_the_response() {
	let server = Server::start(&DAMAGED, 8, None).await;
	assert_eq!(server.respond(json!({})).await.error(500).2, "not_finite");
	let events = server.typed(json!({})).await;
	let last = events.last().unwrap();
	assert_eq!(last["type"], "response.failed");
	assert_eq!(last["response"]["status"], "failed");
	assert_eq!(last["response"]["error"]["code"], "server_error");
}
