//! A response as a stream of OpenAI's typed events.

use super::object::{Frame, State, call, item_id, message, text_part};
use crate::api::{
	ApiError,
	answer::Answer,
	run::Choice,
	tools::calls::{Call, Part},
};
use aria_engine::Event;
use axum::response::sse;
use futures::Stream;
use serde_json::{Value, json};
use std::convert::Infallible;

/// The item of the output that is being written.
enum Open {
	Text {
		id: String,
		text: String,
		logprobs: Vec<Value>,
	},
	Call {
		id: String,
		call: Call,
	},
}

/// What has been sent.
struct Writer {
	frame: Frame,
	sent: u64,
	/// Items that are complete.
	output: Vec<Value>,
	open: Option<Open>,
	events: Vec<Value>,
}

impl Writer {
	/// Queues an event.
	fn send(&mut self, kind: &str, mut event: Value) {
		event["type"] = kind.into();
		event["sequence_number"] = self.sent.into();
		self.sent += 1;
		self.events.push(event);
	}

	/// Queues an event about the item that is open.
	fn send_about(&mut self, id: &str, kind: &str, mut event: Value) {
		event["item_id"] = id.into();
		event["output_index"] = self.output.len().into();
		self.send(kind, event);
	}

	fn lifecycle(&mut self, kind: &str, state: &State<'_>) {
		let response = self.frame.object(state, self.output.clone());
		self.send(kind, json!({ "response": response }));
	}

	fn added(&mut self, item: Value) {
		let event = json!({ "output_index": self.output.len(), "item": item });
		self.send("response.output_item.added", event);
	}

	/// Opens a message, if none is open.
	fn open_text(&mut self) {
		if matches!(self.open, Some(Open::Text { .. })) {
			return;
		}
		self.close("completed");
		let id = item_id("msg");
		self.added(message(&id, "in_progress", Vec::new()));
		let part = json!({ "content_index": 0, "part": text_part("", Value::Null) });
		self.send_about(&id, "response.content_part.added", part);
		self.open = Some(Open::Text {
			id,
			text: String::new(),
			logprobs: Vec::new(),
		});
	}

	/// Writes parts, the first text with the log probabilities that there are.
	fn write(&mut self, parts: Vec<Part>, mut new: Vec<Value>) {
		for part in parts {
			match part {
				Part::Text(delta) => {
					self.open_text();
					let Some(Open::Text { id, text, logprobs }) = &mut self.open else {
						return;
					};
					text.push_str(&delta);
					logprobs.extend(new.iter().cloned());
					let event = json!({
						"content_index": 0,
						"delta": delta,
						"logprobs": std::mem::take(&mut new),
					});
					let id = id.clone();
					self.send_about(&id, "response.output_text.delta", event);
				}
				Part::Call { id, name } => {
					self.close("completed");
					let made = Call {
						id,
						name,
						arguments: String::new(),
					};
					let id = item_id("fc");
					self.added(call(&id, "in_progress", &made));
					self.open = Some(Open::Call { id, call: made });
				}
				Part::Arguments(delta) => {
					let Some(Open::Call { id, call }) = &mut self.open else {
						return;
					};
					call.arguments.push_str(&delta);
					let id = id.clone();
					let event = json!({ "delta": delta });
					self.send_about(&id, "response.function_call_arguments.delta", event);
				}
			}
		}
	}

	/// Completes the item that is open.
	fn close(&mut self, status: &str) {
		let item = match self.open.take() {
			None => return,
			Some(Open::Text { id, text, logprobs }) => {
				let logprobs = Value::from(logprobs);
				let done = json!({ "content_index": 0, "text": text, "logprobs": logprobs });
				self.send_about(&id, "response.output_text.done", done);
				let part = text_part(&text, logprobs);
				let done = json!({ "content_index": 0, "part": part });
				self.send_about(&id, "response.content_part.done", done);
				message(&id, status, vec![part])
			}
			Some(Open::Call { id, call: made }) => {
				let done = json!({ "name": made.name, "arguments": made.arguments });
				self.send_about(&id, "response.function_call_arguments.done", done);
				call(&id, status, &made)
			}
		};
		let event = json!({ "output_index": self.output.len(), "item": item });
		self.send("response.output_item.done", event);
		self.output.push(item);
	}

	/// Takes the queued events, each with its type as its name.
	fn take(&mut self) -> Vec<Result<sse::Event, Infallible>> {
		let event = |event: Value| {
			let kind = event["type"].as_str().unwrap_or_default();
			Ok(sse::Event::default().event(kind).data(event.to_string()))
		};
		self.events.drain(..).map(event).collect()
	}
}

/// Events as tokens come. A failure after the headers is `response.failed`.
pub(super) fn events(
	answer: Answer,
	frame: Frame,
	mut choice: Choice,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
	let mut writer = Writer {
		frame,
		sent: 0,
		output: Vec::new(),
		open: None,
		events: Vec::new(),
	};
	async_stream::stream! {
		let model = answer.served.engine.model();
		writer.lifecycle("response.created", &State::Running);
		writer.lifecycle("response.in_progress", &State::Running);
		let finished = loop {
			for event in writer.take() {
				yield event;
			}
			match choice.events.recv().await {
				Some(Event::Token(token)) => {
					if let Err(error) = answer.permit() {
						break Err(error);
					}
					let parts = choice.push(model, &answer.shared.api.metrics, token);
					// Kept for the next text where there is none now.
					let new = match parts.iter().any(|part| matches!(part, Part::Text(_))) {
						true => choice.logprobs.take(model),
						false => Value::Null,
					};
					writer.write(parts, new.as_array().cloned().unwrap_or_default());
				}
				Some(Event::Done(generation)) => {
					let parts = choice.reader.finish();
					let new = choice.logprobs.take(model);
					writer.write(parts, new.as_array().cloned().unwrap_or_default());
					break answer.finish(*generation).await;
				}
				Some(Event::Error(error)) => break Err(error.into()),
				Some(Event::Checked(_)) => {}
				None => break Err(ApiError::stopped()),
			}
		};
		match &finished {
			Ok(finished) => {
				if writer.output.is_empty() && writer.open.is_none() {
					writer.open_text();
				}
				let (status, last) = match finished.cut {
					true => ("incomplete", "response.incomplete"),
					false => ("completed", "response.completed"),
				};
				writer.close(status);
				writer.lifecycle(last, &State::Finished(finished));
			}
			Err(error) => writer.lifecycle("response.failed", &State::Failed(error)),
		}
		for event in writer.take() {
			yield event;
		}
	}
}
