//! The two endpoints that generate.

use super::{
	ApiError, Shared,
	answer::Answer,
	params::Fields,
	prompt,
	shape::{Kind, Logprobs},
};
use crate::engine::{Event, GenerateRequest};
use axum::{
	Json,
	body::Bytes,
	extract::{State, rejection::BytesRejection},
	http::{HeaderValue, header},
	response::{
		IntoResponse, Response,
		sse::{self, KeepAlive, Sse},
	},
};
use futures::Stream;
use serde_json::Value;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// How often a silent stream shows that it is alive, for as long as a prompt is being read.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A request that the engine has taken.
struct Running {
	answer: Answer,
	logprobs: Logprobs,
	/// Dropping it cancels the answer.
	events: mpsc::Receiver<Event>,
}

/// Reads a request and hands it to the engine.
fn start(shared: Arc<Shared>, kind: Kind, body: &[u8]) -> Result<Running, ApiError> {
	let fields = Fields::parse(body)?;
	let name = fields
		.text("model")?
		.ok_or_else(|| ApiError::invalid("model", "model is missing"))?;
	if name != shared.api.model_name {
		return Err(ApiError::model_not_found(name));
	}
	let options = fields.options(kind)?;
	let model = shared.api.engine.model();
	let prompt = match kind {
		Kind::Chat => prompt::chat(&fields, model)?,
		Kind::Completion => prompt::completion(&fields, model)?,
	};
	let answer = Answer::new(shared.clone(), kind, &options);
	let logprobs = Logprobs::new(kind, options.logprobs);
	let events = shared
		.api
		.engine
		.submit(GenerateRequest {
			prompt,
			max_tokens: options.max_tokens,
			sampling: options.sampling,
			stop: options.stop,
			logprobs: options.logprobs.is_some(),
			top_logprobs: options.logprobs.unwrap_or(0),
			..Default::default()
		})
		.map_err(|error| {
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
	Ok(Running {
		answer,
		logprobs,
		events,
	})
}

async fn respond(
	shared: Arc<Shared>,
	kind: Kind,
	body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
	let body = body?;
	// Cutting a long prompt into tokens takes longer than an async thread may be held up.
	let running = tokio::task::spawn_blocking(move || start(shared, kind, &body))
		.await
		.map_err(|_| ApiError::server("the request could not be read"))??;
	if !running.answer.stream {
		return Ok(Json(whole(running).await?).into_response());
	}
	let mut response = Sse::new(stream(running))
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
	body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
	respond(shared, Kind::Chat, body).await
}

/// `POST /v1/completions`.
pub(super) async fn completions(
	State(shared): State<Arc<Shared>>,
	body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
	respond(shared, Kind::Completion, body).await
}

async fn whole(mut running: Running) -> Result<Value, ApiError> {
	let engine = running.answer.shared.api.engine.clone();
	loop {
		match running.events.recv().await {
			Some(Event::Token(token)) => running.logprobs.push(engine.model(), token),
			Some(Event::Done(generation)) => {
				let finished = running.answer.finish(*generation).await?;
				let logprobs = running.logprobs.take(engine.model());
				return Ok(running.answer.whole(finished, logprobs));
			}
			Some(Event::Error(error)) => return Err(error.into()),
			Some(Event::Checked(_)) => {}
			None => return Err(ApiError::stopped()),
		}
	}
}

fn data(value: &Value) -> Result<sse::Event, Infallible> {
	Ok(sse::Event::default().data(value.to_string()))
}

/// Chunks as tokens come. A failure after the headers is an error object, and the stream ends without `[DONE]`.
fn stream(mut running: Running) -> impl Stream<Item = Result<sse::Event, Infallible>> {
	async_stream::stream! {
		let kind = running.answer.kind;
		let engine = running.answer.shared.api.engine.clone();
		if let Some(opening) = kind.opening() {
			yield data(&running.answer.chunk(opening));
		}
		let result = loop {
			match running.events.recv().await {
				Some(Event::Token(token)) => {
					let text = token.text.clone();
					running.logprobs.push(engine.model(), token);
					if !text.is_empty() || !running.logprobs.is_empty() {
						let logprobs = running.logprobs.take(engine.model());
						yield data(&running.answer.chunk(kind.piece(&text, logprobs)));
					}
				}
				Some(Event::Done(generation)) => break running.answer.finish(*generation).await,
				Some(Event::Error(error)) => break Err(error.into()),
				Some(Event::Checked(_)) => {}
				None => break Err(ApiError::stopped()),
			}
		};
		match result {
			Ok(finished) => {
				for chunk in running.answer.last_chunks(finished) {
					yield data(&chunk);
				}
				yield Ok(sse::Event::default().data("[DONE]"));
			}
			Err(error) => yield data(&error.body()),
		}
	}
}
