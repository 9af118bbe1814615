use super::*;
use serde_json::json;

fn said(role: &str, content: &str) -> Message {
	Message {
		role: role.into(),
		content: content.into(),
		..Message::default()
	}
}

fn weather() -> serde_json::Value {
	json!({ "type": "function", "function": { "name": "weather", "description": "It's <b>", "parameters": {} } })
}

#[test]
fn tools_should_be_shown_as_python_writes_json() {
	let source = "{% for tool in tools %}{{ tool | tojson }}{% endfor %}{{ messages[0].content }}";
	let template = ChatTemplate::new(Some(source), "", "").unwrap();
	assert!(template.takes_tools());
	let text = template
		.render(&[said("user", "!")], &[weather()], 0)
		.unwrap();
	assert_eq!(
		text,
		r#"{"type": "function", "function": {"name": "weather", "description": "It's <b>", "parameters": {}}}!"#
	);
	let source = "{{ tools | tojson(indent=2) }}";
	let template = ChatTemplate::new(Some(source), "", "").unwrap();
	let text = template
		.render(&[said("user", "")], &[json!({ "a": [1] })], 0)
		.unwrap();
	assert_eq!(text, "[\n  {\n    \"a\": [\n      1\n    ]\n  }\n]");
}

#[test]
fn numbers_should_be_numbers_in_templates() {
	let source = "{% for tool in tools %}{{ tool | tojson }} {{ tool.least + 1 }}{% endfor %}";
	let template = ChatTemplate::new(Some(source), "", "").unwrap();
	let tool = r#"{"z": -1, "least": 5, "most": 18446744073709551615, "step": 0.5, "one": 1.0, "list": [null, true, {"n": 2}]}"#;
	let parsed: serde_json::Value = serde_json::from_str(tool).unwrap();
	let text = template.render(&[said("user", "")], &[parsed], 0).unwrap();
	assert_eq!(text, format!("{tool} 6"));
}

#[test]
fn json_without_end_should_be_refused() {
	let source = "{% for i in range(100000) %}{% set x = messages | tojson %}{% endfor %}";
	let template = ChatTemplate::new(Some(source), "", "").unwrap();
	let long = said("user", &"x".repeat(10_000));
	let error = template.render(&[long], &[], 0).unwrap_err();
	assert!(error.to_string().contains("too much JSON"), "{error}");
}

#[test]
fn template_without_tools_should_say_so() {
	for source in [
		None,
		Some(CHATML),
		Some(LLAMA3),
		Some(FALCON3),
		Some(BITNET),
	] {
		let template = ChatTemplate::new(source, "", "").unwrap();
		assert!(!template.takes_tools());
		assert_eq!(template.call_format(), CallFormat::Tagged);
	}
}

#[test]
fn published_templates_should_show_tools_calls_and_results() {
	let folder = concat!(
		env!("CARGO_MANIFEST_DIR"),
		"/../../../shared/vectors/chat-templates"
	);
	for (file, format) in [
		("Qwen-Qwen3-0.6B.jinja", CallFormat::Tagged),
		("meta-llama-Llama-3.1-8B-Instruct.jinja", CallFormat::Bare),
	] {
		let Ok(source) = std::fs::read_to_string(format!("{folder}/{file}")) else {
			eprintln!("skipped: {folder}/{file} is not here");
			continue;
		};
		let template = ChatTemplate::new(Some(&source), "<s>", "</s>").unwrap();
		assert!(template.takes_tools(), "{file}");
		assert_eq!(template.call_format(), format);
		let call = ToolCall {
			id: "call_1".into(),
			r#type: "function",
			function: FunctionCall {
				name: "weather".into(),
				arguments: json!({ "city": "Oslo" }),
			},
		};
		let messages = [
			said("user", "Is it warm?"),
			Message {
				tool_calls: vec![call],
				..said("assistant", "")
			},
			Message {
				tool_call_id: Some("call_1".into()),
				name: Some("weather".into()),
				..said("tool", "5 degrees")
			},
		];
		let text = template.render(&messages, &[weather()], 0).unwrap();
		for part in [
			"It's <b>",
			"{\"city\": \"Oslo\"}",
			"5 degrees",
			"\"name\": \"weather\"",
		] {
			assert!(text.contains(part), "{file}: {part} is not in {text}");
		}
	}
}
