//! The two endpoints that answer in choices.

use super::{
	ApiError, Shared,
	answer::{Answer, Finished},
	fields::Fields,
	messages::Conversation,
	prompt,
	run::{self, Asker, Choice, blocking, submit},
	shape::Kind,
	tools::calls::Part,
};
use crate::{keys::Client, models::events::Events};
use aria_engine::Event;
use aria_primitives::consent::TaskKind;
use axum::{
	Extension, Json,
	body::Bytes,
	extract::{State, rejection::BytesRejection},
	response::{IntoResponse, Response, sse},
};
use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use std::{convert::Infallible, sync::Arc};

/// What follows the last chunk.
pub(crate) const DONE: &str = "[DONE]";
/// Most answers in a request.
const MAX_CHOICES: usize = 32;

/// A request that the engine has taken.
pub(crate) struct Running {
	answer: Answer,
	/// For each prompt, its choices.
	choices: Vec<Choice>,
}

/// Reads a request and hands it to the engine.
fn start(
	shared: Arc<Shared>,
	client: Option<Arc<Client>>,
	kind: Kind,
	fields: &Fields,
) -> Result<Running, ApiError> {
	shared.permit(TaskKind::TextGen)?;
	let served = shared.model(fields)?;
	let model = served.engine.model();
	let options = fields.options(kind, model)?;
	let prompts = match kind {
		Kind::Completion => prompt::texts(fields, "prompt", model)?,
		_ => {
			let conversation = Conversation::of_chat(fields, options.tools.as_ref())?;
			vec![prompt::chat(conversation, model, model.config().context)?]
		}
	};
	if prompts.len() * options.choices > MAX_CHOICES {
		let message = format!("at most {MAX_CHOICES} answers per request: n times the prompts");
		let param = if options.choices > 1 { "n" } else { "prompt" };
		return Err(ApiError::invalid(param, message).with_code("invalid_value"));
	}
	let number = client.as_ref().map_or(0, |client| client.number());
	let asker = Asker {
		kind,
		client: number,
	};
	let answer = Answer::new(
		shared,
		served.clone(),
		kind,
		&options,
		prompts.len(),
		client,
	);
	let choices = prompts
		.iter()
		.flat_map(|prompt| (0..options.choices as u64).map(move |number| (prompt, number)))
		.map(|(prompt, number)| submit(&served, asker, &options, prompt.clone(), number))
		// Dropping those that the engine has taken, when it takes no more, cancels them.
		.collect::<Result<_, _>>()?;
	Ok(Running { answer, choices })
}

/// Begins a request that came without a path: a chat if it has messages, else a completion.
pub(crate) async fn ask(
	shared: Arc<Shared>,
	body: Vec<u8>,
	stream: bool,
) -> Result<Running, ApiError> {
	blocking(move || {
		let mut fields = Fields::parse(&body)?;
		fields.set("stream", stream.into());
		let kind = match fields.get("messages") {
			Some(_) => Kind::Chat,
			None => Kind::Completion,
		};
		start(shared, None, kind, &fields)
	})
	.await
}

async fn respond(
	shared: Arc<Shared>,
	client: Option<Extension<Arc<Client>>>,
	kind: Kind,
	body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
	let body = body?;
	let client = client.map(|Extension(client)| client);
	let running = blocking(move || start(shared, client, kind, &Fields::parse(&body)?)).await?;
	if running.answer.stream {
		return Ok(run::stream(chunks(running)));
	}
	Ok(Json(whole(running).await?).into_response())
}

/// `POST /v1/chat/completions`.
pub(super) async fn chat(
	State(shared): State<Arc<Shared>>,
	client: Option<Extension<Arc<Client>>>,
	body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
	respond(shared, client, Kind::Chat, body).await
}

/// `POST /v1/completions`.
pub(super) async fn completions(
	State(shared): State<Arc<Shared>>,
	client: Option<Extension<Arc<Client>>>,
	body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
	respond(shared, client, Kind::Completion, body).await
}

/// The whole answer.
pub(crate) async fn whole(running: Running) -> Result<Value, ApiError> {
	let Running { answer, choices } = running;
	let (mut finished, mut said) = (Vec::new(), Vec::new());
	// One after the other: each choice's events have room while they wait.
	for choice in choices {
		let (end, items, logprobs) = choice.whole(&answer).await?;
		finished.push(end);
		said.push((items, logprobs));
	}
	Ok(answer.whole(&finished, said))
}

fn data(json: &str) -> Result<sse::Event, Infallible> {
	Ok(sse::Event::default().data(json))
}

/// The events of all choices as they come, with the choice's index; `None` after a choice's last one.
fn merged(events: Vec<Events>) -> impl Stream<Item = (usize, Option<Event>)> {
	let each = events.into_iter().enumerate().map(|(index, mut events)| {
		stream::poll_fn(move |context| events.poll_recv(context))
			.map(Some)
			.chain(stream::iter([None]))
			.map(move |event| (index, event))
	});
	stream::select_all(each)
}

/// A choice of a stream.
struct Streamed {
	choice: Choice,
	/// Calls that the client knows of.
	calls: usize,
	finished: Option<Finished>,
}

impl Streamed {
	/// Chunks with these parts, the first with the log probabilities that there are.
	fn chunks(&mut self, answer: &Answer, index: usize, mut parts: Vec<Part>) -> Vec<String> {
		if parts.is_empty() && !self.choice.logprobs.is_empty() {
			parts.push(Part::Text(String::new()));
		}
		let mut chunks = Vec::new();
		for part in parts {
			self.calls += usize::from(matches!(part, Part::Call { .. }));
			let logprobs = match chunks.is_empty() {
				true => self.choice.logprobs.take(answer.served.engine.model()),
				false => Value::Null,
			};
			let number = self.calls.saturating_sub(1);
			chunks.push(answer.chunk(answer.kind.piece(index, part, number, logprobs)));
		}
		chunks
	}
}

/// The events of a stream. A failure after the headers is an error object, and the stream ends without `[DONE]`.
fn chunks(running: Running) -> impl Stream<Item = Result<sse::Event, Infallible>> {
	async_stream::stream! {
		let mut pieces = std::pin::pin!(pieces(running));
		while let Some(piece) = pieces.next().await {
			match piece {
				Ok(chunk) => yield data(&chunk),
				Err(error) => {
					yield data(&error.body().to_string());
					return;
				}
			}
		}
		yield Ok(sse::Event::default().data(DONE));
	}
}

/// Chunks in JSON as tokens come; nothing follows an error.
pub(crate) fn pieces(running: Running) -> impl Stream<Item = Result<String, ApiError>> {
	let Running {
		answer,
		mut choices,
	} = running;
	let take = |choice: &mut Choice| std::mem::take(&mut choice.events);
	let events = choices.iter_mut().map(take).collect();
	let begin = |choice| Streamed {
		choice,
		calls: 0,
		finished: None,
	};
	let mut choices: Vec<Streamed> = choices.into_iter().map(begin).collect();
	async_stream::stream! {
		for index in 0..choices.len() {
			if let Some(opening) = answer.kind.opening(index) {
				yield Ok(answer.chunk(opening));
			}
		}
		let mut merged = std::pin::pin!(merged(events));
		let mut failure = None;
		while let Some((index, event)) = merged.next().await {
			let Some(one) = choices.get_mut(index) else {
				continue;
			};
			match event {
				Some(Event::Token(token)) => match answer.permit() {
					Ok(_) => {
						let model = answer.served.engine.model();
						let parts = one.choice.push(model, &answer.shared.api.metrics, token);
						for chunk in one.chunks(&answer, index, parts) {
							yield Ok(chunk);
						}
					}
					Err(error) => failure = Some(error),
				},
				Some(Event::Done(generation)) => {
					let parts = one.choice.reader.finish();
					for chunk in one.chunks(&answer, index, parts) {
						yield Ok(chunk);
					}
					match answer.finish(*generation).await {
						Ok(end) => {
							yield Ok(answer.end(index, &end, one.calls));
							one.finished = Some(end);
						}
						Err(error) => failure = Some(error),
					}
				}
				Some(Event::Error(error)) => failure = Some(error.into()),
				Some(Event::Checked(_)) => {}
				None if one.finished.is_none() => failure = Some(ApiError::stopped()),
				None => {}
			}
			if failure.is_some() {
				break;
			}
		}
		if let Some(error) = failure {
			yield Err(error);
			return;
		}
		let finished: Vec<Finished> = choices.into_iter().filter_map(|one| one.finished).collect();
		if let Some(usage) = answer.usage_chunk(&finished) {
			yield Ok(usage);
		}
	}
}
