//! `POST /v1/embeddings`: texts to vectors, for models that were made for it.

use super::{
	ApiError, Shared,
	fields::{Fields, integer},
	prompt, refused,
	run::blocking,
};
use crate::{keys::Client, models::Served};
use aria_primitives::consent::TaskKind;
use axum::{
	Extension, Json,
	body::Bytes,
	extract::{State, rejection::BytesRejection},
	http::StatusCode,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{sync::Arc, time::Instant};

/// A request, read.
struct Request {
	served: Served,
	inputs: Vec<Vec<u32>>,
	/// Whether vectors are lists of numbers, or their bytes in base64.
	numbers: bool,
}

fn read(shared: &Shared, body: &[u8]) -> Result<Request, ApiError> {
	let fields = Fields::parse(body)?;
	shared.permit(TaskKind::Embedding)?;
	let served = shared.model(&fields)?;
	let model = served.engine.model();
	if model.weights.head.is_some() {
		let message = "this model writes texts; embeddings need a model that was made for them";
		return Err(ApiError::invalid("model", message).with_code("unsupported_value"));
	}
	refused::embeddings(&fields)?;
	let numbers = match fields.text("encoding_format")? {
		None | Some("float") => true,
		Some("base64") => false,
		Some(_) => {
			let message = "encoding_format must be float or base64";
			return Err(ApiError::invalid("encoding_format", message).with_code("invalid_value"));
		}
	};
	let dimensions = model.config().hidden;
	if fields
		.get("dimensions")
		.is_some_and(|wanted| integer(wanted) != Some(dimensions as i128))
	{
		let message = format!("this model's embeddings have {dimensions} dimensions, no fewer");
		return Err(ApiError::invalid("dimensions", message).with_code("unsupported_value"));
	}
	let inputs = prompt::texts(&fields, "input", model)?;
	Ok(Request {
		served,
		inputs,
		numbers,
	})
}

/// `POST /v1/embeddings`.
pub(super) async fn embeddings(
	State(shared): State<Arc<Shared>>,
	client: Option<Extension<Arc<Client>>>,
	body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
	let body = body?;
	let Request {
		served,
		inputs,
		numbers,
	} = {
		let shared = shared.clone();
		blocking(move || read(&shared, &body)).await?
	};
	let (mut tokens, mut data) = (0, Vec::new());
	for (index, input) in inputs.into_iter().enumerate() {
		shared.permit(TaskKind::Embedding)?;
		tokens += input.len();
		let embedding = served.engine.embed(input).await.map_err(|error| {
			let mut error = ApiError::from(error);
			if error.status == StatusCode::BAD_REQUEST {
				error.param = Some("input".into());
			}
			error
		})?;
		let embedding = if numbers {
			json!(embedding)
		} else {
			let bytes: Vec<u8> = embedding
				.iter()
				.flat_map(|value| value.to_le_bytes())
				.collect();
			STANDARD.encode(bytes).into()
		};
		data.push(json!({ "object": "embedding", "index": index, "embedding": embedding }));
	}
	if let Some(Extension(client)) = client {
		client.tokens(tokens as u64, Instant::now());
	}
	Ok(Json(json!({
		"object": "list",
		"model": &*served.name,
		"data": data,
		"usage": { "prompt_tokens": tokens, "total_tokens": tokens },
	})))
}
