//! Chat templates behind the API: what they refuse, and what they take away when they can't be read.

use super::*;

/// A model whose answers make no sense, with a chat template.
fn templated(template: &str) -> Arc<Model> {
	let mut file = support::synth::model(1);
	file.text("tokenizer.chat_template", template);
	Arc::new(Model::from_bytes(&file.bytes(), "s", Packing::Dense).unwrap())
}

#[tokio::test]
async fn template_that_makes_no_sense_should_take_chats_and_nothing_else() {
	let model = templated("{% for m in messages %}{% nonsense %}{% endfor %}");
	let server = Server::start(&model, 8, None).await;
	let tokens = json!({ "prompt": [1, 2, 3] });
	let answer = server.complete(tokens.clone()).await.json();
	verified(&answer, &model);
	let file = json!({ "receipt_file": answer["aria"]["receipt_file"] });
	let verdict = server.post("/v1/verify", file).await.json();
	assert_eq!(verdict["ok"], true, "{verdict}");
	let counted = server.post("/tokenize", json!({ "content": "a" })).await;
	assert_eq!(counted.status, 200, "{}", counted.body);
	let listed = server.get("/v1/models").await.json();
	assert_eq!(listed["data"][0]["meta"]["chat_template"], false);
	for reply in [
		server.chat(json!({})).await,
		server.chat(json!({ "stream": true })).await,
		server.post("/apply-template", talk()).await,
		server.post("/tokenize", talk()).await,
		server
			.post(
				"/v1/responses",
				json!({ "model": "aria-demo", "input": "Hi" }),
			)
			.await,
	] {
		let said = reply.json()["error"]["message"].to_string();
		assert!(said.contains("nonsense"), "{said}");
		assert!(said.contains("only texts to continue"), "{said}");
		assert_eq!(reply.error(400), field("model", "unusable_chat_template"));
	}
	assert_eq!(server.complete(tokens).await.status, 200);
}

#[tokio::test]
async fn refusals_of_templates_should_be_in_their_own_words() {
	let model = templated(
		"{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('one system message, please') }}{% endif %}{{ m.role }}:{{ m.content }};{% endfor %}",
	);
	let server = Server::start(&model, 8, None).await;
	let said = |role: &str, content: &str| json!({ "role": role, "content": content });
	let twice = json!([said("system", "a"), said("user", "b"), said("system", "c")]);
	let reply = server.chat(json!({ "messages": twice })).await;
	assert_eq!(reply.status, 400);
	let error = reply.json()["error"].clone();
	assert_eq!(error["message"], "one system message, please");
	assert_eq!(error["param"], "messages");
	// Some clients send instructions and developer messages.
	let input = json!([
		said("system", "S"),
		said("developer", "D"),
		said("user", "u")
	]);
	let body = json!({
		"model": "aria-demo", "instructions": "I", "input": input, "max_output_tokens": 2,
	});
	let reply = server.post("/v1/responses", body).await;
	assert_eq!(reply.status, 200, "{}", reply.body);
}

#[tokio::test]
async fn prompts_should_have_the_date_of_today() {
	let model = templated("{{ strftime_now('%s') }}");
	let server = Server::start(&model, 8, None).await;
	let seconds = || {
		let now = std::time::SystemTime::now();
		now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
	};
	let before = seconds();
	let reply = server.post("/apply-template", talk()).await.json();
	let shown: u64 = reply["prompt"].as_str().unwrap().parse().unwrap();
	assert!((before..=seconds()).contains(&shown), "{shown}");
}
