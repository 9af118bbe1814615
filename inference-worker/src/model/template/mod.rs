//! Chat templates: messages to the one text that the model was trained on.

mod isolated;

pub use isolated::isolate;

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

/// Templates that are known to be harmless.
const OURS: [&str; 5] = [BITNET, LLAMA3, FALCON3, CHATML, FALLBACK];

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
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
	/// `system`, `user` or `assistant`.
	pub role: String,
	/// The text.
	pub content: String,
}

/// A template that parses.
pub struct ChatTemplate {
	source: Option<String>,
	bos: String,
	eos: String,
}

/// A template and the markup that it may name.
struct Request<'a> {
	source: &'a str,
	bos: &'a str,
	eos: &'a str,
}

impl Request<'_> {
	/// Parses the template, under the name `chat`.
	fn parse(&self) -> Result<Environment<'_>, TemplateError> {
		let parse = |error: minijinja::Error| TemplateError::Parse(error.to_string());
		let mut environment = Environment::new();
		let syntax = SyntaxConfig::builder()
			.trim_blocks(true)
			.lstrip_blocks(true)
			.build()
			.map_err(parse)?;
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
			.add_template("chat", self.source)
			.map_err(parse)?;
		Ok(environment)
	}

	fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
		let environment = self.parse()?;
		let template = environment
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
				bos_token => self.bos,
				eos_token => self.eos,
			})
			.map_err(|error| match (error.kind(), error.detail()) {
				(ErrorKind::InvalidOperation, Some(detail)) => {
					TemplateError::Refused(detail.to_owned())
				}
				_ => TemplateError::Render(error.to_string()),
			})
	}

	/// Renders, or only parses without messages: in a process of its own, if the template is a stranger's.
	fn run(&self, messages: Option<&[Message]>) -> Result<String, TemplateError> {
		let strange = !OURS.contains(&self.source);
		let apart = strange.then(|| isolated::run(self, messages)).flatten();
		apart.unwrap_or_else(|| match messages {
			Some(messages) => self.render(messages),
			None => self.parse().map(|_| String::new()),
		})
	}
}

impl ChatTemplate {
	/// Checks a template, or takes the fallback; `bos` and `eos` are the markup that templates may name.
	///
	/// # Errors
	///
	/// [`TemplateError`] if it is too long or does not parse.
	pub fn new(source: Option<&str>, bos: &str, eos: &str) -> Result<Self, TemplateError> {
		if source.is_some_and(|source| source.len() > MAX_TEMPLATE) {
			return Err(TemplateError::Parse("longer than 256 KiB".into()));
		}
		let template = Self {
			source: source.map(str::to_owned),
			bos: bos.to_owned(),
			eos: eos.to_owned(),
		};
		template.request().run(None)?;
		Ok(template)
	}

	/// The file's own template.
	pub fn source(&self) -> Option<&str> {
		self.source.as_deref()
	}

	fn request(&self) -> Request<'_> {
		Request {
			source: self.source().unwrap_or(FALLBACK),
			bos: &self.bos,
			eos: &self.eos,
		}
	}

	/// The prompt of a conversation, ending where the assistant's answer begins. Encode it with special tokens parsed.
	///
	/// Waits for another process, if the program [isolates](isolate) templates.
	///
	/// # Errors
	///
	/// [`TemplateError`] with the template's own words, or why it failed.
	pub fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
		self.request().run(Some(messages))
	}
}
