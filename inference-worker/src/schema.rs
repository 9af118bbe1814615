//! JSON schemas of requests, made such that the grammar library obeys them to the letter, or refused by name.
//!
//! The library computes in binary64 and in 32 bits where schemas have any numbers. What it would round is moved inside
//! of the bound, so that what it allows is what the schema allows; what can't be moved is refused.

use serde_json::{Map, Number, Value};

/// Integers up to this size are numbers of binary64.
const EXACT: i128 = 1 << 53;
/// The largest number of binary64 below 2^63, which is the library's own limit.
const LARGEST: i128 = (1 << 63) - (1 << 10);
/// The largest `multipleOf`, its point left out, with which the library's remainders do not overflow, and most digits
/// after the point.
const MAX_DIVISOR: u64 = u32::MAX as u64 / 10;
const MAX_DECIMALS: usize = 8;
/// Most characters of a name in a message.
const MAX_SHOWN: usize = 40;

/// What a keyword's value must be.
#[derive(Clone, Copy)]
enum Shape {
	Text,
	Texts,
	Number,
	Count,
	List,
	Object,
}

/// Keywords whose values the library quotes when they are something else, or takes for nothing.
const SHAPES: [(&str, Shape); 25] = [
	("$ref", Shape::Text),
	("pattern", Shape::Text),
	("format", Shape::Text),
	("required", Shape::Texts),
	("minimum", Shape::Number),
	("maximum", Shape::Number),
	("multipleOf", Shape::Number),
	("minLength", Shape::Count),
	("maxLength", Shape::Count),
	("minItems", Shape::Count),
	("maxItems", Shape::Count),
	("minProperties", Shape::Count),
	("maxProperties", Shape::Count),
	("enum", Shape::List),
	("allOf", Shape::List),
	("anyOf", Shape::List),
	("oneOf", Shape::List),
	("prefixItems", Shape::List),
	("properties", Shape::Object),
	("patternProperties", Shape::Object),
	("dependentSchemas", Shape::Object),
	("$defs", Shape::Object),
	("definitions", Shape::Object),
	("dependentRequired", Shape::Object),
	("x-guidance", Shape::Object),
];

/// Keywords whose value is a schema, or a list of them.
const SCHEMAS: [&str; 15] = [
	"allOf",
	"anyOf",
	"oneOf",
	"not",
	"if",
	"then",
	"else",
	"items",
	"prefixItems",
	"additionalItems",
	"additionalProperties",
	"contains",
	"propertyNames",
	"unevaluatedItems",
	"unevaluatedProperties",
];

/// Keywords whose value is an object of schemas.
const NAMED_SCHEMAS: [&str; 5] = [
	"properties",
	"patternProperties",
	"dependentSchemas",
	"$defs",
	"definitions",
];

/// A schema such that answers obey it to the letter.
///
/// # Errors
///
/// Which keyword can't be obeyed, where, and why.
pub(crate) fn exact(schema: &Map<String, Value>) -> Result<Map<String, Value>, String> {
	let mut schema = schema.clone();
	visit(&mut schema, "")?;
	Ok(schema)
}

fn short(name: &str) -> String {
	let mut shown: String = name.chars().take(MAX_SHOWN).collect();
	if shown.len() < name.len() {
		shown.push('…');
	}
	shown
}

/// Visits a schema. `within` is the name of the property or keyword that it belongs to.
fn visit(schema: &mut Map<String, Value>, within: &str) -> Result<(), String> {
	let at = match within {
		"" => String::new(),
		name => format!("in {:?}: ", short(name)),
	};
	for (key, value) in schema.iter_mut() {
		let key = key.as_str();
		if let Some((_, shape)) = SHAPES.iter().find(|(name, _)| *name == key) {
			shape
				.check(value)
				.map_err(|what| format!("{at}{key} must be {what}"))?;
		}
		match key {
			"const" | "enum" => {
				if let Some(number) = inexact(value) {
					let number = short(&number.to_string());
					return Err(format!(
						"{at}{key} has the number {number}, and integers beyond 2^53 are not told apart"
					));
				}
			}
			"multipleOf" => {
				check_divisor(value).map_err(|what| format!("{at}{key} must {what}"))?
			}
			"maximum" => narrow(value, 1, 0).map_err(|what| format!("{at}{key} must {what}"))?,
			"exclusiveMaximum" => {
				narrow(value, 1, 1).map_err(|what| format!("{at}{key} must {what}"))?
			}
			"minimum" => narrow(value, -1, 0).map_err(|what| format!("{at}{key} must {what}"))?,
			"exclusiveMinimum" => {
				narrow(value, -1, 1).map_err(|what| format!("{at}{key} must {what}"))?
			}
			_ if NAMED_SCHEMAS.contains(&key) => {
				for (name, value) in value.as_object_mut().into_iter().flatten() {
					visit_all(value, name)?;
				}
			}
			_ if SCHEMAS.contains(&key) => visit_all(value, within)?,
			// Annotations, and what the library refuses by name.
			_ => {}
		}
	}
	Ok(())
}

fn visit_all(value: &mut Value, within: &str) -> Result<(), String> {
	match value {
		Value::Array(list) => list
			.iter_mut()
			.try_for_each(|value| visit_all(value, within)),
		Value::Object(schema) => visit(schema, within),
		_ => Ok(()),
	}
}

impl Shape {
	/// What a value must be, if it is not.
	fn check(self, value: &Value) -> Result<(), &'static str> {
		let (right, expected) = match self {
			Self::Text => (value.is_string(), "a string"),
			Self::Texts => {
				let list = value.as_array();
				let right = list.is_some_and(|list| list.iter().all(Value::is_string));
				(right, "a list of strings")
			}
			Self::Number => (value.is_number(), "a number"),
			Self::Count => (value.is_u64(), "an integer of at least 0"),
			Self::List => (value.is_array(), "a list"),
			Self::Object => (value.is_object(), "an object"),
		};
		if right { Ok(()) } else { Err(expected) }
	}
}

fn integer(number: &Number) -> Option<i128> {
	let signed = number.as_i64().map(i128::from);
	signed.or_else(|| number.as_u64().map(i128::from))
}

/// A number, anywhere in a value, that can't be told apart from its neighbours.
fn inexact(value: &Value) -> Option<&Number> {
	match value {
		Value::Number(number) => {
			let large = match integer(number) {
				Some(integer) => integer.abs() > EXACT,
				None => number
					.as_f64()
					.is_none_or(|number| number.abs() > EXACT as f64),
			};
			large.then_some(number)
		}
		Value::Array(list) => list.iter().find_map(inexact),
		Value::Object(map) => map.values().find_map(inexact),
		_ => None,
	}
}

/// Refuses divisors with which the library's remainders overflow.
fn check_divisor(value: &Value) -> Result<(), String> {
	let digits = value.as_f64().map(|number| number.abs().to_string());
	let digits = digits.unwrap_or_default();
	let (whole, decimals) = digits.split_once('.').unwrap_or((&digits, ""));
	let divisor = format!("{whole}{decimals}").parse::<u64>();
	if divisor.is_ok_and(|divisor| divisor <= MAX_DIVISOR) && decimals.len() <= MAX_DECIMALS {
		return Ok(());
	}
	Err(format!(
		"be at most {MAX_DIVISOR}, with a point or without, and have at most {MAX_DECIMALS} digits after it"
	))
}

/// Moves a bound that would be rounded to the next number inside of it. With `sign` 1 it is an upper bound, with -1 a
/// lower one; `strict` is 1 if it is not allowed itself.
fn narrow(value: &mut Value, sign: i128, strict: i128) -> Result<(), &'static str> {
	let Value::Number(number) = &*value else {
		// Draft 4 has true and false here.
		return Ok(());
	};
	let Some(bound) = integer(number).filter(|bound| bound.abs() > EXACT) else {
		return Ok(());
	};
	// As if it were an upper bound.
	let most = (bound * sign - strict).min(LARGEST);
	if most < -LARGEST {
		return Err("leave integers between -2^63 and 2^63");
	}
	let mut near = most as f64;
	if near as i128 > most {
		near = near.next_down();
	}
	*value = ((near as i128 * sign) as i64).into();
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	fn exactly(schema: Value) -> Result<Value, String> {
		exact(schema.as_object().unwrap()).map(Value::from)
	}

	#[test]
	fn bounds_that_would_be_rounded_should_move_inside() {
		let near = json!({ "maximum": (1_i64 << 53) + 1, "minimum": -(1_i64 << 53) - 1 });
		let moved = json!({ "maximum": 1_i64 << 53, "minimum": -(1_i64 << 53) });
		assert_eq!(exactly(near), Ok(moved));
		let strict = json!({ "anyOf": [{ "exclusiveMaximum": 1_i64 << 60 }] });
		let moved = json!({ "anyOf": [{ "exclusiveMaximum": (1_i64 << 60) - 128 }] });
		assert_eq!(exactly(strict), Ok(moved));
		let ends = json!({ "items": { "minimum": i64::MIN, "maximum": u64::MAX } });
		let moved = json!({ "items": { "minimum": -LARGEST as i64, "maximum": LARGEST as i64 } });
		assert_eq!(exactly(ends), Ok(moved));
		for same in [
			json!({ "minimum": 0, "maximum": 1_i64 << 53, "exclusiveMaximum": true }),
			json!({ "minimum": -1e300, "maximum": 0.5 }),
			json!({ "properties": { "maximum": { "type": "string", "default": i64::MAX } } }),
		] {
			assert_eq!(exactly(same.clone()), Ok(same));
		}
	}

	#[test]
	fn numbers_that_would_be_rounded_should_be_refused_by_name() {
		let large = (1_i64 << 53) + 1;
		for (schema, words) in [
			(
				json!({ "properties": { "n": { "const": large } } }),
				"in \"n\": const",
			),
			(json!({ "anyOf": [{ "enum": ["a", [large]] }] }), "enum"),
			(json!({ "const": 1e300 }), "const"),
			(json!({ "multipleOf": 1_000_000_000 }), "multipleOf"),
			(json!({ "multipleOf": 0.000_000_001 }), "multipleOf"),
			(json!({ "allOf": [{ "multipleOf": large }] }), "multipleOf"),
			(json!({ "maximum": i64::MIN }), "maximum"),
		] {
			let error = exactly(schema.clone()).unwrap_err();
			assert!(error.starts_with(words), "{schema}: {error}");
		}
		for fine in [
			json!({ "const": 1_i64 << 53, "default": large, "examples": [large] }),
			json!({ "multipleOf": 0.01 }),
			json!({ "multipleOf": 100_000 }),
		] {
			assert_eq!(exactly(fine.clone()), Ok(fine));
		}
	}

	#[test]
	fn values_of_another_type_should_be_refused_by_name() {
		let text = "ж".repeat(120);
		for (key, value) in [
			("pattern", json!([text])),
			("format", json!({ "a": text })),
			("required", json!(text)),
			("required", json!([[text]])),
			("minimum", json!(text)),
			("$ref", json!({ "a": text })),
			("properties", json!(text)),
			("prefixItems", json!(text)),
			("minItems", json!(text)),
		] {
			let error = exactly(json!({ "items": { key: value } })).unwrap_err();
			assert!(error.starts_with(key) && error.len() < 60, "{error}");
		}
	}
}
