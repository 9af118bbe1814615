//! Values as Python prints them, and calls as it makes them.

use super::arguments::Arguments;
use minijinja::{
	Error, ErrorKind, Output, State, Value,
	value::{Kwargs, ValueKind, from_args},
};
use std::fmt::Write;

/// Most levels of lists and objects that are printed.
pub(super) const MAX_DEPTH: usize = 100;

/// An error of the template's doing.
pub(super) fn fail(message: impl Into<String>) -> Error {
	Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Arguments of a call, in order or by name. Those that were left out are `None`.
pub(super) fn arguments<const N: usize>(
	args: &[Value],
	names: [&str; N],
) -> Result<[Option<Value>; N], Error> {
	let (in_order, by_name): (&[Value], Kwargs) = from_args(args)?;
	if in_order.len() > N {
		return Err(Error::from(ErrorKind::TooManyArguments));
	}
	let mut values = [const { None::<Value> }; N];
	for ((index, name), place) in names.into_iter().enumerate().zip(&mut values) {
		*place = match in_order.get(index) {
			Some(value) => Some(value.clone()),
			None if by_name.has(name) => Some(by_name.get(name)?),
			None => None,
		};
	}
	by_name.assert_all_used()?;
	Ok(values)
}

/// A float as `repr` has it.
pub(super) fn float(value: f64) -> String {
	if !value.is_finite() {
		return match value {
			_ if value.is_nan() => "nan".into(),
			_ if value > 0.0 => "inf".into(),
			_ => "-inf".into(),
		};
	}
	// The shortest digits that mean the value.
	let text = format!("{value:e}");
	let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
	let exponent: i32 = exponent.parse().unwrap_or(0);
	if (-4..16).contains(&exponent) {
		return format!("{value:?}");
	}
	let sign = if exponent < 0 { '-' } else { '+' };
	format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The value, if it is a float.
fn as_float(value: &Value) -> Option<f64> {
	let float = value.is_number() && !value.is_integer();
	float.then(|| f64::try_from(value.clone()).ok()).flatten()
}

/// Whether its own way of being printed is right: texts, and objects of the library.
fn prints_itself(value: &Value) -> bool {
	value.downcast_object_ref::<Arguments>().is_some()
		|| !matches!(
			value.kind(),
			ValueKind::Seq | ValueKind::Iterable | ValueKind::Map
		)
}

/// A value as `repr` has it.
fn repr(
	to: &mut dyn Write,
	state: &State<'_, '_>,
	value: &Value,
	depth: usize,
) -> Result<(), Error> {
	if depth > MAX_DEPTH {
		return Err(fail("a value has too many levels"));
	}
	state.consume_fuel(1)?;
	if let Some(number) = as_float(value) {
		return Ok(to.write_str(&float(number))?);
	}
	if prints_itself(value) {
		return Ok(write!(to, "{value:?}")?);
	}
	let map = value.kind() == ValueKind::Map;
	let (open, close) = match map {
		true => ("{", "}"),
		false if value.is_tuple() => ("(", ")"),
		false => ("[", "]"),
	};
	to.write_str(open)?;
	let mut count = 0_usize;
	for item in value.try_iter()?.checked() {
		let item = item?;
		if count > 0 {
			to.write_str(", ")?;
		}
		count += 1;
		repr(to, state, &item, depth + 1)?;
		if map {
			to.write_str(": ")?;
			repr(to, state, &value.get_item(&item)?, depth + 1)?;
		}
	}
	if count == 1 && value.is_tuple() {
		to.write_str(",")?;
	}
	Ok(to.write_str(close)?)
}

/// Writes a value as `str` has it.
pub(super) fn write(to: &mut dyn Write, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
	if as_float(value).is_none() && prints_itself(value) {
		return Ok(write!(to, "{value}")?);
	}
	repr(to, state, value, 0)
}

/// Prints what an expression is.
pub(super) fn print(
	out: &mut Output<'_>,
	state: &mut State<'_, '_>,
	value: &Value,
) -> Result<(), Error> {
	write(out, state, value)
}

/// A value as `str` has it.
pub(super) fn text(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
	let mut text = String::new();
	write(&mut text, state, value)?;
	Ok(text)
}
