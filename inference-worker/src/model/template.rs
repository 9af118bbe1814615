//! Chat templates: messages to the one text that the model was trained on.

use crate::tokenizer::Tokenizer;
use minijinja::{
	Environment, ErrorKind, State, Value,
	syntax::SyntaxConfig,
	value::{Kwargs, Serde},
};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io;

/// Longest template, bytes.
const MAX_TEMPLATE: usize = 256 * 1024;
/// Most work of one request: instructions, and bytes in 64s, so that a template has no more than 128 MB.
const FUEL: u64 = 2_000_000;
/// Most bytes that a template may write as JSON for one request.
const MAX_JSON: usize = 64 << 20;

/// As `ChatFormat` in microsoft/BitNet's gpu/tokenizer.py writes conversations of 2B4T.
const BITNET: &str = "{{ bos_token }}{% for message in messages %}{{ message.role | capitalize }}: {{ message.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}Assistant: {% endif %}";
/// Llama 3.
const LLAMA3: &str = "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ message.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}";
/// Falcon 3.
const FALCON3: &str = "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}";
/// ChatML: Falcon-E, Qwen 3 and what is made of it.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// The template of a model whose files have none, by its architecture and the markup in its vocabulary.
pub fn built_in(architecture: Option<&str>, tokenizer: &Tokenizer) -> Option<&'static str> {
	let ids = 0..tokenizer.len() as u32;
	let has = |text: &str| ids.clone().any(|id| tokenizer.token(id) == Some(text));
	if has("<|im_start|>") && has("<|im_end|>") {
		return Some(CHATML);
	}
	if has("<|eot_id|>") {
		let bitnet = architecture.is_some_and(|name| name.starts_with("bitnet"));
		return Some(if bitnet { BITNET } else { LLAMA3 });
	}
	(has("<|assistant|>") && has("<|user|>")).then_some(FALCON3)
}

/// Used when there is nothing else: role lines as in the training text of small models.
const FALLBACK: &str = "{% for message in messages %}{{ message.role | capitalize }}: {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}";

/// Why messages can't become a prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
	/// The file's template does not parse.
	#[error("the model's chat template is damaged: {0}")]
	Parse(String),
	/// The template refuses these messages.
	#[error("{0}")]
	Refused(String),
	/// The template failed.
	#[error("the model's chat template failed: {0}")]
	Render(String),
}

/// A message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Message {
	/// `system`, `user`, `assistant` or `tool`.
	pub role: String,
	/// The text.
	pub content: String,
	/// Functions that the assistant called.
	#[serde(skip_serializing_if = "Vec::is_empty")]
	pub tool_calls: Vec<ToolCall>,
	/// The call that a `tool` answers.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub tool_call_id: Option<String>,
	/// The function that a `tool` is.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub name: Option<String>,
}

/// A call of a function, as templates know it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolCall {
	/// By which the answer names it.
	pub id: String,
	/// Always `function`.
	pub r#type: &'static str,
	/// What is called.
	pub function: FunctionCall,
}

/// A function and its arguments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionCall {
	/// The function.
	pub name: String,
	/// An object.
	pub arguments: serde_json::Value,
}

/// How a model writes a call of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFormat {
	/// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes, Qwen, and models that are told so.
	Tagged,
	/// `{"name": …, "parameters": …}` alone: Llama 3.1.
	Bare,
}

/// A parsed template.
pub struct ChatTemplate {
	environment: Environment<'static>,
	source: Option<String>,
	bos: String,
	eos: String,
	tools: bool,
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
pub(crate) fn spaced_json(value: &impl Serialize) -> serde_json::Result<String> {
	let mut bytes = Vec::new();
	value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced))?;
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
			let (mut bytes, indent) = (Vec::new(), " ".repeat(width.min(16)));
			let pretty = PrettyFormatter::with_indent(indent.as_bytes());
			value
				.serialize(&mut Serializer::with_formatter(&mut bytes, pretty))
				.map(|()| String::from_utf8_lossy(&bytes).into_owned())
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

impl ChatTemplate {
	/// Parses a template, or takes the fallback; `bos` and `eos` are the markup that templates may name.
	pub fn new(source: Option<&str>, bos: &str, eos: &str) -> Result<Self, TemplateError> {
		if source.is_some_and(|source| source.len() > MAX_TEMPLATE) {
			return Err(TemplateError::Parse("longer than 256 KiB".into()));
		}
		let mut environment = Environment::new();
		let syntax = SyntaxConfig::builder()
			.trim_blocks(true)
			.lstrip_blocks(true)
			.build()
			.map_err(|error| TemplateError::Parse(error.to_string()))?;
		environment.set_syntax(syntax);
		environment.set_fuel(Some(FUEL));
		environment
			.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
		environment.add_function(
			"raise_exception",
			|message: String| -> Result<Value, minijinja::Error> {
				Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
			},
		);
		environment.add_filter("tojson", tojson);
		// No clock in here: templates that print the date get an empty one, so that prompts are reproducible.
		environment.add_function("strftime_now", |_format: String| String::new());
		environment
			.add_template_owned("chat", source.unwrap_or(FALLBACK).to_owned())
			.map_err(|error| TemplateError::Parse(error.to_string()))?;
		let mut template = Self {
			environment,
			source: source.map(str::to_owned),
			bos: bos.to_owned(),
			eos: eos.to_owned(),
			tools: false,
		};
		template.tools = template.shows_tools();
		Ok(template)
	}

	/// Tries whether a tool that is handed over comes out.
	fn shows_tools(&self) -> bool {
		const PROBE: &str = "probe_of_the_template";
		let tool = serde_json::json!({
			"type": "function",
			"function": { "name": PROBE, "description": "", "parameters": { "type": "object", "properties": {} } },
		});
		let message = Message {
			role: "user".into(),
			content: "x".into(),
			..Message::default()
		};
		self.render(&[message], &[tool])
			.is_ok_and(|text| text.contains(PROBE))
	}

	/// Whether it knows functions that may be called, and messages about calls of them.
	pub fn takes_tools(&self) -> bool {
		self.tools
	}

	/// How the model is told to write a call.
	pub fn call_format(&self) -> CallFormat {
		let source = self.source.as_deref().unwrap_or_default();
		let has = |text| source.contains(text);
		if self.tools && has("\"parameters\": ") && !has("<tool_call>") {
			CallFormat::Bare
		} else {
			CallFormat::Tagged
		}
	}

	/// The file's own template.
	pub fn source(&self) -> Option<&str> {
		self.source.as_deref()
	}

	/// The prompt of a conversation, ending where the assistant's answer begins. Encode it with special tokens parsed.
	///
	/// Tools are objects as in OpenAI's requests; a template that does not know them leaves them out.
	pub fn render(
		&self,
		messages: &[Message],
		tools: &[serde_json::Value],
	) -> Result<String, TemplateError> {
		let template = self
			.environment
			.get_template("chat")
			.map_err(|error| TemplateError::Parse(error.to_string()))?;
		let tools = (!tools.is_empty()).then_some(tools);
		template
			.render(minijinja::context! {
				messages => Value::from(Serde(messages)),
				tools => tools.map(|tools| Value::from(Serde(tools))),
				add_generation_prompt => true,
				bos_token => self.bos.as_str(),
				eos_token => self.eos.as_str(),
			})
			.map_err(|error| match (error.kind(), error.detail()) {
				(ErrorKind::InvalidOperation, Some(detail)) => {
					TemplateError::Refused(detail.to_owned())
				}
				_ => TemplateError::Render(error.to_string()),
			})
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	fn said(role: &str, content: &str) -> Message {
		Message {
			role: role.into(),
			content: content.into(),
			..Message::default()
		}
	}

	fn weather() -> serde_json::Value {
		json!({ "type": "function", "function": { "name": "weather", "description": "It's <b>", "parameters": {} } })
	}

	#[test]
	fn tools_should_be_shown_as_python_writes_json() {
		let source =
			"{% for tool in tools %}{{ tool | tojson }}{% endfor %}{{ messages[0].content }}";
		let template = ChatTemplate::new(Some(source), "", "").unwrap();
		assert!(template.takes_tools());
		let text = template.render(&[said("user", "!")], &[weather()]).unwrap();
		assert_eq!(
			text,
			r#"{"type": "function", "function": {"name": "weather", "description": "It's <b>", "parameters": {}}}!"#
		);
		let source = "{{ tools | tojson(indent=2) }}";
		let template = ChatTemplate::new(Some(source), "", "").unwrap();
		let text = template
			.render(&[said("user", "")], &[json!({ "a": [1] })])
			.unwrap();
		assert_eq!(text, "[\n  {\n    \"a\": [\n      1\n    ]\n  }\n]");
	}

	#[test]
	fn json_without_end_should_be_refused() {
		let source = "{% for i in range(100000) %}{% set x = messages | tojson %}{% endfor %}";
		let template = ChatTemplate::new(Some(source), "", "").unwrap();
		let long = said("user", &"x".repeat(10_000));
		let error = template.render(&[long], &[]).unwrap_err();
		assert!(error.to_string().contains("too much JSON"), "{error}");
	}

	#[test]
	fn template_without_tools_should_say_so() {
		for source in [
			None,
			Some(CHATML),
			Some(LLAMA3),
			Some(FALCON3),
			Some(BITNET),
		] {
			let template = ChatTemplate::new(source, "", "").unwrap();
			assert!(!template.takes_tools());
			assert_eq!(template.call_format(), CallFormat::Tagged);
		}
	}

	#[test]
	fn published_templates_should_show_tools_calls_and_results() {
		let folder = concat!(
			env!("CARGO_MANIFEST_DIR"),
			"/../../shared/vectors/chat-templates"
		);
		for (file, format) in [
			("Qwen-Qwen3-0.6B.jinja", CallFormat::Tagged),
			("meta-llama-Llama-3.1-8B-Instruct.jinja", CallFormat::Bare),
		] {
			let Ok(source) = std::fs::read_to_string(format!("{folder}/{file}")) else {
				eprintln!("skipped: {folder}/{file} is not here");
				continue;
			};
			let template = ChatTemplate::new(Some(&source), "<s>", "</s>").unwrap();
			assert!(template.takes_tools(), "{file}");
			assert_eq!(template.call_format(), format);
			let call = ToolCall {
				id: "call_1".into(),
				r#type: "function",
				function: FunctionCall {
					name: "weather".into(),
					arguments: json!({ "city": "Oslo" }),
				},
			};
			let messages = [
				said("user", "Is it warm?"),
				Message {
					tool_calls: vec![call],
					..said("assistant", "")
				},
				Message {
					tool_call_id: Some("call_1".into()),
					name: Some("weather".into()),
					..said("tool", "5 degrees")
				},
			];
			let text = template.render(&messages, &[weather()]).unwrap();
			for part in [
				"It's <b>",
				"{\"city\": \"Oslo\"}",
				"5 degrees",
				"\"name\": \"weather\"",
			] {
				assert!(text.contains(part), "{file}: {part} is not in {text}");
			}
		}
	}
}
