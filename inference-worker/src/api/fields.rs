//! Fields of a request: read by name, so that an error can say which one is wrong.

use super::ApiError;
use serde_json::{Map, Value};

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

impl Fields {
	/// Reads a body.
	pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
		match serde_json::from_slice(body) {
			Ok(Value::Object(fields)) => Ok(Self(fields)),
			Ok(_) => Err(ApiError::bad_request("the body must be a JSON object")),
			Err(error) => Err(ApiError::bad_request(format!(
				"the body is not JSON: {error}"
			))),
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
		match (value.as_i64(), value.as_u64()) {
			(None, None) => Err(wrong_type(name, "an integer")),
			(Some(number), _) if number < min => {
				Err(out_of_range(name, &format!("an integer of at least {min}")))
			}
			(Some(number), _) => Ok(Some(u32::try_from(number.max(0)).unwrap_or(u32::MAX))),
			(None, Some(_)) => Ok(Some(u32::MAX)),
		}
	}
}
