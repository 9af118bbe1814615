//! The two endpoints that generate.

use super::{
	ApiError, Shared,
	answer::{Answer, Finished},
	params::{Fields, Options},
	prompt,
	shape::{Kind, Logprobs},
};
use crate::{
	engine::{EngineHandle, Event, GenerateRequest, TokenEvent},
	keys::Client,
	metrics::Metrics,
};
use axum::{
	Extension, Json,
	body::Bytes,
	extract::{State, rejection::BytesRejection},
	http::{HeaderValue, header},
	response::{
		IntoResponse, Response,
		sse::{self, KeepAlive, Sse},
	},
};
use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use std::{
	convert::Infallible,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How often a silent stream shows that it is alive, for as long as a prompt is being read.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Most answers in a request.
const MAX_CHOICES: usize = 32;

/// A request that the engine has taken.
struct Running {
	answer: Answer,
	/// For each prompt, its choices.
	choices: Vec<Choice>,
}

/// Where a request came in, and from which client.
#[derive(Clone, Copy)]
struct Asker {
	kind: Kind,
	client: u64,
}

/// A choice being generated.
struct Choice {
	logprobs: Logprobs,
	/// Dropping it cancels the choice.
	events: mpsc::Receiver<Event>,
	/// When the engine took it; `None` once its first token has come.
	waiting: Option<Instant>,
}

/// Reads a request and hands it to the engine.
fn start(
	shared: Arc<Shared>,
	client: Option<Arc<Client>>,
	kind: Kind,
	body: &[u8],
) -> Result<Running, ApiError> {
	let fields = Fields::parse(body)?;
	let served = shared.model(&fields)?;
	let options = fields.options(kind)?;
	let model = served.engine.model();
	let prompts = match kind {
		Kind::Chat => vec![prompt::chat(&fields, model)?],
		Kind::Completion => prompt::texts(&fields, "prompt", model)?,
	};
	if prompts.len() * options.choices > MAX_CHOICES {
		let message = format!("at most {MAX_CHOICES} answers per request: n times the prompts");
		return Err(ApiError::invalid("n", message).with_code("invalid_value"));
	}
	let number = client.as_ref().map_or(0, |client| client.number());
	let asker = Asker {
		kind,
		client: number,
	};
	let engine = served.engine.clone();
	let answer = Answer::new(shared, served, kind, &options, prompts.len(), client);
	let choices = prompts
		.iter()
		.flat_map(|prompt| (0..options.choices as u64).map(move |number| (prompt, number)))
		.map(|(prompt, number)| submit(&engine, asker, &options, prompt.clone(), number))
		// Dropping those that the engine has taken, when it takes no more, cancels them.
		.collect::<Result<_, _>>()?;
	Ok(Running { answer, choices })
}

/// Hands one choice to the engine. Each has a seed of its own, so that it can be asked for again alone.
fn submit(
	engine: &EngineHandle,
	Asker { kind, client }: Asker,
	options: &Options,
	prompt: Vec<u32>,
	number: u64,
) -> Result<Choice, ApiError> {
	let mut sampling = options.sampling;
	sampling.seed = sampling.seed.wrapping_add(number);
	let request = GenerateRequest {
		prompt,
		max_tokens: options.max_tokens,
		sampling,
		constraints: options.constraints.clone(),
		stop: options.stop.clone(),
		logprobs: options.logprobs.is_some(),
		top_logprobs: options.logprobs.unwrap_or(0),
		client,
		..Default::default()
	};
	let events = engine.submit(request).map_err(|error| {
		let mut error = ApiError::from(error);
		if error.code == Some("context_length_exceeded") {
			let param = match kind {
				Kind::Chat => "messages",
				Kind::Completion => "prompt",
			};
			error.param = Some(param.into());
		}
		error
	})?;
	Ok(Choice {
		logprobs: Logprobs::new(kind, options.logprobs),
		events,
		waiting: Some(Instant::now()),
	})
}

impl Choice {
	/// Notes a token.
	fn push(&mut self, engine: &EngineHandle, metrics: &Metrics, token: TokenEvent) {
		if let Some(since) = self.waiting.take() {
			metrics.first_token(since.elapsed());
		}
		self.logprobs.push(engine.model(), token);
	}
}

async fn respond(
	shared: Arc<Shared>,
	client: Option<Extension<Arc<Client>>>,
	kind: Kind,
	body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
	let body = body?;
	let client = client.map(|Extension(client)| client);
	// Cutting a long prompt into tokens takes longer than an async thread may be held up.
	let running = tokio::task::spawn_blocking(move || start(shared, client, kind, &body))
		.await
		.map_err(|_| ApiError::server("the request could not be read"))??;
	if !running.answer.stream {
		return Ok(Json(whole(running).await?).into_response());
	}
	let mut response = Sse::new(chunks(running))
		.keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
		.into_response();
	// Proxies that collect a stream would undo it.
	response.headers_mut().insert(
		header::HeaderName::from_static("x-accel-buffering"),
		HeaderValue::from_static("no"),
	);
	Ok(response)
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

async fn whole(running: Running) -> Result<Value, ApiError> {
	let Running { answer, choices } = running;
	let engine = answer.served.engine.clone();
	let (mut finished, mut logprobs) = (Vec::new(), Vec::new());
	// One after the other: each choice's events have room while they wait.
	for mut choice in choices {
		loop {
			match choice.events.recv().await {
				Some(Event::Token(token)) => {
					choice.push(&engine, &answer.shared.api.metrics, token);
				}
				Some(Event::Done(generation)) => {
					finished.push(answer.finish(*generation).await?);
					logprobs.push(choice.logprobs.take(engine.model()));
					break;
				}
				Some(Event::Error(error)) => return Err(error.into()),
				Some(Event::Checked(_)) => {}
				None => return Err(ApiError::stopped()),
			}
		}
	}
	Ok(answer.whole(&finished, logprobs))
}

fn data(value: &Value) -> Result<sse::Event, Infallible> {
	Ok(sse::Event::default().data(value.to_string()))
}

/// The events of all choices as they come, with the choice's index; `None` after a choice's last one.
fn merged(events: Vec<mpsc::Receiver<Event>>) -> impl Stream<Item = (usize, Option<Event>)> {
	let each = events.into_iter().enumerate().map(|(index, mut events)| {
		stream::poll_fn(move |context| events.poll_recv(context))
			.map(Some)
			.chain(stream::iter([None]))
			.map(move |event| (index, event))
	});
	stream::select_all(each)
}

/// Chunks as tokens come. A failure after the headers is an error object, and the stream ends without `[DONE]`.
fn chunks(running: Running) -> impl Stream<Item = Result<sse::Event, Infallible>> {
	let Running {
		answer,
		mut choices,
	} = running;
	let take = |choice: &mut Choice| std::mem::replace(&mut choice.events, mpsc::channel(1).1);
	let events = choices.iter_mut().map(take).collect();
	async_stream::stream! {
		let kind = answer.kind;
		let engine = answer.served.engine.clone();
		for index in 0..choices.len() {
			if let Some(opening) = kind.opening(index) {
				yield data(&answer.chunk(opening));
			}
		}
		let mut finished: Vec<Option<Finished>> = choices.iter().map(|_| None).collect();
		let mut merged = std::pin::pin!(merged(events));
		let mut failure = None;
		while let Some((index, event)) = merged.next().await {
			// Both lists have a place for each index.
			let (Some(choice), Some(finished)) = (choices.get_mut(index), finished.get_mut(index)) else {
				continue;
			};
			match event {
				Some(Event::Token(token)) => {
					let text = token.text.clone();
					choice.push(&engine, &answer.shared.api.metrics, token);
					if !text.is_empty() || !choice.logprobs.is_empty() {
						let logprobs = choice.logprobs.take(engine.model());
						yield data(&answer.chunk(kind.piece(index, &text, logprobs)));
					}
				}
				Some(Event::Done(generation)) => match answer.finish(*generation).await {
					Ok(end) => {
						yield data(&answer.end(index, &end));
						*finished = Some(end);
					}
					Err(error) => failure = Some(error),
				},
				Some(Event::Error(error)) => failure = Some(error.into()),
				Some(Event::Checked(_)) => {}
				None if finished.is_none() => failure = Some(ApiError::stopped()),
				None => {}
			}
			if failure.is_some() {
				break;
			}
		}
		if let Some(error) = failure {
			yield data(&error.body());
			return;
		}
		let finished: Vec<Finished> = finished.into_iter().flatten().collect();
		if let Some(usage) = answer.usage_chunk(&finished) {
			yield data(&usage);
		}
		yield Ok(sse::Event::default().data("[DONE]"));
	}
}
