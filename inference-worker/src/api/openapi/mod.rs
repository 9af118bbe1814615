//! `GET /openapi.json`: the API in OpenAPI's words, and `GET /docs`, a page to read it. Tests hold both against the
//! server.

mod answers;
mod paths;
mod requests;

use axum::{
	Json,
	http::{HeaderValue, header},
	response::{Html, IntoResponse, Response},
};
use serde_json::{Value, json};
use utoipa::{
	Modify, OpenApi,
	openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

/// The page. Everything that it needs is in it.
const PAGE: &str = include_str!("page.html");
/// What the page may do: its own script, and this server's answer.
const POLICY: HeaderValue = HeaderValue::from_static(
	"default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'",
);

#[derive(OpenApi)]
#[openapi(
	info(
		title = "ARIA",
		description = "The API of an ARIA worker: OpenAI's endpoints, receipts, and the worker itself. Unknown fields are ignored; paths of OpenAI also work without /v1.",
		license(name = "MIT", identifier = "MIT"),
	),
	paths(
		paths::chat, paths::completions, paths::responses, paths::embeddings, paths::models, paths::model,
		paths::tokenize, paths::detokenize, paths::apply_template, paths::receipt, paths::verify, paths::status,
		paths::energy, paths::metrics, paths::health,
	),
	components(schemas(answers::Error, answers::ErrorBody)),
	security(("key" = [])),
	modifiers(&Key),
)]
struct Document;

/// The way a key is sent.
struct Key;

impl Modify for Key {
	fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
		let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
		let components = document.components.get_or_insert_default();
		components.add_security_scheme("key", scheme);
	}
}

/// What the types can't say about variants and keys, by where it belongs.
fn limits() -> [(&'static str, Value); 9] {
	let text = json!({ "minLength": 1, "maxLength": 1024 });
	let token = json!({ "minimum": 0, "maximum": u32::MAX });
	let several = json!({ "minItems": 1, "maxItems": 256 });
	[
		("Stop/oneOf/0", text.clone()),
		("Stop/oneOf/1", json!({ "maxItems": 16 })),
		("Stop/oneOf/1/items", text),
		("Texts/oneOf/1/items", token),
		("Texts/oneOf/2", several.clone()),
		("Texts/oneOf/3", several),
		("Input/oneOf/1", json!({ "minItems": 1 })),
		(
			"Sampling/properties/logit_bias",
			json!({ "propertyNames": { "pattern": "^[0-9]{1,9}$" } }),
		),
		(
			"Sampling/properties/logit_bias/additionalProperties",
			json!({ "minimum": -100, "maximum": 100 }),
		),
	]
}

/// The document.
pub(super) fn document() -> Value {
	// Made of texts and numbers alone.
	let mut document = serde_json::to_value(Document::openapi()).unwrap_or_else(|_| json!({}));
	for (at, limit) in limits() {
		let place = document.pointer_mut(&format!("/components/schemas/{at}"));
		if let (Some(Value::Object(place)), Value::Object(limit)) = (place, limit) {
			place.extend(limit);
		}
	}
	document
}

/// `GET /openapi.json`.
pub(super) async fn json() -> Json<Value> {
	Json(document())
}

/// `GET /docs`.
pub(super) async fn page() -> Response {
	([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE)).into_response()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn limits_should_have_their_places() {
		let document = document();
		for (at, limit) in limits() {
			let found = document.pointer(&format!("/components/schemas/{at}"));
			let found = found.and_then(Value::as_object);
			let limit = limit.as_object().cloned().unwrap_or_default();
			let has = |(name, value): (&String, &Value)| {
				found.is_some_and(|found| found.get(name) == Some(value))
			};
			assert!(limit.iter().all(has), "{at}: {found:?}");
		}
	}
}
