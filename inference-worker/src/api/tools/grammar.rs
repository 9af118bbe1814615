//! The grammar of answers that call functions, in Lark's notation as llguidance reads it.

use super::Tools;
use crate::api::fields::integer;
use aria_engine::model::template::CallFormat;
use aria_primitives::receipt::Grammar;
use serde_json::{Map, Value, json};

/// Answers with calls; with text instead of them, or before them, unless a call is required. `form` is the text's.
pub(super) fn of_calls(tools: &Tools, format: CallFormat, form: Option<&Grammar>) -> Grammar {
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
	let call: Vec<String> = tools
		.callable()
		.enumerate()
		.map(|(index, function)| {
			let name = &function.name;
			let head = format!(r#"{begin}{{\"name\": \"{name}\", \"{key}\": "#);
			format!(r#""{head}" arguments_{index} "}}{end}""#)
		})
		.collect();
	let mut rules = vec![
		format!("start: {start}"),
		format!("call: {}", call.join(" | ")),
	];
	rules.extend(text);
	for (index, function) in tools.callable().enumerate() {
		let schema = guided(&function.parameters, function.strict);
		rules.push(format!("arguments_{index}: %json {schema}"));
	}
	Grammar::Lark(rules.join("\n"))
}

/// Integers up to this size are numbers in binary64, in which grammars compute.
const EXACT: i128 = 1 << 53;
/// The largest number in binary64 below 2^63, which is the library's own limit.
const LARGEST: i128 = (1 << 63) - (1 << 10);

/// An integer that calls would have to repeat and that grammars know roughly.
pub(super) fn inexact(schema: &Map<String, Value>) -> Option<&Value> {
	fn within(value: &Value) -> Option<&Value> {
		match value {
			Value::Number(_) => integer(value)
				.is_some_and(|number| number.abs() > EXACT)
				.then_some(value),
			Value::Array(list) => list.iter().find_map(within),
			Value::Object(map) => map.values().find_map(within),
			_ => None,
		}
	}
	fn of_schemas(value: &Value) -> Option<&Value> {
		match value {
			Value::Array(list) => list.iter().find_map(of_schemas),
			Value::Object(map) => inexact(map),
			_ => None,
		}
	}
	schema.iter().find_map(|(key, value)| match key.as_str() {
		"const" | "enum" | "multipleOf" => within(value),
		_ => of_schemas(value),
	})
}

/// Moves bounds that grammars would round to the next ones inside of them, so that what they allow is what the schema
/// allows.
fn narrow(schema: &mut Map<String, Value>) {
	for (key, value) in schema.iter_mut() {
		let (upper, strict) = match key.as_str() {
			"maximum" => (true, 0),
			"exclusiveMaximum" => (true, 1),
			"minimum" => (false, 0),
			"exclusiveMinimum" => (false, 1),
			_ => {
				each_schema(value, &mut narrow);
				continue;
			}
		};
		let Some(bound) = integer(value) else {
			// A property of this name.
			each_schema(value, &mut narrow);
			continue;
		};
		if bound.abs() <= EXACT {
			continue;
		}
		// As if it were an upper bound.
		let sign = if upper { 1 } else { -1 };
		let most = (bound * sign - strict).clamp(-LARGEST, LARGEST);
		let mut near = most as f64;
		if near as i128 > most {
			near = near.next_down();
		}
		*value = ((near as i128 * sign) as i64).into();
	}
}

fn each_schema(value: &mut Value, work: &mut dyn FnMut(&mut Map<String, Value>)) {
	match value {
		Value::Array(list) => list.iter_mut().for_each(|value| each_schema(value, work)),
		Value::Object(map) => work(map),
		_ => {}
	}
}

/// A schema as llguidance takes it. One space between parts at most: some models would never stop writing more. Unless
/// `strict`, what the library does not know is left unchecked rather than refused.
fn guided(schema: &Map<String, Value>, strict: bool) -> Value {
	let mut schema = schema.clone();
	narrow(&mut schema);
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

#[cfg(test)]
mod tests {
	use super::*;

	fn narrowed(schema: Value) -> Value {
		guided(schema.as_object().unwrap(), true)["properties"].clone()
	}

	#[test]
	fn bounds_that_grammars_round_should_move_inside() {
		let n = |bounds: Value| json!({ "properties": { "n": bounds } });
		let exact = json!({ "minimum": -9_007_199_254_740_992_i64, "exclusiveMaximum": 9_007_199_254_740_992_i64 });
		assert_eq!(narrowed(n(exact.clone()))["n"], exact);
		let near =
			json!({ "maximum": 9_007_199_254_740_993_i64, "minimum": -9_007_199_254_740_993_i64 });
		assert_eq!(
			narrowed(n(near))["n"],
			json!({ "maximum": 9_007_199_254_740_992_i64, "minimum": -9_007_199_254_740_992_i64 })
		);
		// Its neighbour below is 128 away.
		let strict = json!({ "exclusiveMaximum": 1_i64 << 60, "anyOf": [{ "maximum": i64::MAX }] });
		assert_eq!(
			narrowed(n(strict))["n"],
			json!({ "exclusiveMaximum": (1_i64 << 60) - 128, "anyOf": [{ "maximum": i64::MAX - 1023 }] })
		);
		let ends = json!({ "minimum": i64::MIN, "maximum": u64::MAX });
		assert_eq!(
			narrowed(n(ends))["n"],
			json!({ "minimum": i64::MIN + 1024, "maximum": i64::MAX - 1023 })
		);
	}

	#[test]
	fn integers_that_calls_would_repeat_should_be_found() {
		let found = |schema: Value| inexact(schema.as_object().unwrap()).cloned();
		let large = json!(9_007_199_254_740_993_i64);
		for schema in [
			json!({ "properties": { "n": { "const": large } } }),
			json!({ "anyOf": [{ "enum": ["a", [large]] }] }),
			json!({ "multipleOf": large }),
		] {
			assert_eq!(found(schema), Some(large.clone()));
		}
		for schema in [
			json!({ "const": 9_007_199_254_740_992_i64, "maximum": large, "default": large, "examples": [large] }),
			json!({ "properties": { "n": { "description": "9007199254740993" } } }),
		] {
			assert_eq!(found(schema), None);
		}
	}
}
