//! Functions that an answer may call.

use super::*;
use aria_primitives::receipt::Grammar;

// The demonstration model's context is short, so these are few and small.

fn tool(name: &str, parameters: Value) -> Value {
	json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
}

fn weather() -> Value {
	let city = json!({ "city": { "enum": ["Oslo", "Rome"] } });
	tool(
		"weather",
		json!({ "properties": city, "required": ["city"], "additionalProperties": false }),
	)
}

/// Its schema has a definition of its own.
fn age() -> Value {
	tool(
		"age",
		json!({
			"$defs": { "n": { "enum": [1, 2] } },
			"properties": { "n": { "$ref": "#/$defs/n" } },
			"required": ["n"],
			"additionalProperties": false,
		}),
	)
}

/// Functions without arguments.
fn up_or_down() -> Value {
	let nothing = json!({ "additionalProperties": false });
	json!([tool("up", nothing.clone()), tool("down", nothing)])
}

fn asking(change: Value) -> Value {
	let body = json!({
		"messages": [{ "role": "user", "content": "Hi" }],
		"tools": [weather()],
		"max_completion_tokens": 120,
		"parallel_tool_calls": false,
	});
	with(body, change)
}

/// The one call of an answer: its name and arguments.
fn only_call(answer: &Value) -> (String, Value) {
	let choice = &answer["choices"][0];
	assert_eq!(choice["finish_reason"], "tool_calls", "{answer}");
	let message = &choice["message"];
	assert_eq!(message["content"], Value::Null);
	let calls = message["tool_calls"].as_array().unwrap();
	assert_eq!(calls.len(), 1, "{answer}");
	assert_eq!(calls[0]["type"], "function");
	assert!(calls[0]["id"].as_str().unwrap().starts_with("call_"));
	let function = &calls[0]["function"];
	let arguments = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
	(function["name"].as_str().unwrap().to_owned(), arguments)
}

fn assert_fits((name, arguments): &(String, Value)) {
	match name.as_str() {
		"weather" => assert!(["Oslo", "Rome"].contains(&arguments["city"].as_str().unwrap())),
		"age" => assert!([1, 2].contains(&arguments["n"].as_u64().unwrap())),
		"up" | "down" => assert_eq!(arguments, &json!({})),
		_ => panic!("{name} is no function of the request"),
	}
}

#[tokio::test]
async fn required_and_named_calls_should_fit_their_schemas_and_verify() {
	let server = Server::demo().await;
	for change in [
		json!({ "tool_choice": "required" }),
		json!({ "tool_choice": "required", "temperature": 1, "seed": 1 }),
		json!({ "tool_choice": "required", "tools": [age()] }),
		json!({ "tool_choice": "required", "tools": up_or_down() }),
	] {
		let answer = server.chat(asking(change)).await.json();
		assert_fits(&only_call(&answer));
		let file = verified(&answer, &DEMO);
		assert!(matches!(file.constraints.grammar, Some(Grammar::Lark(_))));
	}
	let named = json!({ "type": "function", "function": { "name": "down" } });
	let allowed = json!({ "type": "allowed_tools", "allowed_tools": {
		"mode": "required",
		"tools": [{ "type": "function", "function": { "name": "down" } }],
	} });
	for choice in [named, allowed] {
		let change = json!({ "tool_choice": choice, "tools": up_or_down() });
		let answer = server.chat(asking(change)).await.json();
		assert_eq!(only_call(&answer).0, "down");
		verified(&answer, &DEMO);
	}
}

#[tokio::test]
async fn streamed_call_should_be_the_whole_one_in_pieces() {
	let server = Server::demo().await;
	let change = asking(json!({ "tool_choice": "required" }));
	let whole = only_call(&server.chat(change.clone()).await.json());
	let streamed = with(change, json!({ "stream": true }));
	let chunks = server.chat(streamed).await.chunks();
	let (last, before) = chunks.split_last().unwrap();
	assert_eq!(last["choices"][0]["delta"], json!({}));
	assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
	verified(last, &DEMO);
	let deltas: Vec<&Value> = before[1..]
		.iter()
		.map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
		.collect();
	assert!(deltas.iter().all(|delta| delta["index"] == 0));
	let first = deltas[0];
	assert_eq!(first["type"], "function");
	assert_eq!(first["function"]["name"], whole.0);
	assert_eq!(first["function"]["arguments"], "");
	assert!(first["id"].as_str().unwrap().starts_with("call_"));
	assert!(deltas.len() > 3, "the arguments came in one piece");
	let arguments: String = deltas
		.iter()
		.map(|delta| delta["function"]["arguments"].as_str().unwrap())
		.collect();
	let arguments: Value = serde_json::from_str(&arguments).unwrap();
	assert_eq!(
		(whole.0, arguments),
		(
			first["function"]["name"].as_str().unwrap().to_owned(),
			whole.1
		)
	);
}

#[tokio::test]
async fn free_answers_may_call_and_forms_still_hold() {
	let server = Server::demo().await;
	// A strict function is held to its schema, but the answer may still be a text.
	let mut strict = weather();
	strict["function"]["strict"] = json!(true);
	let change = json!({ "tools": [strict], "tool_choice": "auto" });
	let answer = server.chat(asking(change)).await.json();
	let file = verified(&answer, &DEMO);
	assert!(matches!(file.constraints.grammar, Some(Grammar::Lark(_))));
	let message = &answer["choices"][0]["message"];
	assert!(!message["content"].as_str().unwrap().is_empty());
	assert_eq!(message.get("tool_calls"), None);
	// The form of the text beside calls.
	let schema = json!({ "type": "object", "properties": { "happy": { "type": "boolean" } }, "required": ["happy"], "additionalProperties": false });
	let format =
		json!({ "type": "json_schema", "json_schema": { "name": "mood", "schema": schema } });
	for seed in 0..4 {
		let change = json!({
			"response_format": format, "temperature": 1, "seed": seed, "tools": up_or_down(),
		});
		let answer = server.chat(asking(change)).await.json();
		verified(&answer, &DEMO);
		let choice = &answer["choices"][0];
		match choice["finish_reason"].as_str().unwrap() {
			"tool_calls" => assert_fits(&only_call(&answer)),
			"stop" => {
				let content = choice["message"]["content"].as_str().unwrap();
				let mood: Value = serde_json::from_str(content).unwrap();
				assert!(mood["happy"].is_boolean());
			}
			other => panic!("{other}: {answer}"),
		}
	}
	// Without a need for one there is no grammar.
	let free = json!({ "parallel_tool_calls": true, "max_completion_tokens": 4 });
	let answer = server.chat(asking(free)).await.json();
	assert_eq!(verified(&answer, &DEMO).constraints.grammar, None);
}

#[tokio::test]
async fn tools_should_be_told_to_the_model_unless_none_may_be_used() {
	let server = Server::demo().await;
	let prompt = async |change: Value| {
		let reply = server.post("/apply-template", with(talk(), change)).await;
		reply.json()["prompt"].as_str().unwrap().to_owned()
	};
	let plain = prompt(json!({ "messages": asking(json!({}))["messages"] })).await;
	let told = prompt(asking(json!({}))).await;
	assert!(told.contains("{\"name\": \"weather\", \"parameters\": {\"properties\": {\"city\""));
	assert!(told.contains("<tool_call>"));
	assert_eq!(
		prompt(asking(json!({ "tool_choice": "none" }))).await,
		plain
	);
	// What became of calls is part of the conversation.
	let messages = json!([
		{ "role": "user", "content": "Is it warm?" },
		{ "role": "assistant", "content": null, "tool_calls": [
			{ "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\": \"Oslo\"}" } },
		] },
		{ "role": "tool", "tool_call_id": "call_1", "content": "5 degrees" },
	]);
	let told = prompt(json!({ "messages": messages })).await;
	assert!(told.contains(
		"<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>"
	));
	assert!(told.contains("<tool_response>\n5 degrees\n</tool_response>"));
	let answer = server.chat(json!({ "messages": messages })).await.json();
	verified(&answer, &DEMO);
}

#[tokio::test]
async fn tools_that_are_wrong_should_be_named() {
	let server = Server::demo().await;
	let function = |change: Value| json!([{ "type": "function", "function": change }]);
	for (change, param, code) in [
		(json!({ "tools": {} }), "tools", "invalid_type"),
		(json!({ "tools": [5] }), "tools[0].type", "invalid_type"),
		(
			json!({ "tools": [{ "type": "web_search" }] }),
			"tools[0].type",
			"unsupported_value",
		),
		(
			json!({ "tools": [{ "type": "function" }] }),
			"tools[0].function",
			"invalid_type",
		),
		(
			json!({ "tools": function(json!({})) }),
			"tools[0].function.name",
			"invalid_type",
		),
		(
			json!({ "tools": function(json!({ "name": "a b" })) }),
			"tools[0].function.name",
			"invalid_value",
		),
		(
			json!({ "tools": function(json!({ "name": "a", "parameters": 5 })) }),
			"tools[0].function.parameters",
			"invalid_type",
		),
		(json!({ "tools": [age(), age()] }), "tools", "invalid_value"),
		(
			json!({ "tools": vec![age(); 129] }),
			"tools",
			"invalid_value",
		),
		(
			json!({ "tool_choice": "always" }),
			"tool_choice",
			"invalid_value",
		),
		(
			json!({ "tool_choice": { "type": "function", "function": { "name": "nobody" } } }),
			"tool_choice",
			"invalid_value",
		),
		(
			json!({ "tools": [], "tool_choice": "required" }),
			"tool_choice",
			"invalid_value",
		),
		(
			json!({ "parallel_tool_calls": "no" }),
			"parallel_tool_calls",
			"invalid_type",
		),
		(
			json!({ "messages": [{ "role": "tool", "content": "5" }] }),
			"messages[0].tool_call_id",
			"invalid_type",
		),
		(
			json!({ "messages": [{ "role": "assistant", "tool_calls": [{ "id": 5 }] }] }),
			"messages[0].tool_calls[0].id",
			"invalid_type",
		),
		(
			json!({ "tools": function(json!({ "name": "a", "parameters": { "type": "nothing" } })), "tool_choice": "required" }),
			"tools",
			"invalid_grammar",
		),
	] {
		let reply = server.chat(asking(change.clone())).await;
		assert_eq!(reply.error(400), field(param, code), "{change}");
	}
}

#[tokio::test]
async fn integers_that_a_grammar_would_alter_should_be_refused() {
	let server = Server::demo().await;
	let calling = |n: Value| {
		let parameters =
			json!({ "properties": { "n": n }, "required": ["n"], "additionalProperties": false });
		json!({ "tools": [tool("f", parameters)], "tool_choice": "required" })
	};
	let large = calling(json!({ "const": 9_007_199_254_740_993_i64 }));
	let reply = server.chat(asking(large.clone())).await;
	assert_eq!(reply.error(400), field("tools[0]", "unsupported_value"));
	// Where nothing is held to it, the model is told it as it is.
	let free = json!({ "tool_choice": "auto", "parallel_tool_calls": true });
	let told = with(asking(large), free);
	let prompt = server.post("/apply-template", told).await.json();
	assert!(
		prompt["prompt"]
			.as_str()
			.unwrap()
			.contains("9007199254740993")
	);
	// Bounds hold all the same: one integer is left between these.
	let bounds = json!({ "type": "integer", "minimum": 9_007_199_254_740_993_i64, "maximum": 9_007_199_254_740_995_i64 });
	let answer = server.chat(asking(calling(bounds))).await.json();
	let grammar = &answer["aria"]["receipt_file"]["constraints"]["grammar"]["lark"];
	let left = r#""minimum":9007199254740994,"maximum":9007199254740994"#;
	assert!(grammar.as_str().unwrap().contains(left), "{grammar}");
	// More than values hold.
	let body = asking(calling(json!({ "maximum": 1 }))).to_string();
	let body = body.replace("\"maximum\":1", "\"maximum\":123456789012345678901");
	let body = body.replacen('{', "{\"model\":\"aria-demo\",", 1);
	let reply = server
		.send("POST", "/v1/chat/completions", "", body.as_bytes())
		.await;
	assert_eq!(reply.error(400), field("tools", "unsupported_value"));
}
