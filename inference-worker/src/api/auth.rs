//! The API key.

use super::{ApiError, Shared};
use axum::{
	extract::{Request, State},
	http::{HeaderMap, header},
	middleware::Next,
	response::Response,
};
use sp_crypto_hashing::blake2_256;
use std::sync::Arc;

/// Compares in a time that tells nothing about where two keys differ.
fn same(given: &str, expected: &str) -> bool {
	let (given, expected) = (
		blake2_256(given.as_bytes()),
		blake2_256(expected.as_bytes()),
	);
	let difference = given
		.iter()
		.zip(expected)
		.fold(0, |found, (a, b)| found | (a ^ b));
	std::hint::black_box(difference) == 0
}

/// The token of an `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
	let (scheme, key) = headers
		.get(header::AUTHORIZATION)?
		.to_str()
		.ok()?
		.split_once(' ')?;
	scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Lets a request pass if it has the key, or if the worker has none.
pub(super) async fn require_key(
	State(shared): State<Arc<Shared>>,
	request: Request,
	next: Next,
) -> Result<Response, ApiError> {
	if let Some(expected) = shared.api.api_key.as_deref().filter(|key| !key.is_empty()) {
		let given = bearer(request.headers());
		if !given.is_some_and(|given| same(given, expected)) {
			return Err(ApiError::unauthorized());
		}
	}
	Ok(next.run(request).await)
}
