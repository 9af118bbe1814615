//! Errors in the shape that OpenAI's clients read.

use crate::{
	chain::Refusal,
	models::{Unavailable, engine::SubmitError},
	receipts::journal::JournalError,
};
use aria_engine::{EngineError, model::template::TemplateError};
use axum::{
	Json,
	extract::rejection::{BytesRejection, PathRejection},
	http::{HeaderValue, StatusCode, header},
	response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Seconds after which a client may try a full queue again.
const RETRY_AFTER: u64 = 2;

/// The code of what the owner's consent does not cover.
pub(crate) const CONSENT: &str = "consent";

/// An error of the API: `{"error": {"message", "type", "param", "code"}}` with its status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
	/// HTTP status.
	pub status: StatusCode,
	/// For people.
	pub message: String,
	/// OpenAI's class of the error.
	pub kind: &'static str,
	/// The request's field at fault.
	pub param: Option<String>,
	/// For programs.
	pub code: Option<&'static str>,
	/// Seconds after which to try again, where that is known.
	pub retry_after: Option<u64>,
}

impl ApiError {
	fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
		Self {
			status,
			message: message.into(),
			kind,
			param: None,
			code: None,
			retry_after: None,
		}
	}

	/// 400 without a field.
	pub(super) fn bad_request(message: impl Into<String>) -> Self {
		Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
	}

	/// 400 about a field.
	pub(super) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
		let mut error = Self::bad_request(message);
		error.param = Some(param.into());
		error
	}

	/// 400 about a field that this server knows and can't obey.
	pub(super) fn unsupported(param: &str) -> Self {
		Self::invalid(param, format!("{param} is not supported by this server"))
			.with_code("unsupported_parameter")
	}

	/// 415.
	pub(super) fn unsupported_encoding(encoding: &str) -> Self {
		let shown: String = encoding.chars().take(40).collect();
		Self::new(
			StatusCode::UNSUPPORTED_MEDIA_TYPE,
			"invalid_request_error",
			format!(
				"the body's content-encoding {shown:?} is not supported: send gzip, deflate or none"
			),
		)
		.with_code("unsupported_encoding")
	}

	/// 404.
	pub(super) fn not_found(message: impl Into<String>) -> Self {
		Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message).with_code("not_found")
	}

	/// 405.
	pub(super) fn method_not_allowed() -> Self {
		Self::new(
			StatusCode::METHOD_NOT_ALLOWED,
			"invalid_request_error",
			"this path does not take that method",
		)
		.with_code("method_not_allowed")
	}

	/// 413.
	pub(crate) fn too_large() -> Self {
		Self::new(
			StatusCode::PAYLOAD_TOO_LARGE,
			"invalid_request_error",
			format!("the body is longer than {} bytes", super::bounds::MAX_BODY),
		)
		.with_code("request_too_large")
	}

	/// 408.
	pub(super) fn body_too_slow() -> Self {
		Self::new(
			StatusCode::REQUEST_TIMEOUT,
			"invalid_request_error",
			"the body did not arrive in time",
		)
		.with_code("request_timeout")
	}

	/// 429 because of what others send.
	pub(super) fn too_many_bodies() -> Self {
		Self::new(
			StatusCode::TOO_MANY_REQUESTS,
			"rate_limit_error",
			"too many long requests are arriving; try again soon",
		)
		.with_code("too_many_bodies")
	}

	/// 504.
	pub(crate) fn took_too_long() -> Self {
		Self::new(
			StatusCode::GATEWAY_TIMEOUT,
			"server_error",
			"the answer took longer than this server allows",
		)
		.with_code("answer_timeout")
	}

	/// 403.
	pub(super) fn origin_not_allowed() -> Self {
		Self::new(
			StatusCode::FORBIDDEN,
			"permission_error",
			"this server does not answer web pages of this origin: see --cors-origin",
		)
		.with_code("origin_not_allowed")
	}

	/// 403 of work that the owner's consent does not cover; 503 where it will in a while.
	pub(super) fn outside_consent(refusal: &Refusal) -> Self {
		let retry_after = refusal.retry_after();
		let (status, kind) = match retry_after {
			None => (StatusCode::FORBIDDEN, "permission_error"),
			Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "server_error"),
		};
		let mut error = Self::new(status, kind, refusal.to_string()).with_code(CONSENT);
		error.retry_after = retry_after;
		error
	}

	/// 403 of somebody who asks for another client's receipt.
	pub(super) fn wrong_receipt_key() -> Self {
		Self::new(
			StatusCode::FORBIDDEN,
			"permission_error",
			"this is not the receipt's key: the answer has it, under aria.receipt_key",
		)
		.with_code("invalid_receipt_key")
	}

	/// 401.
	pub(super) fn unauthorized() -> Self {
		Self::new(
			StatusCode::UNAUTHORIZED,
			"authentication_error",
			"a valid API key is needed: send it as \"Authorization: Bearer KEY\"",
		)
		.with_code("invalid_api_key")
	}

	/// 429 of a key that used what it may.
	pub(super) fn rate_limited(reset: Duration) -> Self {
		let seconds = reset.as_secs().max(1);
		let mut error = Self::new(
			StatusCode::TOO_MANY_REQUESTS,
			"rate_limit_error",
			format!("this key has used what it may in a minute; try again in {seconds} seconds"),
		)
		.with_code("rate_limit_exceeded");
		error.retry_after = Some(seconds);
		error
	}

	/// 404 about a model.
	pub(super) fn model_not_found(model: &str) -> Self {
		// What the client sent is repeated, but not at any length.
		let shown: String = model.chars().take(100).collect();
		let mut error = Self::not_found(format!("the model {shown:?} is not served here"));
		error.param = Some("model".into());
		error.with_code("model_not_found")
	}

	/// 400 about a model that answers no conversations.
	pub(super) fn no_chats(error: &TemplateError) -> Self {
		let message =
			format!("this model answers no conversations, only texts to continue: {error}");
		Self::invalid("model", message).with_code("unusable_chat_template")
	}

	/// 404 about a model that is not here, 503 about one that can't be used now, 500 about one that can't be loaded.
	pub(super) fn unavailable(model: &str, error: Unavailable) -> Self {
		let shown: String = model.chars().take(100).collect();
		let (code, seconds) = match &error {
			Unavailable::Unknown => return Self::model_not_found(model),
			Unavailable::Loading { retry_after } => ("model_loading", retry_after.as_secs().max(1)),
			Unavailable::NoRoom => ("no_memory_for_model", RETRY_AFTER),
			// The path and what is wrong there are the operator's business, and in the log.
			Unavailable::Failed(_) => {
				return Self::server(format!("the model {shown:?} could not be loaded"))
					.with_code("model_failed");
			}
		};
		let message = format!("{shown:?}: {error}; try again in {seconds} seconds");
		let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message);
		error.retry_after = Some(seconds);
		error.with_code(code)
	}

	/// 503 because the machine lacks something for now, such as processes or files.
	pub(super) fn overloaded(message: impl Into<String>) -> Self {
		let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message);
		error.retry_after = Some(RETRY_AFTER);
		error.with_code("overloaded")
	}

	/// 500 after a panic, whose words are in the log and nowhere else.
	pub(super) fn panicked() -> Self {
		Self::server("this server failed at the request; its log says why")
			.with_code("internal_error")
	}

	/// 500.
	pub(super) fn server(message: impl Into<String>) -> Self {
		Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
	}

	/// 503.
	pub(super) fn stopped() -> Self {
		Self::new(
			StatusCode::SERVICE_UNAVAILABLE,
			"server_error",
			"the engine has stopped",
		)
		.with_code("engine_stopped")
	}

	/// Names the error for programs.
	pub(super) fn with_code(mut self, code: &'static str) -> Self {
		self.code = Some(code);
		self
	}

	/// The body, also sent inside a stream whose headers are gone.
	pub(crate) fn body(&self) -> Value {
		json!({ "error": {
			"message": self.message,
			"type": self.kind,
			"param": self.param,
			"code": self.code,
		} })
	}
}

impl IntoResponse for ApiError {
	fn into_response(self) -> Response {
		let mut response = (self.status, Json(self.body())).into_response();
		let headers = response.headers_mut();
		match self.status {
			StatusCode::TOO_MANY_REQUESTS => {
				let seconds = self.retry_after.unwrap_or(RETRY_AFTER);
				headers.insert(header::RETRY_AFTER, seconds.into());
			}
			StatusCode::UNAUTHORIZED => {
				headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
			}
			_ => {
				if let Some(seconds) = self.retry_after {
					headers.insert(header::RETRY_AFTER, seconds.into());
				}
			}
		}
		response
	}
}

impl From<EngineError> for ApiError {
	fn from(error: EngineError) -> Self {
		let message = error.to_string();
		match error {
			EngineError::ContextLengthExceeded { .. } => {
				Self::bad_request(message).with_code("context_length_exceeded")
			}
			EngineError::UnknownToken { .. } => Self::invalid("prompt", message),
			EngineError::InvalidParameter(_) => Self::bad_request(message),
			EngineError::NoHead => Self::invalid("model", message).with_code("unsupported_value"),
			EngineError::Grammar(_) | EngineError::GrammarTooCostly { .. } => {
				Self::bad_request(message).with_code("invalid_grammar")
			}
			EngineError::GrammarsBusy(_) => {
				let unavailable = StatusCode::SERVICE_UNAVAILABLE;
				let mut error = Self::new(unavailable, "server_error", message);
				error.retry_after = Some(RETRY_AFTER);
				error.with_code("grammars_busy")
			}
			EngineError::NotFinite => Self::server(message).with_code("not_finite"),
			EngineError::Stopped => Self::stopped(),
		}
	}
}

impl From<SubmitError> for ApiError {
	fn from(error: SubmitError) -> Self {
		match error {
			SubmitError::QueueFull(_) => Self::new(
				StatusCode::TOO_MANY_REQUESTS,
				"rate_limit_error",
				error.to_string(),
			)
			.with_code("queue_full"),
			SubmitError::Stopped => Self::stopped(),
			SubmitError::Invalid(error) => error.into(),
		}
	}
}

impl From<JournalError> for ApiError {
	fn from(error: JournalError) -> Self {
		// The path and the disk's complaint are the operator's business.
		tracing::error!("{error}");
		Self::server("the journal of receipts has failed").with_code("journal_failed")
	}
}

impl From<PathRejection> for ApiError {
	fn from(_: PathRejection) -> Self {
		Self::bad_request("the path is not UTF-8")
	}
}

impl From<BytesRejection> for ApiError {
	fn from(error: BytesRejection) -> Self {
		if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
			return Self::too_large();
		}
		Self::bad_request("the body could not be read")
	}
}
