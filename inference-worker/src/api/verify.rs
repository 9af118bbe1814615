//! `POST /v1/verify`: a receipt, executed again by this worker.

use super::{ApiError, Shared, fields::Fields, run::blocking};
use crate::{
	keys::Client,
	receipts::{
		check::{CheckFailure, check_fields},
		file::ReceiptFile,
	},
	text::to_hex,
};
use aria_engine::{RecheckRequest, grammar::Purpose};
use aria_primitives::consent::TaskKind;
use axum::{
	Extension, Json,
	body::Bytes,
	extract::{State, rejection::BytesRejection},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Instant};

/// A receipt file, or an object that has one, as answers do under `aria`.
fn read(body: &[u8]) -> Result<ReceiptFile, ApiError> {
	let fields = Fields::parse(body)?;
	let text = match fields.get("receipt_file") {
		Some(file) => &file.to_string(),
		None => std::str::from_utf8(body).unwrap_or_default(),
	};
	ReceiptFile::from_json(text)
		.map_err(|error| ApiError::bad_request(error.to_string()).with_code("invalid_receipt"))
}

/// `POST /v1/verify`. The work waits in the queue like a request's, and counts for the key that asks.
pub(super) async fn verify(
	State(shared): State<Arc<Shared>>,
	client: Option<Extension<Arc<Client>>>,
	body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
	let body = body?;
	let file = blocking(move || read(&body)).await?;
	shared.permit(TaskKind::TextGen)?;
	let served = shared.model_with_root(&file.signed.receipt.model).await?;
	let engine = served.engine.clone();
	let (file, checked) = blocking(move || {
		let checked = check_fields(served.engine.model(), &file);
		Ok((file, checked))
	})
	.await?;
	let result = match checked {
		Err(failure) => Err(failure),
		Ok(()) => {
			let request = RecheckRequest::from(&file);
			let found = engine.recheck(request, Purpose::Answer).await?;
			if let Some(Extension(client)) = client {
				let tokens = file.prompt.len() + file.output.len();
				client.tokens(tokens as u64, Instant::now());
			}
			found.map(drop).map_err(CheckFailure::from)
		}
	};
	let failure = result.err().map(|failure| failure.to_string());
	let check = failure.as_deref().and_then(|text| text.split_once(':'));
	Ok(Json(json!({
		"object": "verification",
		"ok": failure.is_none(),
		"check": check.map(|(check, _)| check),
		"failure": failure,
		"tokens": file.output.len(),
		"model_root": to_hex(file.signed.receipt.model.as_bytes()),
	})))
}
