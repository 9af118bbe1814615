//! Messages of a conversation, and the functions that it offers.

use super::{
	ApiError,
	fields::{Fields, has_long_integer, wrong_type},
	tools::Tools,
};
use aria_engine::model::{
	Model,
	template::{FunctionCall, Message, TemplateError, ToolCall, spaced_json},
};
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// First of the private-use characters that stand for markup inside messages.
const PRIVATE: u32 = 0xF_0000;
/// Last of them.
const PRIVATE_END: u32 = 0xF_FFFD;

/// A conversation.
pub(super) struct Conversation {
	pub(super) messages: Vec<Message>,
	/// Functions, as templates take them.
	pub(super) tools: Vec<Value>,
	/// The request's field that has the messages.
	pub(super) param: &'static str,
}

/// Text of a message: a string, or parts one after the other: text, or a refusal that the assistant said.
pub(super) fn content(value: &Value, at: &str) -> Result<String, ApiError> {
	let parts = match value {
		Value::String(text) => return Ok(text.clone()),
		Value::Array(parts) => parts,
		_ => return Err(wrong_type(at, "a string or a list of text parts")),
	};
	let mut text = String::new();
	for (index, part) in parts.iter().enumerate() {
		let at = format!("{at}[{index}]");
		match part.get("type").and_then(Value::as_str) {
			Some(kind @ ("text" | "input_text" | "output_text" | "refusal")) => {
				let field = if kind == "refusal" { kind } else { "text" };
				let piece = part.get(field).and_then(Value::as_str);
				text += piece.ok_or_else(|| wrong_type(&format!("{at}.{field}"), "a string"))?;
			}
			Some(kind) => {
				let kind: String = kind.chars().take(40).collect();
				let message = format!("{at}: parts of type {kind:?} are not supported, only text");
				return Err(ApiError::invalid(at, message).with_code("unsupported_value"));
			}
			None => return Err(wrong_type(&format!("{at}.type"), "a string")),
		}
	}
	Ok(text)
}

fn is_object(json: &str) -> bool {
	matches!(serde_json::from_str(json), Ok(Value::Object(_)))
}

/// A call as templates know it, from its name and arguments in JSON.
pub(super) fn tool_call(id: &str, name: &str, arguments: &str) -> ToolCall {
	let arguments = match serde_json::from_str(arguments) {
		Ok(Value::Object(map)) if !has_long_integer(arguments.as_bytes()) => Value::Object(map),
		_ if arguments.trim().is_empty() => json!({}),
		// What the model once wrote, whatever it is.
		_ => arguments.into(),
	};
	ToolCall {
		id: id.to_owned(),
		r#type: "function",
		function: FunctionCall {
			name: name.to_owned(),
			arguments,
		},
	}
}

fn calls(value: &Value, at: &str) -> Result<Vec<ToolCall>, ApiError> {
	let list = match value.get("tool_calls") {
		None | Some(Value::Null) => return Ok(Vec::new()),
		Some(Value::Array(list)) => list,
		Some(_) => return Err(wrong_type(&format!("{at}.tool_calls"), "a list of calls")),
	};
	let call = |(index, call): (usize, &Value)| {
		let at = format!("{at}.tool_calls[{index}]");
		if call["type"].as_str().is_some_and(|kind| kind != "function") {
			let message = format!("{at}.type must be function");
			return Err(ApiError::invalid(at, message).with_code("unsupported_value"));
		}
		let text = |value: &Value, name: &str| {
			let text = value.as_str().map(str::to_owned);
			text.ok_or_else(|| wrong_type(&format!("{at}.{name}"), "a string"))
		};
		let id = text(&call["id"], "id")?;
		let name = text(&call["function"]["name"], "function.name")?;
		let arguments = text(&call["function"]["arguments"], "function.arguments")?;
		Ok(tool_call(&id, &name, &arguments))
	};
	list.iter().enumerate().map(call).collect()
}

/// Fields of a message that change what it says and can't be obeyed, with what is used instead: those of OpenAI's first
/// functions, a recording, and those by which others let an answer begin with a text.
const UNSUPPORTED: [(&str, &str); 5] = [
	("function_call", ": use tool_calls"),
	("audio", ""),
	("images", ""),
	("prefix", ""),
	("partial", ""),
];

fn message(value: &Value, index: usize) -> Result<Message, ApiError> {
	let at = format!("messages[{index}]");
	let fail = |field: &str, message: &str| {
		let at = format!("{at}{field}");
		let message = format!("{at} {message}");
		ApiError::invalid(at, message)
	};
	if !value.is_object() {
		return Err(fail("", "must be an object").with_code("invalid_type"));
	}
	let role = match value.get("role").and_then(Value::as_str) {
		// The newer name of the same thing.
		Some("developer") => "system",
		Some(role @ ("system" | "user" | "assistant" | "tool")) => role,
		Some("function") => {
			return Err(
				fail(".role", "is of the old kind: use tool").with_code("unsupported_value")
			);
		}
		Some(_) => {
			let roles = "must be system, developer, user, assistant or tool";
			return Err(fail(".role", roles));
		}
		None => return Err(fail(".role", "must be a string").with_code("invalid_type")),
	};
	let mut message = Message {
		role: role.to_owned(),
		..Message::default()
	};
	// Read whatever the role is: a field that is there must be right.
	let (calls, id) = (calls(value, &at)?, &value["tool_call_id"]);
	if role == "assistant" {
		message.tool_calls = calls;
	}
	match id.as_str() {
		Some(id) if role == "tool" => message.tool_call_id = Some(id.to_owned()),
		None if role == "tool" || !id.is_null() => {
			return Err(wrong_type(&format!("{at}.tool_call_id"), "a string"));
		}
		_ => {}
	}
	let set = |value: &Value| match value {
		Value::Null | Value::Bool(false) => false,
		Value::Array(list) => !list.is_empty(),
		_ => true,
	};
	for (field, instead) in UNSUPPORTED {
		if value.get(field).is_some_and(set) {
			let mut error = ApiError::unsupported(&format!("{at}.{field}"));
			error.message += instead;
			return Err(error);
		}
	}
	let text = |field: &str| match value.get(field).filter(|value| !value.is_null()) {
		None => Ok(None),
		Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
		Some(_) => Err(wrong_type(&format!("{at}.{field}"), "a string")),
	};
	message.name = text("name")?;
	let (refusal, thought) = (text("refusal")?, text("reasoning_content")?);
	if role == "assistant" {
		let other = value.get("reasoning").and_then(Value::as_str);
		message.reasoning_content = thought.or(other.map(str::to_owned));
	}
	message.content = match value.get("content") {
		// Where the assistant refused, that is what it said.
		None | Some(Value::Null) if role == "assistant" => refusal.unwrap_or_default(),
		None => return Err(fail(".content", "is missing")),
		Some(value) => content(value, &format!("{at}.content"))?,
	};
	Ok(message)
}

impl Conversation {
	/// The `messages` of a chat.
	pub(super) fn of_chat(fields: &Fields, tools: Option<&Tools>) -> Result<Self, ApiError> {
		let list = match fields.get("messages") {
			None => return Err(ApiError::invalid("messages", "messages is missing")),
			Some(Value::Array(list)) if !list.is_empty() => list,
			Some(_) => return Err(wrong_type("messages", "a list of at least one message")),
		};
		let messages = list
			.iter()
			.enumerate()
			.map(|(index, value)| message(value, index))
			.collect::<Result<Vec<_>, _>>()?;
		Ok(Self::new(messages, tools, "messages"))
	}

	/// Messages, with the names of functions where their results are.
	pub(super) fn new(
		mut messages: Vec<Message>,
		tools: Option<&Tools>,
		param: &'static str,
	) -> Self {
		let mut names: Vec<(String, String)> = Vec::new();
		for message in &mut messages {
			let made = message.tool_calls.iter();
			names.extend(made.map(|call| (call.id.clone(), call.function.name.clone())));
			if let Some(id) = &message.tool_call_id {
				let called = names.iter().rev().find(|(made, _)| made == id);
				let called = called.map(|(_, name)| name.clone());
				message.name = called.or(message.name.take());
			}
		}
		Self {
			messages,
			tools: tools.map(Tools::shown).unwrap_or_default(),
			param,
		}
	}

	/// Says with ordinary messages what a template without tools can't show.
	fn spell_out(&mut self) {
		let json = |value: &Value| spaced_json(value).unwrap_or_default();
		let mut messages: Vec<Message> = Vec::new();
		let mut answers = false;
		for mut message in self.messages.drain(..) {
			for call in message.tool_calls.drain(..) {
				let FunctionCall { name, arguments } = call.function;
				let arguments = match arguments {
					// An object with numbers of more digits than values keep.
					Value::String(text) if is_object(&text) => text,
					other => json(&other),
				};
				let before = if message.content.is_empty() { "" } else { "\n" };
				let call = format!(
					"{before}<tool_call>\n{{\"name\": {}, \"arguments\": {arguments}}}\n</tool_call>",
					json(&name.into())
				);
				message.content.push_str(&call);
			}
			let answer = message.role == "tool";
			if answer {
				message.role = "user".into();
				message.content = format!("<tool_response>\n{}\n</tool_response>", message.content);
			}
			match messages.last_mut() {
				// Results together are one turn.
				Some(last) if answer && answers => {
					last.content = format!("{}\n{}", last.content, message.content);
				}
				_ => messages.push(message),
			}
			answers = answer;
		}
		if !self.tools.is_empty() {
			let tools: Vec<String> = self
				.tools
				.iter()
				.map(|tool| json(&tool["function"]))
				.collect();
			let text = format!(
				"You can call these functions:\n{}\nTo call one, write:\n<tool_call>\n{{\"name\": NAME, \"arguments\": ARGUMENTS}}\n</tool_call>",
				tools.join("\n")
			);
			match messages.first_mut() {
				Some(first) if first.role == "system" => {
					first.content = format!("{}\n\n{text}", first.content);
				}
				_ => messages.insert(
					0,
					Message {
						role: "system".into(),
						content: text,
						..Message::default()
					},
				),
			}
		}
		self.messages = messages;
		self.tools.clear();
	}

	/// Shows every text that comes from the request.
	fn each_text(&mut self, work: &mut dyn FnMut(&mut String)) {
		for message in &mut self.messages {
			work(&mut message.content);
			for call in &mut message.tool_calls {
				work(&mut call.id);
				work(&mut call.function.name);
				each_text(&mut call.function.arguments, work);
			}
			message.tool_call_id.as_mut().map(&mut *work);
			message.name.as_mut().map(&mut *work);
			message.reasoning_content.as_mut().map(&mut *work);
		}
		for tool in &mut self.tools {
			each_text(tool, work);
		}
	}

	/// Replaces the model's markup inside messages by private-use characters, which the messages do not contain.
	fn hide_markup(&mut self, model: &Model) -> Vec<(char, String)> {
		let tokenizer = &model.tokenizer;
		let mut texts = Vec::new();
		self.each_text(&mut |text| texts.push(text.clone()));
		let mut markup: Vec<&str> = (0..tokenizer.len() as u32)
			.filter(|id| tokenizer.is_control(*id))
			.filter_map(|id| tokenizer.token(id))
			.filter(|token| !token.is_empty())
			.filter(|token| texts.iter().any(|text| text.contains(token)))
			.collect();
		// A longer one may contain a shorter one.
		markup.sort_by_key(|token| std::cmp::Reverse(token.len()));
		let free = (PRIVATE..=PRIVATE_END)
			.filter_map(char::from_u32)
			.filter(|char| !texts.iter().any(|text| text.contains(*char)));
		let hidden: Vec<(char, String)> = free
			.zip(markup.iter().map(|token| (*token).to_owned()))
			.collect();
		if hidden.is_empty() {
			return hidden;
		}
		self.each_text(&mut |text| {
			for (char, token) in &hidden {
				*text = text.replace(token, char.encode_utf8(&mut [0; 4]));
			}
		});
		hidden
	}

	/// The conversation in the words of the model's template, with markup inside messages hidden: what stands for what.
	pub(super) fn render(
		mut self,
		model: &Model,
	) -> Result<(String, Vec<(char, String)>), ApiError> {
		if !model.template.takes_tools() {
			self.spell_out();
		}
		let hidden = self.hide_markup(model);
		// The one clock that a prompt depends on: receipts hold the prompt's tokens, verifiers need no date.
		let now = SystemTime::now().duration_since(UNIX_EPOCH);
		let now = now.map_or(0, |now| now.as_secs());
		let text = model.template.render(&self.messages, &self.tools, now);
		let text = text.map_err(|error| match error {
			TemplateError::Refused(_) | TemplateError::Render(_) => {
				ApiError::invalid(self.param, error.to_string())
			}
			TemplateError::Parse(_) => ApiError::no_chats(&error),
			TemplateError::Unavailable(_) => ApiError::overloaded(error.to_string()),
		})?;
		Ok((text, hidden))
	}
}

/// Shows every text of a value, keys among them.
fn each_text(value: &mut Value, work: &mut dyn FnMut(&mut String)) {
	match value {
		Value::String(text) => work(text),
		Value::Array(list) => list.iter_mut().for_each(|value| each_text(value, work)),
		Value::Object(map) => {
			let pairs = std::mem::take(map).into_iter();
			let shown = pairs.map(|(mut key, mut value)| {
				work(&mut key);
				each_text(&mut value, work);
				(key, value)
			});
			*map = shown.collect::<Map<_, _>>();
		}
		_ => {}
	}
}
