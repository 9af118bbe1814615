//! Chat templates: what they make of conversations, and what is refused. Those that end a process are in `cli/`.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use aria_engine::model::template::{ChatTemplate, FunctionCall, Message, TemplateError, ToolCall};
use serde_json::{Value, json};
use std::path::PathBuf;

/// 2026-07-04 09:05:06.
const NOW: u64 = 1_783_155_906;

fn messages(contents: &[&str]) -> Vec<Message> {
	let roles = ["system", "user", "assistant"].iter().cycle();
	let both = contents.iter().zip(roles);
	both.map(|(content, role)| Message {
		role: (*role).to_owned(),
		content: (*content).to_owned(),
		..Message::default()
	})
	.collect()
}

fn render(source: &str, contents: &[&str]) -> Result<String, TemplateError> {
	ChatTemplate::new(Some(source), "<s>", "</s>")
		.unwrap()
		.render(&messages(contents), &[], NOW)
}

/// A message of the fixture.
fn message(value: &Value) -> Message {
	let text = |name: &str| value[name].as_str().map(str::to_owned);
	let calls = value["tool_calls"].as_array().into_iter().flatten();
	let calls = calls.map(|call| ToolCall {
		id: call["id"].as_str().unwrap().to_owned(),
		r#type: "function",
		function: FunctionCall {
			name: call["function"]["name"].as_str().unwrap().to_owned(),
			arguments: call["function"]["arguments"].clone(),
		},
	});
	let mut message = Message {
		role: text("role").unwrap(),
		content: text("content").unwrap(),
		..Message::default()
	};
	message.tool_calls = calls.collect();
	message.tool_call_id = text("tool_call_id");
	message.name = text("name");
	message
}

#[test]
fn prompts_should_be_those_of_transformers() {
	// Written by tests/reference/templates.py with Jinja2.
	let fixture: Value = serde_json::from_str(include_str!("fixtures/templates.json")).unwrap();
	let messages: Vec<Message> = (fixture["messages"].as_array().unwrap().iter())
		.map(message)
		.collect();
	let tools = fixture["tools"].as_array().unwrap();
	let now = fixture["now"].as_u64().unwrap();
	let mut wrong = Vec::new();
	for case in fixture["cases"].as_array().unwrap() {
		let source = case["template"].as_str().unwrap();
		let template = ChatTemplate::new(Some(source), "<s>", "</s>").unwrap();
		let prompt = template.render(&messages, tools, now);
		let prompt = prompt.unwrap_or_else(|error| error.to_string());
		if prompt != case["prompt"].as_str().unwrap() {
			wrong.push(format!("{source}\n  {prompt:?}\n  {}", case["prompt"]));
		}
	}
	assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arguments_of_calls_should_be_texts_where_objects_fail() {
	let call = json!({ "role": "assistant", "content": "", "tool_calls": [{ "id": "c", "function": {
		"name": "f", "arguments": { "city": "Oslo", "n": 1.0 },
	} }] });
	let render = |expression: &str| {
		let source = format!(
			"{{% for m in messages %}}{{% for c in m.tool_calls %}}{{{{ {expression} }}}}{{% endfor %}}{{% endfor %}}"
		);
		let template = ChatTemplate::new(Some(&source), "", "").unwrap();
		template.render(&[message(&call)], &[], NOW)
	};
	let text = r#"{"city": "Oslo", "n": 1.0}"#;
	for (expression, expected) in [
		("'<' + c['function']['arguments'] + '>'", "<{}>"),
		("c.function.arguments", "{}"),
		("'<' ~ c.function.arguments ~ '>'", "<{}>"),
		("c.function.arguments | tojson", "{}"),
		("c.function.arguments | string | length", "26"),
		("c.function.arguments is mapping", "True"),
		("c.function.arguments.n", "1.0"),
		(
			"c.function.arguments.items() | list",
			"[('city', 'Oslo'), ('n', 1.0)]",
		),
		(
			"c.function.arguments | items | list",
			"[('city', 'Oslo'), ('n', 1.0)]",
		),
	] {
		assert_eq!(
			render(expression),
			Ok(expected.replace("{}", text)),
			"{expression}"
		);
	}
	// What fails with both says why with objects.
	let error = render("c.function.arguments.nothing()").unwrap_err();
	assert!(matches!(error, TemplateError::Render(_)), "{error}");
	let refused = render("raise_exception('not ' ~ c.function.arguments)").unwrap_err();
	assert_eq!(refused, TemplateError::Refused(format!("not {text}")));
}

#[test]
fn time_should_be_the_callers() {
	let now = "{{ strftime_now('%Y-%m-%d %H:%M:%S') }}";
	assert_eq!(render(now, &[]).unwrap(), "2026-07-04 09:05:06");
	let template = ChatTemplate::new(Some(now), "", "").unwrap();
	assert_eq!(template.render(&[], &[], 0).unwrap(), "1970-01-01 00:00:00");
	let error = template.render(&[], &[], u64::MAX).unwrap_err();
	assert!(error.to_string().contains("future"), "{error}");
	// What no format means stays as it is.
	assert_eq!(render("{{ strftime_now('%Q %') }}", &[]).unwrap(), "%Q %");
}

#[test]
fn published_templates_should_render() {
	let folder =
		PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/chat-templates");
	let Ok(files) = std::fs::read_dir(&folder) else {
		println!("skipped: {} is absent", folder.display());
		return;
	};
	let mut count = 0;
	for file in files.map(|file| file.unwrap().path()) {
		if file
			.extension()
			.is_none_or(|extension| extension != "jinja")
		{
			continue;
		}
		let source = std::fs::read_to_string(&file).unwrap();
		let template = ChatTemplate::new(Some(&source), "<s>", "</s>").unwrap();
		let mut messages = messages(&["be short", "  is it? ", "yes", "why"]);
		messages[3].role = "user".into();
		let text = template
			.render(&messages, &[], NOW)
			.or_else(|error| match error {
				// Gemma's has no place for a system message, and says so.
				TemplateError::Refused(_) => template.render(&messages[1..], &[], NOW),
				other => Err(other),
			});
		let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
		let places = ["is it?", "yes", "why"].map(|part| text.find(part));
		assert!(
			places.iter().all(Option::is_some),
			"{}: {text}",
			file.display()
		);
		assert!(places.is_sorted(), "{}: {text}", file.display());
		count += 1;
	}
	assert!(count > 0, "{} holds no template", folder.display());
}

#[test]
fn long_conversations_should_have_fuel() {
	const LINES: &str = "{% for message in messages %}{% if message.role == 'user' %}U: {{ message.content | trim }}{% else %}{{ message.content.split('</think>')[-1].strip() }}{% endif %}{{ eos_token }}\n{% endfor %}";
	let many = vec!["a message of some words"; 5_000];
	let text = render(LINES, &many).unwrap();
	assert_eq!(text.matches("</s>").count(), many.len());
	let long = "word ".repeat(1 << 18);
	assert!(render(LINES, &["", &long]).unwrap().len() >= long.len());
}

#[test]
fn rejects_templates_that_are_too_long_or_make_no_sense() {
	let parse = |source: &str| {
		let template = ChatTemplate::new(Some(source), "", "").unwrap();
		// Part of the model, whatever it is worth.
		assert_eq!(template.source(), Some(source));
		assert!(!template.takes_tools());
		match (template.usable(), template.render(&[], &[], NOW)) {
			(Err(fault), Err(error)) if *fault == error => match error {
				TemplateError::Parse(reason) => reason,
				other => panic!("{other}"),
			},
			(usable, rendered) => panic!("{source:.60}: {usable:?}, {rendered:?}"),
		}
	};
	assert!(parse(&"x".repeat(256 * 1024 + 1)).contains("256 KiB"));
	for source in [
		"{% for %}",
		"{{ messages[ }}",
		"{% if %}",
		"{{ 'a }}",
		"{% endfor %}",
		"{% nonsense %}",
		"{% generation %}",
		"{% generation x %}{% endgeneration %}",
		"{% endgeneration %}",
		"{% break %}",
		"{{ 'a' % }}",
		"{{ 'a' % ( }}",
		"{{ % }}",
		"{{ 'a' % b | }}",
		"{{ a % b. }}",
		"{# ",
		"{% raw %}",
		"{{ ) % ( }}",
	] {
		assert!(!parse(source).is_empty());
	}
	parse(&"{{ ".repeat(10_000));
	parse(&format!(
		"{{{{ {}1{} }}}}",
		"(".repeat(10_000),
		")".repeat(10_000)
	));
	parse(&"{% if 1 %}".repeat(10_000));
	parse(&format!("{{{{ {}", "'%s' % (".repeat(10_000)));
}

#[test]
fn rejects_what_templates_refuse_with_their_own_words() {
	let refused = render("{{ raise_exception('no system role') }}", &[]);
	assert_eq!(
		refused,
		Err(TemplateError::Refused("no system role".into()))
	);
	// What goes wrong is no refusal.
	for source in ["{{ 'a' + 1 }}", "{{ 'a'.index('b') }}", "{{ 1 // 0 }}"] {
		let error = render(source, &[]).unwrap_err();
		assert!(
			matches!(error, TemplateError::Render(_)),
			"{source}: {error}"
		);
	}
}

#[test]
fn templates_that_stop_the_library_should_fail_with_words() {
	// minijinja has no way out of a `with` block.
	let source = "{% for m in messages %}{% with a = 1 %}{% break %}{% endwith %}{% endfor %}";
	let error = render(source, &["x"]).unwrap_err();
	assert!(error.to_string().contains("template failed"), "{error}");
}

#[test]
fn rejects_templates_that_have_no_end() {
	for source in [
		"{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
		"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
		"{{ 'x'.ljust(999999999) }}",
		"{{ 'x' | center(999999999) }}",
		"{{ '%999999999d' % 1 }}",
		"{{ [1] | tojson(indent=999999999) }}",
		"{{ ([1] * 99999999) }}",
		"{{ ([1] * 99999999) | tojson(sort_keys=true) }}",
		"{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
		"{% set ns = namespace() %}{% set ns.me = ns %}{{ ns | tojson }}",
		"{% set ns = namespace() %}{% set ns.me = ns %}{{ ns | tojson(sort_keys=true) }}",
	] {
		let result = render(source, &[]);
		let reason = result.map(|text| text.len()).unwrap_err().to_string();
		let bounds = ["fuel", "recursion", "too wide", "too many levels"];
		assert!(
			bounds.iter().any(|bound| reason.contains(bound)),
			"{source}: {reason}"
		);
	}
}
