//! The shapes of answers in choices: chat completions and text completions, whole or in chunks. And of log
//! probabilities.

use super::tools::calls::{Call, Item, Part};
use aria_engine::{TokenEvent, model::Model};
use serde_json::{Map, Value, json};

/// Which endpoint was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
	/// `/v1/chat/completions`.
	Chat,
	/// `/v1/completions`.
	Completion,
	/// `/v1/responses`, which has items and no choices.
	Response,
}

impl Kind {
	/// First part of an answer's identifier.
	pub(super) fn prefix(self) -> &'static str {
		match self {
			Self::Chat => "chatcmpl-",
			Self::Completion => "cmpl-",
			Self::Response => "resp_",
		}
	}

	/// The field that has the prompt.
	pub(super) fn prompt_name(self) -> &'static str {
		match self {
			Self::Chat => "messages",
			Self::Completion => "prompt",
			Self::Response => "input",
		}
	}

	/// The field that has the form of the answer.
	pub(super) fn format_name(self) -> &'static str {
		match self {
			Self::Response => "text.format",
			_ => "response_format",
		}
	}

	/// OpenAI's name of the object.
	pub(super) fn object(self, stream: bool) -> &'static str {
		match (self, stream) {
			(Self::Chat, false) => "chat.completion",
			(Self::Chat, true) => "chat.completion.chunk",
			(Self::Completion, _) => "text_completion",
			(Self::Response, _) => "response",
		}
	}

	/// A choice of a whole answer.
	pub(super) fn choice(
		self,
		index: usize,
		items: &[Item],
		logprobs: Value,
		finish: &str,
	) -> Value {
		let texts = items.iter().filter_map(|item| match item {
			Item::Text(text) => Some(text.as_str()),
			Item::Call(_) => None,
		});
		let text: String = texts.collect();
		let calls: Vec<Value> = items
			.iter()
			.filter_map(|item| match item {
				Item::Call(call) => Some(whole_call(call)),
				Item::Text(_) => None,
			})
			.collect();
		let mut choice = json!({ "index": index, "logprobs": logprobs, "finish_reason": finish });
		if self == Self::Completion {
			choice["text"] = text.into();
			return choice;
		}
		let content = (!text.is_empty() || calls.is_empty()).then_some(text);
		choice["message"] = json!({ "role": "assistant", "content": content, "refusal": null });
		if !calls.is_empty() {
			choice["message"]["tool_calls"] = calls.into();
		}
		choice
	}

	/// A chunk's choice before the first text; text completions have none.
	pub(super) fn opening(self, index: usize) -> Option<Value> {
		let delta = json!({ "role": "assistant", "content": "" });
		(self == Self::Chat).then(|| delta_choice(index, delta, Value::Null))
	}

	/// A chunk's choice with a part of the answer, in JSON; `number` is that of the call to which it belongs.
	///
	/// There is one for each token: texts are written without a tree of values, which would take several times as long.
	pub(super) fn piece(self, index: usize, part: Part, number: usize, logprobs: Value) -> String {
		let delta = match part {
			Part::Text(text) => {
				let text = Value::String(text);
				let field = match self {
					Self::Completion => format!(r#""text":{text}"#),
					_ => format!(r#""delta":{{"content":{text}}}"#),
				};
				return format!(
					r#"{{"index":{index},{field},"logprobs":{logprobs},"finish_reason":null}}"#
				);
			}
			Part::Call { id, name } => json!({ "tool_calls": [{
				"index": number,
				"id": id,
				"type": "function",
				"function": { "name": name, "arguments": "" },
			}] }),
			Part::Arguments(text) => json!({ "tool_calls": [{
				"index": number,
				"function": { "arguments": text },
			}] }),
		};
		delta_choice(index, delta, logprobs).to_string()
	}

	/// A choice's last chunk: no text, only why the answer ended.
	pub(super) fn ending(self, index: usize, finish: &str) -> Value {
		let mut choice = match self {
			Self::Completion => json!({ "index": index, "text": "", "logprobs": null }),
			_ => delta_choice(index, json!({}), Value::Null),
		};
		choice["finish_reason"] = finish.into();
		choice
	}
}

fn whole_call(call: &Call) -> Value {
	json!({
		"id": call.id,
		"type": "function",
		"function": { "name": call.name, "arguments": call.arguments },
	})
}

fn delta_choice(index: usize, delta: Value, logprobs: Value) -> Value {
	json!({ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": null })
}

/// Collects log probabilities of tokens in the shape of an endpoint.
pub(super) struct Logprobs {
	kind: Kind,
	/// How many alternatives; `None` when log probabilities are not wanted.
	count: Option<u8>,
	/// Characters of the tokens before the collected ones.
	offset: usize,
	tokens: Vec<TokenEvent>,
}

/// A token as clients see it: its text, U+FFFD for a part of a character; its name if it is markup.
fn token_text(model: &Model, id: u32) -> String {
	if model.tokenizer.is_control(id) {
		return model.tokenizer.token(id).unwrap_or_default().to_owned();
	}
	String::from_utf8_lossy(&model.tokenizer.bytes(id)).into_owned()
}

fn chat_token(model: &Model, id: u32, logprob: f32) -> Map<String, Value> {
	let mut entry = Map::new();
	entry.insert("token".into(), token_text(model, id).into());
	entry.insert("logprob".into(), logprob.into());
	let bytes = model.tokenizer.bytes(id);
	let bytes = (!model.tokenizer.is_control(id)).then_some(bytes);
	entry.insert("bytes".into(), json!(bytes));
	entry
}

impl Logprobs {
	/// Collects nothing when `count` is `None`.
	pub(super) fn new(kind: Kind, count: Option<u8>) -> Self {
		Self {
			kind,
			count,
			offset: 0,
			tokens: Vec::new(),
		}
	}

	/// Adds a token. A token that ends the turn has no place in the text, so it is left out; the receipt has it.
	pub(super) fn push(&mut self, model: &Model, token: TokenEvent) {
		if self.count.is_some() && !model.tokenizer.is_end(token.id) {
			self.tokens.push(token);
		}
	}

	/// Whether nothing was collected since the last [`Self::take`].
	pub(super) fn is_empty(&self) -> bool {
		self.tokens.is_empty()
	}

	/// The collected tokens as JSON, or null when log probabilities are not wanted.
	pub(super) fn take(&mut self, model: &Model) -> Value {
		let Some(count) = self.count else {
			return Value::Null;
		};
		let tokens = std::mem::take(&mut self.tokens);
		match self.kind {
			Kind::Chat => json!({ "content": listed(model, &tokens), "refusal": null }),
			Kind::Response => listed(model, &tokens).into(),
			Kind::Completion => self.legacy(model, &tokens, count),
		}
	}

	fn legacy(&mut self, model: &Model, tokens: &[TokenEvent], count: u8) -> Value {
		let mut offsets = Vec::with_capacity(tokens.len());
		let mut texts = Vec::with_capacity(tokens.len());
		let mut tops = Vec::with_capacity(tokens.len());
		for token in tokens {
			let text = token_text(model, token.id);
			offsets.push(self.offset);
			self.offset += text.chars().count();
			let mut top = Map::new();
			for (id, logprob) in &token.top {
				// Parts of characters share a text: the likeliest one stays.
				top.entry(token_text(model, *id))
					.or_insert_with(|| (*logprob).into());
			}
			top.insert(text.clone(), token.logprob.into());
			texts.push(text);
			tops.push(top);
		}
		let logprobs: Vec<f32> = tokens.iter().map(|token| token.logprob).collect();
		json!({
			"tokens": texts,
			"token_logprobs": logprobs,
			"top_logprobs": (count > 0).then_some(tops),
			"text_offset": offsets,
		})
	}
}

/// Tokens with their log probabilities and alternatives.
fn listed(model: &Model, tokens: &[TokenEvent]) -> Vec<Value> {
	let entry = |token: &TokenEvent| {
		let top: Vec<_> = token
			.top
			.iter()
			.map(|(id, logprob)| chat_token(model, *id, *logprob))
			.collect();
		let mut entry = chat_token(model, token.id, token.logprob);
		entry.insert("top_logprobs".into(), json!(top));
		Value::Object(entry)
	};
	tokens.iter().map(entry).collect()
}
