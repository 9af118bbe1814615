//! The OpenAI-compatible HTTP API.
//!
//! docs/api.md lists the paths; those of OpenAI are also there without `/v1`. Fields that this server does not know are
//! ignored; fields that it knows and can't obey are refused by name. An answer ends only after its receipt is signed and
//! in the journal; the response carries it under `aria`.
//!
//! A request's fields are read by `params` and `messages`, become tokens in `prompt`, run in `run`, and come back in the
//! shape of their endpoint: `generate` for chats and completions, `responses` for `/v1/responses`.

mod about;
mod answer;
mod auth;
mod bounds;
mod embeddings;
mod encoding;
mod error;
mod fields;
mod generate;
mod info;
mod limits;
mod messages;
mod openapi;
mod origins;
mod params;
mod prompt;
mod refused;
mod responses;
mod run;
mod server;
mod session;
mod shape;
mod state;
mod status;
mod strangers;
mod stream;
mod tls;
mod tools;
mod verify;

pub use crate::chain::link::ChainLink;
pub use about::About;
pub use bounds::Limits;
pub(crate) use bounds::MAX_BODY;
pub use error::ApiError;
pub(crate) use error::CONSENT;
pub(crate) use generate::{DONE, Running, ask, pieces, whole};
pub use origins::{Origin, is_own};
pub(crate) use params::top_p_micro;
pub use server::serve;
pub use state::ApiState;
pub(crate) use state::Shared;
pub use tls::acceptor;

use axum::{
	Router,
	extract::{DefaultBodyLimit, MatchedPath, Request, State},
	http::{HeaderName, HeaderValue},
	middleware::{self, Next, from_fn_with_state as with},
	response::{IntoResponse, Response},
	routing::{get, post},
};
use futures::FutureExt;
use state::random_hex;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};
use tracing::Instrument;

/// Longest request identifier that is echoed, bytes.
const MAX_REQUEST_ID: usize = 128;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The routes of the API.
pub fn router(state: Arc<ApiState>) -> Router {
	routes(Shared::new(state))
}

/// The routes, for a state that others use as well.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
	let both = Router::new()
		.route("/models", get(info::models))
		.route("/models/{*id}", get(info::model))
		.route("/completions", post(generate::completions))
		.route("/embeddings", post(embeddings::embeddings))
		.route("/responses", post(responses::create))
		.route("/chat/completions", post(generate::chat));
	let with_key = Router::new()
		.route("/v1/receipts/{id}", get(info::receipt))
		.route("/v1/status", get(status::status))
		.route("/v1/energy", get(status::energy))
		.route("/v1/verify", post(verify::verify))
		.route("/tokenize", post(info::tokenize))
		.route("/detokenize", post(info::detokenize))
		.route("/apply-template", post(info::apply_template))
		.route("/metrics", get(info::metrics))
		.nest("/v1", both.clone())
		.merge(both)
		.route_layer(with(shared.clone(), limits::read_body))
		// Before a body is read.
		.route_layer(with(shared.clone(), auth::require_key));
	let cors = origins::layer(&shared.api.origins);
	let router = Router::new()
		.route("/health", get(info::health))
		.route("/v1/health", get(info::health))
		.route("/openapi.json", get(openapi::json))
		.route("/docs", get(openapi::page))
		.merge(with_key)
		.fallback(|| async { ApiError::not_found("there is nothing at this path") })
		.method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
		.layer(DefaultBodyLimit::max(MAX_BODY))
		.layer(middleware::from_fn(limits::refuse_long_body))
		.layer(with(shared.clone(), strangers::refuse_strangers))
		.layer(with(shared.clone(), limits::end_in_time))
		.layer(middleware::from_fn(answer_panics))
		.layer(with(shared.clone(), count))
		.layer(middleware::from_fn(request_id))
		.with_state(shared);
	match cors {
		Some(cors) => router
			.layer(cors)
			.layer(middleware::from_fn(origins::no_content)),
		None => router,
	}
}

/// The prompt of a conversation, as the API makes it: for commands that run a model themselves.
pub(crate) fn chat_prompt(
	messages: &[serde_json::Value],
	model: &aria_engine::model::Model,
) -> Result<Vec<u32>, ApiError> {
	let body = serde_json::json!({ "messages": messages }).to_string();
	let fields = fields::Fields::parse(body.as_bytes())?;
	let conversation = messages::Conversation::of_chat(&fields, None)?;
	prompt::chat(conversation, model, model.config().context)
}

/// Counts the response, under the route's pattern: what clients make up would be names without end.
async fn count(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
	let path = request.extensions().get::<MatchedPath>().cloned();
	let response = next.run(request).await;
	let path = path.as_ref().map_or("other", MatchedPath::as_str);
	let metrics = &shared.api.metrics;
	metrics.responded(path, response.status().as_u16());
	response
}

/// Answers a request whose handling panicked. The panic's own words are in the log.
async fn answer_panics(request: Request, next: Next) -> Response {
	let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
	response.unwrap_or_else(|_| ApiError::panicked().into_response())
}

/// Echoes the client's request identifier, or makes one; all that is logged for the request carries it. What is logged
/// of a request is its method and route: prompts and answers never are.
async fn request_id(request: Request, next: Next) -> Response {
	let usable = |value: &&HeaderValue| {
		let bytes = value.as_bytes();
		(1..=MAX_REQUEST_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
	};
	let given = request.headers().get(X_REQUEST_ID).filter(usable).cloned();
	let made = || HeaderValue::from_str(&format!("req-{}", random_hex())).ok();
	let id = given.or_else(made);
	let span = tracing::info_span!(
		"request",
		id = id.as_ref().and_then(|id| id.to_str().ok()),
		method = request.method().as_str(),
		path = (request.extensions().get::<MatchedPath>()).map_or("other", MatchedPath::as_str),
	);
	let started = Instant::now();
	let mut response = next.run(request).instrument(span.clone()).await;
	let (status, seconds) = (response.status().as_u16(), started.elapsed().as_secs_f64());
	span.in_scope(|| tracing::debug!(status, seconds, "responded"));
	if let Some(id) = id {
		response.headers_mut().insert(X_REQUEST_ID, id);
	}
	response
}
