//! Filters, tests and functions of Jinja2 and transformers that minijinja lacks or has otherwise.

use super::{
	json,
	methods::{lines, padded},
	python::{self, arguments, fail},
	syntax::REMAINDER,
};
use minijinja::{
	Environment, Error, ErrorKind, State, Value, context,
	value::{Rest, ValueKind, ValueOrKwargs},
};
use std::{error, fmt};

/// Says that a template refuses its messages, and has not failed.
#[derive(Debug)]
pub(super) struct Raised;

impl fmt::Display for Raised {
	fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
		to.write_str("raised by the template")
	}
}

impl error::Error for Raised {}

/// Adds all of them.
pub(super) fn add(environment: &mut Environment<'_>) {
	environment.add_filter("tojson", json::tojson);
	environment.add_filter("string", string);
	environment.add_filter("escape", escape);
	environment.add_filter("e", escape);
	environment.add_filter("forceescape", forceescape);
	environment.add_filter("indent", indent);
	environment.add_filter("truncate", truncate);
	environment.add_filter("center", center);
	environment.add_filter("wordcount", wordcount);
	environment.add_filter("filesizeformat", minijinja_contrib::filters::filesizeformat);
	environment.add_filter(REMAINDER, remainder);
	environment.add_test("iterable", is_iterable);
	environment.add_test("sequence", is_sequence);
	environment.add_test("callable", is_callable);
	environment.add_function("raise_exception", raise_exception);
	environment.add_function("joiner", minijinja_contrib::globals::joiner);
	environment.add_function("cycler", |items: Rest<Value>| {
		minijinja_contrib::globals::cycler(items.to_vec())
	});
}

fn raise_exception(state: &mut State<'_, '_>, message: &Value) -> Result<Value, Error> {
	let message = python::text(state, message)?;
	Err(Error::new(ErrorKind::InvalidOperation, message).with_source(Raised))
}

fn string(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
	match value.as_str() {
		Some(_) => Ok(value.clone()),
		None => Ok(python::text(state, value)?.into()),
	}
}

fn escape(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
	match value.is_safe() {
		true => Ok(value.clone()),
		false => forceescape(state, value),
	}
}

fn forceescape(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
	let text = python::text(state, value)?;
	let mut escaped = String::with_capacity(text.len());
	for char in text.chars() {
		match char {
			'&' => escaped.push_str("&amp;"),
			'<' => escaped.push_str("&lt;"),
			'>' => escaped.push_str("&gt;"),
			'\'' => escaped.push_str("&#39;"),
			'"' => escaped.push_str("&#34;"),
			char => escaped.push(char),
		}
	}
	Ok(Value::from_safe_string(escaped))
}

fn is_set(flag: Option<Value>) -> bool {
	flag.is_some_and(|flag| flag.is_true())
}

fn indent(
	state: &mut State<'_, '_>,
	value: &Value,
	args: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
	let args = args.into_values();
	let [width, first, blank] = arguments(&args, ["width", "first", "blank"])?;
	let (first, blank) = (is_set(first), is_set(blank));
	let text = python::text(state, value)?;
	// A line end at the end begins a line.
	let mut all = lines(&text);
	if all.last().is_none_or(|(_, end)| !end.is_empty()) {
		all.push(("", ""));
	}
	let (unit, count) = match &width {
		None => (" ", 4),
		Some(width) => match width.as_str() {
			Some(unit) => (unit, 1),
			None => (" ", i64::try_from(width.clone())?),
		},
	};
	let count = usize::try_from(count).unwrap_or(0);
	let bytes = unit.len().saturating_mul(count).saturating_mul(all.len());
	state.consume_fuel((bytes / 64) as u64)?;
	let unit = unit.repeat(count);
	let mut indented = String::with_capacity(text.len() + bytes);
	for (index, (line, _)) in all.into_iter().enumerate() {
		if index > 0 {
			indented.push('\n');
		}
		if if index == 0 {
			first
		} else {
			blank || !line.is_empty()
		} {
			indented.push_str(&unit);
		}
		indented.push_str(line);
	}
	Ok(indented)
}

fn truncate(
	state: &mut State<'_, '_>,
	value: &Value,
	args: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
	let args = args.into_values();
	let names = ["length", "killwords", "end", "leeway"];
	let [length, killwords, end, leeway] = arguments(&args, names)?;
	let number = |value: Option<Value>, default: usize| {
		let given = value.filter(|value| !value.is_none());
		given.map_or(Ok(default), usize::try_from)
	};
	let (length, leeway) = (number(length, 255)?, number(leeway, 5)?);
	let end = match &end {
		None => "...",
		Some(end) => end.as_str().ok_or_else(|| fail("end must be a text"))?,
	};
	let text = python::text(state, value)?;
	let kept = length.checked_sub(end.chars().count());
	let kept = kept.ok_or_else(|| fail(format!("expected length >= {}", end.chars().count())))?;
	if text.chars().count() <= length.saturating_add(leeway) {
		return Ok(text);
	}
	let kept: String = text.chars().take(kept).collect();
	let whole = match kept.rsplit_once(' ') {
		Some((words, _)) if !is_set(killwords) => words,
		_ => &kept,
	};
	Ok([whole, end].concat())
}

fn center(
	state: &mut State<'_, '_>,
	value: &Value,
	args: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
	let args = args.into_values();
	let [width] = arguments(&args, ["width"])?;
	let text = python::text(state, value)?;
	padded(
		state,
		&text,
		width.map_or(Ok(80), i64::try_from)?,
		" ",
		"center",
	)
}

fn wordcount(state: &mut State<'_, '_>, value: &Value) -> Result<usize, Error> {
	let text = python::text(state, value)?;
	let between = |char: char| !char.is_alphanumeric() && char != '_';
	Ok(text.split(between).filter(|word| !word.is_empty()).count())
}

/// `%`: a format's values, or what a division leaves.
fn remainder(state: &mut State<'_, '_>, left: &Value, right: &Value) -> Result<Value, Error> {
	if left.as_str().is_none() {
		let expression = state.env().compile_expression("left % right")?;
		return expression.eval(context! { left => left.clone(), right => right.clone() });
	}
	let mut args = vec![left.clone()];
	match right.is_tuple() {
		true => args.extend(right.try_iter()?),
		false => args.push(right.clone()),
	}
	state.apply_filter("format", &args)
}

fn is_iterable(value: &Value) -> bool {
	use ValueKind::{Bytes, Iterable, Map, Seq, String, Undefined};
	matches!(
		value.kind(),
		Undefined | String | Bytes | Seq | Map | Iterable
	)
}

/// What has a length: slices have one, what filters make as they go has none.
fn is_sequence(value: &Value) -> bool {
	is_iterable(value) && (value.is_undefined() || value.len().is_some())
}

fn is_callable(value: &Value) -> bool {
	value.kind() == ValueKind::Plain
}
