//! Prompts and conversations to tokens.

use super::{ApiError, params::Fields};
use crate::{
	model::{
		Model,
		template::{Message, TemplateError},
	},
	tokenizer::TokenizerError,
};
use serde_json::Value;

/// Most texts in a request.
const MAX_TEXTS: usize = 256;
/// First of the private-use characters that stand for markup inside messages.
const PRIVATE: u32 = 0xF_0000;
/// Last of them.
const PRIVATE_END: u32 = 0xF_FFFD;

fn untokenizable(param: &'static str) -> impl Fn(TokenizerError) -> ApiError {
	move |error| ApiError::invalid(param, error.to_string())
}

/// Token identifiers, if the list holds nothing else.
pub(super) fn token_list(list: &[Value]) -> Option<Vec<u32>> {
	list.iter()
		.map(|item| item.as_u64().and_then(|id| u32::try_from(id).ok()))
		.collect()
}

/// The texts that a field names: a text, a list of token identifiers, or a list of texts or of such lists.
pub(super) fn texts(
	fields: &Fields,
	name: &'static str,
	model: &Model,
) -> Result<Vec<Vec<u32>>, ApiError> {
	let wrong = || {
		let message = format!(
			"{name} must be a string, a list of token ids, or a list of strings or of such lists"
		);
		ApiError::invalid(name, message).with_code("invalid_type")
	};
	let field = fields
		.get(name)
		.ok_or_else(|| ApiError::invalid(name, format!("{name} is missing")))?;
	let tokens = |text: &Value| match text {
		Value::String(text) => model
			.tokenizer
			.encode(text, true, false)
			.map_err(untokenizable(name)),
		Value::Array(list) => token_list(list).ok_or_else(wrong),
		_ => Err(wrong()),
	};
	match field.as_array().map(Vec::as_slice) {
		Some(texts @ [first, ..]) if !first.is_number() => {
			if texts.len() > MAX_TEXTS {
				let message = format!("{name} must have at most {MAX_TEXTS} texts");
				return Err(ApiError::invalid(name, message).with_code("invalid_value"));
			}
			texts.iter().map(tokens).collect()
		}
		_ => Ok(vec![tokens(field)?]),
	}
}

/// Text of a message: a string, or text parts one after the other.
fn content(value: &Value, at: &str) -> Result<String, ApiError> {
	let parts = match value {
		Value::String(text) => return Ok(text.clone()),
		Value::Array(parts) => parts,
		_ => {
			let message = format!("{at} must be a string or a list of text parts");
			return Err(ApiError::invalid(at, message).with_code("invalid_type"));
		}
	};
	let mut text = String::new();
	for (index, part) in parts.iter().enumerate() {
		let at = format!("{at}[{index}]");
		match part.get("type").and_then(Value::as_str) {
			Some("text") => match part.get("text").and_then(Value::as_str) {
				Some(piece) => text.push_str(piece),
				None => {
					let message = format!("{at}.text must be a string");
					return Err(ApiError::invalid(at, message).with_code("invalid_type"));
				}
			},
			Some(kind) => {
				let kind: String = kind.chars().take(40).collect();
				let message = format!("{at}: parts of type {kind:?} are not supported, only text");
				return Err(ApiError::invalid(at, message).with_code("unsupported_value"));
			}
			None => {
				let message = format!("{at}.type must be a string");
				return Err(ApiError::invalid(at, message).with_code("invalid_type"));
			}
		}
	}
	Ok(text)
}

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
		Some(role @ ("system" | "user" | "assistant")) => role,
		Some("tool" | "function") => {
			return Err(fail(".role", "names a tool: tools are not supported")
				.with_code("unsupported_value"));
		}
		Some(_) => {
			return Err(fail(
				".role",
				"must be system, developer, user or assistant",
			));
		}
		None => return Err(fail(".role", "must be a string").with_code("invalid_type")),
	};
	let calls = value.get("tool_calls").and_then(Value::as_array);
	if calls.is_some_and(|calls| !calls.is_empty()) {
		return Err(fail(".tool_calls", "is not supported").with_code("unsupported_parameter"));
	}
	let content = match value.get("content") {
		None | Some(Value::Null) if role == "assistant" => String::new(),
		None => return Err(fail(".content", "is missing")),
		Some(value) => content(value, &format!("{at}.content"))?,
	};
	Ok(Message {
		role: role.to_owned(),
		content,
	})
}

/// Replaces the model's markup inside messages by private-use characters, which the messages do not contain.
fn hide_markup(messages: &mut [Message], model: &Model) -> Vec<(char, String)> {
	let tokenizer = &model.tokenizer;
	let mut markup: Vec<&str> = (0..tokenizer.len() as u32)
		.filter(|id| tokenizer.is_control(*id))
		.filter_map(|id| tokenizer.token(id))
		.filter(|token| !token.is_empty())
		.filter(|token| messages.iter().any(|one| one.content.contains(token)))
		.collect();
	// A longer one may contain a shorter one.
	markup.sort_by_key(|token| std::cmp::Reverse(token.len()));
	let mut free = (PRIVATE..=PRIVATE_END)
		.filter_map(char::from_u32)
		.filter(|char| !messages.iter().any(|one| one.content.contains(*char)))
		.take(markup.len())
		.collect::<Vec<char>>()
		.into_iter();
	let mut hidden = Vec::new();
	for token in markup {
		let Some(char) = free.next() else {
			break;
		};
		for message in messages.iter_mut() {
			message.content = message
				.content
				.replace(token, char.encode_utf8(&mut [0; 4]));
		}
		hidden.push((char, token.to_owned()));
	}
	hidden
}

/// A conversation in the words of the model's template, with markup inside messages hidden: what stands for what.
fn rendered(fields: &Fields, model: &Model) -> Result<(String, Vec<(char, String)>), ApiError> {
	let list = match fields.get("messages") {
		None => return Err(ApiError::invalid("messages", "messages is missing")),
		Some(Value::Array(list)) if !list.is_empty() => list,
		Some(_) => {
			return Err(ApiError::invalid(
				"messages",
				"messages must be a list of at least one message",
			)
			.with_code("invalid_type"));
		}
	};
	let mut messages = list
		.iter()
		.enumerate()
		.map(|(index, value)| message(value, index))
		.collect::<Result<Vec<_>, _>>()?;
	let hidden = hide_markup(&mut messages, model);
	let text = model
		.template
		.render(&messages)
		.map_err(|error| match error {
			TemplateError::Refused(_) | TemplateError::Render(_) => {
				ApiError::invalid("messages", error.to_string())
			}
			TemplateError::Parse(_) => ApiError::server(error.to_string()),
		})?;
	Ok((text, hidden))
}

/// The prompt of a conversation as a text.
pub(super) fn chat_text(fields: &Fields, model: &Model) -> Result<String, ApiError> {
	let (mut text, hidden) = rendered(fields, model)?;
	for (char, token) in hidden {
		text = text.replace(char, &token);
	}
	Ok(text)
}

/// The prompt of a conversation. Markup of the template is markup; markup inside messages is text, so that what users
/// send can't end a turn or open another one.
pub(super) fn chat(fields: &Fields, model: &Model) -> Result<Vec<u32>, ApiError> {
	let (text, hidden) = rendered(fields, model)?;
	let mut tokens = Vec::new();
	for (index, piece) in text
		.split_inclusive(|char| hidden.iter().any(|(hidden, _)| *hidden == char))
		.enumerate()
	{
		let found = hidden
			.iter()
			.find_map(|(char, token)| Some((piece.strip_suffix(*char)?, token)));
		let (template, user) = found.map_or((piece, None), |(rest, token)| (rest, Some(token)));
		let encode = |text: &str, bos, special| {
			model
				.tokenizer
				.encode(text, bos, special)
				.map_err(untokenizable("messages"))
		};
		tokens.extend(encode(template, index == 0, true)?);
		if let Some(token) = user {
			tokens.extend(encode(token, false, false)?);
		}
	}
	Ok(tokens)
}
