//! Who may ask: the one key of the command line, or those of the file.

use super::{ApiError, Shared};
use crate::keys::{Client, Left, same};
use axum::{
	extract::{Request, State},
	http::{HeaderMap, HeaderName, HeaderValue, header},
	middleware::Next,
	response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Instant};

/// The token of an `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
	let (scheme, key) = headers
		.get(header::AUTHORIZATION)?
		.to_str()
		.ok()?
		.split_once(' ')?;
	scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// OpenAI's headers about what is left.
fn report(headers: &mut HeaderMap, left: &Left) {
	let mut put = |name: &'static str, value: String| {
		if let Ok(value) = HeaderValue::from_str(&value) {
			headers.insert(HeaderName::from_static(name), value);
		}
	};
	let reset = format!("{}s", left.reset.as_secs().max(1));
	if let Some((limit, left)) = left.requests {
		put("x-ratelimit-limit-requests", limit.to_string());
		put("x-ratelimit-remaining-requests", left.to_string());
		put("x-ratelimit-reset-requests", reset.clone());
	}
	if let Some((limit, left)) = left.tokens {
		put("x-ratelimit-limit-tokens", limit.to_string());
		put("x-ratelimit-remaining-tokens", left.to_string());
		put("x-ratelimit-reset-tokens", reset);
	}
}

/// Lets a request pass if it has a key, or if the worker asks for none. A key of the file goes along with it.
pub(super) async fn require_key(
	State(shared): State<Arc<Shared>>,
	mut request: Request,
	next: Next,
) -> Result<Response, ApiError> {
	let api = &shared.api;
	let expected = api.api_key.as_deref().filter(|key| !key.is_empty());
	let given = bearer(request.headers());
	let client: Option<Arc<Client>> = given.and_then(|given| api.keys.find(given));
	let Some(client) = client else {
		let open = expected.is_none() && !api.keys.exist();
		if open || matches!((given, expected), (Some(given), Some(key)) if same(given, key)) {
			return Ok(next.run(request).await);
		}
		return Err(ApiError::unauthorized());
	};
	let (passes, left) = client.request(Instant::now());
	let mut response = if passes {
		request.extensions_mut().insert(client);
		next.run(request).await
	} else {
		ApiError::rate_limited(left.reset).into_response()
	};
	report(response.headers_mut(), &left);
	Ok(response)
}
