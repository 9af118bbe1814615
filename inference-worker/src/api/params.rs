//! What a request says beside its prompt.

use super::{
	ApiError,
	fields::{Fields, integer, out_of_range, token, wrong_type},
	refused,
	shape::Kind,
	tools::Tools,
};
use crate::schema;
use aria_engine::{MAX_STOP_LEN, MAX_STOP_TEXTS, MAX_TOP_LOGPROBS, model::Model};
use aria_primitives::receipt::{Constraints, Grammar, MAX_GRAMMAR_LEN, MAX_LOGIT_BIAS, Sampling};
use serde_json::Value;

/// Tokens of a text completion when the request does not say, as at OpenAI.
const DEFAULT_COMPLETION_TOKENS: u32 = 16;
/// Most alternatives per token of a text completion, as at OpenAI.
const MAX_LEGACY_LOGPROBS: i128 = 5;
/// Most answers per prompt.
const MAX_N: u32 = 16;
/// The field with a grammar in Lark's notation.
const GRAMMAR: &str = "grammar";
/// Highest temperature.
const MAX_TEMPERATURE: f64 = 100.0;

/// What a request says beside its prompt.
pub(super) struct Options {
	/// Answers per prompt, at least 1.
	pub(super) choices: usize,
	pub(super) max_tokens: u32,
	/// Most tokens of prompt and answer together, if the request says.
	pub(super) context: Option<usize>,
	pub(super) sampling: Sampling,
	pub(super) constraints: Constraints,
	pub(super) stop: Vec<String>,
	/// Functions that the answer may call.
	pub(super) tools: Option<Tools>,
	/// The field that gives the answer a form.
	pub(super) form_name: &'static str,
	/// Whether log probabilities are wanted, and how many alternatives.
	pub(super) logprobs: Option<u8>,
	pub(super) stream: bool,
	pub(super) include_usage: bool,
}

/// A pair of a token, if it is one, and its bias.
fn bias_of(item: &Value) -> Option<(Option<u32>, &Value)> {
	match item.as_array()?.as_slice() {
		[id, bias] => Some((token(id), bias)),
		_ => None,
	}
}

fn micro(value: f64) -> u32 {
	// Callers have checked the range.
	(value * 1e6).round() as u32
}

/// A nucleus between 0 and 1 as receipts have it. There 0 is "off"; whoever asks for 0 wants the likeliest token alone,
/// over HTTP and on the command line.
pub(crate) fn top_p_micro(share: f64) -> u32 {
	micro(share).max(1)
}

impl Fields {
	/// A penalty as OpenAI has them, in millionths.
	fn penalty(&self, name: &str) -> Result<i32, ApiError> {
		let value = self.number_between(name, 0.0, -2.0, 2.0)?;
		Ok((value * 1e6).round() as i32)
	}

	/// The repetition penalty, by vLLM's name or llama.cpp's.
	fn repetition_penalty(&self, default: Option<f64>) -> Result<u32, ApiError> {
		let name = ["repetition_penalty", "repeat_penalty"]
			.into_iter()
			.find(|name| self.get(name).is_some());
		let Some(name) = name else {
			return Ok(default.map_or(0, micro));
		};
		Ok(micro(self.number_between(name, 1.0, 0.01, 100.0)?))
	}

	/// Biases by token, ascending: of OpenAI's object, or of llama.cpp's list of pairs. The first of a token holds.
	fn logit_bias(&self, vocab: usize) -> Result<Vec<(u32, i32)>, ApiError> {
		const NAME: &str = "logit_bias";
		let wrong = || {
			wrong_type(
				NAME,
				"an object of token ids and numbers, or a list of such pairs",
			)
		};
		let pairs: Vec<(Option<u32>, &Value)> = match self.get(NAME) {
			None => return Ok(Vec::new()),
			Some(Value::Object(map)) => {
				let pair = |(token, bias): (&String, _)| (token.parse().ok(), bias);
				map.iter().map(pair).collect()
			}
			Some(Value::Array(list)) => {
				let pairs: Option<_> = list.iter().map(bias_of).collect();
				pairs.ok_or_else(wrong)?
			}
			Some(_) => return Err(wrong()),
		};
		if pairs.len() > MAX_LOGIT_BIAS {
			return Err(out_of_range(
				NAME,
				&format!("at most {MAX_LOGIT_BIAS} tokens"),
			));
		}
		let mut biases = Vec::new();
		for (token, bias) in pairs {
			let (Some(token), Some(bias)) = (token, bias.as_f64()) else {
				return Err(wrong());
			};
			if token as usize >= vocab {
				let message = format!("{NAME}: token {token} is outside the vocabulary of {vocab}");
				return Err(ApiError::invalid(NAME, message).with_code("invalid_value"));
			}
			if !(-100.0..=100.0).contains(&bias) {
				return Err(out_of_range(NAME, "of numbers between -100 and 100"));
			}
			biases.push((token, (bias * 1e6).round() as i32));
		}
		biases.sort_by_key(|(token, _)| *token);
		biases.dedup_by_key(|(token, _)| *token);
		Ok(biases)
	}

	/// The form that an answer must have, and the field that says so.
	fn form(&self, kind: Kind) -> Result<(Option<Grammar>, &'static str), ApiError> {
		let (name, format) = (kind.format_name(), self.format(kind)?);
		match self.text(GRAMMAR)?.filter(|text| !text.is_empty()) {
			None => Ok((format, name)),
			Some(_) if format.is_some() => {
				let message = format!("{GRAMMAR} and {name} can't both be obeyed");
				Err(ApiError::invalid(GRAMMAR, message).with_code("invalid_value"))
			}
			Some(text) => Ok((Some(Grammar::Lark(text.to_owned())), GRAMMAR)),
		}
	}

	/// What the endpoint's own field says of the answer's form.
	fn format(&self, kind: Kind) -> Result<Option<Grammar>, ApiError> {
		let name = kind.format_name();
		// `/v1/responses` has the schema beside its type, chats have it in an object.
		let (format, own) = match kind {
			Kind::Response => match self.get("text") {
				Some(Value::Object(text)) => (text.get("format"), ".schema"),
				Some(_) => return Err(wrong_type("text", "an object")),
				None => (None, ""),
			},
			_ => (self.get(name), ".json_schema.schema"),
		};
		let Some(format) = format.filter(|format| !format.is_null()) else {
			return Ok(None);
		};
		// Other servers have it in the other place.
		let found = |place| format.pointer(place).filter(|value| !value.is_null());
		let schema = match (found("/schema"), found("/json_schema/schema")) {
			(Some(one), Some(other)) if one != other => {
				let message = format!("{name} has two schemas, which can't both be obeyed");
				return Err(ApiError::invalid(name, message).with_code("invalid_value"));
			}
			(one, other) => one.or(other),
		};
		let missing = || ApiError::invalid(name, format!("{name}{own} must be an object"));
		let schema = match schema {
			Some(schema) => Some(schema.as_object().ok_or_else(missing)?),
			None if found("/json_schema").is_some() => return Err(missing()),
			None => None,
		};
		match (format.get("type").and_then(Value::as_str), schema) {
			(Some("text"), None) => Ok(None),
			(Some("text"), Some(_)) => {
				let message = format!("{name} of type text can't have a schema");
				Err(ApiError::invalid(name, message).with_code("invalid_value"))
			}
			(Some("json_object"), None) => Ok(Some(Grammar::JsonObject)),
			(Some("json_schema"), None) => Err(missing()),
			(Some("json_object" | "json_schema"), Some(schema)) => {
				let schema = schema::exact(schema).map_err(|error| {
					let message = format!("the schema can't be obeyed: {error}");
					ApiError::invalid(name, message).with_code("invalid_grammar")
				})?;
				Ok(Some(Grammar::JsonSchema(Value::from(schema).to_string())))
			}
			_ => Err(out_of_range(
				name,
				"of type text, json_object or json_schema",
			)),
		}
	}

	fn stop(&self) -> Result<Vec<String>, ApiError> {
		let expected = || wrong_type("stop", "a string or a list of strings");
		let stop: Vec<String> = match self.get("stop") {
			None => Vec::new(),
			Some(Value::String(text)) => vec![text.clone()],
			Some(Value::Array(list)) => list
				.iter()
				.map(|item| item.as_str().map(str::to_owned).ok_or_else(expected))
				.collect::<Result<_, _>>()?,
			Some(_) => return Err(expected()),
		};
		let usable = |text: &String| (1..=MAX_STOP_LEN).contains(&text.len());
		if stop.len() > MAX_STOP_TEXTS || !stop.iter().all(usable) {
			let range = format!("at most {MAX_STOP_TEXTS} texts of 1 to {MAX_STOP_LEN} bytes");
			return Err(out_of_range("stop", &range));
		}
		Ok(stop)
	}

	fn seed(&self) -> Result<u64, ApiError> {
		let Some(value) = self.get("seed") else {
			return Ok(rand::random());
		};
		// A negative seed is a seed as well: that of the same bits.
		integer(value)
			.filter(|seed| (i64::MIN.into()..=u64::MAX.into()).contains(seed))
			.map(|seed| seed as u64)
			.ok_or_else(|| wrong_type("seed", "an integer of 64 bits"))
	}

	fn logprobs(&self, kind: Kind) -> Result<Option<u8>, ApiError> {
		match kind {
			Kind::Completion => match self.get("logprobs") {
				None => Ok(None),
				Some(value) => match integer(value) {
					Some(count @ 0..=MAX_LEGACY_LOGPROBS) => Ok(Some(count as u8)),
					_ => Err(out_of_range("logprobs", "an integer between 0 and 5")),
				},
			},
			Kind::Chat => {
				let wanted = self.flag("logprobs")?;
				let top = self.top_logprobs()?;
				if top > 0 && !wanted {
					return Err(ApiError::invalid(
						"top_logprobs",
						"top_logprobs needs logprobs to be true",
					));
				}
				Ok(wanted.then_some(top))
			}
			Kind::Response => {
				let wrong = || wrong_type("include", "a list of strings");
				let included = match self.get("include") {
					None => &[][..],
					Some(list) => list.as_array().ok_or_else(wrong)?,
				};
				if !included.iter().all(Value::is_string) {
					return Err(wrong());
				}
				let included = included
					.iter()
					.any(|item| item == "message.output_text.logprobs");
				let top = self.top_logprobs()?;
				Ok((included || top > 0).then_some(top))
			}
		}
	}

	fn top_logprobs(&self) -> Result<u8, ApiError> {
		let top = self.count("top_logprobs", 0)?.unwrap_or(0);
		u8::try_from(top)
			.ok()
			.filter(|top| *top <= MAX_TOP_LOGPROBS)
			.ok_or_else(|| out_of_range("top_logprobs", "an integer between 0 and 20"))
	}

	/// Whether a stream ends with the usage.
	fn include_usage(&self) -> Result<bool, ApiError> {
		match self.get("stream_options") {
			None => Ok(false),
			Some(Value::Object(options))
				if options.get("continuous_usage_stats") == Some(&true.into()) =>
			{
				Err(ApiError::unsupported(
					"stream_options.continuous_usage_stats",
				))
			}
			Some(Value::Object(options)) => match options.get("include_usage") {
				None | Some(Value::Null) => Ok(false),
				Some(Value::Bool(wanted)) => Ok(*wanted),
				Some(_) => Err(wrong_type("stream_options.include_usage", "true or false")),
			},
			Some(_) => Err(wrong_type("stream_options", "an object")),
		}
	}

	/// How tokens are chosen: as the request says, else as the model's publisher recommends.
	fn sampling(&self, model: &Model) -> Result<Sampling, ApiError> {
		let default = &model.sampling;
		let temperature = default.temperature.unwrap_or(1.0);
		let top_p = default.top_p.unwrap_or(1.0);
		Ok(Sampling {
			temperature_micro: micro(self.number("temperature", temperature, MAX_TEMPERATURE)?),
			top_p_micro: top_p_micro(self.number("top_p", top_p, 1.0)?),
			min_p_micro: micro(self.number("min_p", default.min_p.unwrap_or(0.0), 1.0)?),
			top_k: self.count("top_k", -1)?.or(default.top_k).unwrap_or(0),
			seed: self.seed()?,
			repetition_penalty_micro: self.repetition_penalty(default.repetition_penalty)?,
			presence_penalty_micro: self.penalty("presence_penalty")?,
			frequency_penalty_micro: self.penalty("frequency_penalty")?,
			..Default::default()
		})
	}

	/// Most tokens of an answer.
	fn max_tokens(&self, kind: Kind) -> Result<u32, ApiError> {
		let default = match kind {
			Kind::Response => return Ok(self.count("max_output_tokens", 1)?.unwrap_or(u32::MAX)),
			Kind::Chat => u32::MAX,
			Kind::Completion => DEFAULT_COMPLETION_TOKENS,
		};
		let old = self.count("max_tokens", 1)?;
		let new = self.count("max_completion_tokens", 1)?;
		Ok(new.or(old).unwrap_or(default))
	}

	/// Most tokens of prompt and answer together, by Ollama's name.
	fn context(&self, model: &Model) -> Result<Option<usize>, ApiError> {
		let most = model.config().context;
		let context = self.count("num_ctx", 1)?.map(|context| context as usize);
		if context.is_some_and(|context| context > most) {
			let range = format!("at most {most}, the model's context");
			return Err(out_of_range("num_ctx", &range));
		}
		Ok(context)
	}

	/// Answers per prompt.
	fn choices(&self, kind: Kind) -> Result<usize, ApiError> {
		if kind == Kind::Response {
			return Ok(1);
		}
		let choices = self.count("n", 1)?.unwrap_or(1);
		if choices > MAX_N {
			return Err(out_of_range("n", &format!("between 1 and {MAX_N}")));
		}
		// Without a way to choose among more, the best are all.
		if self
			.count("best_of", 1)?
			.is_some_and(|best_of| best_of != choices)
		{
			return Err(ApiError::unsupported("best_of"));
		}
		Ok(choices as usize)
	}

	/// Reads everything but the prompt.
	pub(super) fn options(&self, kind: Kind, model: &Model) -> Result<Options, ApiError> {
		refused::answers(self, kind)?;
		let mut tools = match kind {
			Kind::Completion => None,
			kind => Tools::read(self, kind)?,
		};
		let (form, form_name) = self.form(kind)?;
		let grammar = match &mut tools {
			Some(_) if form_name == GRAMMAR => {
				let message = "grammar and tools can't both be obeyed";
				return Err(ApiError::invalid(GRAMMAR, message).with_code("invalid_value"));
			}
			Some(tools) => tools.grammar(model.template.call_format(), form.as_ref())?,
			None => form,
		};
		let form_name = tools.as_ref().map_or(form_name, |_| "tools");
		if let Some(grammar) = &grammar
			&& grammar.text_len() > MAX_GRAMMAR_LEN
		{
			let message = format!(
				"{form_name}: its grammar has {} bytes, this server takes {MAX_GRAMMAR_LEN}",
				grammar.text_len()
			);
			return Err(ApiError::invalid(form_name, message).with_code("invalid_grammar"));
		}
		Ok(Options {
			choices: self.choices(kind)?,
			max_tokens: self.max_tokens(kind)?,
			context: self.context(model)?,
			sampling: self.sampling(model)?,
			constraints: Constraints {
				logit_bias: self.logit_bias(model.config().vocab)?,
				grammar,
			},
			stop: self.stop()?,
			form_name,
			tools,
			logprobs: self.logprobs(kind)?,
			stream: self.flag("stream")?,
			include_usage: self.include_usage()?,
		})
	}
}
