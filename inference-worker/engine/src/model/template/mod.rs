//! Chat templates: messages to the one text that the model was trained on.

mod arguments;
mod error;
mod filters;
#[cfg(feature = "native")]
mod isolated;
mod json;
mod methods;
mod python;
mod run;
mod syntax;

pub use error::TemplateError;
#[cfg(feature = "native")]
pub use isolated::isolate;
pub use json::spaced_json;

use crate::tokenizer::Tokenizer;
use run::Job;
use serde::Serialize;

/// Longest template, bytes.
const MAX_TEMPLATE: usize = 256 * 1024;
/// Templates that are known to be harmless.
const OURS: [&str; 5] = [BITNET, LLAMA3, FALCON3, CHATML, FALLBACK];

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
	/// The function that a `tool` is, or who speaks.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub name: Option<String>,
	/// What the assistant thought before it spoke.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub reasoning_content: Option<String>,
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

/// A template with the markup that it may name.
pub struct ChatTemplate {
	source: Option<String>,
	bos: String,
	eos: String,
	tools: bool,
	/// Why it can't be used at all.
	fault: Option<TemplateError>,
}

impl ChatTemplate {
	/// Tries a template, or takes the fallback; `bos` and `eos` are the markup that templates may name. One that is too
	/// long or makes no sense is kept, and [`usable`](Self::usable) says what is wrong.
	///
	/// # Errors
	///
	/// [`TemplateError::Unavailable`] if it can't be tried now.
	pub fn new(source: Option<&str>, bos: &str, eos: &str) -> Result<Self, TemplateError> {
		let mut template = Self {
			source: source.map(str::to_owned),
			bos: bos.to_owned(),
			eos: eos.to_owned(),
			tools: false,
			fault: None,
		};
		if source.is_some_and(|source| source.len() > MAX_TEMPLATE) {
			template.fault = Some(TemplateError::Parse("it is longer than 256 KiB".into()));
			return Ok(template);
		}
		match template.shows_tools() {
			Ok(tools) => template.tools = tools,
			Err(fault @ TemplateError::Parse(_)) => template.fault = Some(fault),
			Err(error) => return Err(error),
		}
		Ok(template)
	}

	/// Whether conversations can be rendered.
	///
	/// # Errors
	///
	/// [`TemplateError::Parse`], which [`render`](Self::render) then returns for all conversations.
	pub fn usable(&self) -> Result<(), &TemplateError> {
		self.fault.as_ref().map_or(Ok(()), Err)
	}

	/// Tries whether a tool that is handed over comes out.
	fn shows_tools(&self) -> Result<bool, TemplateError> {
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
		match self.render(&[message], &[tool], 0) {
			Ok(text) => Ok(text.contains(PROBE)),
			Err(error @ (TemplateError::Parse(_) | TemplateError::Unavailable(_))) => Err(error),
			// It may do better with other messages.
			Err(TemplateError::Refused(_) | TemplateError::Render(_)) => Ok(false),
		}
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
	/// `now` is the time for templates that write the date, in seconds since 1970, UTC.
	///
	/// Tools are objects as in OpenAI's requests; a template that does not know them leaves them out. Waits for another
	/// process, if the program [isolates](isolate) templates.
	///
	/// # Errors
	///
	/// [`TemplateError`] with the template's own words, or why it failed.
	pub fn render(
		&self,
		messages: &[Message],
		tools: &[serde_json::Value],
		now: u64,
	) -> Result<String, TemplateError> {
		self.usable().map_err(Clone::clone)?;
		let source = self.source.as_deref().unwrap_or(FALLBACK);
		let fail = |error: serde_json::Error| TemplateError::Render(error.to_string());
		let messages = messages.iter().map(serde_json::to_value);
		let job = Job {
			source: source.to_owned(),
			bos: self.bos.clone(),
			eos: self.eos.clone(),
			messages: messages.collect::<Result<_, _>>().map_err(fail)?,
			tools: tools.to_vec(),
			now,
		};
		if OURS.contains(&source) {
			return run::render(&job);
		}
		#[cfg(feature = "native")]
		return isolated::render(&job);
		#[cfg(not(feature = "native"))]
		run::render(&job)
	}
}

#[cfg(test)]
mod tests;
