//! Answers of completions and chats, whole and streamed.

use super::*;

#[tokio::test]
async fn completion_should_carry_exact_usage_and_a_receipt_that_verifies() {
	let server = Server::demo().await;
	let reply = server.complete(json!({})).await;
	assert_eq!(reply.status, 200, "{}", reply.body);
	let answer = reply.json();
	let file = verified(&answer, &DEMO);
	assert_eq!(answer["object"], "text_completion");
	assert!(answer["id"].as_str().unwrap().starts_with("cmpl-"));
	assert_eq!(answer["model"], "aria-demo");
	let root = hex::encode(DEMO.id.as_bytes());
	assert_eq!(
		answer["system_fingerprint"],
		format!("aria-1-{}", &root[..16])
	);
	let choice = &answer["choices"][0];
	assert_eq!(choice["finish_reason"], "length");
	assert_eq!(choice["logprobs"], Value::Null);
	assert_eq!(choice["text"], DEMO.tokenizer.decode(&file.output));
	let prompt = DEMO.tokenizer.encode("Once upon a time", true, false);
	assert_eq!(file.prompt, prompt.unwrap());
	assert_eq!(answer["usage"]["prompt_tokens"], file.prompt.len());
	assert_eq!(answer["usage"]["completion_tokens"], 8);
	assert_eq!(answer["usage"]["total_tokens"], file.prompt.len() + 8);
	assert!(answer["usage"]["tokens_per_second"].as_f64().unwrap() > 0.0);
	assert_eq!(answer["usage"]["energy_mj"], Value::Null, "no meter");
	assert_eq!(file.signed.receipt.consent_version, 7);
	assert_eq!(
		file.signed.receipt.worker.as_ref() as &[u8],
		&server.signer.public().0
	);
	// On disk, and readable by its identifier.
	let id = answer["aria"]["receipt_id"].as_str().unwrap();
	assert_eq!(
		server
			.journal
			.get(&parse_hash(id).unwrap())
			.unwrap()
			.unwrap()
			.file,
		file
	);
}

#[tokio::test]
async fn greedy_and_seeded_answers_should_be_the_same_again() {
	let server = Server::demo().await;
	for change in [json!({}), json!({ "temperature": 0.9, "seed": 5 })] {
		let first = server.complete(change.clone()).await.json();
		let second = server.complete(change).await.json();
		assert_eq!(first["choices"], second["choices"]);
		let root = |answer| verified(answer, &DEMO).signed.receipt.trace_root;
		assert_eq!(root(&first), root(&second));
	}
	let hot = json!({ "temperature": 2, "seed": 5, "max_tokens": 16 });
	let first = server.complete(hot.clone()).await.json();
	let other = server
		.complete(with(hot.clone(), json!({ "seed": -6 })))
		.await
		.json();
	assert_ne!(first["choices"], other["choices"]);
	// Without a seed each answer has its own.
	let free = with(hot, json!({ "seed": null }));
	let seeds = [
		server.complete(free.clone()).await.json(),
		server.complete(free).await.json(),
	]
	.map(|answer| verified(&answer, &DEMO).signed.receipt.sampling.seed);
	assert_ne!(seeds[0], seeds[1]);
}

#[tokio::test]
async fn chat_should_stream_role_then_texts_then_an_empty_delta_with_the_receipt() {
	let server = Server::demo().await;
	let whole = server.chat(json!({})).await.json();
	let message = &whole["choices"][0]["message"];
	assert_eq!(message["role"], "assistant");
	let chunks = server.chat(json!({ "stream": true })).await.chunks();
	let first = &chunks[0];
	assert_eq!(
		first["choices"][0]["delta"],
		json!({ "role": "assistant", "content": "" })
	);
	for chunk in &chunks {
		for key in ["id", "created", "model", "system_fingerprint", "object"] {
			assert_eq!(chunk[key], first[key]);
		}
		assert_eq!(chunk["object"], "chat.completion.chunk");
		assert_eq!(chunk["choices"].as_array().unwrap().len(), 1);
		assert_eq!(chunk["choices"][0]["index"], 0);
		assert!(chunk.get("usage").is_none(), "usage was not asked for");
	}
	let (last, before) = chunks.split_last().unwrap();
	let mut text = String::new();
	for chunk in before {
		let choice = chunk["choices"][0].as_object().unwrap();
		assert_eq!(choice["finish_reason"], Value::Null);
		assert!(choice.contains_key("finish_reason"));
		assert!(chunk.get("aria").is_none());
		text.push_str(choice["delta"]["content"].as_str().unwrap());
	}
	assert!(before.len() > 2, "the answer came in one piece");
	assert_eq!(text, message["content"].as_str().unwrap());
	assert_eq!(last["choices"][0]["delta"], json!({}));
	assert_eq!(last["choices"][0]["finish_reason"], "length");
	let file = verified(last, &DEMO);
	assert_eq!(file.output, verified(&whole, &DEMO).output);
	assert_eq!(file.text.as_deref(), Some(text.as_str()));
}

#[tokio::test]
async fn usage_should_be_one_last_chunk_without_choices_when_asked_for() {
	let server = Server::demo().await;
	let asked = json!({ "stream": true, "stream_options": { "include_usage": true } });
	for chunks in [
		server.chat(asked.clone()).await.chunks(),
		server.complete(asked).await.chunks(),
	] {
		let (usage, before) = chunks.split_last().unwrap();
		assert_eq!(usage["choices"], json!([]));
		for chunk in before {
			assert_eq!(chunk.as_object().unwrap()["usage"], Value::Null);
		}
		let finish = before.last().unwrap();
		assert_eq!(finish["choices"][0]["finish_reason"], "length");
		let file = verified(finish, &DEMO);
		assert_eq!(usage["usage"]["prompt_tokens"], file.prompt.len());
		assert_eq!(usage["usage"]["completion_tokens"], 8);
		assert_eq!(usage["usage"]["total_tokens"], file.prompt.len() + 8);
	}
}

#[tokio::test]
async fn completion_should_stream_texts_then_an_empty_one() {
	let server = Server::demo().await;
	let whole = server.complete(json!({})).await.json();
	let chunks = server.complete(json!({ "stream": true })).await.chunks();
	let (last, before) = chunks.split_last().unwrap();
	let text: String = before
		.iter()
		.map(|chunk| chunk["choices"][0]["text"].as_str().unwrap())
		.collect();
	assert_eq!(whole["choices"][0]["text"], text);
	assert!(before.len() > 2);
	for chunk in before {
		assert_eq!(chunk["object"], "text_completion");
		assert_ne!(chunk["choices"][0]["text"], "");
		assert_eq!(chunk["choices"][0]["finish_reason"], Value::Null);
	}
	assert_eq!(last["choices"][0]["text"], "");
	assert_eq!(last["choices"][0]["finish_reason"], "length");
	verified(last, &DEMO);
}

#[tokio::test]
async fn stop_text_should_end_the_answer_before_it() {
	let server = Server::demo().await;
	let whole = server.complete(json!({})).await.json();
	let text = whole["choices"][0]["text"].as_str().unwrap();
	let (at, _) = text.char_indices().nth(7).unwrap();
	let stop = &text[at..at + 3];
	let expected = &text[..text.find(stop).unwrap()];
	for stop in [json!(stop), json!(["never in it", stop])] {
		let answer = server.complete(json!({ "stop": stop })).await.json();
		assert_eq!(answer["choices"][0]["text"], expected);
		assert_eq!(answer["choices"][0]["finish_reason"], "stop");
		verified(&answer, &DEMO);
	}
}

#[tokio::test]
async fn logprobs_should_come_in_the_shape_of_each_endpoint() {
	let server = Server::demo().await;
	let answer = server.complete(json!({ "logprobs": 2 })).await.json();
	let legacy = &answer["choices"][0]["logprobs"];
	let tokens: Vec<&str> = legacy["tokens"]
		.as_array()
		.unwrap()
		.iter()
		.map(|token| token.as_str().unwrap())
		.collect();
	assert_eq!(tokens.concat(), answer["choices"][0]["text"]);
	assert_eq!(tokens.len(), 8);
	assert_eq!(legacy["text_offset"][0], 0);
	assert_eq!(legacy["text_offset"][1], tokens[0].chars().count());
	for (index, token) in tokens.iter().enumerate() {
		let top = legacy["top_logprobs"][index].as_object().unwrap();
		assert_eq!(top.len(), 2);
		assert_eq!(top[*token], legacy["token_logprobs"][index]);
	}
	let only = server.complete(json!({ "logprobs": 0 })).await.json();
	let only = &only["choices"][0]["logprobs"];
	assert_eq!(only["token_logprobs"], legacy["token_logprobs"]);
	assert_eq!(only["top_logprobs"], Value::Null);

	let asked = json!({ "logprobs": true, "top_logprobs": 3 });
	let whole = server.chat(asked.clone()).await.json();
	let content = whole["choices"][0]["logprobs"]["content"]
		.as_array()
		.unwrap();
	assert_eq!(content.len(), 8);
	for token in content {
		let text = token["token"].as_str().unwrap();
		assert_eq!(token["bytes"], json!(text.as_bytes()));
		assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 3);
		assert_eq!(token["top_logprobs"][0]["token"], text, "greedy");
		assert_eq!(token["top_logprobs"][0]["logprob"], token["logprob"]);
	}
	let chunks = server.chat(with(asked, json!({ "stream": true }))).await;
	let streamed: Vec<Value> = chunks
		.chunks()
		.iter()
		.filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array())
		.flatten()
		.cloned()
		.collect();
	assert_eq!(&streamed, content);
}

#[tokio::test]
async fn logprobs_should_be_of_the_distribution_that_was_drawn_from() {
	let server = Server::demo().await;
	let first = async |change: Value| {
		let asked = json!({ "logprobs": true, "top_logprobs": 20, "max_completion_tokens": 1, "seed": 1, "temperature": 1 });
		let answer = server.chat(with(asked, change)).await.json();
		verified(&answer, &DEMO);
		answer["choices"][0]["logprobs"]["content"][0].clone()
	};
	let top = |token: &Value| -> Vec<(String, f64)> {
		let one = |one: &Value| {
			let text = one["token"].as_str().unwrap().to_owned();
			(text, one["logprob"].as_f64().unwrap())
		};
		token["top_logprobs"]
			.as_array()
			.unwrap()
			.iter()
			.map(one)
			.collect()
	};
	let plain = top(&first(json!({})).await);
	assert_eq!(plain.len(), 20);
	assert_eq!(top(&first(json!({ "temperature": 0 })).await), plain);
	// What is likely is less so when it is hotter.
	let hot = top(&first(json!({ "temperature": 2 })).await);
	assert_eq!(hot[0].0, plain[0].0);
	assert!(hot[0].1 < plain[0].1);
	let likeliest = DEMO.tokenizer.encode(&plain[0].0, false, false).unwrap()[0].to_string();
	let banned = top(&first(json!({ "logit_bias": { likeliest: -100 } })).await);
	assert!(
		banned
			.iter()
			.all(|(text, logprob)| *text != plain[0].0 || *logprob < -50.0)
	);
	// Only what the grammar allows is an alternative, and adds up to one.
	let held = top(&first(json!({ "grammar": "start: \"a\" | \"b\"" })).await);
	assert!(
		held.iter()
			.all(|(text, _)| ["a", "b"].contains(&text.as_str())),
		"{held:?}"
	);
	let sum: f64 = held.iter().map(|(_, logprob)| logprob.exp()).sum();
	assert!((sum - 1.0).abs() < 1e-4, "{held:?}");
}
