//! What a pattern is compiled to.

use super::classes::Classes;

/// A repetition without upper limit.
pub(super) const NO_LIMIT: u32 = u32::MAX;

/// An instruction.
pub(super) enum Inst {
	/// At least, at most so many characters of a class, as many as possible.
	Run(u32, u32, u32),
	/// Go on at the first, then at the second.
	Split(usize, usize),
	/// Go on there.
	Jump(usize),
	/// What follows up to there must fit, or must not (`true`).
	Look(bool, usize),
	/// The end of the text.
	End,
	/// Done.
	Match,
}

/// A compiled pattern.
pub(in crate::tokenizer) struct Pattern {
	pub(super) program: Vec<Inst>,
	pub(super) classes: Classes,
	/// Class of the unlimited run with which every match begins.
	pub(super) leading: Option<u32>,
}
