//! The grammar of answers that call functions, in Lark's notation as llguidance reads it.

use aria_engine::model::template::CallFormat;
use aria_primitives::receipt::Grammar;
use serde_json::{Map, Value, json};

/// The calls that an answer may have.
pub(super) struct Calls<'a> {
	/// Whether it must be one.
	pub(super) required: bool,
	/// Whether there may be several.
	pub(super) parallel: bool,
	/// Names, schemas of the arguments, and whether these hold in all that they say.
	pub(super) functions: Vec<(&'a str, &'a Map<String, Value>, bool)>,
}

/// Answers with calls; with text instead of them, or before them, unless a call is required. `form` is the text's.
pub(super) fn of_calls(tools: &Calls<'_>, format: CallFormat, form: Option<&Grammar>) -> Grammar {
	let (open, begin, key, end, between) = match format {
		CallFormat::Tagged => (
			"\"<tool_call>\" ",
			"\\n",
			"arguments",
			"\\n</tool_call>",
			"\\n",
		),
		CallFormat::Bare => ("", "", "parameters", "", "; "),
	};
	let calls = match tools.parallel {
		true => format!("{open}call (\"{between}\" {open}call)*"),
		false => format!("{open}call"),
	};
	let free = "/(.|\\n)*/";
	let (start, text) = match (tools.required, form, format) {
		(true, ..) => (calls, None),
		(false, Some(form), _) => {
			let schema = guided(&schema_of(form), true);
			(
				format!("form | {calls}"),
				Some(format!("form: %json {schema}")),
			)
		}
		(false, None, CallFormat::Bare) => (
			format!("text? | {calls}"),
			Some("text: /[^{\\s](.|\\n)*/".to_owned()),
		),
		(false, None, CallFormat::Tagged) => {
			let start = match tools.parallel {
				true => "(before call)* text?",
				false => "text? | before call",
			};
			let rules = format!("before[lazy]: {free} \"<tool_call>\"\ntext: {free}");
			(start.to_owned(), Some(rules))
		}
	};
	let functions = tools.functions.iter().enumerate();
	let call: Vec<String> = functions
		.clone()
		.map(|(index, (name, ..))| {
			let head = format!(r#"{begin}{{\"name\": \"{name}\", \"{key}\": "#);
			format!(r#""{head}" arguments_{index} "}}{end}""#)
		})
		.collect();
	let mut rules = vec![
		format!("start: {start}"),
		format!("call: {}", call.join(" | ")),
	];
	rules.extend(text);
	for (index, (_, parameters, strict)) in functions {
		let schema = guided(parameters, *strict);
		rules.push(format!("arguments_{index}: %json {schema}"));
	}
	Grammar::Lark(rules.join("\n"))
}

/// A schema as llguidance takes it. One space between parts at most: some models would never stop writing more. Unless
/// `strict`, what the library does not know is left unchecked rather than refused.
fn guided(schema: &Map<String, Value>, strict: bool) -> Value {
	let mut schema = schema.clone();
	schema
		.entry("x-guidance")
		.or_insert_with(|| json!({ "whitespace_pattern": "\\x20", "lenient": !strict }));
	schema.into()
}

/// The schema of a form; requests have no other forms than JSON.
fn schema_of(form: &Grammar) -> Map<String, Value> {
	let any = || Map::from_iter([("type".to_owned(), Value::from("object"))]);
	match form {
		Grammar::JsonSchema(text) => serde_json::from_str(text).unwrap_or_else(|_| any()),
		_ => any(),
	}
}
