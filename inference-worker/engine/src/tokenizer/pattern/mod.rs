//! A small matcher for the patterns that cut text into words.
//!
//! It backtracks as Perl's and Oniguruma's do, so the first alternative that fits wins and look-ahead works, but it
//! keeps a greedy run of one class as one entry of its stack and counts its steps: text from strangers can neither
//! exhaust the memory nor take quadratic time, it is refused. Character classes are those of the Unicode version of
//! `regex-syntax`.

mod classes;
mod parse;
mod program;

pub(super) use program::Pattern;

use super::error::TokenizerError;
use program::{Inst, NO_LIMIT};
use std::ops::Range;

/// Steps granted for every byte of text.
const STEPS_PER_BYTE: usize = 256;
/// Steps granted for any text.
const STEPS: usize = 1 << 20;

/// A place to go back to: any end from `low` to `high`, the highest first.
struct Choice {
	at: usize,
	low: usize,
	high: usize,
}

struct Run<'a> {
	pattern: &'a Pattern,
	text: &'a str,
	stack: Vec<Choice>,
	steps: usize,
}

/// The search took too many steps.
struct OutOfSteps;

fn char_at(text: &str, at: usize) -> Option<char> {
	match text.as_bytes().get(at) {
		Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
		_ => text.get(at..)?.chars().next(),
	}
}

fn before(text: &str, mut at: usize) -> usize {
	loop {
		at = at.saturating_sub(1);
		if text.is_char_boundary(at) {
			return at;
		}
	}
}

impl Run<'_> {
	/// End of the longest run of a class from `at`, at most `max` characters; and the end of its first `min`.
	fn run(&mut self, class: u32, min: u32, max: u32, at: usize) -> Option<(usize, usize)> {
		let (mut count, mut end, mut low) = (0, at, at);
		while count < max
			&& let Some(char) = char_at(self.text, end)
			&& self.pattern.classes.of(char) >> class & 1 == 1
		{
			end += char.len_utf8();
			count += 1;
			if count == min {
				low = end;
			}
		}
		self.steps = self.steps.saturating_sub(count as usize);
		(count >= min).then_some((low, end))
	}

	/// End of the match of the program from instruction `at` at `from`.
	fn fit(&mut self, at: usize, from: usize) -> Result<Option<usize>, OutOfSteps> {
		let base = self.stack.len();
		let (mut at, mut here) = (at, from);
		loop {
			self.steps = self.steps.checked_sub(1).ok_or(OutOfSteps)?;
			let next = match self.pattern.program.get(at) {
				Some(Inst::Run(class, min, max)) => {
					self.run(*class, *min, *max, here).map(|(low, high)| {
						if low < high {
							self.stack.push(Choice {
								at: at + 1,
								low,
								high: before(self.text, high),
							});
						}
						(at + 1, high)
					})
				}
				Some(Inst::Split(first, second)) => {
					self.stack.push(Choice {
						at: *second,
						low: here,
						high: here,
					});
					Some((*first, here))
				}
				Some(Inst::Jump(there)) => Some((*there, here)),
				Some(Inst::Look(negative, after)) => {
					let fits = self.fit(at + 1, here)?.is_some();
					(fits != *negative).then_some((*after, here))
				}
				Some(Inst::End) => (here == self.text.len()).then_some((at + 1, here)),
				Some(Inst::Match) | None => {
					self.stack.truncate(base);
					return Ok(Some(here));
				}
			};
			if let Some((instruction, position)) = next {
				(at, here) = (instruction, position);
				continue;
			}
			if self.stack.len() <= base {
				return Ok(None);
			}
			let Some(choice) = self.stack.pop() else {
				return Ok(None);
			};
			(at, here) = (choice.at, choice.high);
			if choice.low < choice.high {
				self.stack.push(Choice {
					high: before(self.text, choice.high),
					..choice
				});
			}
		}
	}
}

impl Pattern {
	/// Compiles a pattern.
	pub(super) fn new(source: &str) -> Result<Self, TokenizerError> {
		parse::compile(source)
	}

	/// Calls `found` with every match and every gap between matches, in order and without empty ones.
	pub(super) fn split(
		&self,
		text: &str,
		mut found: impl FnMut(Range<usize>) -> Result<(), TokenizerError>,
	) -> Result<(), TokenizerError> {
		let mut run = Run {
			pattern: self,
			text,
			stack: Vec::new(),
			steps: text.len().saturating_mul(STEPS_PER_BYTE) + STEPS,
		};
		let (mut gap, mut at) = (0, 0);
		while let Some(char) = char_at(text, at) {
			let end = run.fit(0, at).map_err(|OutOfSteps| {
				TokenizerError::Encode("cutting it into words takes too long".into())
			})?;
			match end.filter(|end| *end > at) {
				Some(end) => {
					if gap < at {
						found(gap..at)?;
					}
					found(at..end)?;
					(gap, at) = (end, end);
				}
				// Where a run of the first class led nowhere, its tails lead nowhere either.
				None => {
					let skip = self
						.leading
						.and_then(|class| run.run(class, 1, NO_LIMIT, at));
					at = skip.map_or(at + char.len_utf8(), |(_, end)| end);
				}
			}
		}
		if gap < text.len() {
			found(gap..text.len())?;
		}
		Ok(())
	}
}
