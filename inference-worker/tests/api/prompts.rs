//! From what a request says to the tokens that the model reads.

use super::*;

#[tokio::test]
async fn prompt_forms_and_paths_should_be_equal() {
	let server = Server::demo().await;
	let tokens = DEMO.tokenizer.encode("Once upon a time", true, false);
	let tokens = tokens.unwrap();
	let expected = server.complete(json!({})).await.json()["choices"].clone();
	for prompt in [
		json!(["Once upon a time"]),
		json!(tokens),
		json!([tokens.clone()]),
	] {
		let answer = server.complete(json!({ "prompt": prompt })).await.json();
		assert_eq!(answer["choices"], expected);
	}
	let answer = server.post("/completions", story()).await.json();
	assert_eq!(answer["choices"], expected);

	let expected = server.chat(json!({})).await.json()["choices"].clone();
	let parts =
		json!([{ "type": "text", "text": "Tell me " }, { "type": "text", "text": "a story." }]);
	let messages = json!([{ "role": "user", "content": parts }]);
	let answer = server.chat(json!({ "messages": messages })).await.json();
	assert_eq!(answer["choices"], expected);
	let old = with(
		talk(),
		json!({ "max_completion_tokens": null, "max_tokens": 8 }),
	);
	let answer = server.post("/chat/completions", old).await.json();
	assert_eq!(answer["choices"], expected);

	let reply = server
		.post(
			"/tokenize",
			json!({ "content": "Once upon", "add_special": true }),
		)
		.await
		.json();
	let tokens = DEMO.tokenizer.encode("Once upon", true, false).unwrap();
	assert_eq!(reply, json!({ "count": tokens.len(), "tokens": tokens }));
	let reply = server
		.post("/detokenize", json!({ "tokens": tokens }))
		.await;
	assert_eq!(reply.json(), json!({ "content": "Once upon" }));
}

#[tokio::test]
async fn template_should_show_the_prompt_of_a_conversation() {
	let server = Server::start(&PLAIN, 8, None).await;
	let messages = json!([
		{ "role": "system", "content": "Be brief." },
		{ "role": "user", "content": "What is <|eot_id|>?" },
	]);
	let body = json!({ "messages": messages });
	let reply = server.post("/apply-template", body.clone()).await.json();
	let prompt = "<s>System: Be brief.<|eot_id|>User: What is <|eot_id|>?<|eot_id|>Assistant: ";
	assert_eq!(reply, json!({ "prompt": prompt }));
	// As many tokens as the conversation has: markup that a user wrote is text.
	let tokens = server.post("/tokenize", body).await.json();
	let chat = with(
		json!({ "model": "aria-demo", "max_tokens": 1 }),
		json!({ "messages": messages }),
	);
	let answer = server.post("/v1/chat/completions", chat).await.json();
	assert_eq!(tokens["count"], answer["usage"]["prompt_tokens"]);
	let ends = tokens["tokens"]
		.as_array()
		.unwrap()
		.iter()
		.filter(|id| **id == 259);
	assert_eq!(ends.count(), 2);
	let reply = server.post("/apply-template", json!({})).await;
	assert_eq!(reply.error(400).1, "messages");
}

#[tokio::test]
async fn markup_inside_a_message_should_stay_text() {
	let server = Server::start(&PLAIN, 8, None).await;
	let ask = async |content: &str| {
		let messages = json!([{ "role": "user", "content": content }]);
		let answer = server.chat(json!({ "messages": messages })).await.json();
		verified(&answer, &PLAIN).prompt
	};
	// Without a template of its own, the model gets the published one of its family: one `<s>` and one `<|eot_id|>`.
	let expected = |user: &str| {
		let plain = |text: &str| PLAIN.tokenizer.encode(text, false, false).unwrap();
		[vec![258], plain(user), vec![259], plain("Assistant: ")].concat()
	};
	assert_eq!(ask("the cat").await, expected("User: the cat"));
	let prompt = ask("a<|eot_id|><s>b").await;
	assert_eq!(prompt, expected("User: a<|eot_id|><s>b"));
}

#[tokio::test]
async fn context_should_bound_the_answer_and_never_cut_the_prompt() {
	let server = Server::demo().await;
	let tokens = vec![5u32; 257];
	let reply = server.complete(json!({ "prompt": tokens })).await;
	assert_eq!(reply.error(400), field("prompt", "context_length_exceeded"));
	let messages = json!([{ "role": "user", "content": "once upon a time ".repeat(400) }]);
	let reply = server
		.chat(json!({ "messages": messages, "stream": true }))
		.await;
	assert_eq!(
		reply.error(400),
		field("messages", "context_length_exceeded")
	);
	// Long enough that no tokenisation of it fits.
	let reply = server
		.complete(json!({ "prompt": "x".repeat(7 << 20) }))
		.await;
	assert_eq!(reply.error(400), field("prompt", "context_length_exceeded"));
	let full =
		json!({ "prompt": vec![5u32; 254], "max_tokens": 100_000_000_000u64, "logprobs": 0 });
	let answer = server.complete(full).await.json();
	assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() <= 3);
	assert_eq!(answer["usage"]["prompt_tokens"], 254);
	// A request may have less of it, and no more.
	let less = json!({ "prompt": vec![5u32; 8], "max_tokens": 20, "num_ctx": 12, "logprobs": 0 });
	let answer = server.complete(less.clone()).await.json();
	let own = &answer["choices"][0]["logprobs"]["tokens"];
	assert!((1..=5).contains(&own.as_array().unwrap().len()));
	let reply = server
		.complete(with(less.clone(), json!({ "num_ctx": 7 })))
		.await;
	assert_eq!(reply.error(400), field("prompt", "context_length_exceeded"));
	for wrong in [0, 257] {
		let reply = server
			.complete(with(less.clone(), json!({ "num_ctx": wrong })))
			.await;
		assert_eq!(reply.error(400), field("num_ctx", "invalid_value"));
	}
}

#[tokio::test]
async fn histories_should_be_taken_as_sdks_send_them() {
	let server = Server::demo().await;
	let prompt = async |said: Value| {
		let messages =
			json!([{ "role": "user", "content": "A" }, said, { "role": "user", "content": "B" }]);
		let reply = server
			.post("/apply-template", json!({ "messages": messages }))
			.await;
		assert_eq!(reply.status, 200, "{}", reply.body);
		reply.json()["prompt"].as_str().unwrap().to_owned()
	};
	let said = async |text: &str| prompt(json!({ "role": "assistant", "content": text })).await;
	let refused = json!({ "type": "refusal", "refusal": "No." });
	for (message, text) in [
		(
			json!({ "role": "assistant", "content": null, "refusal": "No." }),
			"No.",
		),
		(json!({ "role": "assistant", "content": [refused] }), "No."),
		(json!({ "role": "assistant", "content": null }), ""),
		(
			json!({
				"content": "x", "refusal": null, "role": "assistant", "annotations": [], "audio": null,
				"function_call": null, "tool_calls": null, "reasoning_content": "Hm.",
			}),
			"x",
		),
	] {
		assert_eq!(prompt(message).await, said(text).await);
	}
}

#[tokio::test]
async fn arguments_should_keep_all_digits() {
	let server = Server::demo().await;
	for number in [
		"9007199254740993",
		"-9223372036854775808",
		"123456789012345678901234567890",
	] {
		let arguments = format!("{{\"n\": {number}}}");
		let call = json!({ "id": "c", "type": "function", "function": { "name": "f", "arguments": arguments } });
		let messages = json!([
			{ "role": "user", "content": "A" },
			{ "role": "assistant", "tool_calls": [call] },
			{ "role": "tool", "tool_call_id": "c", "content": "B" },
		]);
		let reply = server
			.post("/apply-template", json!({ "messages": messages }))
			.await
			.json();
		let prompt = reply["prompt"].as_str().unwrap();
		assert!(
			prompt.contains(&format!("\"arguments\": {arguments}")),
			"{prompt}"
		);
	}
}

/// Sees what templates are told beside contents.
#[tokio::test]
async fn thoughts_and_names_should_reach_templates_that_show_them() {
	let mut file = support::synth::model(1);
	let template = "{% for m in messages %}{{ m.name }}/{{ m.reasoning_content }}/{{ m.content }};{% endfor %}";
	file.text("tokenizer.chat_template", template);
	let model = Model::from_bytes(&file.bytes(), "s", Packing::Dense).unwrap();
	let server = Server::start(&Arc::new(model), 8, None).await;
	let messages = json!([
		{ "role": "user", "name": "ann", "content": "A" },
		{ "role": "assistant", "reasoning_content": "Hm.", "content": "B" },
		{ "role": "assistant", "reasoning": "Oh.", "content": "C" },
	]);
	let reply = server
		.post("/apply-template", json!({ "messages": messages }))
		.await
		.json();
	assert_eq!(reply["prompt"], "ann//A;/Hm./B;/Oh./C;");
}

#[tokio::test]
async fn sentencepiece_texts_should_come_back_without_the_space_before_them() {
	let mut file = support::synth::model_of(1, |file| {
		let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
		tokens.extend((0..=255u8).map(|byte| format!("<0x{byte:02X}>")));
		tokens.push("\u{2581}".into());
		let mut types = vec![2, 3, 3];
		types.extend([6; 256]);
		types.push(1);
		file.text("tokenizer.ggml.model", "llama");
		file.texts("tokenizer.ggml.tokens", &tokens);
		file.ints("tokenizer.ggml.token_type", &types);
		file.floats("tokenizer.ggml.scores", &[0.0; 260]);
	});
	file.text("general.name", "pieces");
	let model = Model::from_bytes(&file.bytes(), "s", Packing::Dense).unwrap();
	let server = Server::start(&Arc::new(model), 8, None).await;
	for text in ["Once upon", " Once", ""] {
		let body = json!({ "content": text, "add_special": true });
		let tokens = server.post("/tokenize", body).await.json()["tokens"].clone();
		let reply = server
			.post("/detokenize", json!({ "tokens": tokens }))
			.await;
		assert_eq!(reply.json(), json!({ "content": text }));
	}
}
