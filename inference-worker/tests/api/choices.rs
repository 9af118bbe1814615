//! Several answers to a request: several choices for a prompt, several prompts.

use super::*;

fn hot(change: Value) -> Value {
	let body = json!({ "temperature": 1, "seed": 5, "max_tokens": 6, "logprobs": 1 });
	with(with(story(), body), change)
}

/// A choice as the only one of an answer has it.
fn alone(choice: &Value) -> Value {
	let mut choice = choice.clone();
	choice.as_object_mut().unwrap().remove("aria");
	choice["index"] = json!(0);
	choice
}

#[tokio::test]
async fn choices_should_be_the_answers_of_seeds_in_a_row() {
	let server = Server::demo().await;
	let answer = server
		.post("/v1/completions", hot(json!({ "n": 3, "best_of": 3 })))
		.await
		.json();
	let choices = answer["choices"].as_array().unwrap();
	assert_eq!(choices.len(), 3);
	assert_eq!(answer.get("aria"), None, "a receipt belongs to one choice");
	let (mut output, mut prompt) = (0, 0);
	for (index, choice) in choices.iter().enumerate() {
		assert_eq!(choice["index"], index);
		let file = verified(choice, &DEMO);
		assert_eq!(file.signed.receipt.sampling.seed, 5 + index as u64);
		let single = hot(json!({ "seed": 5 + index }));
		let single = server.post("/v1/completions", single).await.json();
		assert_eq!(alone(choice), single["choices"][0]);
		output += single["usage"]["completion_tokens"].as_u64().unwrap();
		prompt = single["usage"]["prompt_tokens"].as_u64().unwrap();
	}
	assert_eq!(answer["usage"]["completion_tokens"], output);
	assert_eq!(
		answer["usage"]["prompt_tokens"], prompt,
		"the prompt counts once"
	);
	assert_ne!(choices[0]["text"], choices[1]["text"]);
}

#[tokio::test]
async fn prompts_of_a_list_should_be_answered_in_order() {
	let server = Server::demo().await;
	let prompts = ["Once upon a time", "The dog"];
	let body = hot(json!({ "prompt": prompts, "n": 2 }));
	let answer = server.post("/v1/completions", body).await.json();
	let choices = answer["choices"].as_array().unwrap();
	assert_eq!(choices.len(), 4);
	let mut tokens = 0;
	for (number, prompt) in prompts.iter().enumerate() {
		let same = server
			.post("/v1/completions", hot(json!({ "prompt": prompt, "n": 2 })))
			.await
			.json();
		tokens += same["usage"]["prompt_tokens"].as_u64().unwrap();
		for index in 0..2 {
			let choice = &choices[2 * number + index];
			assert_eq!(choice["index"], 2 * number + index);
			assert_eq!(alone(choice), alone(&same["choices"][index]));
		}
	}
	assert_eq!(answer["usage"]["prompt_tokens"], tokens);
}

#[tokio::test]
async fn streamed_choices_should_be_told_apart_by_index() {
	let server = Server::demo().await;
	let change = json!({
		"n": 3, "temperature": 1, "seed": 9, "max_completion_tokens": 6,
		"stream": true, "stream_options": { "include_usage": true },
	});
	let chunks = server.chat(change.clone()).await.chunks();
	let whole = server
		.chat(with(
			change,
			json!({ "stream": false, "stream_options": null }),
		))
		.await
		.json();
	let (usage, chunks) = chunks.split_last().unwrap();
	assert_eq!(usage["choices"], json!([]));
	for key in ["prompt_tokens", "completion_tokens", "total_tokens"] {
		assert_eq!(usage["usage"][key], whole["usage"][key]);
	}
	for index in 0..3 {
		let own = chunks
			.iter()
			.map(|chunk| &chunk["choices"][0])
			.filter(|choice| choice["index"] == index);
		let own: Vec<&Value> = own.collect();
		assert_eq!(
			own[0]["delta"],
			json!({ "role": "assistant", "content": "" })
		);
		let text: String = own
			.iter()
			.filter_map(|choice| choice["delta"]["content"].as_str())
			.collect();
		let expected = &whole["choices"][index];
		assert_eq!(text, expected["message"]["content"].as_str().unwrap());
		let (last, before) = own.split_last().unwrap();
		assert_eq!(last["delta"], json!({}));
		assert_eq!(last["finish_reason"], expected["finish_reason"]);
		assert!(
			before
				.iter()
				.all(|choice| choice["finish_reason"].is_null())
		);
		verified(last, &DEMO);
	}
}

#[tokio::test]
async fn too_many_answers_should_be_refused_and_leave_nothing_running() {
	let server = Server::start(&DEMO, 1, None).await;
	let reply = server
		.post(
			"/v1/completions",
			hot(json!({ "n": 16, "prompt": ["a", "b", "c"] })),
		)
		.await;
	assert_eq!(reply.error(400), field("n", "invalid_value"));
	// More than there are places.
	let reply = server
		.post("/v1/completions", hot(json!({ "n": 8, "max_tokens": 200 })))
		.await;
	assert_eq!(reply.error(429).2, "queue_full");
	server.idle().await;
	assert_eq!(server.complete(json!({})).await.status, 200);
}
