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

/// Takes a text, if it is one and belongs here; whatever happens, none is left for later.
fn take_if(belongs: bool, text: &mut String) -> Option<String> {
	Some(std::mem::take(text)).filter(|text| belongs && !text.is_empty())
}

fn text<'a>(item: &'a Value, name: &str, at: &str) -> Result<&'a str, ApiError> {
	let text = item[name].as_str();
	text.ok_or_else(|| wrong_type(&format!("{at}.{name}"), "a string"))
}

/// What the assistant thought, as far as the item has it in words; what is encrypted only its maker can read.
fn thought(item: &Value, at: &str) -> Result<String, ApiError> {
	let parts = match &item["content"] {
		Value::Null => return Ok(String::new()),
		Value::Array(parts) => parts,
		_ => return Err(wrong_type(&format!("{at}.content"), "a list")),
	};
	let piece = |(index, part): (usize, &Value)| match part["type"].as_str() {
		Some("reasoning_text" | "text") => {
			text(part, "text", &format!("{at}.content[{index}]")).map(str::to_owned)
		}
		_ => {
			let at = format!("{at}.content[{index}].type");
			Err(wrong_type(&at, "reasoning_text"))
		}
	};
	parts.iter().enumerate().map(piece).collect()
}

/// Adds an item of the list to the conversation. `thoughts` are those of the assistant before what it says next.
fn add(
	item: &Value,
	index: usize,
	messages: &mut Vec<Message>,
	thoughts: &mut String,
) -> Result<(), ApiError> {
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
			let own = take_if(role == "assistant", thoughts);
			messages.push(Message {
				reasoning_content: own,
				..said(role, content(&item["content"], &format!("{at}.content"))?)
			});
		}
		"reasoning" => *thoughts += &thought(item, &at)?,
		"function_call" => {
			let id = text(item, "call_id", &at)?;
			let call = tool_call(id, text(item, "name", &at)?, text(item, "arguments", &at)?);
			match messages.last_mut() {
				// What the assistant said and the calls after it are one turn.
				Some(last) if last.role == "assistant" => last.tool_calls.push(call),
				_ => messages.push(Message {
					tool_calls: vec![call],
					reasoning_content: take_if(true, thoughts),
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
			let mut thoughts = String::new();
			for (index, item) in items.iter().enumerate() {
				add(item, index, &mut messages, &mut thoughts)?;
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
