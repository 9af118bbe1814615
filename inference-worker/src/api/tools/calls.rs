//! Calls of functions in what a model writes, found as it is written.

use crate::api::state::random_hex;
use serde::Deserialize;
use serde_json::value::RawValue;

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";
/// Deepest nesting of arguments.
const MAX_DEPTH: usize = 128;

/// A part of an answer, as soon as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) enum Part {
	/// Text.
	Text(String),
	/// A call begins.
	Call {
		/// By which its result will name it.
		id: String,
		/// The function.
		name: String,
	},
	/// More of the arguments of the last call.
	Arguments(String),
}

/// A piece of a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) enum Item {
	/// Text.
	Text(String),
	/// A call.
	Call(Call),
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Call {
	pub(in crate::api) id: String,
	pub(in crate::api) name: String,
	/// JSON, as the model wrote it.
	pub(in crate::api) arguments: String,
}

/// Where a reader is.
#[derive(Debug, Clone, Copy, Default)]
enum State {
	#[default]
	Text,
	/// After the beginning of a call, its bytes, with the space before it: its name is not known yet.
	Head(usize),
	/// In the arguments: open brackets, and whether in a string, and after a backslash.
	Arguments {
		depth: usize,
		string: bool,
		escape: bool,
	},
	/// After the arguments.
	Tail,
}

/// Cuts an answer into text and calls. What it says does not depend on how the answer was cut into pieces.
#[derive(Default)]
pub(in crate::api) struct Reader {
	/// Functions that may be called; without any, everything is text.
	functions: Vec<String>,
	/// Whether an object alone may be a call.
	bare: bool,
	/// Whether a text has a form, in whose strings anything may stand: it is no call unless it begins as one.
	formed: bool,
	/// Whether the present call is one.
	untagged: bool,
	state: State,
	/// What is not decided yet.
	held: String,
	/// Whether no more text comes.
	ended: bool,
	items: Vec<Item>,
}

/// Why a text does not begin with the head of a call.
enum Miss {
	/// It may become one.
	Unfinished,
	Other,
}

/// Takes a token after space.
fn take(rest: &mut &str, token: &str) -> Result<(), Miss> {
	*rest = rest.trim_start();
	match rest.strip_prefix(token) {
		Some(after) => {
			*rest = after;
			Ok(())
		}
		None if token.starts_with(*rest) => Err(Miss::Unfinished),
		None => Err(Miss::Other),
	}
}

/// Reads `{"name": "…", "arguments": ` up to the object that follows: the name, and where the object begins. Llama also
/// writes `parameters`, and `"type": "function"` first.
fn head(text: &str) -> Result<(String, usize), Miss> {
	let mut rest = text;
	take(&mut rest, "{")?;
	rest = rest.trim_start();
	if rest.starts_with("\"t") || "\"t".starts_with(rest) {
		for token in ["\"type\"", ":", "\"function\"", ","] {
			take(&mut rest, token)?;
		}
	}
	for token in ["\"name\"", ":", "\""] {
		take(&mut rest, token)?;
	}
	let end = rest.find(['"', '\\']).ok_or(Miss::Unfinished)?;
	let (name, tail) = rest.split_at(end);
	rest = tail;
	for token in ["\"", ","] {
		take(&mut rest, token)?;
	}
	rest = rest.trim_start();
	let key = ["\"arguments\"", "\"parameters\""]
		.into_iter()
		.find(|key| rest.starts_with(key) || key.starts_with(rest));
	for token in [key.ok_or(Miss::Other)?, ":"] {
		take(&mut rest, token)?;
	}
	rest = rest.trim_start();
	match rest.as_bytes().first() {
		None => Err(Miss::Unfinished),
		Some(b'{') => Ok((name.to_owned(), text.len() - rest.len())),
		Some(_) => Err(Miss::Other),
	}
}

/// A call in any other form of the same object. Arguments stay as they were written, all digits of numbers among them.
#[derive(Deserialize)]
struct Whole<'a> {
	name: String,
	#[serde(borrow)]
	arguments: Option<&'a RawValue>,
	#[serde(borrow)]
	parameters: Option<&'a RawValue>,
}

fn whole(text: &str) -> Option<(String, String)> {
	let call: Whole<'_> = serde_json::from_str(text).ok()?;
	let arguments = call
		.arguments
		.or(call.parameters)
		.map_or("{}", RawValue::get);
	let object = |text: &str| text.trim_start().starts_with('{');
	if object(arguments) {
		return Some((call.name, arguments.to_owned()));
	}
	// An object in a text.
	let text: String = serde_json::from_str(arguments).ok()?;
	object(&text).then_some((call.name, text))
}

/// Where the object ends of which so many brackets are open: after its last bracket, or before a mark outside of its
/// texts, after which it can't go on. `None` if more is needed to know.
fn end_of_object(text: &str, mut depth: usize) -> Option<usize> {
	let (mut string, mut escape) = (false, false);
	for (at, byte) in text.bytes().enumerate() {
		match byte {
			_ if escape => escape = false,
			b'\\' if string => escape = true,
			b'"' => string = !string,
			b'{' | b'[' if !string => depth += 1,
			b'}' | b']' if !string => {
				depth = depth.saturating_sub(1);
				if depth == 0 {
					return Some(at + 1);
				}
			}
			b'<' if !string && text[at..].starts_with(CLOSE) => return Some(at),
			_ => {}
		}
	}
	None
}

/// Where the text of a call ends, and where the mark after it does. Marks inside texts of its object are none. `None`
/// if more is needed to know.
fn end_of_call(body: &str) -> Option<(usize, usize)> {
	let marked = || body.find(CLOSE).map(|at| (at, at + CLOSE.len()));
	let object = body.trim_start();
	let before = body.len() - object.len();
	if object.is_empty() {
		return None;
	}
	if !object.starts_with('{') {
		return marked();
	}
	let end = before + end_of_object(object, 0)?;
	let mut rest = &body[end..];
	match take(&mut rest, CLOSE) {
		Ok(()) => Some((end, body.len() - rest.len())),
		Err(Miss::Unfinished) => None,
		Err(Miss::Other) => marked(),
	}
}

/// Bytes at the end of a text that may be space before a call, and the beginning of its mark.
fn undecided(text: &str) -> usize {
	let begun = (1..OPEN.len())
		.rev()
		.find(|length| text.ends_with(&OPEN[..*length]))
		.unwrap_or(0);
	let before = &text[..text.len() - begun];
	text.len() - before.trim_end().len()
}

impl Reader {
	/// A reader of calls of these functions; `bare` where an object alone may be one.
	pub(in crate::api) fn new(functions: Vec<String>, bare: bool) -> Self {
		Self {
			functions,
			bare,
			formed: false,
			untagged: false,
			state: State::Text,
			held: String::new(),
			ended: false,
			items: Vec::new(),
		}
	}

	/// A reader of answers whose text has a form.
	pub(in crate::api) fn formed(self) -> Self {
		Self {
			formed: true,
			..self
		}
	}

	/// How many calls were read.
	fn calls(&self) -> usize {
		self.items
			.iter()
			.filter(|item| matches!(item, Item::Call(_)))
			.count()
	}

	/// Ends the answer: all that it says.
	pub(in crate::api) fn end(mut self) -> Vec<Item> {
		self.finish();
		self.items
	}

	fn text(&mut self, text: String, parts: &mut Vec<Part>) {
		if text.is_empty() {
			return;
		}
		match self.items.last_mut() {
			Some(Item::Text(before)) => before.push_str(&text),
			_ => self.items.push(Item::Text(text.clone())),
		}
		parts.push(Part::Text(text));
	}

	fn call(&mut self, name: String, parts: &mut Vec<Part>) {
		let id = format!("call_{}", random_hex());
		self.items.push(Item::Call(Call {
			id: id.clone(),
			name: name.clone(),
			arguments: String::new(),
		}));
		parts.push(Part::Call { id, name });
	}

	fn arguments(&mut self, text: String, parts: &mut Vec<Part>) {
		if let Some(Item::Call(call)) = self.items.last_mut() {
			call.arguments.push_str(&text);
			parts.push(Part::Arguments(text));
		}
	}

	/// Takes the first bytes of what is held.
	fn take(&mut self, bytes: usize) -> String {
		let rest = self.held.split_off(bytes);
		std::mem::replace(&mut self.held, rest)
	}

	/// Reads more; returns what became certain.
	pub(in crate::api) fn push(&mut self, text: &str) -> Vec<Part> {
		let mut parts = Vec::new();
		if self.functions.is_empty() {
			self.text(text.to_owned(), &mut parts);
			return parts;
		}
		self.held.push_str(text);
		while self.step(&mut parts) {}
		parts
	}

	/// Ends the answer; returns what was held back.
	pub(in crate::api) fn finish(&mut self) -> Vec<Part> {
		let mut parts = Vec::new();
		self.ended = true;
		while !self.functions.is_empty() && self.step(&mut parts) {}
		let rest = std::mem::take(&mut self.held);
		// It may be called again, when nothing is held any more.
		match std::mem::replace(&mut self.state, State::Text) {
			// Space around calls is nobody's.
			State::Text if self.calls() > 0 && rest.trim().trim_start_matches(';').is_empty() => {}
			State::Text | State::Head(_) => self.text(rest, &mut parts),
			State::Arguments { .. } | State::Tail => {}
		}
		parts
	}

	/// One step; false when more text is needed.
	fn step(&mut self, parts: &mut Vec<Part>) -> bool {
		match self.state {
			State::Text => self.find_call(parts),
			State::Head(opening) => self.read_head(opening, parts),
			State::Arguments {
				depth,
				string,
				escape,
			} => self.read_arguments((depth, string, escape), parts),
			State::Tail => self.read_tail(),
		}
	}

	fn find_call(&mut self, parts: &mut Vec<Part>) -> bool {
		if self.formed && self.items.is_empty() && !self.bare {
			let begun = self.held.trim_start();
			if !begun.starts_with(OPEN) && !OPEN.starts_with(begun) {
				self.functions.clear();
				let text = std::mem::take(&mut self.held);
				self.text(text, parts);
				return false;
			}
		}
		if let Some(Item::Call(_)) = self.items.last() {
			// Space after a call is nobody's, nor is the semicolon between calls without marks.
			let mut rest = self.held.trim_start();
			if self.untagged {
				rest = rest.strip_prefix(';').unwrap_or(rest).trim_start();
			}
			if rest.is_empty() {
				return false;
			}
			self.held = rest.to_owned();
		}
		let first = !matches!(self.items.last(), Some(Item::Text(_)));
		let trimmed = self.held.trim_start();
		if self.bare && first && trimmed.starts_with('{') {
			self.untagged = true;
			self.state = State::Head(self.held.len() - trimmed.len());
			return true;
		}
		if let Some(at) = self.held.find(OPEN) {
			let before = self.held[..at].trim_end().len();
			let text = self.take(before);
			self.text(text, parts);
			self.untagged = false;
			self.state = State::Head(at - before + OPEN.len());
			return true;
		}
		let certain = self.held.len() - undecided(&self.held);
		let text = self.take(certain);
		self.text(text, parts);
		false
	}

	fn read_head(&mut self, opening: usize, parts: &mut Vec<Part>) -> bool {
		let body = &self.held[opening..];
		let known = |name: &String| self.functions.contains(name);
		match head(body) {
			Ok((name, length)) if known(&name) => {
				self.take(opening + length);
				self.call(name, parts);
				self.state = State::Arguments {
					depth: 0,
					string: false,
					escape: false,
				};
				return true;
			}
			Err(Miss::Unfinished) => return false,
			Ok(_) | Err(Miss::Other) => {}
		}
		if self.untagged {
			return self.no_call(opening, parts);
		}
		let naive = || body.find(CLOSE).map(|at| (at, at + CLOSE.len()));
		// An object that never ends is none.
		let ends = end_of_call(body).or_else(|| naive().filter(|_| self.ended));
		let Some((end, after)) = ends else {
			return false;
		};
		match whole(&body[..end]).filter(|(name, _)| known(name)) {
			Some((name, arguments)) => {
				self.take(opening + after);
				self.call(name, parts);
				self.arguments(arguments, parts);
				self.state = State::Text;
				true
			}
			None => self.no_call(opening + after, parts),
		}
	}

	/// What seemed to become a call is text.
	fn no_call(&mut self, bytes: usize, parts: &mut Vec<Part>) -> bool {
		let text = self.take(bytes);
		if !matches!(self.items.last(), Some(Item::Text(_))) {
			// Even where it is nothing, an object alone is no call any more.
			self.items.push(Item::Text(String::new()));
		}
		self.text(text, parts);
		self.state = State::Text;
		true
	}

	fn read_arguments(
		&mut self,
		(mut depth, mut string, mut escape): (usize, bool, bool),
		parts: &mut Vec<Part>,
	) -> bool {
		let mut end = None;
		for (at, byte) in self.held.bytes().enumerate() {
			match byte {
				_ if escape => escape = false,
				b'\\' if string => escape = true,
				b'"' => string = !string,
				b'{' | b'[' if !string => depth += 1,
				b'}' | b']' if !string => depth = depth.saturating_sub(1),
				_ => {}
			}
			if depth == 0 || depth > MAX_DEPTH {
				end = Some(at + 1);
				break;
			}
		}
		let text = self.take(end.unwrap_or(self.held.len()));
		if !text.is_empty() {
			self.arguments(text, parts);
		}
		self.state = match end {
			Some(_) => State::Tail,
			None => State::Arguments {
				depth,
				string,
				escape,
			},
		};
		end.is_some()
	}

	/// The end of the object, other fields of it before that, and the mark after it. Anything else is text again.
	fn read_tail(&mut self) -> bool {
		let mut rest = self.held.trim_start();
		match rest.as_bytes().first() {
			None => return false,
			Some(b',' | b'}') => match end_of_object(rest, 1) {
				Some(end) => rest = &rest[end..],
				None => return false,
			},
			Some(_) => {}
		}
		if !self.untagged
			&& let Err(Miss::Unfinished) = take(&mut rest, CLOSE)
		{
			return false;
		}
		self.held = rest.to_owned();
		self.state = State::Text;
		true
	}
}
