//! Chat templates: messages to the one text that the model was trained on.

#[cfg(feature = "native")]
mod isolated;
mod run;

#[cfg(feature = "native")]
pub use isolated::isolate;
pub use run::spaced_json;

use crate::tokenizer::Tokenizer;
use run::Job;
use serde::{Deserialize, Serialize};

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

/// Why messages can't become a prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
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
	/// The machine lacks what running the template takes, such as a process or a file.
	#[error("the model's chat template can't be run now: {0}")]
	Unavailable(String),
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
}

impl ChatTemplate {
	/// Tries a template, or takes the fallback; `bos` and `eos` are the markup that templates may name.
	///
	/// # Errors
	///
	/// [`TemplateError::Parse`] if it is too long or makes no sense.
	pub fn new(source: Option<&str>, bos: &str, eos: &str) -> Result<Self, TemplateError> {
		if source.is_some_and(|source| source.len() > MAX_TEMPLATE) {
			return Err(TemplateError::Parse("longer than 256 KiB".into()));
		}
		let mut template = Self {
			source: source.map(str::to_owned),
			bos: bos.to_owned(),
			eos: eos.to_owned(),
			tools: false,
		};
		template.tools = template.shows_tools()?;
		Ok(template)
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
		match self.render(&[message], &[tool]) {
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
	) -> Result<String, TemplateError> {
		let source = self.source.as_deref().unwrap_or(FALLBACK);
		let fail = |error: serde_json::Error| TemplateError::Render(error.to_string());
		let messages = messages.iter().map(serde_json::to_value);
		let job = Job {
			source: source.to_owned(),
			bos: self.bos.clone(),
			eos: self.eos.clone(),
			messages: messages.collect::<Result<_, _>>().map_err(fail)?,
			tools: tools.to_vec(),
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
