//! Fields of OpenAI, vLLM, llama.cpp, Ollama and others that would change an answer, and can't be obeyed here. They are
//! refused by name where their value asks for something; what changes no answer is ignored.

use super::{
	ApiError,
	fields::{Fields, wrong_type},
	shape::Kind,
};
use serde_json::Value;

/// A value at which a field that can't be obeyed changes nothing. Null is one for each.
enum Neutral {
	/// One of these numbers.
	Number(&'static [f64]),
	/// False, or an empty text, list or object.
	Empty,
	True,
	/// One of these texts.
	Text(&'static [&'static str]),
	Nothing,
}
use Neutral::{Empty, Nothing, Number, Text, True};

/// A field, the value that is harmless, and what does the same here, if anything does.
type Field = (&'static str, Neutral, &'static str);

/// How tokens are chosen.
const SAMPLERS: &[Field] = &[
	("typical_p", Number(&[1.0]), ""),
	("typical", Number(&[1.0]), ""),
	("top_a", Number(&[0.0]), ""),
	("top_n_sigma", Number(&[0.0, -1.0]), ""),
	("nsigma", Number(&[0.0]), ""),
	("tfs", Number(&[1.0]), ""),
	("tfs_z", Number(&[1.0]), ""),
	("epsilon_cutoff", Number(&[0.0]), ""),
	("eta_cutoff", Number(&[0.0]), ""),
	("smoothing_factor", Number(&[0.0]), ""),
	("mirostat", Number(&[0.0]), ""),
	("mirostat_mode", Number(&[0.0]), ""),
	("dry_multiplier", Number(&[0.0]), ""),
	("xtc_probability", Number(&[0.0]), ""),
	("dynatemp_range", Number(&[0.0]), ""),
	("dynamic_temperature", Empty, ""),
	("temperature_last", Empty, ""),
	("samplers", Empty, ""),
	("sampler_order", Empty, ""),
	("sampler_priority", Empty, ""),
	// Penalties count the whole prompt and answer.
	("repeat_last_n", Number(&[-1.0]), ""),
	("repetition_penalty_range", Number(&[0.0, -1.0]), ""),
	("encoder_repetition_penalty", Number(&[1.0]), ""),
	("no_repeat_ngram_size", Number(&[0.0]), ""),
	("length_penalty", Number(&[1.0]), ""),
	("penalty_alpha", Number(&[0.0]), ""),
	("guidance_scale", Number(&[1.0]), ""),
	("negative_prompt", Empty, ""),
	("num_beams", Number(&[1.0]), ""),
	("use_beam_search", Empty, ""),
	("allowed_token_ids", Empty, "logit_bias or grammar"),
	("banned_tokens", Empty, "logit_bias"),
	("custom_token_bans", Empty, "logit_bias"),
	("bad_words", Empty, "logit_bias"),
	("logits_processors", Empty, ""),
	("custom_logit_processor", Empty, ""),
	("lora", Empty, ""),
	("lora_path", Empty, ""),
];

/// Where an answer ends, and the form that it has.
const ENDS_AND_FORMS: &[Field] = &[
	("n_predict", Nothing, "max_tokens"),
	("max_new_tokens", Nothing, "max_tokens"),
	("min_tokens", Number(&[0.0]), ""),
	("min_new_tokens", Number(&[0.0]), ""),
	("t_max_predict_ms", Number(&[0.0, -1.0]), "max_tokens"),
	("ignore_eos", Empty, ""),
	("ban_eos_token", Empty, ""),
	("stop_sequences", Empty, "stop"),
	("stop_token_ids", Empty, "stop"),
	("stop_regex", Empty, "stop"),
	("no_stop_trim", Empty, ""),
	("include_stop_str_in_output", Empty, ""),
	("skip_special_tokens", True, ""),
	("suffix", Empty, ""),
	("json_schema", Empty, "response_format"),
	("format", Empty, "response_format"),
	("guided_json", Empty, "response_format"),
	("guided_regex", Empty, "grammar"),
	("guided_choice", Empty, "grammar"),
	("guided_grammar", Empty, "grammar"),
	("structured_outputs", Empty, "response_format or grammar"),
	("regex", Empty, "grammar"),
	("ebnf", Empty, "grammar"),
	("grammar_lazy", Empty, ""),
	("output_config", Empty, ""),
];

/// What the model reads.
const PROMPTS: &[Field] = &[
	("truncate", Empty, ""),
	("truncate_prompt_tokens", Nothing, ""),
	("truncation_length", Nothing, "num_ctx"),
	("prompt_embeds", Empty, ""),
	("images", Empty, ""),
	("image_data", Empty, ""),
	("multimodal_data", Empty, ""),
	("documents", Empty, "messages"),
	("chat_template", Empty, ""),
	("chat_template_kwargs", Empty, ""),
	("enable_thinking", Nothing, ""),
	("think", Nothing, ""),
	("thinking_token_budget", Nothing, ""),
	("thinking_budget_tokens", Nothing, ""),
	("continue_final_message", Empty, ""),
	("add_generation_prompt", True, ""),
	("response_prefix", Empty, ""),
	("prefix", Empty, ""),
	("template", Empty, ""),
	("context", Empty, ""),
	("options", Empty, "the same fields beside messages"),
];

/// What an answer has in it.
const CONTENTS: &[Field] = &[
	("echo", Empty, ""),
	("return_full_text", Empty, ""),
	("prompt_logprobs", Nothing, ""),
	("logprob_token_ids", Empty, ""),
	("n_probs", Number(&[0.0]), "logprobs"),
	("post_sampling_probs", Empty, "logprobs"),
	("return_tokens", Empty, ""),
	("return_token_ids", Empty, ""),
	("return_tokens_as_token_ids", Empty, ""),
	("return_hidden_states", Empty, ""),
	("decoder_input_details", Empty, ""),
	("top_n_tokens", Number(&[0.0]), "top_logprobs"),
];

/// The same for conversations in messages.
const CHAT: &[Field] = &[
	("functions", Empty, "tools"),
	("function_call", Text(&["none", "auto"]), "tool_choice"),
	("audio", Empty, ""),
	("web_search_options", Empty, ""),
	("system", Empty, "a message of role system"),
	("instructions", Empty, "a message of role system"),
	("input", Empty, "messages"),
	("text", Empty, "response_format"),
	("max_output_tokens", Nothing, "max_completion_tokens"),
	("add_special_tokens", Empty, ""),
	("previous_response_id", Empty, "messages"),
];
/// The same for texts to continue.
const COMPLETION: &[Field] = &[
	("tools", Empty, "/v1/chat/completions"),
	(
		"tool_choice",
		Text(&["none", "auto"]),
		"/v1/chat/completions",
	),
	("functions", Empty, "/v1/chat/completions"),
	("messages", Empty, "/v1/chat/completions"),
	("system", Empty, "/v1/chat/completions"),
	("instructions", Empty, "/v1/chat/completions"),
	("input", Empty, "prompt"),
	("top_logprobs", Number(&[0.0]), "logprobs"),
	("max_output_tokens", Nothing, "max_tokens"),
	("add_special_tokens", True, ""),
];
/// The same for `/v1/responses`: this server keeps nothing, and cuts nothing off a conversation.
const RESPONSE: &[Field] = &[
	("previous_response_id", Empty, ""),
	("conversation", Empty, "input"),
	("prompt", Empty, "input"),
	("background", Empty, ""),
	("truncation", Text(&["disabled"]), ""),
	("messages", Empty, "input"),
	("system", Empty, "instructions"),
	("max_tokens", Nothing, "max_output_tokens"),
	("max_completion_tokens", Nothing, "max_output_tokens"),
	("response_format", Empty, "text.format"),
	("functions", Empty, "tools"),
	("function_call", Text(&["none", "auto"]), "tool_choice"),
	("n", Number(&[1.0]), ""),
	("best_of", Number(&[1.0]), ""),
	("logprobs", Empty, "top_logprobs"),
];
/// The same for embeddings.
const EMBEDDINGS: &[Field] = &[
	("truncate", Empty, ""),
	("truncate_prompt_tokens", Nothing, ""),
	("normalize", True, ""),
	("embd_normalize", Number(&[2.0]), ""),
	("add_special_tokens", True, ""),
	("input_type", Empty, ""),
	("instruction", Empty, ""),
	("prompt_name", Empty, ""),
	("chat_template", Empty, ""),
	("messages", Empty, "input"),
];
/// The same for `/tokenize` of a text.
const TOKENIZE: &[Field] = &[
	("add_special_tokens", Nothing, "add_special"),
	("with_pieces", Empty, "/detokenize"),
	("return_token_strs", Empty, "/detokenize"),
	("truncate_prompt_tokens", Nothing, ""),
];

impl Neutral {
	fn has(&self, name: &str, value: &Value) -> Result<bool, ApiError> {
		Ok(match (self, value) {
			(Number(harmless), Value::Number(number)) => {
				let number = number.as_f64();
				number.is_some_and(|number| harmless.contains(&number))
			}
			(Number(_), _) => return Err(wrong_type(name, "a number")),
			(Empty, Value::Bool(set)) => !set,
			(Empty, Value::String(text)) => text.is_empty(),
			(Empty, Value::Array(list)) => list.is_empty(),
			(Empty, Value::Object(map)) => map.is_empty(),
			(True, Value::Bool(set)) => *set,
			(Text(texts), Value::String(text)) => texts.contains(&text.as_str()),
			_ => false,
		})
	}
}

fn refuse<'a>(fields: &Fields, list: impl IntoIterator<Item = &'a Field>) -> Result<(), ApiError> {
	for (name, neutral, instead) in list {
		let Some(value) = fields.get(name) else {
			continue;
		};
		if !neutral.has(name, value)? {
			let mut error = ApiError::unsupported(name);
			if !instead.is_empty() {
				error.message += &format!(": use {instead}");
			}
			return Err(error);
		}
	}
	Ok(())
}

/// Refuses what would change the prompt of a conversation.
pub(super) fn prompts(fields: &Fields) -> Result<(), ApiError> {
	refuse(fields, PROMPTS)
}

/// Refuses what would change the tokens of a text.
pub(super) fn tokens(fields: &Fields) -> Result<(), ApiError> {
	refuse(fields, TOKENIZE)
}

/// Refuses what would change vectors.
pub(super) fn embeddings(fields: &Fields) -> Result<(), ApiError> {
	refuse(fields, EMBEDDINGS)
}

/// Refuses what would change an answer.
pub(super) fn answers(fields: &Fields, kind: Kind) -> Result<(), ApiError> {
	let own = match kind {
		Kind::Chat => CHAT,
		Kind::Completion => COMPLETION,
		Kind::Response => RESPONSE,
	};
	let all = SAMPLERS.iter().chain(ENDS_AND_FORMS).chain(PROMPTS);
	refuse(fields, all.chain(CONTENTS).chain(own))?;
	let disabled = |value: &Value| value["type"] == "disabled";
	if fields.get("thinking").is_some_and(|value| !disabled(value)) {
		return Err(ApiError::unsupported("thinking"));
	}
	let texts_only = |list: &Vec<Value>| list.iter().all(|item| item == "text");
	match fields.get("modalities") {
		None => Ok(()),
		Some(Value::Array(list)) if texts_only(list) => Ok(()),
		Some(_) => Err(ApiError::unsupported("modalities")),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn lists_should_name_each_field_once() {
		let general = [SAMPLERS, ENDS_AND_FORMS, PROMPTS, CONTENTS];
		for own in [CHAT, COMPLETION, RESPONSE] {
			let all = general.iter().flat_map(|list| list.iter()).chain(own);
			let mut names: Vec<&str> = all.map(|(name, ..)| *name).collect();
			let count = names.len();
			names.sort_unstable();
			names.dedup();
			assert_eq!(names.len(), count);
		}
	}
}
