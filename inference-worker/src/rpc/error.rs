//! Errors of the methods: codes of a range that nobody else uses.

use crate::{
	api::{ApiError, CONSENT},
	receipts::journal::JournalError,
};
use axum::http::StatusCode;
use jsonrpsee::types::ErrorObjectOwned;

/// Codes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
	/// The node was started without a worker.
	NoWorker = 12001,
	/// The worker, or the model, is being loaded: try again later.
	Loading = 12002,
	/// The worker has ended; the node's log says why.
	Stopped = 12003,
	/// The request can't be obeyed; `data` says which field.
	Refused = 12004,
	/// The worker serves no model of this name.
	UnknownModel = 12005,
	/// All places, or all memory for models, are taken: try again later.
	Busy = 12006,
	/// The answer failed.
	Failed = 12007,
	/// The owner's consent contract does not allow it.
	NoConsent = 12008,
}

impl Code {
	/// An error without data.
	pub(super) fn error(self, message: &str) -> ErrorObjectOwned {
		ErrorObjectOwned::owned(self as i32, message, None::<()>)
	}
}

/// An error of the API, its object under `data`.
pub(super) fn of_api(error: &ApiError) -> ErrorObjectOwned {
	let code = match error.status {
		_ if error.code == Some(CONSENT) => Code::NoConsent,
		StatusCode::NOT_FOUND => Code::UnknownModel,
		StatusCode::TOO_MANY_REQUESTS => Code::Busy,
		StatusCode::SERVICE_UNAVAILABLE => match error.code {
			Some("engine_stopped") => Code::Stopped,
			Some("no_memory_for_model") => Code::Busy,
			_ => Code::Loading,
		},
		status if status.is_client_error() => Code::Refused,
		_ => Code::Failed,
	};
	let mut data = error.body()["error"].take();
	if let (Some(data), Some(seconds)) = (data.as_object_mut(), error.retry_after) {
		data.insert("retry_after".into(), seconds.into());
	}
	ErrorObjectOwned::owned(code as i32, error.message.clone(), Some(data))
}

/// A failure of the disk, which is the operator's business.
pub(super) fn of_journal(error: JournalError) -> ErrorObjectOwned {
	of_api(&error.into())
}
