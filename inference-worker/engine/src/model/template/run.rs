//! Running a template.

use super::TemplateError;
use minijinja::{
	Environment, ErrorKind, State, Value,
	syntax::SyntaxConfig,
	value::{Kwargs, Serde},
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::ser::{self, Formatter, PrettyFormatter};
use std::io;

/// Most work of one request: instructions, and bytes in 64s, so that a template has little more than 128 MB.
const FUEL: u64 = 2_000_000;
/// Most bytes that a template may write as JSON for one request.
const MAX_JSON: usize = 64 << 20;

/// A template and what it is to render; it may go to another process.
#[derive(Serialize, Deserialize)]
pub(super) struct Job {
	pub(super) source: String,
	pub(super) bos: String,
	pub(super) eos: String,
	pub(super) messages: Vec<serde_json::Value>,
	pub(super) tools: Vec<serde_json::Value>,
}

/// JSON as Python writes it, which is what models have read in training.
struct Spaced;

impl Formatter for Spaced {
	fn begin_array_value<W: ?Sized + io::Write>(
		&mut self,
		to: &mut W,
		first: bool,
	) -> io::Result<()> {
		if first { Ok(()) } else { to.write_all(b", ") }
	}

	fn begin_object_key<W: ?Sized + io::Write>(
		&mut self,
		to: &mut W,
		first: bool,
	) -> io::Result<()> {
		if first { Ok(()) } else { to.write_all(b", ") }
	}

	fn begin_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
		to.write_all(b": ")
	}
}

/// A value in JSON, with Python's spaces.
pub fn spaced_json(value: &impl Serialize) -> serde_json::Result<String> {
	formatted(value, Spaced)
}

/// A value in JSON.
fn formatted(value: &impl Serialize, formatter: impl Formatter) -> serde_json::Result<String> {
	let mut bytes = Vec::new();
	value.serialize(&mut ser::Serializer::with_formatter(&mut bytes, formatter))?;
	Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The filter `tojson` as Hugging Face's templates expect it: nothing is escaped for HTML.
fn tojson(
	state: &mut State<'_, '_>,
	value: &Value,
	args: Kwargs,
) -> Result<Value, minijinja::Error> {
	const WRITTEN: &str = "bytes of JSON";
	let fail = |message: String| minijinja::Error::new(ErrorKind::BadSerialization, message);
	let indent: Option<usize> = args.get("indent")?;
	// No other value is in use.
	args.get::<Option<bool>>("ensure_ascii")?;
	args.assert_all_used()?;
	let json = match indent {
		None => spaced_json(value),
		Some(width) => {
			let indent = " ".repeat(width.min(16));
			formatted(value, PrettyFormatter::with_indent(indent.as_bytes()))
		}
	};
	let json = json.map_err(|error| fail(error.to_string()))?;
	let before = state
		.get_temp(WRITTEN)
		.and_then(|written| usize::try_from(written).ok());
	let written = before.unwrap_or(0) + json.len();
	if written > MAX_JSON {
		return Err(fail("it writes too much JSON".into()));
	}
	state.set_temp(WRITTEN, Value::from(written));
	Ok(Value::from_safe_string(json))
}

/// A value for templates. In a build where serde_json keeps all digits of numbers, its own way of handing them on makes
/// them maps.
struct Shown<'a>(&'a serde_json::Value);

impl Serialize for Shown<'_> {
	fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
		use serde_json::Value::{Array, Bool, Null, Number, Object, String};
		match self.0 {
			Null => to.serialize_unit(),
			Bool(flag) => to.serialize_bool(*flag),
			Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
				(Some(whole), ..) => to.serialize_i64(whole),
				(_, Some(whole), _) => to.serialize_u64(whole),
				(_, _, Some(float)) => to.serialize_f64(float),
				_ => to.serialize_str(&number.to_string()),
			},
			String(text) => to.serialize_str(text),
			Array(items) => to.collect_seq(items.iter().map(Shown)),
			Object(fields) => {
				to.collect_map(fields.iter().map(|(name, value)| (name, Shown(value))))
			}
		}
	}
}

fn shown(items: &[serde_json::Value]) -> Value {
	let items: Vec<_> = items.iter().map(Shown).collect();
	Value::from(Serde(items))
}

/// A template under the name `chat`, and what it may use.
fn environment(source: &str) -> Result<Environment<'_>, minijinja::Error> {
	let mut environment = Environment::new();
	let syntax = SyntaxConfig::builder()
		.trim_blocks(true)
		.lstrip_blocks(true)
		.build()?;
	environment.set_syntax(syntax);
	environment.set_fuel(Some(FUEL));
	environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
	environment.add_function(
		"raise_exception",
		|message: String| -> Result<Value, minijinja::Error> {
			Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
		},
	);
	environment.add_filter("tojson", tojson);
	// No clock in here: templates that print the date get an empty one, so that prompts are reproducible.
	environment.add_function("strftime_now", |_format: String| String::new());
	environment.add_template("chat", source)?;
	Ok(environment)
}

/// Renders.
pub(super) fn render(job: &Job) -> Result<String, TemplateError> {
	let parse = |error: minijinja::Error| TemplateError::Parse(error.to_string());
	let environment = environment(&job.source).map_err(parse)?;
	let template = environment.get_template("chat").map_err(parse)?;
	let tools = (!job.tools.is_empty()).then_some(&job.tools);
	template
		.render(minijinja::context! {
			messages => shown(&job.messages),
			tools => tools.map(|tools| shown(tools)),
			add_generation_prompt => true,
			bos_token => job.bos.as_str(),
			eos_token => job.eos.as_str(),
		})
		.map_err(|error| match (error.kind(), error.detail()) {
			(ErrorKind::InvalidOperation, Some(detail)) => {
				TemplateError::Refused(detail.to_owned())
			}
			_ => TemplateError::Render(error.to_string()),
		})
}
