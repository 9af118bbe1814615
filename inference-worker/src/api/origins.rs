//! Which web pages may use the API: those of the configured origins, and none else.

use axum::{
	extract::Request,
	http::{HeaderName, HeaderValue, Method, StatusCode, uri::Authority},
	middleware::Next,
	response::Response,
};
use std::{net::IpAddr, str::FromStr, time::Duration};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser may remember what it may do.
const REMEMBER: Duration = Duration::from_secs(600);

/// An origin of `--cors-origin`: such as `https://chat.example`, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl FromStr for Origin {
	type Err = String;

	fn from_str(text: &str) -> Result<Self, String> {
		let place = text.split_once("://").map(|(_, place)| place);
		let plain = place.is_some_and(|place| !place.is_empty() && !place.contains('/'));
		if !plain && text != "*" {
			return Err(
				"expected an origin such as https://chat.example, without a path, or *".into(),
			);
		}
		let value = HeaderValue::from_str(text).map_err(|error| error.to_string())?;
		Ok(Self(value))
	}
}

impl Origin {
	/// Whether it is this one.
	pub(super) fn is(&self, origin: &HeaderValue) -> bool {
		self.0 == origin
	}

	/// Whether it stands for all.
	pub(super) fn is_any(&self) -> bool {
		self.0 == "*"
	}
}

/// Answers browsers that ask what they may do. `None` without origins: then nothing speaks of them.
pub(super) fn layer(origins: &[Origin]) -> Option<CorsLayer> {
	if origins.is_empty() {
		return None;
	}
	let allowed = if origins.iter().any(Origin::is_any) {
		AllowOrigin::any()
	} else {
		AllowOrigin::list(origins.iter().map(|origin| origin.0.clone()))
	};
	let shown = [
		"x-request-id",
		"retry-after",
		"x-ratelimit-limit-requests",
		"x-ratelimit-remaining-requests",
		"x-ratelimit-reset-requests",
		"x-ratelimit-limit-tokens",
		"x-ratelimit-remaining-tokens",
		"x-ratelimit-reset-tokens",
	];
	let layer = CorsLayer::new()
		.allow_origin(allowed)
		.allow_methods([Method::GET, Method::POST])
		.allow_headers(AllowHeaders::mirror_request())
		.expose_headers(shown.map(HeaderName::from_static))
		.max_age(REMEMBER);
	Some(layer)
}

/// The answer to a browser's question has no body, and says so.
pub(super) async fn no_content(request: Request, next: Next) -> Response {
	let asks = request.method() == Method::OPTIONS;
	let mut response = next.run(request).await;
	if asks && response.status() == StatusCode::OK {
		*response.status_mut() = StatusCode::NO_CONTENT;
	}
	response
}

/// Whether an origin is this server's, under an address or as localhost: other names may point anywhere.
pub fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
	let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
	let (Some(origin), Some(host)) = (text(origin), host.and_then(text)) else {
		return false;
	};
	let place = origin.split_once("://").map(|(_, place)| place);
	let Ok(authority) = host.parse::<Authority>() else {
		return false;
	};
	let name = authority.host().trim_matches(['[', ']']);
	place == Some(host.as_str()) && (name == "localhost" || name.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn origins_should_be_origins() {
		for good in [
			"*",
			"https://chat.example",
			"http://localhost:8080",
			"app://local",
		] {
			assert!(good.parse::<Origin>().is_ok(), "{good}");
		}
		for wrong in [
			"",
			"chat.example",
			"https://",
			"https://a/b",
			"https://a/",
			"http://a\nb",
		] {
			assert!(wrong.parse::<Origin>().is_err(), "{wrong:?}");
		}
	}

	#[test]
	fn only_addresses_and_localhost_should_be_own() {
		let own = |origin: &'static str, host: &'static str| {
			let host = HeaderValue::from_static(host);
			is_own(&HeaderValue::from_static(origin), Some(&host))
		};
		assert!(own("http://127.0.0.1:3000", "127.0.0.1:3000"));
		assert!(own("http://[::1]:3000", "[::1]:3000"));
		assert!(own("https://localhost", "localhost"));
		assert!(!own("http://127.0.0.1:8080", "127.0.0.1:3000"));
		assert!(!own("http://evil.example:3000", "evil.example:3000"));
		assert!(!own("null", "null"));
	}
}
