//! Chat templates: messages to the one text that the model was trained on.

use crate::tokenizer::Tokenizer;
use minijinja::{Environment, ErrorKind, Value, syntax::SyntaxConfig};
use serde::{Deserialize, Serialize};

/// Longest template, bytes.
const MAX_TEMPLATE: usize = 256 * 1024;
/// Most work of one request: instructions, and bytes in 64s, so that a template has no more than 128 MB.
const FUEL: u64 = 2_000_000;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
	/// `system`, `user` or `assistant`.
	pub role: String,
	/// The text.
	pub content: String,
}

/// A parsed template.
pub struct ChatTemplate {
	environment: Environment<'static>,
	source: Option<String>,
	bos: String,
	eos: String,
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
		// No clock in here: templates that print the date get an empty one, so that prompts are reproducible.
		environment.add_function("strftime_now", |_format: String| String::new());
		environment
			.add_template_owned("chat", source.unwrap_or(FALLBACK).to_owned())
			.map_err(|error| TemplateError::Parse(error.to_string()))?;
		Ok(Self {
			environment,
			source: source.map(str::to_owned),
			bos: bos.to_owned(),
			eos: eos.to_owned(),
		})
	}

	/// The file's own template.
	pub fn source(&self) -> Option<&str> {
		self.source.as_deref()
	}

	/// The prompt of a conversation, ending where the assistant's answer begins. Encode it with special tokens parsed.
	pub fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
		let template = self
			.environment
			.get_template("chat")
			.map_err(|error| TemplateError::Parse(error.to_string()))?;
		let messages: Vec<Value> = messages
			.iter()
			.map(|message| {
				Value::from_pairs([
					("role", message.role.as_str()),
					("content", message.content.as_str()),
				])
			})
			.collect();
		template
			.render(minijinja::context! {
				messages => messages,
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
