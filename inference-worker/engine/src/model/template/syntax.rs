//! What transformers' Jinja takes and minijinja does not, put into words that it knows: `{% generation %}` blocks, which
//! mark what a model is trained to write, and `%` between a format and its values.

use std::{collections::HashSet, ops::Range};

/// The filter that stands for `%`.
pub(super) const REMAINDER: &str = "__remainder";

/// What expressions and statements are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
	Text,
	Number,
	Name,
	Open,
	Close,
	Sign,
}

#[derive(Debug)]
struct Token<'a> {
	kind: Kind,
	at: usize,
	text: &'a str,
}

impl Token<'_> {
	/// Whether a value may end with it.
	fn ends_value(&self) -> bool {
		match self.kind {
			Kind::Name => !WORDS.contains(&self.text),
			kind => matches!(kind, Kind::Text | Kind::Number | Kind::Close),
		}
	}
}

/// Names that are no value, nor end one.
const WORDS: [&str; 14] = [
	"and", "or", "not", "in", "is", "if", "else", "elif", "set", "for", "print", "call", "with",
	"filter",
];
/// Signs of two characters.
const PAIRS: [&str; 6] = ["**", "//", "==", "!=", "<=", ">="];

/// A change of the source: what it replaces, and by what.
type Edit = (Range<usize>, String);

/// The template in minijinja's words. What it does not know remains, so that its parser says what is wrong.
pub(super) fn adapt(source: &str) -> String {
	// As Jinja reads line ends, wherever they are.
	let source = source.replace("\r\n", "\n").replace('\r', "\n");
	let (mut tags, mut edits) = (Tags::new(&source), Vec::new());
	while let Some((statement, tokens)) = tags.next() {
		if statement {
			edits.extend(generation(&tokens));
		}
		edits.extend(Formats::new(&tokens).edits());
	}
	edits.extend(tags.raw.iter().map(|at| (*at..*at, "+".to_owned())));
	edits.sort_by_key(|(at, _)| at.start);
	let (mut adapted, mut done) = (String::with_capacity(source.len()), 0);
	for (at, text) in edits {
		adapted.push_str(source.get(done..at.start).unwrap_or_default());
		adapted.push_str(&text);
		done = at.end;
	}
	adapted.push_str(source.get(done..).unwrap_or_default());
	adapted
}

/// The tags of a template but for `raw` blocks and comments.
struct Tags<'a> {
	source: &'a str,
	at: usize,
	/// Ends of `{% raw %}` after which Jinja keeps a line end, and minijinja only where it is told to.
	raw: Vec<usize>,
}

impl<'a> Tags<'a> {
	fn new(source: &'a str) -> Self {
		Self {
			source,
			at: 0,
			raw: Vec::new(),
		}
	}

	fn rest(&self) -> Option<&'a str> {
		self.source.get(self.at..)
	}

	/// The next tag: whether it is a statement, and its tokens. `None` at the end, and where the template is damaged.
	fn next(&mut self) -> Option<(bool, Vec<Token<'a>>)> {
		loop {
			self.at += self.rest()?.find('{')? + 1;
			match self.rest()?.as_bytes().first()? {
				b'#' => self.at += self.rest()?.get(1..)?.find("#}")? + 3,
				b'%' => {
					self.at += 1;
					if !self.skip_raw()? {
						return Some((true, self.tokens("%}")?));
					}
				}
				b'{' => {
					self.at += 1;
					return Some((false, self.tokens("}}")?));
				}
				_ => {}
			}
		}
	}

	/// Goes behind a `raw` block, if the tag begins one.
	fn skip_raw(&mut self) -> Option<bool> {
		let Some((len, sign)) = tag_of_word(self.rest()?, "raw") else {
			return Some(false);
		};
		self.at += len;
		if !sign {
			self.raw.push(self.at - 2);
		}
		loop {
			self.at += self.rest()?.find("{%")? + 2;
			if let Some((len, _)) = tag_of_word(self.rest()?, "endraw") {
				self.at += len;
				return Some(true);
			}
		}
	}

	/// The tokens up to the tag's end.
	fn tokens(&mut self, end: &str) -> Option<Vec<Token<'a>>> {
		let (mut tokens, mut depth) = (Vec::new(), 0_usize);
		// Of the space before the tag, not of a number.
		if self.rest()?.starts_with(['-', '+']) {
			self.at += 1;
		}
		loop {
			let rest = self.rest()?;
			if depth == 0 && rest.starts_with(end) {
				self.at += end.len();
				return Some(tokens);
			}
			let first = rest.chars().next()?;
			let (kind, len) = match first {
				_ if first.is_whitespace() => {
					self.at += first.len_utf8();
					continue;
				}
				'"' | '\'' => (Kind::Text, text_len(rest, first)?),
				'(' | '[' | '{' => (Kind::Open, 1),
				')' | ']' | '}' => (Kind::Close, 1),
				'0'..='9' => (Kind::Number, number_len(rest)),
				_ if in_name(first) => {
					let len = rest.find(|char| !in_name(char));
					(Kind::Name, len.unwrap_or(rest.len()))
				}
				_ if PAIRS.iter().any(|pair| rest.starts_with(pair)) => (Kind::Sign, 2),
				_ => (Kind::Sign, first.len_utf8()),
			};
			match kind {
				Kind::Open => depth += 1,
				Kind::Close => depth = depth.saturating_sub(1),
				_ => {}
			}
			let text = rest.get(..len)?;
			let at = self.at;
			tokens.push(Token { kind, at, text });
			self.at += len;
		}
	}
}

fn in_name(char: char) -> bool {
	char.is_alphanumeric() || char == '_'
}

/// Length of a text in quotes, with them.
fn text_len(text: &str, quote: char) -> Option<usize> {
	let mut escaped = false;
	let end = |(at, char): (usize, char)| {
		let end = char == quote && !escaped && at > 0;
		escaped = char == '\\' && !escaped;
		end.then_some(at + 1)
	};
	text.char_indices().find_map(end)
}

/// Length of a number.
fn number_len(text: &str) -> usize {
	let mut before = b' ';
	let in_number = |byte: &u8| {
		let exponent = matches!(byte, b'+' | b'-') && before.eq_ignore_ascii_case(&b'e');
		before = *byte;
		byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || exponent
	};
	text.bytes().take_while(in_number).count()
}

/// Length of a tag that holds one word, from behind its `{%`, and whether a sign before its end rules the space there.
fn tag_of_word(text: &str, word: &str) -> Option<(usize, bool)> {
	let inner = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start();
	let inner = inner.strip_prefix(word)?.trim_start();
	let unsigned = inner.strip_prefix(['-', '+']);
	let after = unsigned.unwrap_or(inner).strip_prefix("%}")?;
	Some((text.len() - after.len(), unsigned.is_some()))
}

/// `generation` blocks have a scope and nothing else, as `with` blocks without variables do.
fn generation(tokens: &[Token<'_>]) -> Option<Edit> {
	let (word, rest) = tokens.split_first()?;
	let word_of_ours = match word.text {
		"generation" => "with",
		"endgeneration" => "endwith",
		_ => return None,
	};
	let bare = match rest {
		[] => true,
		[sign] => matches!(sign.text, "-" | "+"),
		_ => false,
	};
	bare.then(|| (word.at..word.at + word.text.len(), word_of_ours.to_owned()))
}

/// `format % values` as a filter of ours, `format|filter(values)`; with numbers it is the remainder, as before.
struct Formats<'t, 'a> {
	tokens: &'t [Token<'a>],
	/// For each bracket, the one that belongs to it.
	partners: Vec<Option<usize>>,
	/// Those that are filters already.
	filters: HashSet<usize>,
}

impl<'t, 'a> Formats<'t, 'a> {
	fn new(tokens: &'t [Token<'a>]) -> Self {
		let (mut partners, mut open) = (vec![None; tokens.len()], Vec::new());
		for (index, token) in tokens.iter().enumerate() {
			match token.kind {
				Kind::Open => open.push(index),
				Kind::Close => {
					let Some(partner) = open.pop() else { continue };
					for (one, other) in [(index, partner), (partner, index)] {
						if let Some(place) = partners.get_mut(one) {
							*place = Some(other);
						}
					}
				}
				_ => {}
			}
		}
		Self {
			tokens,
			partners,
			filters: HashSet::new(),
		}
	}

	fn text(&self, index: usize) -> &'a str {
		self.tokens.get(index).map_or("", |token| token.text)
	}

	fn partner(&self, index: usize) -> Option<usize> {
		self.partners.get(index).copied().flatten()
	}

	fn edits(&mut self) -> Vec<Edit> {
		let (tokens, mut edits) = (self.tokens, Vec::new());
		for (index, token) in tokens.iter().enumerate() {
			if token.kind != Kind::Sign || token.text != "%" {
				continue;
			}
			let (Some(left), Some((right, end))) = (self.before(index), self.after(index)) else {
				continue;
			};
			// What has a number beside it is no format.
			let numbers = left == Kind::Number || right == Kind::Number;
			let Some(last) = self
				.tokens
				.get(end)
				.filter(|_| left == Kind::Text || !numbers)
			else {
				continue;
			};
			let close = last.at + last.text.len();
			edits.push((token.at..token.at + 1, format!("|{REMAINDER}(")));
			edits.push((close..close, ")".to_owned()));
			self.filters.insert(index);
		}
		edits
	}

	/// What the value before a sign begins with, if the sign takes just this value.
	fn before(&self, index: usize) -> Option<Kind> {
		let mut at = index.checked_sub(1)?;
		let kind = loop {
			let token = self.tokens.get(at).filter(|token| token.ends_value())?;
			let previous = at.checked_sub(1).and_then(|at| self.tokens.get(at));
			match (token.kind, previous) {
				(Kind::Close, _) => {
					let open = self.partner(at)?;
					let called = open.checked_sub(1).and_then(|at| self.tokens.get(at));
					if self.text(open) == "{" || !called.is_some_and(Token::ends_value) {
						at = open;
						break Kind::Open;
					}
					at = open - 1;
				}
				(Kind::Text, Some(previous)) if previous.kind == Kind::Text => at -= 1,
				(_, Some(previous)) if matches!(previous.text, "." | "|") => {
					at = at.checked_sub(2)?;
				}
				(kind, _) => break kind,
			}
		};
		let Some(previous) = at.checked_sub(1) else {
			return Some(kind);
		};
		let alone = match self.text(previous) {
			"*" | "/" | "//" | "**" | "is" => false,
			"%" => self.filters.contains(&previous),
			// Between two values, not the sign of this one.
			"-" | "+" => (previous.checked_sub(1).and_then(|at| self.tokens.get(at)))
				.is_some_and(Token::ends_value),
			_ => !self.tokens.get(previous)?.ends_value(),
		};
		alone.then_some(kind)
	}

	/// What the value after a sign begins with, and its last token.
	fn after(&self, index: usize) -> Option<(Kind, usize)> {
		let mut at = index + 1;
		if self.text(at) == "-" {
			at += 1;
		}
		let first = self.tokens.get(at)?;
		match first.kind {
			Kind::Open => at = self.partner(at)?,
			Kind::Text => {
				while self
					.tokens
					.get(at + 1)
					.is_some_and(|next| next.kind == Kind::Text)
				{
					at += 1;
				}
			}
			Kind::Name | Kind::Number if first.ends_value() => {}
			_ => return None,
		}
		loop {
			match self.text(at + 1) {
				"." | "|" => at += 2,
				"(" | "[" => at = self.partner(at + 1)?,
				"**" | "is" => return None,
				_ => return Some((first.kind, at)),
			}
		}
	}
}
