//! Bias, penalties, schemas and grammars.

use super::*;

#[tokio::test]
async fn answers_should_obey_bias_penalties_and_schemas() {
	let server = Server::demo().await;
	let text = |answer: &Value| answer["choices"][0]["text"].as_str().unwrap().to_owned();
	let plain = server.complete(json!({ "temperature": 0 })).await.json();
	let first = server
		.complete(json!({ "temperature": 0, "max_tokens": 1 }))
		.await
		.json();
	let file = &first["aria"]["receipt_file"];
	let token = file["output"][0].as_u64().unwrap().to_string();
	let list = json!({ "temperature": 0, "logit_bias": [[file["output"][0], -100]] });
	let banned = json!({ "temperature": 0, "logit_bias": { token: -100 } });
	let biased = server.complete(banned).await.json();
	assert_ne!(text(&biased), text(&plain));
	verified(&biased, &DEMO);
	// llama.cpp's way to say it.
	assert_eq!(text(&server.complete(list).await.json()), text(&biased));
	let penalties = json!({ "temperature": 0, "frequency_penalty": 2, "repetition_penalty": 1.5 });
	let varied = server.complete(penalties).await.json();
	assert_ne!(text(&varied), text(&plain));
	verified(&varied, &DEMO);
	let schema = json!({
		"type": "object", "properties": { "animal": { "enum": ["cat", "dog"] } }, "required": ["animal"],
		"additionalProperties": false,
	});
	let format =
		json!({ "type": "json_schema", "json_schema": { "name": "pet", "schema": schema } });
	let answer = server
		.chat(json!({ "response_format": format, "max_completion_tokens": 60 }))
		.await
		.json();
	assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
	let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
	let pet: Value = serde_json::from_str(content).unwrap();
	assert!(
		["cat", "dog"].contains(&pet["animal"].as_str().unwrap()),
		"{content}"
	);
	verified(&answer, &DEMO);
	let broken =
		json!({ "type": "json_schema", "json_schema": { "schema": { "type": "nothing" } } });
	let reply = server.chat(json!({ "response_format": broken })).await;
	assert_eq!(
		reply.error(400),
		field("response_format", "invalid_grammar")
	);
}

#[tokio::test]
async fn answers_should_obey_grammars() {
	let server = Server::demo().await;
	let grammar = "start: (\"fox\" | \"hen\") \" and \" /[0-9]{2}/";
	let said = |answer: &Value| answer["choices"][0]["text"].as_str().unwrap().to_owned();
	let change = json!({ "grammar": grammar, "max_tokens": 40 });
	let answer = server.complete(change.clone()).await.json();
	let text = said(&answer);
	let (animal, number) = text.split_once(" and ").unwrap();
	assert!(["fox", "hen"].contains(&animal), "{text}");
	assert!(number.len() == 2 && number.parse::<u8>().is_ok(), "{text}");
	let file = verified(&answer, &DEMO);
	let kept = aria_primitives::receipt::Grammar::Lark(grammar.into());
	assert_eq!(file.constraints.grammar, Some(kept));
	for other in [
		json!({ "response_format": { "type": "json_object" } }),
		json!({ "tools": [{ "type": "function", "function": { "name": "a", "parameters": {} } }] }),
	] {
		let reply = server.chat(with(change.clone(), other)).await;
		assert_eq!(reply.error(400), field("grammar", "invalid_value"));
	}
}
