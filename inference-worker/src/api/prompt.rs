//! Prompts and conversations to tokens.

use super::{
	ApiError,
	fields::{Fields, token},
	messages::Conversation,
};
use aria_engine::{model::Model, tokenizer::TokenizerError};
use serde_json::Value;

/// Most texts in a request.
const MAX_TEXTS: usize = 256;

/// Token identifiers, if the list holds nothing else.
pub(super) fn token_list(list: &[Value]) -> Option<Vec<u32>> {
	list.iter().map(token).collect()
}

/// Tokens of a text with several parts, at most `limit`: a longer text is refused before all of it is cut.
struct Tokens<'a> {
	model: &'a Model,
	param: &'static str,
	limit: usize,
	tokens: Vec<u32>,
}

impl Tokens<'_> {
	fn push(&mut self, text: &str, bos: bool, special: bool) -> Result<(), ApiError> {
		let room = self.limit - self.tokens.len();
		let tokenizer = &self.model.tokenizer;
		let tokens = tokenizer.encode_limited(text, bos, special, room);
		self.tokens.extend(tokens.map_err(|error| match error {
			TokenizerError::TooLong { .. } => {
				let message = format!(
					"the prompt has more than {} tokens, which is the model's context: shorten the prompt",
					self.limit
				);
				ApiError::invalid(self.param, message).with_code("context_length_exceeded")
			}
			error => ApiError::invalid(self.param, error.to_string()),
		})?);
		Ok(())
	}
}

/// The texts that a field names: a text, a list of token identifiers, or a list of texts or of such lists.
pub(super) fn texts(
	fields: &Fields,
	name: &'static str,
	model: &Model,
) -> Result<Vec<Vec<u32>>, ApiError> {
	let wrong = || {
		let message = format!(
			"{name} must be a string, a list of token ids, or a list of strings or of such lists"
		);
		ApiError::invalid(name, message).with_code("invalid_type")
	};
	let field = fields
		.get(name)
		.ok_or_else(|| ApiError::invalid(name, format!("{name} is missing")))?;
	let tokens = |text: &Value| match text {
		Value::String(text) => {
			let mut tokens = Tokens {
				model,
				param: name,
				limit: model.config().context,
				tokens: Vec::new(),
			};
			tokens.push(text, true, false)?;
			Ok(tokens.tokens)
		}
		Value::Array(list) => token_list(list).ok_or_else(wrong),
		_ => Err(wrong()),
	};
	match field.as_array().map(Vec::as_slice) {
		Some(texts @ [first, ..]) if !first.is_number() => {
			if texts.len() > MAX_TEXTS {
				let message = format!("{name} must have at most {MAX_TEXTS} texts");
				return Err(ApiError::invalid(name, message).with_code("invalid_value"));
			}
			texts.iter().map(tokens).collect()
		}
		_ => Ok(vec![tokens(field)?]),
	}
}

/// The prompt of a conversation as a text.
pub(super) fn chat_text(conversation: Conversation, model: &Model) -> Result<String, ApiError> {
	let (mut text, hidden) = conversation.render(model)?;
	for (char, token) in hidden {
		text = text.replace(char, &token);
	}
	Ok(text)
}

/// The prompt of a conversation, at most `limit` tokens. Markup of the template is markup; markup inside messages is
/// text, so that what users send can't end a turn or open another one.
pub(super) fn chat(
	conversation: Conversation,
	model: &Model,
	limit: usize,
) -> Result<Vec<u32>, ApiError> {
	let param = conversation.param;
	let (text, hidden) = conversation.render(model)?;
	let mut tokens = Tokens {
		model,
		param,
		limit,
		tokens: Vec::new(),
	};
	for (index, piece) in text
		.split_inclusive(|char| hidden.iter().any(|(hidden, _)| *hidden == char))
		.enumerate()
	{
		let found = hidden
			.iter()
			.find_map(|(char, token)| Some((piece.strip_suffix(*char)?, token)));
		let (template, user) = found.map_or((piece, None), |(rest, token)| (rest, Some(token)));
		tokens.push(template, index == 0, true)?;
		if let Some(token) = user {
			tokens.push(token, false, false)?;
		}
	}
	Ok(tokens.tokens)
}
