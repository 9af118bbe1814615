//! The response object, whole or at a moment of its making.

use crate::api::{
	ApiError,
	answer::{Finished, cost},
	fields::{Fields, wrong_type},
	params::Options,
	state::random_hex,
	tools::calls::{Call, Item},
};
use aria_primitives::receipt::Grammar;
use serde_json::{Value, json};

/// What a response repeats of its request, and what it is called.
pub(super) struct Frame {
	id: String,
	created: u64,
	model: String,
	/// Fields that come back as they were sent, or with their defaults.
	echo: Value,
}

/// What became of a response.
pub(super) enum State<'a> {
	Running,
	Finished(&'a Finished),
	Failed(&'a ApiError),
}

/// A message as an item of the output.
pub(super) fn message(id: &str, status: &str, content: Vec<Value>) -> Value {
	json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": content })
}

/// Text as a part of a message.
pub(super) fn text_part(text: &str, logprobs: Value) -> Value {
	let logprobs = match logprobs {
		Value::Null => json!([]),
		list => list,
	};
	json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": logprobs })
}

/// A call as an item of the output.
pub(super) fn call(id: &str, status: &str, call: &Call) -> Value {
	json!({
		"id": id,
		"type": "function_call",
		"status": status,
		"call_id": call.id,
		"name": call.name,
		"arguments": call.arguments,
	})
}

/// An identifier of an item.
pub(super) fn item_id(prefix: &str) -> String {
	format!("{prefix}_{}", random_hex())
}

/// Items of the output. An answer that says nothing is an empty message.
pub(super) fn output(items: &[Item], logprobs: Value, cut: bool) -> Vec<Value> {
	let status = |last: bool| {
		if cut && last {
			"incomplete"
		} else {
			"completed"
		}
	};
	let mut logprobs = Some(logprobs);
	let nothing = [Item::Text(String::new())];
	let items = if items.is_empty() { &nothing } else { items };
	let last = items.len() - 1;
	let item = |(index, item): (usize, &Item)| match item {
		Item::Text(text) => {
			// Log probabilities are those of the whole answer: they stand with its first text.
			let part = text_part(text, logprobs.take().unwrap_or_default());
			message(&item_id("msg"), status(index == last), vec![part])
		}
		Item::Call(made) => call(&item_id("fc"), status(index == last), made),
	};
	items.iter().enumerate().map(item).collect()
}

/// Tokens that a response took.
fn usage(finished: &Finished) -> Value {
	let (input, output) = (finished.prompt_tokens, finished.output_tokens);
	let (rate, millijoules) = cost(std::slice::from_ref(finished));
	json!({
		"input_tokens": input,
		"input_tokens_details": { "cached_tokens": finished.cached_tokens, "cache_write_tokens": 0 },
		"output_tokens": output,
		"output_tokens_details": { "reasoning_tokens": 0 },
		"total_tokens": input + output,
		"tokens_per_second": rate,
		"energy_mj": millijoules,
	})
}

impl Frame {
	/// Reads what is repeated.
	pub(super) fn new(
		fields: &Fields,
		options: &Options,
		(id, created, model): (&str, u64, &str),
	) -> Result<Self, ApiError> {
		let echoed = |name: &str, default: Value| fields.get(name).cloned().unwrap_or(default);
		let metadata = echoed("metadata", json!({}));
		let texts = metadata
			.as_object()
			.map(|map| map.values().all(Value::is_string));
		if texts != Some(true) {
			return Err(wrong_type("metadata", "an object of strings"));
		}
		let format = match (fields.get("text"), &options.constraints.grammar) {
			(Some(text), Some(_)) if text["format"].is_object() => text["format"].clone(),
			(_, Some(Grammar::JsonObject)) => json!({ "type": "json_object" }),
			_ => json!({ "type": "text" }),
		};
		let millionths = |value: u32| f64::from(value) / 1e6;
		let sampling = &options.sampling;
		Ok(Self {
			id: id.to_owned(),
			created,
			model: model.to_owned(),
			echo: json!({
				"background": false,
				"instructions": echoed("instructions", Value::Null),
				"max_output_tokens": echoed("max_output_tokens", Value::Null),
				"metadata": metadata,
				"parallel_tool_calls": echoed("parallel_tool_calls", true.into()),
				"previous_response_id": null,
				"reasoning": { "effort": null, "summary": null },
				"store": false,
				"temperature": millionths(sampling.temperature_micro),
				"text": { "format": format },
				"tool_choice": echoed("tool_choice", "auto".into()),
				"tools": echoed("tools", json!([])),
				"top_logprobs": options.logprobs.unwrap_or(0),
				"top_p": millionths(sampling.top_p_micro),
				"truncation": "disabled",
			}),
		})
	}

	/// The object.
	pub(super) fn object(&self, state: &State<'_>, output: Vec<Value>) -> Value {
		let mut object = json!({
			"id": self.id,
			"object": "response",
			"created_at": self.created,
			"model": self.model,
			"status": "in_progress",
			"error": null,
			"incomplete_details": null,
			"output": output,
		});
		match state {
			State::Running => {}
			State::Finished(finished) => {
				object["status"] = "completed".into();
				if finished.cut {
					object["status"] = "incomplete".into();
					object["incomplete_details"] = json!({ "reason": "max_output_tokens" });
				}
				object["usage"] = usage(finished);
				object["aria"] = finished.aria.clone();
			}
			State::Failed(error) => {
				object["status"] = "failed".into();
				object["error"] = json!({ "code": "server_error", "message": error.message });
			}
		}
		if let (Some(object), Some(echo)) = (object.as_object_mut(), self.echo.as_object()) {
			object.extend(echo.clone());
		}
		object
	}
}
