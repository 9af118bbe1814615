//! Functions that a request offers, and how an answer is held to calling them.

pub(super) mod calls;
#[cfg(test)]
mod calls_tests;
mod grammar;

use super::{
	ApiError,
	fields::{Fields, out_of_range, wrong_type},
	shape::Kind,
};
use crate::schema;
use aria_engine::model::template::CallFormat;
use aria_primitives::receipt::Grammar;
use calls::Reader;
use grammar::Calls;
use serde_json::{Map, Value, json};

/// Most functions in a request, as at OpenAI.
const MAX_TOOLS: usize = 128;
/// Longest name of a function, as at OpenAI.
const MAX_NAME: usize = 64;

/// A function that may be called.
struct Function {
	name: String,
	/// Schema of its arguments.
	parameters: Map<String, Value>,
	/// Whether calls must match the schema in all it says.
	strict: bool,
	/// Whether an answer to this request may call it.
	callable: bool,
	/// As templates show it.
	shown: Value,
}

/// The functions of a request.
pub(super) struct Tools {
	functions: Vec<Function>,
	/// Whether the answer must be a call.
	required: bool,
	/// Whether it may have several.
	parallel: bool,
	/// Whether an object alone may be a call.
	bare: bool,
	/// Whether a text has a form.
	formed: bool,
}

fn unsupported(at: String, what: &str) -> ApiError {
	let message = format!("{at} must be function: {what} is not supported by this server");
	ApiError::invalid(at, message).with_code("unsupported_value")
}

fn shown(text: &str) -> String {
	text.chars().take(MAX_NAME).collect()
}

impl Function {
	fn read(tool: &Value, index: usize, kind: Kind) -> Result<Self, ApiError> {
		let at = format!("tools[{index}]");
		match tool.get("type").and_then(Value::as_str) {
			Some("function") => {}
			Some(other) => return Err(unsupported(format!("{at}.type"), &shown(other))),
			None => return Err(wrong_type(&format!("{at}.type"), "a string")),
		}
		let (function, at) = match kind {
			Kind::Response => (tool, at),
			_ => (&tool["function"], format!("{at}.function")),
		};
		if !function.is_object() {
			return Err(wrong_type(&at, "an object"));
		}
		let field = |name: &str| Some(&function[name]).filter(|value| !value.is_null());
		let name_at = format!("{at}.name");
		let name = field("name").and_then(Value::as_str);
		let name = name.ok_or_else(|| wrong_type(&name_at, "a string"))?;
		let usable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
		if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(usable) {
			let range = format!("1 to {MAX_NAME} letters, digits, underscores and dashes");
			return Err(out_of_range(&name_at, &range));
		}
		let description = match field("description") {
			None => "",
			Some(text) => text
				.as_str()
				.ok_or_else(|| wrong_type(&format!("{at}.description"), "a string"))?,
		};
		let mut parameters = match field("parameters") {
			None => Map::new(),
			Some(Value::Object(map)) => map.clone(),
			Some(_) => return Err(wrong_type(&format!("{at}.parameters"), "an object")),
		};
		let any_of = ["type", "$ref", "anyOf", "oneOf", "allOf"];
		if !any_of.iter().any(|key| parameters.contains_key(*key)) {
			parameters.insert("type".into(), "object".into());
		}
		let strict = match field("strict") {
			None => false,
			Some(strict) => strict
				.as_bool()
				.ok_or_else(|| wrong_type(&format!("{at}.strict"), "true or false"))?,
		};
		let mut shown = Map::new();
		shown.insert("name".into(), name.into());
		if !description.is_empty() {
			shown.insert("description".into(), description.into());
		}
		shown.insert("parameters".into(), parameters.clone().into());
		Ok(Self {
			name: name.to_owned(),
			parameters,
			strict,
			callable: true,
			shown: json!({ "type": "function", "function": shown }),
		})
	}
}

impl Tools {
	/// What a request offers; `None` if nothing, or if the answer may use none of it.
	pub(super) fn read(fields: &Fields, kind: Kind) -> Result<Option<Self>, ApiError> {
		let list = match fields.get("tools") {
			None => &[][..],
			Some(Value::Array(list)) => list,
			Some(_) => return Err(wrong_type("tools", "a list of tools")),
		};
		if list.len() > MAX_TOOLS {
			return Err(out_of_range("tools", &format!("at most {MAX_TOOLS} tools")));
		}
		let functions = list
			.iter()
			.enumerate()
			.map(|(index, tool)| Function::read(tool, index, kind))
			.collect::<Result<Vec<_>, _>>()?;
		for (index, function) in functions.iter().enumerate() {
			let same = |other: &Function| other.name == function.name;
			if functions[..index].iter().any(same) {
				let message = format!("tools has two functions {:?}", function.name);
				return Err(ApiError::invalid("tools", message).with_code("invalid_value"));
			}
		}
		let parallel =
			fields.get("parallel_tool_calls").is_none() || fields.flag("parallel_tool_calls")?;
		let mut tools = Self {
			functions,
			required: false,
			parallel,
			bare: true,
			formed: false,
		};
		let used = tools.choose(fields.get("tool_choice"), kind)?;
		Ok(Some(tools).filter(|tools| used && !tools.functions.is_empty()))
	}

	/// Obeys `tool_choice`; whether tools may be used at all.
	fn choose(&mut self, choice: Option<&Value>, kind: Kind) -> Result<bool, ApiError> {
		const NAME: &str = "tool_choice";
		let Some(choice) = choice else {
			return Ok(true);
		};
		let kind_of_choice = match choice {
			Value::String(text) => text,
			Value::Object(_) => choice["type"].as_str().unwrap_or_default(),
			_ => return Err(wrong_type(NAME, "a string or an object")),
		};
		match kind_of_choice {
			"none" => return Ok(false),
			"auto" => return Ok(true),
			"required" => self.required = true,
			"function" => {
				let (name, at) = match kind {
					Kind::Response => (&choice["name"], "tool_choice.name"),
					_ => (&choice["function"]["name"], "tool_choice.function.name"),
				};
				let name = name.as_str();
				let name = name.ok_or_else(|| wrong_type(at, "a string"))?;
				(self.required, self.parallel) = (true, false);
				self.allow(&[name])?;
			}
			"allowed_tools" => {
				let allowed = match kind {
					Kind::Response => choice,
					_ => &choice["allowed_tools"],
				};
				self.required = match allowed["mode"].as_str() {
					Some("auto") => false,
					Some("required") => true,
					_ => return Err(out_of_range("tool_choice.mode", "auto or required")),
				};
				let name = |tool: &Value| match kind {
					Kind::Response => tool["name"].as_str().map(str::to_owned),
					_ => tool["function"]["name"].as_str().map(str::to_owned),
				};
				let names = allowed["tools"].as_array();
				let names: Option<Vec<String>> =
					names.and_then(|list| list.iter().map(name).collect());
				let names =
					names.ok_or_else(|| wrong_type("tool_choice.tools", "a list of functions"))?;
				let names: Vec<&str> = names.iter().map(String::as_str).collect();
				self.allow(&names)?;
			}
			_ => {
				let range = "none, auto, required, or an object of type function or allowed_tools";
				return Err(out_of_range(NAME, range));
			}
		}
		if self.functions.is_empty() {
			let message = "tool_choice asks for a call, and there are no tools";
			return Err(ApiError::invalid(NAME, message).with_code("invalid_value"));
		}
		Ok(true)
	}

	/// Leaves only these callable.
	fn allow(&mut self, names: &[&str]) -> Result<(), ApiError> {
		for name in names {
			if !self.functions.iter().any(|function| function.name == *name) {
				let message = format!(
					"tool_choice names {:?}, which is not among the tools",
					shown(name)
				);
				return Err(ApiError::invalid("tool_choice", message).with_code("invalid_value"));
			}
		}
		for function in &mut self.functions {
			function.callable = names.contains(&function.name.as_str());
		}
		Ok(())
	}

	fn callable(&self) -> impl Iterator<Item = &Function> {
		self.functions.iter().filter(|function| function.callable)
	}

	/// The functions as templates take them.
	pub(super) fn shown(&self) -> Vec<Value> {
		self.functions
			.iter()
			.map(|function| function.shown.clone())
			.collect()
	}

	/// Finds the calls in an answer.
	pub(super) fn reader(&self) -> Reader {
		let names = self.callable().map(|function| function.name.clone());
		let reader = Reader::new(names.collect(), self.bare);
		match self.formed {
			true => reader.formed(),
			false => reader,
		}
	}

	/// The grammar of answers, where they are not free: calls as the model was told to write them, beside text that is
	/// free or of the given form.
	///
	/// # Errors
	///
	/// 400 about a schema that calls can't be held to exactly.
	pub(super) fn grammar(
		&mut self,
		format: CallFormat,
		form: Option<&Grammar>,
	) -> Result<Option<Grammar>, ApiError> {
		// Text of a form may look like a call.
		self.bare = form.is_none() || self.required || format == CallFormat::Bare;
		self.formed = form.is_some() && !self.required;
		let strict = self.callable().any(|function| function.strict);
		let free = !self.required && self.parallel && !strict && form.is_none();
		if free {
			return Ok(None);
		}
		let functions = self.functions.iter_mut().enumerate();
		for (index, function) in functions.filter(|(_, function)| function.callable) {
			function.parameters = schema::exact(&function.parameters).map_err(|error| {
				let message = format!(
					"tools: calls can't be held to the parameters of {:?}: {error}",
					function.name
				);
				let at = format!("tools[{index}]");
				ApiError::invalid(at, message).with_code("unsupported_value")
			})?;
		}
		let functions = self.callable();
		let functions =
			functions.map(|function| (&*function.name, &function.parameters, function.strict));
		let calls = Calls {
			required: self.required,
			parallel: self.parallel,
			functions: functions.collect(),
		};
		Ok(Some(grammar::of_calls(&calls, format, form)))
	}
}
