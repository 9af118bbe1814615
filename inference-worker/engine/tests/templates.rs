//! Chat templates: what they make of conversations, and what is refused. Those that end a process are in `cli/`.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use aria_engine::model::template::{ChatTemplate, Message, TemplateError};
use std::path::PathBuf;

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
	ChatTemplate::new(Some(source), "<s>", "</s>")?.render(&messages(contents), &[])
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
			.render(&messages, &[])
			.or_else(|error| match error {
				// Gemma's has no place for a system message, and says so.
				TemplateError::Refused(_) => template.render(&messages[1..], &[]),
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
	let parse = |source: &str| match ChatTemplate::new(Some(source), "", "") {
		Err(TemplateError::Parse(reason)) => reason,
		Err(other) => panic!("{other}"),
		Ok(_) => panic!("{source:.60} was taken"),
	};
	assert!(parse(&"x".repeat(256 * 1024 + 1)).contains("256 KiB"));
	for source in [
		"{% for %}",
		"{{ messages[ }}",
		"{% if %}",
		"{{ 'a }}",
		"{% endfor %}",
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
}

#[test]
fn rejects_what_templates_refuse_with_their_own_words() {
	let refused = render("{{ raise_exception('no system role') }}", &[]);
	assert_eq!(
		refused,
		Err(TemplateError::Refused("no system role".into()))
	);
}

#[test]
fn rejects_templates_that_have_no_end() {
	for source in [
		"{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
		"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
	] {
		let result = render(source, &[]);
		let reason = result.map(|text| text.len()).unwrap_err().to_string();
		assert!(
			reason.contains("fuel") || reason.contains("recursion"),
			"{reason}"
		);
	}
}
