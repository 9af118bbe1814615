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
