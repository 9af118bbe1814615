//! What can be asked without generating: health, models, receipts, tokens.

use super::{
	ApiError, Shared,
	fields::Fields,
	messages::Conversation,
	prompt::{self, chat_text, token_list},
	run::blocking,
	shape::Kind,
	tools::Tools,
};
use crate::engine::receipt::{parse_hash, to_hex};
use axum::{
	Json,
	body::Bytes,
	extract::{Path, State, rejection::BytesRejection},
	http::header,
	response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /health`.
pub(super) async fn health() -> Json<Value> {
	Json(json!({ "status": "ok" }))
}

fn describe(shared: &Shared) -> Value {
	let model = shared.api.engine.model();
	json!({
		"id": shared.api.model_name,
		"object": "model",
		"created": shared.started,
		"owned_by": "aria",
		"meta": {
			"name": model.name,
			"architecture": model.config.architecture,
			"licence": model.licence,
			"context_length": model.config.context,
			"n_ctx_train": model.config.context,
			"n_vocab": model.config.vocab,
			"n_embd": model.config.hidden,
			"n_params": model.parameters(),
			"size": model.bytes,
			"model_root": to_hex(model.id.as_bytes()),
			"chat_template": model.template.source().is_some(),
			"tool_template": model.template.takes_tools(),
			"sampling": model.sampling.to_json(),
		},
	})
}

/// `GET /v1/models`.
pub(super) async fn models(State(shared): State<Arc<Shared>>) -> Json<Value> {
	Json(json!({ "object": "list", "data": [describe(&shared)] }))
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
	Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
	if id != shared.api.model_name {
		return Err(ApiError::model_not_found(&id));
	}
	Ok(Json(describe(&shared)))
}

/// `GET /v1/receipts/{id}`.
pub(super) async fn receipt(
	State(shared): State<Arc<Shared>>,
	Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
	let unknown = || {
		ApiError::not_found("there is no receipt with this identifier")
			.with_code("receipt_not_found")
	};
	let hash = parse_hash(&id).ok_or_else(unknown)?;
	let entry = shared.api.journal.get(&hash).ok_or_else(unknown)?;
	let committed = entry
		.committed
		.map(|at| json!({ "batch": at.batch, "leaf_index": at.leaf_index }));
	Ok(Json(json!({
		"id": to_hex(hash.as_bytes()),
		"object": "receipt",
		"receipt_file": entry.file.to_json(),
		"committed": committed,
	})))
}

/// The conversation of a request, with the functions that it offers.
fn conversation(fields: &Fields) -> Result<Conversation, ApiError> {
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
		let text = content
			.or(prompt)
			.ok_or_else(|| ApiError::invalid("content", "content is missing"))?;
		model
			.tokenizer
			.encode(text, bos, special)
			.map_err(|error| ApiError::invalid("content", error.to_string()))
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
	if let Some(id) = tokens.iter().find(|id| **id as usize >= model.config.vocab) {
		let message = format!("token {id} is outside the vocabulary");
		return Err(ApiError::invalid("tokens", message));
	}
	Ok(Json(json!({ "content": model.tokenizer.decode(&tokens) })))
}
