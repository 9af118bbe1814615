//! A request's way through the engine, whatever its answer looks like.

use super::{
	ApiError,
	answer::{Answer, Finished},
	params::Options,
	shape::{Kind, Logprobs},
	tools::{
		Tools,
		calls::{Item, Part, Reader},
	},
};
use crate::{
	metrics::Metrics,
	models::{Served, engine::SubmitError, events::Events},
};
use aria_engine::{EngineError, Event, GenerateRequest, TokenEvent, model::Model};
use axum::{
	http::{HeaderValue, header},
	response::{
		IntoResponse, Response,
		sse::{self, KeepAlive, Sse},
	},
};
use futures::Stream;
use serde_json::Value;
use std::{
	convert::Infallible,
	time::{Duration, Instant},
};

/// How often a silent stream shows that it is alive, for as long as a prompt is being read.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Does what takes longer than an async thread may be held up, such as cutting a long prompt into tokens.
pub(super) async fn blocking<T: Send + 'static>(
	work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
	tokio::task::spawn_blocking(work)
		.await
		.map_err(|_| ApiError::panicked())?
}

/// Where a request came in, and from which client.
#[derive(Clone, Copy)]
pub(super) struct Asker {
	pub(super) kind: Kind,
	pub(super) client: u64,
}

/// A choice being generated.
pub(super) struct Choice {
	pub(super) logprobs: Logprobs,
	pub(super) reader: Reader,
	/// Dropping it cancels the choice.
	pub(super) events: Events,
	/// When the engine took it; `None` once its first token has come.
	waiting: Option<Instant>,
}

/// Hands one choice to the engine. Each has a seed of its own, so that it can be asked for again alone.
pub(super) fn submit(
	served: &Served,
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
		context: options.context,
		sampling,
		constraints: options.constraints.clone(),
		stop: options.stop.clone(),
		logprobs: options.logprobs.is_some(),
		top_logprobs: options.logprobs.unwrap_or(0),
		client,
		..Default::default()
	};
	let events = served.engine.submit(request);
	let events = events.map_err(|error| refusal(error, kind, options.form_name))?;
	let reader = options.tools.as_ref().map(Tools::reader);
	Ok(Choice {
		logprobs: Logprobs::new(kind, options.logprobs),
		reader: reader.unwrap_or_default(),
		events,
		waiting: Some(Instant::now()),
	})
}

/// An engine's refusal with the field at fault. Other parameters were read within their limits.
fn refusal(error: SubmitError, kind: Kind, form_name: &str) -> ApiError {
	let param = match &error {
		SubmitError::Invalid(
			EngineError::ContextLengthExceeded { .. }
			| EngineError::UnknownToken { .. }
			| EngineError::InvalidParameter(_),
		) => Some(kind.prompt_name()),
		SubmitError::Invalid(EngineError::Grammar(_)) => Some(form_name),
		_ => None,
	};
	let mut error = ApiError::from(error);
	if let Some(param) = param {
		error.param = Some(param.to_owned());
	}
	error
}

impl Choice {
	/// Notes a token; returns what became certain with it.
	pub(super) fn push(
		&mut self,
		model: &Model,
		metrics: &Metrics,
		token: TokenEvent,
	) -> Vec<Part> {
		if let Some(since) = self.waiting.take() {
			metrics.first_token(since.elapsed());
		}
		let parts = self.reader.push(&token.text);
		self.logprobs.push(model, token);
		parts
	}

	/// Waits for the end: what it took, what it says, and its log probabilities.
	pub(super) async fn whole(
		mut self,
		answer: &Answer,
	) -> Result<(Finished, Vec<Item>, Value), ApiError> {
		let model = answer.served.engine.model();
		loop {
			match self.events.recv().await {
				Some(Event::Token(token)) => {
					answer.permit()?;
					self.push(model, &answer.shared.api.metrics, token);
				}
				Some(Event::Done(generation)) => {
					let finished = answer.finish(*generation).await?;
					let logprobs = self.logprobs.take(model);
					return Ok((finished, self.reader.end(), logprobs));
				}
				Some(Event::Error(error)) => return Err(error.into()),
				Some(Event::Checked(_)) => {}
				None => return Err(ApiError::stopped()),
			}
		}
	}
}

/// A response of server-sent events.
pub(super) fn stream(
	events: impl Stream<Item = Result<sse::Event, Infallible>> + Send + 'static,
) -> Response {
	let mut response = Sse::new(events)
		.keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
		.into_response();
	// Proxies that collect a stream would undo it.
	response.headers_mut().insert(
		header::HeaderName::from_static("x-accel-buffering"),
		HeaderValue::from_static("no"),
	);
	response
}
