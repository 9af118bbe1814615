//! Running a template.

use super::{
	arguments::Arguments, error::TemplateError, filters, json::spaced_json, methods, python, syntax,
};
use chrono::{
	DateTime,
	format::{Fixed, Item, StrftimeItems},
};
use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig};
use serde::{Deserialize, Serialize};
use std::{
	fmt::Write,
	panic::{AssertUnwindSafe, catch_unwind},
};

/// Most work of one request: instructions, and bytes in 64s, so that a template has little more than 128 MB.
const FUEL: u64 = 2_000_000;

/// A template and what it is to render; it may go to another process.
#[derive(Serialize, Deserialize)]
pub(super) struct Job {
	pub(super) source: String,
	pub(super) bos: String,
	pub(super) eos: String,
	pub(super) messages: Vec<serde_json::Value>,
	pub(super) tools: Vec<serde_json::Value>,
	/// Seconds since 1970, UTC: what `strftime_now` prints.
	pub(super) now: u64,
}

/// How templates get the arguments of calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
	/// As transformers wants them: objects, which are printed as JSON.
	Objects,
	/// As OpenAI's requests have them: texts in JSON.
	Texts,
}

/// A value for templates.
fn shown(value: &serde_json::Value) -> Value {
	use serde_json::Value::{Array, Bool, Null, Number, Object, String};
	match value {
		Null => Value::from(()),
		Bool(flag) => Value::from(*flag),
		// In a build where serde_json keeps all digits, its own way of handing numbers on makes them maps.
		Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
			(Some(whole), ..) => Value::from(whole),
			(_, Some(whole), _) => Value::from(whole),
			(_, _, Some(float)) => Value::from(float),
			_ => Value::from(number.to_string()),
		},
		String(text) => Value::from(text.as_str()),
		Array(items) => items.iter().map(shown).collect(),
		Object(fields) => Value::from_pairs(
			fields
				.iter()
				.map(|(name, value)| (name.as_str(), shown(value))),
		),
	}
}

/// Arguments of a call for templates.
fn shown_arguments(arguments: &serde_json::Value, calls: Calls) -> Value {
	let value = shown(arguments);
	// Who sends no JSON has a text already.
	let object = value.as_object().filter(|_| arguments.is_object()).cloned();
	match (object, spaced_json(arguments)) {
		(Some(object), Ok(text)) => match calls {
			Calls::Objects => Value::from_object(Arguments { object, text }),
			Calls::Texts => text.into(),
		},
		_ => value,
	}
}

/// A message, a call or its function, with the arguments inside.
fn shown_message(value: &serde_json::Value, calls: Calls) -> Value {
	let Some(fields) = value.as_object() else {
		return shown(value);
	};
	let field = |(name, value): (&String, &serde_json::Value)| {
		let value = match (name.as_str(), value) {
			("tool_calls", serde_json::Value::Array(list)) => {
				list.iter().map(|call| shown_message(call, calls)).collect()
			}
			("function", function) => shown_message(function, calls),
			("arguments", arguments) => shown_arguments(arguments, calls),
			(_, value) => shown(value),
		};
		(name.clone(), value)
	};
	Value::from_pairs(fields.iter().map(field))
}

/// The function `strftime_now`: the time that the caller gave, as Python formats times without a zone.
fn strftime(now: u64, format: &str) -> Result<String, Error> {
	let seconds = i64::try_from(now).ok();
	let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
	let time = time.ok_or_else(|| python::fail("the time is too far in the future"))?;
	let zone = |item: &Item<'_>| {
		use Fixed::{TimezoneName, TimezoneOffset, TimezoneOffsetColon, TimezoneOffsetZ};
		matches!(
			item,
			Item::Fixed(TimezoneName | TimezoneOffset | TimezoneOffsetColon | TimezoneOffsetZ)
		)
	};
	let items = StrftimeItems::new_lenient(format).filter(|item| !zone(item));
	let mut text = String::new();
	write!(text, "{}", time.naive_utc().format_with_items(items))?;
	Ok(text)
}

/// A template under the name `chat`, and what it may use.
fn environment(source: String, now: u64) -> Result<Environment<'static>, Error> {
	let mut environment = Environment::new();
	let syntax = SyntaxConfig::builder()
		.trim_blocks(true)
		.lstrip_blocks(true)
		.build()?;
	environment.set_syntax(syntax);
	environment.set_fuel(Some(FUEL));
	environment.set_formatter(python::print);
	environment.set_unknown_method_callback(methods::call);
	filters::add(&mut environment);
	environment.add_function("strftime_now", move |format: &str| strftime(now, format));
	environment.add_template_owned("chat", source)?;
	Ok(environment)
}

/// Whether a template raised an error on purpose.
fn is_raised(error: &Error) -> bool {
	let mut source = std::error::Error::source(error);
	while let Some(error) = source {
		if error.is::<filters::Raised>() {
			return true;
		}
		source = error.source();
	}
	false
}

fn attempt(environment: &Environment<'_>, job: &Job, calls: Calls) -> Result<String, Error> {
	let messages = job
		.messages
		.iter()
		.map(|message| shown_message(message, calls));
	let tools = (!job.tools.is_empty()).then(|| job.tools.iter().map(shown).collect::<Value>());
	environment.get_template("chat")?.render(context! {
		messages => messages.collect::<Value>(),
		tools,
		add_generation_prompt => true,
		bos_token => job.bos.as_str(),
		eos_token => job.eos.as_str(),
	})
}

fn render_here(job: &Job) -> Result<String, TemplateError> {
	let environment = environment(syntax::adapt(&job.source), job.now)
		.map_err(|error| TemplateError::Parse(error.to_string()))?;
	let rendered = attempt(&environment, job, Calls::Objects).or_else(|error| {
		let called = job
			.messages
			.iter()
			.any(|message| message.get("tool_calls").is_some());
		if !called || is_raised(&error) || error.kind() == ErrorKind::OutOfFuel {
			return Err(error);
		}
		// Some join the arguments with other texts, which an object is not.
		attempt(&environment, job, Calls::Texts).map_err(|_| error)
	});
	rendered.map_err(|error| match error.detail() {
		Some(detail) if is_raised(&error) => TemplateError::Refused(detail.to_owned()),
		_ => TemplateError::Render(error.to_string()),
	})
}

/// Renders.
pub(super) fn render(job: &Job) -> Result<String, TemplateError> {
	let rendered = catch_unwind(AssertUnwindSafe(|| render_here(job)));
	// minijinja leaves a `with` block by `break` like this.
	rendered.unwrap_or_else(|_| Err(TemplateError::Render("the template engine stopped".into())))
}
