//! `input` and `instructions` of a request, as the conversation that they are.

use crate::api::{
	ApiError,
	fields::{Fields, wrong_type},
	messages::{Conversation, content, tool_call},
	tools::Tools,
};
use aria_engine::model::template::Message;
use serde_json::Value;

fn said(role: &str, content: String) -> Message {
	Message {
		role: role.to_owned(),
		content,
		..Message::default()
	}
}

fn text<'a>(item: &'a Value, name: &str, at: &str) -> Result<&'a str, ApiError> {
	let text = item[name].as_str();
	text.ok_or_else(|| wrong_type(&format!("{at}.{name}"), "a string"))
}

/// Adds an item of the list to the conversation.
fn add(item: &Value, index: usize, messages: &mut Vec<Message>) -> Result<(), ApiError> {
	let at = format!("input[{index}]");
	if !item.is_object() {
		return Err(wrong_type(&at, "an object"));
	}
	let kind = match &item["type"] {
		Value::Null => "message",
		kind => kind
			.as_str()
			.ok_or_else(|| wrong_type(&format!("{at}.type"), "a string"))?,
	};
	match kind {
		"message" => {
			let role = match text(item, "role", &at)? {
				"developer" => "system",
				role @ ("system" | "user" | "assistant") => role,
				_ => {
					let at = format!("{at}.role");
					let message = format!("{at} must be system, developer, user or assistant");
					return Err(ApiError::invalid(at, message).with_code("invalid_value"));
				}
			};
			messages.push(said(
				role,
				content(&item["content"], &format!("{at}.content"))?,
			));
		}
		"function_call" => {
			let id = text(item, "call_id", &at)?;
			let call = tool_call(id, text(item, "name", &at)?, text(item, "arguments", &at)?);
			match messages.last_mut() {
				// What the assistant said and the calls after it are one turn.
				Some(last) if last.role == "assistant" => last.tool_calls.push(call),
				_ => messages.push(Message {
					tool_calls: vec![call],
					..said("assistant", String::new())
				}),
			}
		}
		"function_call_output" => {
			let id = text(item, "call_id", &at)?;
			messages.push(Message {
				tool_call_id: Some(id.to_owned()),
				..said("tool", content(&item["output"], &format!("{at}.output"))?)
			});
		}
		other => {
			let other: String = other.chars().take(40).collect();
			let at = format!("{at}.type");
			let message = format!("{at}: items of type {other:?} are not supported by this server");
			return Err(ApiError::invalid(at, message).with_code("unsupported_value"));
		}
	}
	Ok(())
}

/// `instructions` and the system and developer messages after them are one: many templates take no second.
fn one_system_message(messages: Vec<Message>) -> Vec<Message> {
	let mut merged: Vec<Message> = Vec::with_capacity(messages.len());
	for message in messages {
		match merged.as_mut_slice() {
			[first] if first.role == "system" && message.role == "system" => {
				first.content = format!("{}\n\n{}", first.content, message.content);
			}
			_ => merged.push(message),
		}
	}
	merged
}

/// The conversation that a request continues.
pub(super) fn conversation(
	fields: &Fields,
	tools: Option<&Tools>,
) -> Result<Conversation, ApiError> {
	let mut messages = Vec::new();
	if let Some(instructions) = fields.text("instructions")? {
		messages.push(said("system", instructions.to_owned()));
	}
	match fields.get("input") {
		Some(Value::String(text)) => messages.push(said("user", text.clone())),
		Some(Value::Array(items)) if !items.is_empty() => {
			for (index, item) in items.iter().enumerate() {
				add(item, index, &mut messages)?;
			}
		}
		Some(_) => {
			return Err(wrong_type(
				"input",
				"a string or a list of at least one item",
			));
		}
		None => return Err(ApiError::invalid("input", "input is missing")),
	}
	Ok(Conversation::new(
		one_system_message(messages),
		tools,
		"input",
	))
}
