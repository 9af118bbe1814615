//! JSON as Python's `json.dumps` writes it, which is what models have read in training.

use super::python::{self, arguments, fail};
use minijinja::{
	Error, State, Value,
	value::{Rest, ValueKind, ValueOrKwargs},
};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

/// Most bytes that a template may write as JSON for one request.
const MAX_JSON: usize = 64 << 20;
/// Most levels of lists and objects.
const MAX_LEVELS: usize = 500;
/// Widest indentation of a level.
const MAX_INDENT: usize = 1024;

/// How JSON is laid out.
struct Style {
	/// One level, if values have lines of their own.
	indent: Option<String>,
	/// Between values, but for the line end.
	comma: String,
	/// Between a key and its value.
	colon: String,
	/// Whether other characters than ASCII are escaped.
	ascii: bool,
}

impl Default for Style {
	fn default() -> Self {
		Self {
			indent: None,
			comma: ", ".into(),
			colon: ": ".into(),
			ascii: false,
		}
	}
}

/// Writes in a style.
struct Python<'a> {
	style: &'a Style,
	depth: usize,
	/// Whether the innermost list or object has a value yet.
	filled: bool,
}

impl Python<'_> {
	fn line<W: ?Sized + Write>(&self, to: &mut W) -> io::Result<()> {
		let Some(indent) = &self.style.indent else {
			return Ok(());
		};
		to.write_all(b"\n")?;
		(0..self.depth).try_for_each(|_| to.write_all(indent.as_bytes()))
	}

	fn open<W: ?Sized + Write>(&mut self, to: &mut W, bracket: &[u8]) -> io::Result<()> {
		if self.depth == MAX_LEVELS {
			return Err(io::Error::other("a value has too many levels"));
		}
		self.depth += 1;
		self.filled = false;
		to.write_all(bracket)
	}

	fn close<W: ?Sized + Write>(&mut self, to: &mut W, bracket: &[u8]) -> io::Result<()> {
		self.depth -= 1;
		if self.filled {
			self.line(to)?;
		}
		self.filled = true;
		to.write_all(bracket)
	}

	fn next<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
		if !first {
			to.write_all(self.style.comma.as_bytes())?;
		}
		self.filled = true;
		self.line(to)
	}
}

impl Formatter for Python<'_> {
	fn begin_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
		self.open(to, b"[")
	}

	fn end_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
		self.close(to, b"]")
	}

	fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
		self.next(to, first)
	}

	fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
		self.open(to, b"{")
	}

	fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
		self.close(to, b"}")
	}

	fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
		self.next(to, first)
	}

	fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
		to.write_all(self.style.colon.as_bytes())
	}

	fn write_f64<W: ?Sized + Write>(&mut self, to: &mut W, value: f64) -> io::Result<()> {
		to.write_all(python::float(value).as_bytes())
	}

	fn write_string_fragment<W: ?Sized + Write>(
		&mut self,
		to: &mut W,
		fragment: &str,
	) -> io::Result<()> {
		if !self.style.ascii {
			return to.write_all(fragment.as_bytes());
		}
		for char in fragment.chars() {
			if matches!(char, ' '..='~') {
				to.write_all(&[char as u8])?;
				continue;
			}
			for unit in char.encode_utf16(&mut [0; 2]) {
				write!(to, "\\u{unit:04x}")?;
			}
		}
		Ok(())
	}
}

/// Bytes up to a limit.
struct Bounded {
	bytes: Vec<u8>,
	limit: usize,
}

impl Write for Bounded {
	fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
		if self.bytes.len() + bytes.len() > self.limit {
			return Err(io::Error::other("it writes too much JSON"));
		}
		self.bytes.extend_from_slice(bytes);
		Ok(bytes.len())
	}

	fn flush(&mut self) -> io::Result<()> {
		Ok(())
	}
}

fn json(value: &impl Serialize, style: &Style, limit: usize) -> serde_json::Result<String> {
	let (bytes, filled) = (Vec::new(), false);
	let mut to = Bounded { bytes, limit };
	let formatter = Python {
		style,
		depth: 0,
		filled,
	};
	value.serialize(&mut Serializer::with_formatter(&mut to, formatter))?;
	Ok(String::from_utf8_lossy(&to.bytes).into_owned())
}

/// A value in JSON, with Python's spaces.
pub fn spaced_json(value: &impl Serialize) -> serde_json::Result<String> {
	json(value, &Style::default(), usize::MAX)
}

/// The value with the keys of all objects in order.
fn sorted(state: &State<'_, '_>, value: &Value, depth: usize) -> Result<Value, Error> {
	if depth > python::MAX_DEPTH {
		return Err(fail("a value has too many levels"));
	}
	state.consume_fuel(1)?;
	match value.kind() {
		ValueKind::Map => {
			let mut keys: Vec<Value> = value.try_iter()?.checked().collect::<Result<_, _>>()?;
			keys.sort();
			let pairs = keys.into_iter().map(|key| {
				let value = sorted(state, &value.get_item(&key)?, depth + 1)?;
				Ok((key, value))
			});
			Ok(Value::from_pairs(pairs.collect::<Result<Vec<_>, Error>>()?))
		}
		ValueKind::Seq | ValueKind::Iterable => {
			let items = value.try_iter()?.checked();
			let items = items.map(|item| sorted(state, &item?, depth + 1));
			let items = items.collect::<Result<Vec<_>, _>>()?;
			Ok(items.into_iter().collect())
		}
		_ => Ok(value.clone()),
	}
}

/// The filter `tojson` as transformers has it, with `json.dumps`' arguments: nothing is escaped for HTML.
pub(super) fn tojson(
	state: &mut State<'_, '_>,
	value: &Value,
	args: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
	const WRITTEN: &str = "bytes of JSON";
	let args = args.into_values();
	let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
	let [ascii, indent, separators, sort] = arguments(&args, names)?;
	let is_set = |flag: Option<Value>| flag.is_some_and(|flag| flag.is_true());
	let indent = match indent.filter(|indent| !indent.is_none()) {
		None => None,
		Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
		Some(width) => {
			let width = usize::try_from(i64::try_from(width)?).unwrap_or(0);
			Some(" ".repeat(width.min(MAX_INDENT + 1)))
		}
	};
	if indent
		.as_ref()
		.is_some_and(|indent| indent.len() > MAX_INDENT)
	{
		return Err(fail("the indentation of JSON is too wide"));
	}
	let mut style = Style {
		ascii: is_set(ascii),
		..Style::default()
	};
	if indent.is_some() {
		style.comma = ",".into();
	}
	style.indent = indent;
	if let Some(pair) = separators.filter(|pair| !pair.is_none()) {
		let pair: Vec<Value> = pair.try_iter()?.checked().collect::<Result<_, _>>()?;
		let texts = pair.iter().map(|text| text.as_str().map(str::to_owned));
		match texts.collect::<Option<Vec<_>>>().as_deref() {
			Some([comma, colon]) => {
				(style.comma, style.colon) = (comma.clone(), colon.clone());
			}
			_ => return Err(fail("separators of JSON must be two texts")),
		}
	}
	let value = match is_set(sort) {
		true => sorted(state, value, 0)?,
		false => value.clone(),
	};
	let before = state.get_temp(WRITTEN);
	let before = before.and_then(|written| usize::try_from(written).ok());
	let before = before.unwrap_or(0);
	let text = json(&value, &style, MAX_JSON - before).map_err(|error| fail(error.to_string()))?;
	state.set_temp(WRITTEN, Value::from(before + text.len()));
	Ok(text.into())
}
