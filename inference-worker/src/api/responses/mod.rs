//! `POST /v1/responses`: OpenAI's newer endpoint, for text and calls of functions. Nothing is kept between requests.

mod events;
mod input;
mod object;

use super::{
	ApiError, Shared,
	answer::Answer,
	fields::Fields,
	prompt,
	run::{self, Asker, Choice, blocking, submit},
	shape::Kind,
};
use crate::keys::Client;
use aria_primitives::consent::TaskKind;
use axum::{
	Extension, Json,
	body::Bytes,
	extract::{State, rejection::BytesRejection},
	response::{IntoResponse, Response},
};
use object::Frame;
use std::sync::Arc;

/// A request that the engine has taken.
struct Running {
	answer: Answer,
	frame: Frame,
	choice: Choice,
}

/// Reads a request and hands it to the engine.
fn start(
	shared: Arc<Shared>,
	client: Option<Arc<Client>>,
	body: &[u8],
) -> Result<Running, ApiError> {
	const KIND: Kind = Kind::Response;
	let fields = Fields::parse(body)?;
	if fields.get("previous_response_id").is_some() {
		let mut error = ApiError::unsupported("previous_response_id");
		error.message += ", which keeps no answers: send the whole conversation as input";
		return Err(error);
	}
	shared.permit(TaskKind::TextGen)?;
	let served = shared.model(&fields)?;
	let model = served.engine.model();
	let options = fields.options(KIND, model)?;
	let conversation = input::conversation(&fields, options.tools.as_ref())?;
	let prompt = prompt::chat(conversation, model, model.config().context)?;
	let asker = Asker {
		kind: KIND,
		client: client.as_ref().map_or(0, |client| client.number()),
	};
	let answer = Answer::new(shared, served.clone(), KIND, &options, 1, client);
	let frame = Frame::new(
		&fields,
		&options,
		(&answer.id, answer.created, &served.name),
	)?;
	let choice = submit(&served, asker, &options, prompt, 0)?;
	Ok(Running {
		answer,
		frame,
		choice,
	})
}

/// `POST /v1/responses`.
pub(super) async fn create(
	State(shared): State<Arc<Shared>>,
	client: Option<Extension<Arc<Client>>>,
	body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
	let body = body?;
	let client = client.map(|Extension(client)| client);
	let Running {
		answer,
		frame,
		choice,
	} = blocking(move || start(shared, client, &body)).await?;
	if answer.stream {
		return Ok(run::stream(events::events(answer, frame, choice)));
	}
	let (finished, items, logprobs) = choice.whole(&answer).await?;
	let output = object::output(&items, logprobs, finished.cut);
	let whole = frame.object(&object::State::Finished(&finished), output);
	Ok(Json(whole).into_response())
}
