//! What can be asked without generating: health, models, receipts, tokens.

use super::{
	ApiError, Shared,
	fields::Fields,
	messages::Conversation,
	prompt::{self, chat_text, token_list},
	refused,
	run::blocking,
	shape::Kind,
	tools::Tools,
};
use crate::{
	models::{Health, Listed},
	text::{parse_hash, to_hex},
};
use aria_primitives::receipt::Receipt;
use axum::{
	Json,
	body::Bytes,
	extract::{
		Path, State,
		rejection::{BytesRejection, PathRejection},
	},
	http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
	response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sp_core::crypto::Ss58Codec;
use std::sync::Arc;

/// The key of a receipt; `Authorization` has that of the API.
const X_ARIA_RECEIPT_KEY: HeaderName = HeaderName::from_static("x-aria-receipt-key");

/// `GET /health`: 503 while the first model is being loaded or the chain has not told of the owner's consent, and when an
/// engine makes no progress.
pub(super) async fn health(State(shared): State<Arc<Shared>>) -> Response {
	let (status, word) = match shared.health() {
		Health::Ready => (StatusCode::OK, "ok"),
		Health::Loading => (StatusCode::SERVICE_UNAVAILABLE, "loading"),
		Health::Stuck => (StatusCode::SERVICE_UNAVAILABLE, "stuck"),
	};
	(status, Json(json!({ "status": word }))).into_response()
}

/// A model of the list. What only its loading tells is null before.
fn describe(shared: &Shared, model: &Listed) -> Value {
	let (config, facts) = (&model.config, model.facts.as_ref());
	json!({
		"id": &*model.name,
		"object": "model",
		"created": shared.started,
		"owned_by": "aria",
		"ready": model.ready,
		"meta": {
			"name": facts.map(|facts| &facts.name),
			"architecture": config.architecture,
			"licence": facts.map(|facts| &facts.licence),
			"context_length": config.context,
			"n_ctx_train": config.context,
			"n_vocab": config.vocab,
			"n_embd": config.hidden,
			"n_params": facts.map(|facts| facts.parameters),
			"size": facts.map(|facts| facts.bytes),
			"model_root": facts.map(|facts| to_hex(facts.id.as_bytes())),
			"chat_template": facts.map(|facts| facts.template),
			"tool_template": facts.map(|facts| facts.tools),
			"sampling": facts.map(|facts| facts.sampling.to_json()),
		},
	})
}

/// `GET /v1/models`.
pub(super) async fn models(State(shared): State<Arc<Shared>>) -> Json<Value> {
	let models = shared.api.models.list();
	let models: Vec<Value> = models
		.iter()
		.map(|model| describe(&shared, model))
		.collect();
	Json(json!({ "object": "list", "data": models }))
}

/// `GET /metrics`, for Prometheus.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
	let text = shared.api.metrics.text();
	let text = text.map_err(|error| ApiError::server(error.to_string()))?;
	let kind = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
	Ok((kind, text).into_response())
}

/// `GET /v1/models/{id}`.
pub(super) async fn model(
	State(shared): State<Arc<Shared>>,
	id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
	let Path(id) = id?;
	let model = shared.api.models.listed(&id);
	let model = model.ok_or_else(|| ApiError::model_not_found(&id))?;
	Ok(Json(describe(&shared, &model)))
}

/// What anybody may know of a receipt. Hashes of its answer are not among it: whoever guesses an answer could try them.
fn public(receipt: &Receipt) -> Value {
	json!({
		"spec": receipt.spec,
		"model": to_hex(receipt.model.as_bytes()),
		"worker": receipt.worker.to_ss58check(),
		"prompt_tokens": receipt.prompt_tokens,
		"output_tokens": receipt.output_tokens,
		"operations": receipt.operations.to_string(),
		"consent_version": receipt.consent_version,
		"energy": {
			"microjoules": receipt.energy.microjoules.to_string(),
			"grade": receipt.energy.grade,
		},
		"started_ms": receipt.times.started_ms.to_string(),
		"finished_ms": receipt.times.finished_ms.to_string(),
	})
}

/// `GET /v1/receipts/{id}`: with the receipt's key everything, without it what anybody may know.
pub(super) async fn receipt(
	State(shared): State<Arc<Shared>>,
	id: Result<Path<String>, PathRejection>,
	headers: HeaderMap,
) -> Result<Response, ApiError> {
	let Path(id) = id?;
	let unknown = || {
		ApiError::not_found("there is no receipt with this identifier")
			.with_code("receipt_not_found")
	};
	let hash = parse_hash(&id).ok_or_else(unknown)?;
	let journal = shared.api.journal.clone();
	let entry = blocking(move || Ok(journal.get(&hash)?)).await?;
	let entry = entry.ok_or_else(unknown)?;
	// What is no text is no key.
	let key = headers.get(X_ARIA_RECEIPT_KEY);
	let key = key.map(|key| key.to_str().unwrap_or_default());
	let whole = shared.may_read(&hash, key)?;
	let committed = entry
		.place
		.committed()
		.map(|at| json!({ "batch": at.batch, "leaf_index": at.leaf_index }));
	let shown = json!({
		"id": to_hex(hash.as_bytes()),
		"object": "receipt",
		"receipt": public(&entry.file.signed.receipt),
		"receipt_file": whole.then(|| entry.file.to_json()),
		"committed": committed,
	});
	// A cache knows the path, not the key.
	let alone = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
	Ok((alone, Json(shown)).into_response())
}

/// The conversation of a request, with the functions that it offers.
fn conversation(fields: &Fields) -> Result<Conversation, ApiError> {
	refused::prompts(fields)?;
	Conversation::of_chat(fields, Tools::read(fields, Kind::Chat)?.as_ref())
}

/// `POST /apply-template`: `messages` (and `tools`) to the `prompt` that the model would get.
pub(super) async fn apply_template(
	State(shared): State<Arc<Shared>>,
	body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
	let body = body?;
	let prompt = move || {
		let fields = Fields::parse(&body)?;
		let served = shared.model_or_first(&fields)?;
		chat_text(conversation(&fields)?, served.engine.model())
	};
	Ok(Json(json!({ "prompt": blocking(prompt).await? })))
}

/// `POST /tokenize`: `content` (or `prompt`) to `tokens`, as in a completion's prompt; or `messages`, as in a chat.
///
/// `add_special` puts the token that begins a text first where the model wants one; `parse_special` reads markup.
pub(super) async fn tokenize(
	State(shared): State<Arc<Shared>>,
	body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
	let body = body?;
	let tokens = move || {
		let fields = Fields::parse(&body)?;
		let served = shared.model_or_first(&fields)?;
		let model = served.engine.model();
		let (content, prompt) = (fields.text("content")?, fields.text("prompt")?);
		let (bos, special) = (fields.flag("add_special")?, fields.flag("parse_special")?);
		if fields.get("messages").is_some() {
			return prompt::chat(conversation(&fields)?, model, usize::MAX);
		}
		refused::tokens(&fields)?;
		// They go with messages; wrong ones are wrong all the same.
		Tools::read(&fields, Kind::Chat)?;
		let (name, text) = match (content, prompt) {
			(Some(text), _) => ("content", text),
			(None, Some(text)) => ("prompt", text),
			(None, None) => return Err(ApiError::invalid("content", "content is missing")),
		};
		let tokens = model.tokenizer.encode(text, bos, special);
		tokens.map_err(|error| ApiError::invalid(name, error.to_string()))
	};
	let tokens = blocking(tokens).await?;
	Ok(Json(json!({ "count": tokens.len(), "tokens": tokens })))
}

/// `POST /detokenize`: `tokens` to `content`.
pub(super) async fn detokenize(
	State(shared): State<Arc<Shared>>,
	body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
	let fields = Fields::parse(&body?)?;
	let tokens = fields
		.get("tokens")
		.and_then(Value::as_array)
		.and_then(|list| token_list(list))
		.ok_or_else(|| {
			ApiError::invalid("tokens", "tokens must be a list of token ids")
				.with_code("invalid_type")
		})?;
	let served = shared.model_or_first(&fields)?;
	let model = served.engine.model();
	if let Some(id) = tokens
		.iter()
		.find(|id| **id as usize >= model.config().vocab)
	{
		let message = format!("token {id} is outside the vocabulary");
		return Err(ApiError::invalid("tokens", message));
	}
	Ok(Json(
		json!({ "content": model.tokenizer.detokenize(&tokens) }),
	))
}
