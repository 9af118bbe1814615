//! Tokens that are cut out of a text before it is cut into words, and tokens that end an answer.

use super::{
	error::{TokenizerError, damaged, large},
	vocab::{Kind, Vocabulary},
};
use aho_corasick::{AhoCorasick, MatchKind};
use std::ops::Range;

/// Texts of tokens that end a turn, whatever the file says.
const END_OF_TURN: [&str; 11] = [
	"<|eot_id|>",
	"<|im_end|>",
	"<|end|>",
	"<|endoftext|>",
	"<|end_of_text|>",
	"<|eom_id|>",
	"<end_of_turn>",
	"<EOT>",
	"<turn|>",
	"<end_of_utterance>",
	"<｜end▁of▁sentence｜>",
];

/// Most bytes of all such tokens together.
const MAX_BYTES: usize = 4 << 20;

/// A piece of a text.
pub(super) enum Piece<'a> {
	/// Text to be cut into words.
	Text(&'a str),
	/// A token.
	Token(u32),
}

/// Texts to look for.
struct Finder {
	/// None if there is nothing to look for.
	machine: Option<AhoCorasick>,
	ids: Vec<u32>,
}

impl Finder {
	fn new<'a>(list: impl Iterator<Item = (u32, &'a str)>) -> Result<Self, TokenizerError> {
		let (ids, texts): (Vec<u32>, Vec<&str>) = list.filter(|(_, text)| !text.is_empty()).unzip();
		if texts.iter().map(|text| text.len()).sum::<usize>() > MAX_BYTES {
			return Err(large("too much text in control and user-defined tokens"));
		}
		let machine = (!texts.is_empty()).then(|| {
			AhoCorasick::builder()
				.match_kind(MatchKind::LeftmostLongest)
				.build(texts)
				.map_err(damaged)
		});
		Ok(Self {
			machine: machine.transpose()?,
			ids,
		})
	}
}

/// Tokens that are cut out of a text before everything else.
pub(super) struct Specials {
	/// Markup and user-defined tokens.
	all: Finder,
	/// User-defined tokens.
	plain: Finder,
}

impl Specials {
	/// Collects them.
	pub(super) fn new(vocabulary: &Vocabulary) -> Result<Self, TokenizerError> {
		let of = |kinds: &'static [Kind]| {
			let wanted = vocabulary
				.iter()
				.filter(|(_, _, kind)| kinds.contains(kind));
			Finder::new(wanted.map(|(id, token, _)| (id, token)))
		};
		Ok(Self {
			all: of(&[Kind::Control, Kind::UserDefined])?,
			plain: of(&[Kind::UserDefined])?,
		})
	}

	/// Cuts a text; markup in it is text unless `parse_special`.
	pub(super) fn each(
		&self,
		text: &str,
		parse_special: bool,
		mut found: impl FnMut(Piece<'_>) -> Result<(), TokenizerError>,
	) -> Result<(), TokenizerError> {
		let finder = if parse_special {
			&self.all
		} else {
			&self.plain
		};
		let mut at = 0;
		let plain =
			|range: Range<usize>, found: &mut dyn FnMut(Piece<'_>) -> _| match text.get(range) {
				Some(piece) if !piece.is_empty() => found(Piece::Text(piece)),
				_ => Ok(()),
			};
		if let Some(machine) = &finder.machine {
			for hit in machine.find_iter(text) {
				plain(at..hit.start(), &mut found)?;
				if let Some(id) = finder.ids.get(hit.pattern().as_usize()) {
					found(Piece::Token(*id))?;
				}
				at = hit.end();
			}
		}
		plain(at..text.len(), &mut found)
	}
}

/// Tokens that end an answer, ascending: the given ones and markup that is known to end a turn.
pub(super) fn end_tokens(vocabulary: &Vocabulary, given: impl Iterator<Item = u32>) -> Vec<u32> {
	let markup = |kind| kind == Kind::Control || kind == Kind::UserDefined;
	let known = vocabulary
		.iter()
		.filter(|(_, token, kind)| markup(*kind) && END_OF_TURN.contains(token))
		.map(|(id, _, _)| id);
	let mut ends: Vec<u32> = given.chain(known).collect();
	ends.sort_unstable();
	ends.dedup();
	ends
}
