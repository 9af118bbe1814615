//! What answers look like.

#![expect(
	dead_code,
	reason = "these types describe; answers are made where they are sent"
)]

use super::requests::{ReceiptFile, ToolCall};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// An error: for people, and for programs.
#[derive(ToSchema)]
pub(super) struct Error {
	error: ErrorBody,
}

#[derive(ToSchema)]
pub(super) struct ErrorBody {
	message: String,
	r#type: String,
	/// The request's field at fault.
	#[schema(required)]
	param: Option<String>,
	#[schema(required)]
	code: Option<String>,
}

/// The receipt of an answer.
#[derive(ToSchema)]
pub(super) struct Aria {
	receipt_id: String,
	/// With it, `/v1/receipts/{id}` shows the receipt's prompt and answer again. It is for who asked, and kept nowhere.
	receipt_key: String,
	receipt_file: ReceiptFile,
}

/// A server-sent event.
#[derive(ToSchema)]
pub(super) struct StreamEvent {
	/// JSON; at the end of a chat's or a completion's stream, `[DONE]`.
	data: String,
	/// The type of the events of `/v1/responses`.
	event: Option<String>,
}

/// An answer to a conversation.
#[derive(ToSchema)]
pub(super) struct ChatCompletion {
	id: String,
	object: String,
	created: u64,
	model: String,
	/// Version of the numeric specification, and the beginning of the model's root.
	system_fingerprint: String,
	choices: Vec<ChatChoice>,
	usage: Usage,
	/// Where there is one choice; otherwise each has its own.
	aria: Option<Aria>,
}

#[derive(ToSchema)]
pub(super) struct ChatChoice {
	index: u32,
	message: AssistantMessage,
	#[schema(required)]
	logprobs: Option<ChatLogprobs>,
	finish_reason: FinishReason,
	aria: Option<Aria>,
}

#[derive(ToSchema)]
pub(super) struct AssistantMessage {
	role: String,
	/// Null where there are calls and no text.
	#[schema(required)]
	content: Option<String>,
	#[schema(required)]
	refusal: Option<String>,
	#[schema(min_items = 1)]
	tool_calls: Option<Vec<ToolCall>>,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FinishReason {
	Stop,
	Length,
	ToolCalls,
}

#[derive(ToSchema)]
pub(super) struct ChatLogprobs {
	content: Vec<TokenLogprob>,
	#[schema(required)]
	refusal: Option<Vec<TokenLogprob>>,
}

#[derive(ToSchema)]
pub(super) struct TokenLogprob {
	token: String,
	logprob: f64,
	/// Null for markup.
	#[schema(required)]
	bytes: Option<Vec<u8>>,
	top_logprobs: Vec<Alternative>,
}

#[derive(ToSchema)]
pub(super) struct Alternative {
	token: String,
	logprob: f64,
	#[schema(required)]
	bytes: Option<Vec<u8>>,
}

/// Exact counts; a prompt counts once, however many answers it has.
#[derive(ToSchema)]
pub(super) struct Usage {
	prompt_tokens: u64,
	completion_tokens: u64,
	total_tokens: u64,
	prompt_tokens_details: CachedTokens,
	/// Null for a single token.
	#[schema(required)]
	tokens_per_second: Option<f64>,
	/// Null where it is not known.
	#[schema(required)]
	energy_mj: Option<f64>,
}

#[derive(ToSchema)]
pub(super) struct CachedTokens {
	/// Those whose keys and values were there from an earlier request.
	cached_tokens: u64,
}

/// Continuations of texts.
#[derive(ToSchema)]
pub(super) struct Completion {
	id: String,
	object: String,
	created: u64,
	model: String,
	system_fingerprint: String,
	choices: Vec<CompletionChoice>,
	usage: Usage,
	aria: Option<Aria>,
}

#[derive(ToSchema)]
pub(super) struct CompletionChoice {
	index: u32,
	text: String,
	#[schema(required)]
	logprobs: Option<CompletionLogprobs>,
	finish_reason: FinishReason,
	aria: Option<Aria>,
}

#[derive(ToSchema)]
pub(super) struct CompletionLogprobs {
	tokens: Vec<String>,
	token_logprobs: Vec<f64>,
	#[schema(required)]
	top_logprobs: Option<Vec<Map<String, Value>>>,
	text_offset: Vec<u64>,
}

/// An answer in items.
#[derive(ToSchema)]
pub(super) struct ResponseObject {
	id: String,
	object: String,
	created_at: u64,
	status: ResponseStatus,
	model: String,
	output: Vec<OutputItem>,
	#[schema(required)]
	error: Option<Map<String, Value>>,
	#[schema(required)]
	incomplete_details: Option<Map<String, Value>>,
	#[schema(required)]
	instructions: Option<String>,
	metadata: std::collections::BTreeMap<String, String>,
	parallel_tool_calls: bool,
	temperature: f64,
	top_p: f64,
	/// Absent until the end.
	usage: Option<ResponseUsage>,
	aria: Option<Aria>,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResponseStatus {
	InProgress,
	Completed,
	Incomplete,
	Failed,
}

#[derive(ToSchema, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputItem {
	Message {
		id: String,
		status: ResponseStatus,
		role: String,
		content: Vec<OutputText>,
	},
	FunctionCall {
		id: String,
		status: ResponseStatus,
		call_id: String,
		name: String,
		arguments: String,
	},
}

#[derive(ToSchema, Serialize)]
pub(super) struct OutputText {
	r#type: String,
	text: String,
	annotations: Vec<Value>,
	logprobs: Vec<Value>,
}

#[derive(ToSchema)]
pub(super) struct ResponseUsage {
	input_tokens: u64,
	input_tokens_details: CachedTokens,
	output_tokens: u64,
	output_tokens_details: ReasoningTokens,
	total_tokens: u64,
	#[schema(required)]
	tokens_per_second: Option<f64>,
	#[schema(required)]
	energy_mj: Option<f64>,
}

#[derive(ToSchema)]
pub(super) struct ReasoningTokens {
	reasoning_tokens: u64,
}

/// Vectors of texts.
#[derive(ToSchema)]
pub(super) struct Embeddings {
	object: String,
	model: String,
	data: Vec<EmbeddingOf>,
	usage: EmbeddingUsage,
}

#[derive(ToSchema)]
pub(super) struct EmbeddingOf {
	object: String,
	index: u32,
	embedding: Vector,
}

/// Numbers, or their bytes in base64.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(super) enum Vector {
	Numbers(Vec<f64>),
	Base64(String),
}

#[derive(ToSchema)]
pub(super) struct EmbeddingUsage {
	prompt_tokens: u64,
	total_tokens: u64,
}

/// The models that are served.
#[derive(ToSchema)]
pub(super) struct ModelList {
	object: String,
	data: Vec<ModelInfo>,
}

#[derive(ToSchema)]
pub(super) struct ModelInfo {
	id: String,
	object: String,
	created: u64,
	owned_by: String,
	/// Whether it is in memory; if not, the first request for it gets 503 while it is loaded.
	ready: bool,
	meta: ModelMeta,
}

/// What only the loading of a model tells is null before.
#[derive(ToSchema)]
pub(super) struct ModelMeta {
	#[schema(required)]
	name: Option<String>,
	architecture: String,
	#[schema(required)]
	licence: Option<String>,
	context_length: u64,
	n_ctx_train: u64,
	n_vocab: u64,
	n_embd: u64,
	#[schema(required)]
	n_params: Option<u64>,
	/// Bytes.
	#[schema(required)]
	size: Option<u64>,
	#[schema(required)]
	model_root: Option<String>,
	#[schema(required)]
	chat_template: Option<bool>,
	/// Whether its template shows functions; without, they are told in words.
	#[schema(required)]
	tool_template: Option<bool>,
	/// Parameters that its publisher recommends, where there are some.
	#[schema(required)]
	sampling: Option<Map<String, Value>>,
}

#[derive(ToSchema)]
pub(super) struct Tokens {
	count: u64,
	tokens: Vec<u32>,
}

#[derive(ToSchema)]
pub(super) struct TextContent {
	content: String,
}

#[derive(ToSchema)]
pub(super) struct Prompt {
	prompt: String,
}

/// A receipt in the journal.
#[derive(ToSchema)]
pub(super) struct StoredReceipt {
	id: String,
	object: String,
	receipt: PublicReceipt,
	/// Null without the receipt's key.
	#[schema(required)]
	receipt_file: Option<ReceiptFile>,
	/// Null until it is committed on the chain.
	#[schema(required)]
	committed: Option<Committed>,
}

/// What anybody may know of a receipt.
#[derive(ToSchema)]
pub(super) struct PublicReceipt {
	/// Version of the numeric specification.
	spec: u32,
	/// The model's root.
	model: String,
	/// The account that signed.
	worker: String,
	prompt_tokens: u32,
	output_tokens: u32,
	/// Multiply-accumulates.
	operations: String,
	/// Version of the consent contract, 0 off the chain.
	consent_version: u32,
	energy: ReceiptEnergy,
	/// Milliseconds since 1970.
	started_ms: String,
	/// Milliseconds since 1970.
	finished_ms: String,
}

#[derive(ToSchema)]
pub(super) struct ReceiptEnergy {
	microjoules: String,
	grade: Grade,
}

#[derive(ToSchema)]
pub(super) struct Committed {
	batch: u64,
	leaf_index: u32,
}

/// What a re-execution found.
#[derive(ToSchema)]
pub(super) struct Verification {
	object: String,
	/// Whether every bit is the same.
	ok: bool,
	/// The check that failed, as `aria-worker verify` names it.
	#[schema(required)]
	check: Option<String>,
	/// The same in words.
	#[schema(required)]
	failure: Option<String>,
	/// Output tokens.
	tokens: u64,
	/// The model that the receipt is for.
	model_root: String,
}

#[derive(ToSchema)]
pub(super) struct Health {
	status: HealthWord,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HealthWord {
	Ok,
	/// The first model is not in memory yet.
	Loading,
	/// Requests make no progress.
	Stuck,
}

/// What the worker is, and what it runs on.
#[derive(ToSchema)]
pub(super) struct Status {
	object: String,
	version: String,
	backend: String,
	/// Version of the numeric specification.
	specification: u32,
	uptime_seconds: u64,
	models_count: u64,
	models: Vec<ModelStatus>,
	slots: Slots,
	machine: MachineStatus,
	energy: EnergySource,
	/// The account that signs receipts.
	account: String,
	/// Null off the chain.
	#[schema(required)]
	consent_version: Option<u32>,
	/// Null where the worker was told to do without.
	#[schema(required)]
	chain: Option<ChainStatus>,
}

#[derive(ToSchema)]
pub(super) struct ModelStatus {
	id: String,
	ready: bool,
	context_length: u64,
	/// Null until it was loaded once.
	#[schema(required)]
	model_root: Option<String>,
	/// Waiting or running.
	requests: u64,
}

#[derive(ToSchema)]
pub(super) struct Slots {
	/// Requests that share passes over the weights.
	parallel: u64,
	/// Requests that may wait.
	queue: u64,
}

#[derive(ToSchema)]
pub(super) struct MachineStatus {
	instruction_set: String,
	threads: u64,
}

#[derive(ToSchema)]
pub(super) struct EnergySource {
	/// In words.
	source: String,
	grade: Grade,
}

/// What a figure is worth: from nothing to the processor's own counters.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grade {
	Unknown,
	Estimated,
	Battery,
	HardwareMonitor,
	ProcessorCounters,
}

#[derive(ToSchema)]
pub(super) struct ChainStatus {
	connected: bool,
	#[schema(required)]
	genesis: Option<String>,
	#[schema(required)]
	finalized_block: Option<u32>,
}

/// What answers took since the worker began. Null is unknown.
#[derive(ToSchema)]
pub(super) struct EnergyReport {
	object: String,
	session_uptime_seconds: u64,
	total_inferences: u64,
	total_tokens_generated: u64,
	/// Those whose energy is known; the totals are theirs.
	measured_inferences: u64,
	#[schema(required)]
	total_energy_mj: Option<f64>,
	#[schema(required)]
	total_energy_kwh: Option<f64>,
	#[schema(required)]
	avg_energy_per_token_mj: Option<f64>,
	/// Of the weakest figure.
	#[schema(required)]
	grade: Option<Grade>,
	/// The newest first, at most 50.
	recent_history: Vec<RecentAnswer>,
}

#[derive(ToSchema)]
pub(super) struct RecentAnswer {
	/// Milliseconds since 1970.
	finished_ms: u64,
	model: String,
	tokens: u64,
	latency_ms: f64,
	#[schema(required)]
	energy_mj: Option<f64>,
	#[schema(required)]
	grade: Option<Grade>,
}
