//! What a request may cost: the time for its body and for its answer, and the memory of all bodies.

use super::{
	ApiError, Shared,
	bounds::{MAX_BODY, UNIT},
	encoding::Encoding,
	run::blocking,
	server::Unread,
	stream::Events,
};
use axum::{
	body::{Body, Bytes},
	extract::{Request, State},
	http::{HeaderValue, header},
	middleware::Next,
	response::{IntoResponse, Response},
};
use futures::StreamExt;
use std::sync::Arc;
use tokio::time::{Instant, timeout, timeout_at};

/// Longest body that is read and dropped when it was refused, bytes.
const MAX_UNREAD: u64 = 4 * MAX_BODY as u64;

/// The length that a request announces for its body.
fn announced(request: &Request) -> Option<u64> {
	let length = request.headers().get(header::CONTENT_LENGTH)?;
	length.to_str().ok()?.parse().ok()
}

/// Refuses a body that says itself that it is too long, before any of it is read. One that is not much too long is taken
/// off the line after that, so that a client that sends all of it before it listens learns why.
pub(super) async fn refuse_long_body(request: Request, next: Next) -> Result<Response, ApiError> {
	let length = announced(&request).unwrap_or(0);
	if length <= MAX_UNREAD
		&& let Some(unread) = request.extensions().get::<Unread>()
	{
		unread.set(length as usize);
	}
	if length > MAX_BODY as u64 {
		return Err(ApiError::too_large());
	}
	Ok(next.run(request).await)
}

async fn collect(body: Body) -> Result<Bytes, ApiError> {
	let (mut pieces, mut bytes) = (body.into_data_stream(), Vec::new());
	while let Some(piece) = pieces.next().await {
		let piece = piece.map_err(|_| ApiError::bad_request("the body could not be read"))?;
		if bytes.len() + piece.len() > MAX_BODY {
			return Err(ApiError::too_large());
		}
		bytes.extend_from_slice(&piece);
	}
	Ok(bytes.into())
}

/// Reads the whole body, in its time and within the memory of all, before the handler begins. One that was compressed
/// may not be longer than others when it is not.
pub(super) async fn read_body(
	State(shared): State<Arc<Shared>>,
	request: Request,
	next: Next,
) -> Result<Response, ApiError> {
	let encoding = Encoding::of(request.headers())?;
	let announced = announced(&request).filter(|_| encoding == Encoding::Plain);
	let length = announced.map_or(MAX_BODY, |length| length as usize);
	let units = u32::try_from(length.min(MAX_BODY).div_ceil(UNIT)).unwrap_or(u32::MAX);
	let memory = shared.bodies.clone().try_acquire_many_owned(units);
	let memory = memory.map_err(|_| ApiError::too_many_bodies())?;
	let (parts, body) = request.into_parts();
	let body = timeout(shared.api.limits.body, collect(body)).await;
	let mut body = body.map_err(|_| ApiError::body_too_slow())??;
	if encoding != Encoding::Plain {
		body = blocking(move || encoding.decode(&body)).await?;
	}
	let response = next.run(Request::from_parts(parts, body.into())).await;
	drop(memory);
	Ok(response)
}

/// Ends an answer that takes too long, and keeps the request's span around all that is done for it.
pub(super) async fn end_in_time(
	State(shared): State<Arc<Shared>>,
	request: Request,
	next: Next,
) -> Response {
	let deadline = Instant::now() + shared.api.limits.answer;
	let Ok(response) = timeout_at(deadline, next.run(request)).await else {
		return ApiError::took_too_long().into_response();
	};
	let events = HeaderValue::from_static("text/event-stream");
	if response.headers().get(header::CONTENT_TYPE) != Some(&events) {
		return response;
	}
	response.map(|body| Body::new(Events::new(body, deadline)))
}
