//! Reads the part of regular-expression syntax that pre-tokenizers use into a program for the matcher.

use super::{
	classes::Classes,
	program::{Inst, NO_LIMIT, Pattern},
};
use crate::tokenizer::error::{TokenizerError, damaged};
use regex_syntax::hir::{Class, HirKind};

/// Ranges of characters, first and last.
type Ranges = Vec<(u32, u32)>;

/// A piece of a pattern.
#[derive(Clone)]
enum Node {
	/// One character of a class.
	Set(usize),
	/// One after the other.
	Sequence(Vec<Node>),
	/// The first that fits.
	Choice(Vec<Node>),
	/// As often as possible.
	Repeat(Box<Node>, u32, u32),
	/// Must follow, or must not.
	Look(Box<Node>, bool),
	/// The end of the text.
	End,
}

struct Parser<'a> {
	source: &'a str,
	at: usize,
	fold: bool,
	classes: Vec<Ranges>,
}

impl Parser<'_> {
	fn fail<T>(&self, problem: &str) -> Result<T, TokenizerError> {
		Err(damaged(format!(
			"pattern {:?}: {problem} at byte {}",
			self.source, self.at
		)))
	}

	fn rest(&self) -> &str {
		self.source.get(self.at..).unwrap_or_default()
	}

	fn eat(&mut self, text: &str) -> bool {
		let found = self.rest().starts_with(text);
		if found {
			self.at += text.len();
		}
		found
	}

	/// Number of the class that `source`, one class or character in regular-expression syntax, stands for.
	fn class(&mut self, source: &str) -> Result<usize, TokenizerError> {
		let fold = if self.fold { "(?i)" } else { "" };
		let hir = match regex_syntax::parse(&format!("{fold}{source}")) {
			Ok(hir) => hir,
			Err(_) => return self.fail("unknown class"),
		};
		let ranges: Ranges = match hir.kind() {
			HirKind::Class(Class::Unicode(class)) => class
				.iter()
				.map(|range| (u32::from(range.start()), u32::from(range.end())))
				.collect(),
			HirKind::Class(Class::Bytes(class)) => class
				.iter()
				.map(|range| (u32::from(range.start()), u32::from(range.end())))
				.collect(),
			HirKind::Literal(literal) => match std::str::from_utf8(&literal.0)
				.ok()
				.map(|text| text.chars().collect::<Vec<_>>())
				.as_deref()
			{
				Some([char]) => vec![(u32::from(*char), u32::from(*char))],
				_ => return self.fail("not one character"),
			},
			_ => return self.fail("not a class"),
		};
		if let Some(index) = self.classes.iter().position(|known| *known == ranges) {
			return Ok(index);
		}
		self.classes.push(ranges);
		Ok(self.classes.len() - 1)
	}

	fn choice(&mut self, depth: usize) -> Result<Node, TokenizerError> {
		if depth > 16 {
			return self.fail("too deep");
		}
		let mut options = vec![self.sequence(depth)?];
		while self.eat("|") {
			options.push(self.sequence(depth)?);
		}
		Ok(match options.pop() {
			Some(only) if options.is_empty() => only,
			last => {
				options.extend(last);
				Node::Choice(options)
			}
		})
	}

	fn sequence(&mut self, depth: usize) -> Result<Node, TokenizerError> {
		let mut nodes = Vec::new();
		while !self.rest().is_empty() && !self.rest().starts_with(['|', ')']) {
			let atom = self.atom(depth)?;
			nodes.push(self.repeat(atom)?);
		}
		Ok(Node::Sequence(nodes))
	}

	fn group(&mut self, depth: usize) -> Result<Node, TokenizerError> {
		let inner = self.choice(depth + 1)?;
		if self.eat(")") {
			return Ok(inner);
		}
		self.fail("open group")
	}

	fn atom(&mut self, depth: usize) -> Result<Node, TokenizerError> {
		if self.eat("(?:") {
			return self.group(depth);
		}
		if self.eat("(?i:") {
			let before = std::mem::replace(&mut self.fold, true);
			let inner = self.group(depth);
			self.fold = before;
			return inner;
		}
		for (open, negative) in [("(?!", true), ("(?=", false)] {
			if self.eat(open) {
				return Ok(Node::Look(Box::new(self.group(depth)?), negative));
			}
		}
		if self.eat("$") {
			return Ok(Node::End);
		}
		let mut chars = self.rest().char_indices();
		let len = match chars.next() {
			Some((_, '[')) => self.bracket()?,
			Some((_, '\\')) => match chars.next() {
				Some((_, 'p' | 'P')) => self.rest().find('}').map_or(0, |end| end + 1),
				Some((at, char)) => at + char.len_utf8(),
				None => 0,
			},
			Some((_, '(' | ')' | '*' | '+' | '?' | '{' | '.' | '^')) | None => 0,
			Some((_, char)) => char.len_utf8(),
		};
		let Some(source) = self.rest().get(..len).filter(|source| !source.is_empty()) else {
			return self.fail("unexpected text");
		};
		let source = source.to_owned();
		let class = self.class(&source)?;
		self.at += len;
		Ok(Node::Set(class))
	}

	/// Length of the bracketed class that begins here.
	fn bracket(&self) -> Result<usize, TokenizerError> {
		let (mut depth, mut escaped) = (0, false);
		for (at, char) in self.rest().char_indices() {
			match char {
				_ if escaped => escaped = false,
				'\\' => escaped = true,
				'[' => depth += 1,
				']' => {
					depth -= 1;
					if depth == 0 {
						return Ok(at + 1);
					}
				}
				_ => {}
			}
		}
		self.fail("open class")
	}

	fn repeat(&mut self, node: Node) -> Result<Node, TokenizerError> {
		let (min, max) = if self.eat("?") {
			(0, 1)
		} else if self.eat("*") {
			(0, NO_LIMIT)
		} else if self.eat("+") {
			(1, NO_LIMIT)
		} else if self.eat("{") {
			let Some((counts, _)) = self.rest().split_once('}') else {
				return self.fail("open count");
			};
			let len = counts.len() + 1;
			let (min, max) = counts.split_once(',').unwrap_or((counts, counts));
			let (Ok(min), Ok(max)) = (min.parse(), max.parse()) else {
				return self.fail("bad count");
			};
			self.at += len;
			if min > max || max > 1024 {
				return self.fail("bad count");
			}
			(min, max)
		} else {
			return Ok(node);
		};
		Ok(Node::Repeat(Box::new(node), min, max))
	}
}

fn emit(node: &Node, program: &mut Vec<Inst>) {
	match node {
		Node::Set(class) => program.push(Inst::Run(*class as u32, 1, 1)),
		Node::End => program.push(Inst::End),
		Node::Sequence(nodes) => nodes.iter().for_each(|node| emit(node, program)),
		Node::Choice(options) => {
			let mut exits = Vec::new();
			for (index, option) in options.iter().enumerate() {
				let last = index + 1 == options.len();
				let split = program.len();
				if !last {
					program.push(Inst::Split(split + 1, 0));
				}
				emit(option, program);
				if !last {
					exits.push(program.len());
					program.push(Inst::Jump(0));
					program[split] = Inst::Split(split + 1, program.len());
				}
			}
			let end = program.len();
			for exit in exits {
				program[exit] = Inst::Jump(end);
			}
		}
		Node::Repeat(inner, min, max) => {
			if let Node::Set(class) = **inner {
				program.push(Inst::Run(class as u32, *min, *max));
				return;
			}
			for _ in 0..*min {
				emit(inner, program);
			}
			if *max == NO_LIMIT {
				let split = program.len();
				program.push(Inst::Split(split + 1, 0));
				emit(inner, program);
				program.push(Inst::Jump(split));
				program[split] = Inst::Split(split + 1, program.len());
				return;
			}
			let mut splits = Vec::new();
			for _ in *min..*max {
				splits.push(program.len());
				program.push(Inst::Jump(0));
				emit(inner, program);
			}
			let end = program.len();
			for split in splits {
				program[split] = Inst::Split(split + 1, end);
			}
		}
		Node::Look(inner, negative) => {
			let start = program.len();
			program.push(Inst::Jump(0));
			emit(inner, program);
			program.push(Inst::Match);
			program[start] = Inst::Look(*negative, program.len());
		}
	}
}

/// Compiles a pattern.
pub(super) fn compile(source: &str) -> Result<Pattern, TokenizerError> {
	let mut parser = Parser {
		source,
		at: 0,
		fold: false,
		classes: Vec::new(),
	};
	let node = parser.choice(0)?;
	if !parser.rest().is_empty() {
		return parser.fail("unexpected text");
	}
	if parser.classes.len() > Classes::MOST {
		return parser.fail("too many classes");
	}
	let mut program = Vec::new();
	emit(&node, &mut program);
	program.push(Inst::Match);
	let leading = match program.first() {
		Some(Inst::Run(class, 1, NO_LIMIT)) => Some(*class),
		_ => None,
	};
	Ok(Pattern {
		program,
		classes: Classes::new(&parser.classes),
		leading,
	})
}
