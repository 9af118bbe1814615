//! What requests look like.

#![expect(
	dead_code,
	reason = "these types describe; requests are read by name, see `fields`"
)]

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// `POST /v1/chat/completions`.
#[derive(ToSchema)]
pub(super) struct ChatRequest {
	/// A model of `/v1/models`.
	#[schema(example = "aria-demo")]
	model: String,
	/// The conversation.
	#[schema(min_items = 1)]
	messages: Vec<ChatMessage>,
	/// Most tokens of an answer; without it, what the context leaves.
	#[schema(minimum = 1, maximum = 18446744073709551615_usize)]
	max_completion_tokens: Option<u64>,
	/// The older name of the same.
	#[schema(minimum = 1, maximum = 18446744073709551615_usize)]
	max_tokens: Option<u64>,
	/// Answers to the conversation. Each has the seed of the one before, plus 1.
	#[schema(minimum = 1, maximum = 16)]
	n: Option<u32>,
	/// Whether every token comes with its log probability.
	logprobs: Option<bool>,
	/// Alternatives for each token; needs `logprobs`.
	#[schema(minimum = 0, maximum = 20)]
	top_logprobs: Option<u32>,
	/// The form of the answer.
	response_format: Option<ResponseFormat>,
	/// Functions that the answer may call.
	#[schema(max_items = 128)]
	tools: Option<Vec<ChatTool>>,
	/// Which of them it may or must call.
	tool_choice: Option<ChatToolChoice>,
	/// Whether it may have several calls; true if not given.
	parallel_tool_calls: Option<bool>,
	#[serde(flatten)]
	sampling: Sampling,
	#[serde(flatten)]
	streaming: Streaming,
}

/// `POST /v1/completions`.
#[derive(ToSchema)]
pub(super) struct CompletionRequest {
	/// A model of `/v1/models`.
	#[schema(example = "aria-demo")]
	model: String,
	prompt: Texts,
	/// Most tokens of an answer; 16 if not given.
	#[schema(minimum = 1, maximum = 18446744073709551615_usize)]
	max_tokens: Option<u64>,
	/// Answers to each prompt. Each has the seed of the one before, plus 1.
	#[schema(minimum = 1, maximum = 16)]
	n: Option<u32>,
	/// Log probabilities with so many alternatives.
	#[schema(minimum = 0, maximum = 5)]
	logprobs: Option<u32>,
	/// The form of the answer.
	response_format: Option<ResponseFormat>,
	#[serde(flatten)]
	sampling: Sampling,
	#[serde(flatten)]
	streaming: Streaming,
}

/// `POST /v1/responses`.
#[derive(ToSchema)]
pub(super) struct ResponseRequest {
	/// A model of `/v1/models`.
	#[schema(example = "aria-demo")]
	model: String,
	input: Input,
	/// A system message before the input.
	instructions: Option<String>,
	/// Most tokens of the answer; without it, what the context leaves.
	#[schema(minimum = 1, maximum = 18446744073709551615_usize)]
	max_output_tokens: Option<u64>,
	/// `message.output_text.logprobs` asks for log probabilities.
	include: Option<Vec<String>>,
	/// Alternatives for each token.
	#[schema(minimum = 0, maximum = 20)]
	top_logprobs: Option<u32>,
	text: Option<TextOptions>,
	/// Functions that the answer may call.
	#[schema(max_items = 128)]
	tools: Option<Vec<ResponseTool>>,
	/// Which of them it may or must call.
	tool_choice: Option<ResponseToolChoice>,
	/// Whether it may have several calls; true if not given.
	parallel_tool_calls: Option<bool>,
	/// Comes back as it is.
	metadata: Option<std::collections::BTreeMap<String, String>>,
	/// Whether the answer comes as typed events.
	stream: Option<bool>,
	#[serde(flatten)]
	sampling: Sampling,
}

/// How tokens are chosen. What is left out is as the model's publisher recommends (`meta.sampling` of `/v1/models`).
#[derive(ToSchema)]
pub(super) struct Sampling {
	#[schema(minimum = 0, maximum = 100)]
	temperature: Option<f64>,
	#[schema(minimum = 0, maximum = 1)]
	top_p: Option<f64>,
	#[schema(minimum = 0, maximum = 1)]
	min_p: Option<f64>,
	/// -1 and 0 are off.
	#[schema(minimum = -1, maximum = 18446744073709551615_usize)]
	top_k: Option<i64>,
	/// 64 bits; a random one if not given.
	#[schema(minimum = -9223372036854775808_isize, maximum = 18446744073709551615_usize)]
	seed: Option<i64>,
	#[schema(minimum = 0.01, maximum = 100)]
	repetition_penalty: Option<f64>,
	#[schema(minimum = -2, maximum = 2)]
	presence_penalty: Option<f64>,
	#[schema(minimum = -2, maximum = 2)]
	frequency_penalty: Option<f64>,
	/// By token identifier, between -100 and 100. A list of pairs of a token and a number is taken as well.
	logit_bias: Option<std::collections::BTreeMap<String, f64>>,
	/// A grammar of the answer in Lark's notation, as llguidance reads it. Not beside tools or another form.
	grammar: Option<String>,
	stop: Option<Stop>,
	/// Most tokens of prompt and answer together, if not all of the model's context.
	#[schema(minimum = 1)]
	num_ctx: Option<u32>,
}

/// Whether an answer comes in pieces.
#[derive(ToSchema)]
pub(super) struct Streaming {
	stream: Option<bool>,
	stream_options: Option<StreamOptions>,
}

#[derive(ToSchema)]
pub(super) struct StreamOptions {
	/// Whether the stream ends with a chunk that has the usage.
	include_usage: Option<bool>,
}

/// Texts that end the answer and are not part of it.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(super) enum Stop {
	One(String),
	Several(Vec<String>),
}

/// A text, the tokens of one, or a list of texts or of lists of tokens.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(super) enum Texts {
	One(String),
	Tokens(Vec<u32>),
	Several(Vec<String>),
	SeveralTokens(Vec<Vec<u32>>),
}

/// A message of a chat.
#[derive(ToSchema)]
pub(super) struct ChatMessage {
	role: Role,
	/// May be absent only where the assistant called functions, or refused.
	content: Option<Content>,
	/// Who speaks, for templates that show it.
	name: Option<String>,
	/// What the assistant said in place of content.
	refusal: Option<String>,
	/// What the assistant thought, for templates that show it.
	reasoning_content: Option<String>,
	/// Calls of the assistant.
	tool_calls: Option<Vec<ToolCall>>,
	/// The call to which a `tool` answers.
	tool_call_id: Option<String>,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
	System,
	Developer,
	User,
	Assistant,
	Tool,
}

/// A text, or parts that make one.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(super) enum Content {
	Text(String),
	Parts(Vec<ContentPart>),
}

#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(super) enum ContentPart {
	Text {
		r#type: PartType,
		text: String,
	},
	/// What the assistant said in place of text.
	Refusal {
		r#type: RefusalType,
		refusal: String,
	},
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefusalType {
	Refusal,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PartType {
	Text,
	InputText,
	OutputText,
}

/// A call of a function.
#[derive(ToSchema, Serialize)]
pub(super) struct ToolCall {
	id: String,
	r#type: FunctionType,
	function: CalledFunction,
}

#[derive(ToSchema, Serialize)]
pub(super) struct CalledFunction {
	name: String,
	/// JSON in a text, as the model wrote it.
	arguments: String,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FunctionType {
	Function,
}

/// The form of an answer.
#[derive(ToSchema, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ResponseFormat {
	Text,
	JsonObject,
	JsonSchema { json_schema: NamedSchema },
}

#[derive(ToSchema, Serialize)]
pub(super) struct NamedSchema {
	/// What an answer must match.
	schema: Map<String, Value>,
}

#[derive(ToSchema)]
pub(super) struct TextOptions {
	format: Option<TextFormat>,
}

/// The form of an answer.
#[derive(ToSchema, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum TextFormat {
	Text,
	JsonObject,
	JsonSchema {
		/// What an answer must match.
		schema: Map<String, Value>,
	},
}

#[derive(ToSchema)]
pub(super) struct ChatTool {
	r#type: FunctionType,
	function: Function,
}

/// A function that may be called.
#[derive(ToSchema)]
pub(super) struct Function {
	#[schema(pattern = "^[a-zA-Z0-9_-]+$", min_length = 1, max_length = 64)]
	name: String,
	description: Option<String>,
	/// A JSON schema of the arguments.
	parameters: Option<Map<String, Value>>,
	/// Whether calls are held to all that the schema says.
	strict: Option<bool>,
}

#[derive(ToSchema)]
pub(super) struct ResponseTool {
	r#type: FunctionType,
	#[serde(flatten)]
	function: Function,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ToolMode {
	None,
	Auto,
	Required,
}

/// `none`, `auto`, `required`, or the function to call.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(super) enum ChatToolChoice {
	Mode(ToolMode),
	Function {
		r#type: FunctionType,
		function: FunctionName,
	},
}

#[derive(ToSchema, Serialize)]
pub(super) struct FunctionName {
	name: String,
}

/// `none`, `auto`, `required`, or the function to call.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(super) enum ResponseToolChoice {
	Mode(ToolMode),
	Function { r#type: FunctionType, name: String },
}

/// What a user says, or a list of items: messages, calls, and what became of them.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(super) enum Input {
	Text(String),
	Items(Vec<InputItem>),
}

#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(super) enum InputItem {
	Message(InputMessage),
	Call(InputCall),
	Output(CallOutput),
	Reasoning(InputReasoning),
}

/// What the assistant thought before its next item, for templates that show it. What is encrypted is passed over.
#[derive(ToSchema, Serialize)]
pub(super) struct InputReasoning {
	r#type: ReasoningType,
	content: Option<Vec<ReasoningPart>>,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReasoningType {
	Reasoning,
}

#[derive(ToSchema, Serialize)]
pub(super) struct ReasoningPart {
	r#type: ReasoningPartType,
	text: String,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReasoningPartType {
	ReasoningText,
}

/// A message; its type may be left out.
#[derive(ToSchema, Serialize)]
pub(super) struct InputMessage {
	r#type: Option<MessageType>,
	role: InputRole,
	content: Content,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MessageType {
	Message,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum InputRole {
	System,
	Developer,
	User,
	Assistant,
}

/// A call that the assistant made.
#[derive(ToSchema, Serialize)]
pub(super) struct InputCall {
	r#type: CallType,
	call_id: String,
	name: String,
	arguments: String,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CallType {
	FunctionCall,
}

/// What a call gave.
#[derive(ToSchema, Serialize)]
pub(super) struct CallOutput {
	r#type: OutputType,
	call_id: String,
	output: Content,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutputType {
	FunctionCallOutput,
}

/// `POST /v1/embeddings`.
#[derive(ToSchema)]
pub(super) struct EmbeddingRequest {
	/// A model of `/v1/models` that was made for it.
	model: String,
	input: Texts,
	encoding_format: Option<EncodingFormat>,
	/// As many as the model has.
	dimensions: Option<u32>,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EncodingFormat {
	Float,
	Base64,
}

/// `POST /tokenize`: a text, or a conversation.
#[derive(ToSchema)]
pub(super) struct TokenizeRequest {
	/// The first model if not given.
	model: Option<String>,
	content: Option<String>,
	/// Another name of `content`.
	prompt: Option<String>,
	/// Whether the token that begins a text comes first, where the model wants one.
	add_special: Option<bool>,
	/// Whether markup in the text is markup.
	parse_special: Option<bool>,
	#[schema(min_items = 1)]
	messages: Option<Vec<ChatMessage>>,
	#[schema(max_items = 128)]
	tools: Option<Vec<ChatTool>>,
}

/// `POST /detokenize`.
#[derive(ToSchema)]
pub(super) struct DetokenizeRequest {
	/// The first model if not given.
	model: Option<String>,
	tokens: Vec<u32>,
}

/// `POST /apply-template`.
#[derive(ToSchema)]
pub(super) struct TemplateRequest {
	/// The first model if not given.
	model: Option<String>,
	#[schema(min_items = 1)]
	messages: Vec<ChatMessage>,
	#[schema(max_items = 128)]
	tools: Option<Vec<ChatTool>>,
}

/// A signed receipt with what is needed to check it. Hashes are in hex, numbers of 64 bits are texts.
#[derive(ToSchema, Serialize)]
pub(super) struct ReceiptFile {
	/// What the worker signed.
	receipt: Map<String, Value>,
	/// sr25519, over the receipt's SCALE encoding.
	signature: String,
	salt: String,
	prompt: Vec<u32>,
	output: Vec<u32>,
	/// Bias and grammar, where there are some.
	#[serde(skip_serializing_if = "Option::is_none")]
	constraints: Option<Map<String, Value>>,
	text: Option<String>,
}
