//! Web pages that may not use the API.

use super::{ApiError, Shared, origins::is_own};
use axum::{
	extract::{Request, State},
	http::header,
	middleware::Next,
	response::Response,
};
use std::sync::Arc;

/// Refuses requests of web pages that are not allowed. The browser would only hide the answer from them: the work
/// would be done. The API's own pages pass where no other name than this machine's can stand for it.
pub(super) async fn refuse_strangers(
	State(shared): State<Arc<Shared>>,
	request: Request,
	next: Next,
) -> Result<Response, ApiError> {
	if let Some(origin) = request.headers().get(header::ORIGIN) {
		let origins = &shared.api.origins;
		let known = origins.iter().any(|one| one.is_any() || one.is(origin));
		if !known && !is_own(origin, request.headers().get(header::HOST)) {
			return Err(ApiError::origin_not_allowed());
		}
	}
	Ok(next.run(request).await)
}
