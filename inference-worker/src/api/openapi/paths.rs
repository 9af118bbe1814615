//! The paths, what each takes and what it may answer.

#![expect(
	dead_code,
	reason = "these functions carry the descriptions; `api::router` has the handlers"
)]

use super::{answers::*, requests::*};
use utoipa::IntoResponses;

/// What any path may answer instead.
#[derive(IntoResponses)]
enum Errors {
	/// The request is wrong; `param` and `code` say where and why.
	#[response(status = 400)]
	BadRequest(Error),
	/// A key is needed.
	#[response(status = 401)]
	Unauthorized(Error),
	/// A web page of another origin asks; the owner's consent contract does not allow it (`consent`); or the key is not
	/// this receipt's.
	#[response(status = 403)]
	Forbidden(Error),
	/// The model or the thing is not here.
	#[response(status = 404)]
	NotFound(Error),
	/// The path does not take this method.
	#[response(status = 405)]
	MethodNotAllowed(Error),
	/// The body took too long.
	#[response(status = 408)]
	Timeout(Error),
	/// The body is too long.
	#[response(status = 413)]
	TooLarge(Error),
	/// The queue or the memory for bodies is full, or the key has used what it may. `Retry-After` says when to come back.
	#[response(status = 429, headers(("Retry-After" = u64, description = "Seconds.")))]
	TooManyRequests(Error),
	/// The worker failed.
	#[response(status = 500)]
	Failed(Error),
	/// The model is being loaded or waits for memory, or the owner's consent contract does not allow it now (`consent`):
	/// `Retry-After` says when to come back. Or its engine has stopped.
	#[response(status = 503, headers(("Retry-After" = u64, description = "Seconds.")))]
	Unavailable(Error),
	/// The answer took longer than the worker allows.
	#[response(status = 504)]
	AnswerTimeout(Error),
}

/// Answers a conversation.
#[utoipa::path(
	post, path = "/v1/chat/completions", tag = "answers", request_body = ChatRequest,
	responses(
		(status = 200, description = "The answer, or with `stream` its chunks as server-sent events.",
			content((ChatCompletion = "application/json"), (StreamEvent = "text/event-stream"))),
		Errors,
	),
)]
fn chat() {}

/// Continues texts.
#[utoipa::path(
	post, path = "/v1/completions", tag = "answers", request_body = CompletionRequest,
	responses(
		(status = 200, description = "The answer, or with `stream` its chunks as server-sent events.",
			content((Completion = "application/json"), (StreamEvent = "text/event-stream"))),
		Errors,
	),
)]
fn completions() {}

/// Answers an input in items. Nothing is kept between requests.
#[utoipa::path(
	post, path = "/v1/responses", tag = "answers", request_body = ResponseRequest,
	responses(
		(status = 200, description = "The answer, or with `stream` typed events.",
			content((ResponseObject = "application/json"), (StreamEvent = "text/event-stream"))),
		Errors,
	),
)]
fn responses() {}

/// Texts to vectors, with models that were made for it.
#[utoipa::path(
	post, path = "/v1/embeddings", tag = "answers", request_body = EmbeddingRequest,
	responses((status = 200, description = "A vector for each text.", body = Embeddings), Errors),
)]
fn embeddings() {}

/// The models that are served.
#[utoipa::path(
	get, path = "/v1/models", tag = "models",
	responses((status = 200, description = "All models.", body = ModelList), Errors),
)]
fn models() {}

/// One model.
#[utoipa::path(
	get, path = "/v1/models/{id}", tag = "models", params(("id" = String, Path, description = "Its name.")),
	responses((status = 200, description = "The model.", body = ModelInfo), Errors),
)]
fn model() {}

/// A text or a conversation to tokens.
#[utoipa::path(
	post, path = "/tokenize", tag = "tokens", request_body = TokenizeRequest,
	responses((status = 200, description = "The tokens.", body = Tokens), Errors),
)]
fn tokenize() {}

/// Tokens to a text.
#[utoipa::path(
	post, path = "/detokenize", tag = "tokens", request_body = DetokenizeRequest,
	responses((status = 200, description = "The text.", body = TextContent), Errors),
)]
fn detokenize() {}

/// The prompt that a model would get.
#[utoipa::path(
	post, path = "/apply-template", tag = "tokens", request_body = TemplateRequest,
	responses((status = 200, description = "The prompt.", body = Prompt), Errors),
)]
fn apply_template() {}

/// A receipt in the journal, and where it was committed. Its prompt and answer are shown with its key alone.
#[utoipa::path(
	get, path = "/v1/receipts/{id}", tag = "receipts",
	params(
		("id" = String, Path, description = "`receipt_id` of an answer."),
		("X-ARIA-Receipt-Key" = Option<String>, Header, description = "`receipt_key` of the answer."),
	),
	responses((status = 200, description = "The receipt.", body = StoredReceipt), Errors),
)]
fn receipt() {}

/// Executes a receipt again.
#[utoipa::path(
	post, path = "/v1/verify", tag = "receipts", request_body = ReceiptFile,
	responses((status = 200, description = "Whether every bit is the same, or which check failed.", body = Verification), Errors),
)]
fn verify() {}

/// What the worker is, and what it runs on.
#[utoipa::path(
	get, path = "/v1/status", tag = "worker",
	responses((status = 200, description = "The state now.", body = Status), Errors),
)]
fn status() {}

/// What answers took since the worker began.
#[utoipa::path(
	get, path = "/v1/energy", tag = "worker",
	responses((status = 200, description = "Totals and the last answers.", body = EnergyReport), Errors),
)]
fn energy() {}

/// Counters for Prometheus.
#[utoipa::path(
	get, path = "/metrics", tag = "worker",
	responses((status = 200, description = "In Prometheus' text format.", content_type = "text/plain", body = String), Errors),
)]
fn metrics() {}

/// Whether the worker can answer. Needs no key.
#[utoipa::path(
	get, path = "/health", tag = "worker", security(()),
	responses(
		(status = 200, description = "It can.", body = Health),
		(status = 403, description = "A web page of another origin asks.", body = Error),
		(status = 503, description = "Not yet (`loading`), or an engine makes no progress (`stuck`).", body = Health),
	),
)]
fn health() {}
