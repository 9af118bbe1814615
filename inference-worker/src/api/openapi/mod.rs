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
	openapi::{
		schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaType, Type},
		security::{Http, HttpAuthScheme, SecurityScheme},
	},
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

/// An object whose keys are token identifiers.
fn logit_bias() -> Schema {
	let number = ObjectBuilder::new()
		.schema_type(Type::Number)
		.minimum(Some(-100))
		.maximum(Some(100));
	let types = SchemaType::from_iter([Type::Object, Type::Null]);
	ObjectBuilder::new()
		.schema_type(types)
		.description(Some("By token identifier, between -100 and 100."))
		.property_names(Some(ObjectBuilder::new().pattern(Some("^[0-9]{1,9}$"))))
		.additional_properties(Some(AdditionalProperties::RefOr(
			Schema::from(number).into(),
		)))
		.into()
}

/// The document.
pub(super) fn document() -> Value {
	// Made of texts and numbers alone.
	serde_json::to_value(Document::openapi()).unwrap_or_else(|_| json!({}))
}

/// `GET /openapi.json`.
pub(super) async fn json() -> Json<Value> {
	Json(document())
}

/// `GET /docs`.
pub(super) async fn page() -> Response {
	([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE)).into_response()
}
