//! Fields of a request: read by name, so that an error can say which one is wrong.

use super::ApiError;
use serde_json::{Map, Value, value::RawValue};
use std::collections::HashMap;

/// Deepest nesting of a body: serde_json's own limit.
const MAX_DEPTH: usize = 127;

/// A JSON object whose fields are asked for by name. `null` is as good as absent.
pub(super) struct Fields(Map<String, Value>);

/// 400: a field of another type than expected.
pub(super) fn wrong_type(name: &str, expected: &str) -> ApiError {
	ApiError::invalid(name, format!("{name} must be {expected}")).with_code("invalid_type")
}

/// 400: a field outside its range.
pub(super) fn out_of_range(name: &str, range: &str) -> ApiError {
	ApiError::invalid(name, format!("{name} must be {range}")).with_code("invalid_value")
}

/// The integer that a number is. Clients in languages without integers send `16.0`; from 2^53 on such a number stands
/// for several integers, and is none.
pub(super) fn integer(value: &Value) -> Option<i128> {
	const EXACT: f64 = 9_007_199_254_740_992.0;
	if let Some(number) = value.as_u64() {
		return Some(number.into());
	}
	if let Some(number) = value.as_i64() {
		return Some(number.into());
	}
	let number = value.as_f64()?;
	(number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i128)
}

/// The token that a number is.
pub(super) fn token(value: &Value) -> Option<u32> {
	integer(value)?.try_into().ok()
}

/// Whether a text in JSON has an integer that 64 bits don't hold: values would only have it roughly.
pub(super) fn has_long_integer(json: &[u8]) -> bool {
	// No shorter number is one.
	const DIGITS: usize = 19;
	let (mut string, mut escape, mut start) = (false, false, None);
	for (at, byte) in json.iter().enumerate() {
		match byte {
			_ if escape => escape = false,
			b'\\' if string => escape = true,
			b'"' => string = !string,
			b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' if !string => {
				start.get_or_insert(at);
				continue;
			}
			_ => {}
		}
		// A number ends before what is none, and an object always ends with that.
		let number = start.take().and_then(|start| json.get(start..at));
		let Some(number) = number.filter(|number| number.len() >= DIGITS) else {
			continue;
		};
		let text = str::from_utf8(number).unwrap_or_default();
		let whole = text
			.bytes()
			.all(|byte| byte.is_ascii_digit() || byte == b'-');
		if whole && text.parse::<u64>().is_err() && text.parse::<i64>().is_err() {
			return true;
		}
	}
	false
}

/// Refuses schemas with integers that would be altered before the model or a grammar saw them.
fn refuse_long_integers(body: &[u8]) -> Result<(), ApiError> {
	const SCHEMAS: [&str; 3] = ["tools", "response_format", "text"];
	let fields: HashMap<String, &RawValue> = serde_json::from_slice(body).unwrap_or_default();
	for name in SCHEMAS {
		let field = fields.get(name).map(|field| field.get().as_bytes());
		if field.is_some_and(has_long_integer) {
			let message =
				format!("{name} has an integer of more than 64 bits, which is not supported");
			return Err(ApiError::invalid(name, message).with_code("unsupported_value"));
		}
	}
	Ok(())
}

impl Fields {
	/// Reads a body.
	pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
		match serde_json::from_slice(body) {
			Ok(Value::Object(fields)) => {
				if has_long_integer(body) {
					refuse_long_integers(body)?;
				}
				Ok(Self(fields))
			}
			Ok(_) => Err(ApiError::bad_request("the body must be a JSON object")),
			Err(error) => {
				let error = error.to_string();
				Err(ApiError::bad_request(
					match error.starts_with("recursion limit exceeded") {
						true => format!("the body is nested deeper than {MAX_DEPTH} levels"),
						false => format!("the body is not JSON: {error}"),
					},
				))
			}
		}
	}

	/// Gives a field a value, whatever the request says.
	pub(super) fn set(&mut self, name: &str, value: Value) {
		self.0.insert(name.to_owned(), value);
	}

	/// A field's value.
	pub(super) fn get(&self, name: &str) -> Option<&Value> {
		self.0.get(name).filter(|value| !value.is_null())
	}

	/// A text.
	pub(super) fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
		let read = |value: &Value| value.as_str().map(str::len).is_some();
		match self.get(name) {
			Some(value) if !read(value) => Err(wrong_type(name, "a string")),
			value => Ok(value.and_then(Value::as_str)),
		}
	}

	/// True or false.
	pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
		match self.get(name) {
			None => Ok(false),
			Some(value) => value
				.as_bool()
				.ok_or_else(|| wrong_type(name, "true or false")),
		}
	}

	/// A number from 0 to `max`.
	pub(super) fn number(&self, name: &str, default: f64, max: f64) -> Result<f64, ApiError> {
		self.number_between(name, default, 0.0, max)
	}

	/// A number from `min` to `max`.
	pub(super) fn number_between(
		&self,
		name: &str,
		default: f64,
		min: f64,
		max: f64,
	) -> Result<f64, ApiError> {
		let Some(value) = self.get(name) else {
			return Ok(default);
		};
		let number = value.as_f64().ok_or_else(|| wrong_type(name, "a number"))?;
		if !(min..=max).contains(&number) {
			return Err(out_of_range(name, &format!("between {min} and {max}")));
		}
		Ok(number)
	}

	/// An integer of at least `min`; values above `u32::MAX` become that.
	pub(super) fn count(&self, name: &str, min: i64) -> Result<Option<u32>, ApiError> {
		let Some(value) = self.get(name) else {
			return Ok(None);
		};
		let number = integer(value).ok_or_else(|| wrong_type(name, "an integer"))?;
		if number < min.into() {
			let range = format!("an integer of at least {min}");
			return Err(out_of_range(name, &range));
		}
		Ok(Some(u32::try_from(number.max(0)).unwrap_or(u32::MAX)))
	}
}
