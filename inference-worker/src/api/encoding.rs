//! Bodies that clients compress.

use super::{ApiError, bounds::MAX_BODY};
use axum::{
	body::Bytes,
	http::{HeaderMap, header},
};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use std::io::Read;

/// What was done to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
	Plain,
	Gzip,
	/// Zlib's format, which HTTP calls so.
	Deflate,
}

impl Encoding {
	/// What the headers say.
	///
	/// # Errors
	///
	/// 415 about any other encoding, and about several.
	pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
		let mut all = headers.get_all(header::CONTENT_ENCODING).iter();
		let Some(value) = all.next() else {
			return Ok(Self::Plain);
		};
		let word = String::from_utf8_lossy(value.as_bytes())
			.trim()
			.to_ascii_lowercase();
		match (word.as_str(), all.next()) {
			("" | "identity", None) => Ok(Self::Plain),
			("gzip" | "x-gzip", None) => Ok(Self::Gzip),
			("deflate", None) => Ok(Self::Deflate),
			_ => Err(ApiError::unsupported_encoding(&word)),
		}
	}

	/// The body as it was, at most [`MAX_BODY`] bytes.
	///
	/// # Errors
	///
	/// 413 about more than that, 400 about what is not of this encoding.
	pub(super) fn decode(self, body: &[u8]) -> Result<Bytes, ApiError> {
		let reader: Box<dyn Read + '_> = match self {
			Self::Plain => Box::new(body),
			Self::Gzip => Box::new(MultiGzDecoder::new(body)),
			Self::Deflate => Box::new(ZlibDecoder::new(body)),
		};
		let mut bytes = Vec::new();
		let read = reader.take(MAX_BODY as u64 + 1).read_to_end(&mut bytes);
		let name = format!("{self:?}").to_lowercase();
		read.map_err(|error| ApiError::bad_request(format!("the body is not {name}: {error}")))?;
		match bytes.len() > MAX_BODY {
			true => Err(ApiError::too_large()),
			false => Ok(bytes.into()),
		}
	}
}
