//! Methods of Python's texts, lists and objects that minijinja's own set lacks, or knows with fewer arguments.

use super::python::{arguments, fail};
use minijinja::{
	Error, ErrorKind, State, Value,
	value::{Tuple, ValueKind},
};

/// Calls a method of a value that the library does not know.
pub(super) fn call(
	state: &mut State<'_, '_>,
	value: &Value,
	method: &str,
	args: &[Value],
) -> Result<Value, Error> {
	let ours = match (value.kind(), value.as_str()) {
		(_, Some(text)) => of_text(state, text, method, args)?,
		(ValueKind::Map, _) => of_map(value, method, args)?,
		(ValueKind::Seq | ValueKind::Iterable, _) => of_list(value, method, args)?,
		(ValueKind::Number, _) if method == "is_integer" => {
			let [] = arguments(args, [])?;
			let number = f64::try_from(value.clone());
			Some(number.is_ok_and(|number| number.fract() == 0.0).into())
		}
		_ => None,
	};
	match ours {
		Some(value) => Ok(value),
		None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
	}
}

fn of_map(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
	if method != "copy" {
		return Ok(None);
	}
	let [] = arguments(args, [])?;
	Ok(Some(value.clone()))
}

fn of_list(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
	match method {
		"copy" => of_map(value, method, args),
		"index" => {
			let [item] = arguments(args, ["value"])?;
			let item = needed(item)?;
			for (index, other) in value.try_iter()?.checked().enumerate() {
				if other? == item {
					return Ok(Some(index.into()));
				}
			}
			Err(fail(format!("{item:?} is not in the list")))
		}
		_ => Ok(None),
	}
}

/// An argument that must be there.
fn needed(value: Option<Value>) -> Result<Value, Error> {
	value.ok_or_else(|| Error::from(ErrorKind::MissingArgument))
}

/// A text that must be there.
fn text_of(value: &Option<Value>) -> Result<&str, Error> {
	let value = value.as_ref();
	let value = value.ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
	let text = value.as_str();
	text.ok_or_else(|| fail(format!("a text is needed, not {}", value.kind())))
}

/// A number, if one was given.
fn number(value: Option<Value>) -> Result<Option<i64>, Error> {
	let given = value.filter(|value| !value.is_none());
	given.map(i64::try_from).transpose()
}

fn of_text(
	state: &State<'_, '_>,
	text: &str,
	method: &str,
	args: &[Value],
) -> Result<Option<Value>, Error> {
	let found: Value = match method {
		"split" | "rsplit" => {
			let [separator, most] = arguments(args, ["sep", "maxsplit"])?;
			let separator = separator.filter(|separator| !separator.is_none());
			let most = usize::try_from(number(most)?.unwrap_or(-1)).unwrap_or(usize::MAX);
			let parts = match &separator {
				None => words(text, most, method == "rsplit"),
				Some(_) => parts(text, text_of(&separator)?, most, method == "rsplit")?,
			};
			parts.into_iter().collect()
		}
		"splitlines" => {
			let [keep] = arguments(args, ["keepends"])?;
			let keep = keep.is_some_and(|keep| keep.is_true());
			let lines = lines(text).into_iter();
			lines
				.map(|(line, end)| {
					if keep {
						[line, end].concat()
					} else {
						line.to_owned()
					}
				})
				.collect()
		}
		"partition" | "rpartition" => {
			let [separator] = arguments(args, ["sep"])?;
			let separator = text_of(&separator)?;
			if separator.is_empty() {
				return Err(fail("empty separator"));
			}
			let three = match method {
				"partition" => text
					.split_once(separator)
					.map_or([text, "", ""], |(before, after)| [before, separator, after]),
				_ => text
					.rsplit_once(separator)
					.map_or(["", "", text], |(before, after)| [before, separator, after]),
			};
			Tuple::from(three.map(Value::from)).into()
		}
		"removeprefix" | "removesuffix" => {
			let [affix] = arguments(args, ["affix"])?;
			let affix = text_of(&affix)?;
			let rest = match method {
				"removeprefix" => text.strip_prefix(affix),
				_ => text.strip_suffix(affix),
			};
			rest.unwrap_or(text).into()
		}
		"ljust" | "rjust" | "center" | "zfill" => {
			let [width, fill] = arguments(args, ["width", "fillchar"])?;
			let fill = match &fill {
				Some(_) => text_of(&fill)?,
				None if method == "zfill" => "0",
				None => " ",
			};
			padded(state, text, number(width)?.unwrap_or(0), fill, method)?.into()
		}
		"find" | "rfind" | "index" | "rindex" | "count" => {
			let [needle, start, end] = arguments(args, ["sub", "start", "end"])?;
			let (needle, part) = (
				text_of(&needle)?,
				window(text, number(start)?, number(end)?),
			);
			if method == "count" {
				return Ok(Some(
					part.map_or(0, |(_, part)| part.matches(needle).count())
						.into(),
				));
			}
			let place = part.and_then(|(before, part)| {
				let at = match method {
					"find" | "index" => part.find(needle),
					_ => part.rfind(needle),
				};
				Some(before + part.get(..at?)?.chars().count())
			});
			match place {
				Some(place) => place.into(),
				None if method.ends_with("index") => return Err(fail("substring not found")),
				None => (-1).into(),
			}
		}
		"startswith" | "endswith" => {
			let [affix, start, end] = arguments(args, ["affix", "start", "end"])?;
			let (affix, part) = (needed(affix)?, window(text, number(start)?, number(end)?));
			let affixes = match affix.as_str() {
				Some(_) => vec![affix],
				None => affix.try_iter()?.checked().collect::<Result<_, _>>()?,
			};
			let mut any = false;
			for affix in affixes {
				let affix = Some(affix);
				let affix = text_of(&affix)?;
				any |= part.is_some_and(|(_, part)| match method {
					"startswith" => part.starts_with(affix),
					_ => part.ends_with(affix),
				});
			}
			any.into()
		}
		"title" => {
			let [] = arguments(args, [])?;
			titled(text).into()
		}
		"swapcase" => {
			let [] = arguments(args, [])?;
			let swapped = text.chars().map(|char| match char.is_uppercase() {
				true => char.to_lowercase().to_string(),
				false => char.to_uppercase().to_string(),
			});
			swapped.collect::<String>().into()
		}
		"casefold" => {
			let [] = arguments(args, [])?;
			text.to_lowercase().replace('ß', "ss").into()
		}
		"istitle" => {
			let [] = arguments(args, [])?;
			(text.chars().any(cased) && titled(text) == text).into()
		}
		"isdecimal" => {
			let [] = arguments(args, [])?;
			(!text.is_empty() && text.chars().all(|char| char.is_ascii_digit())).into()
		}
		_ => return Ok(None),
	};
	Ok(Some(found))
}

/// Pieces between spaces, of which `most` are cut off, from the left or the right.
fn words(text: &str, most: usize, from_right: bool) -> Vec<String> {
	let mut words: Vec<&str> = Vec::new();
	let mut rest = if from_right {
		text.trim_end()
	} else {
		text.trim_start()
	};
	while !rest.is_empty() && words.len() < most {
		let word;
		(word, rest) = if from_right {
			let (before, word) = rest.rsplit_once(char::is_whitespace).unwrap_or(("", rest));
			(word, before.trim_end())
		} else {
			let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
			(word, after.trim_start())
		};
		words.push(word);
	}
	if !rest.is_empty() {
		words.push(rest);
	}
	if from_right {
		words.reverse();
	}
	words.into_iter().map(str::to_owned).collect()
}

/// Pieces between separators, of which `most` are cut off, from the left or the right.
fn parts(text: &str, separator: &str, most: usize, from_right: bool) -> Result<Vec<String>, Error> {
	if separator.is_empty() {
		return Err(fail("empty separator"));
	}
	let count = most.saturating_add(1);
	let mut parts: Vec<String> = match from_right {
		false => text.splitn(count, separator).map(str::to_owned).collect(),
		true => text.rsplitn(count, separator).map(str::to_owned).collect(),
	};
	if from_right {
		parts.reverse();
	}
	Ok(parts)
}

/// Lines as `splitlines` has them, with what ends each.
pub(super) fn lines(text: &str) -> Vec<(&str, &str)> {
	const ENDS: [char; 10] = [
		'\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
		'\u{2029}',
	];
	let (mut lines, mut rest) = (Vec::new(), text);
	while let Some(at) = rest.find(ENDS) {
		let (line, after) = rest.split_at(at);
		let first = after.chars().next().map_or(0, char::len_utf8);
		let end = if after.starts_with("\r\n") { 2 } else { first };
		let (end, after) = after.split_at(end);
		lines.push((line, end));
		rest = after;
	}
	if !rest.is_empty() {
		lines.push((rest, ""));
	}
	lines
}

/// The text between two places, as slices have them, and how many characters are before it. `None` if it ends before it
/// begins.
fn window(text: &str, start: Option<i64>, end: Option<i64>) -> Option<(usize, &str)> {
	if start.is_none() && end.is_none() {
		return Some((0, text));
	}
	let count = text.chars().count();
	let place = |place: i64| match usize::try_from(place) {
		Ok(place) => place,
		Err(_) => count.saturating_sub(usize::try_from(place.unsigned_abs()).unwrap_or(count)),
	};
	let (start, end) = (start.map_or(0, place), end.map_or(count, place).min(count));
	if start > end {
		return None;
	}
	let byte = |place: usize| {
		text.char_indices()
			.nth(place)
			.map_or(text.len(), |(at, _)| at)
	};
	Some((start, text.get(byte(start)..byte(end))?))
}

/// A text that is at least so wide.
pub(super) fn padded(
	state: &State<'_, '_>,
	text: &str,
	width: i64,
	fill: &str,
	method: &str,
) -> Result<String, Error> {
	if fill.chars().count() != 1 {
		return Err(fail(
			"the fill character must be exactly one character long",
		));
	}
	let width = usize::try_from(width).unwrap_or(0);
	let missing = width.saturating_sub(text.chars().count());
	// Before there is so much text.
	state.consume_fuel((missing / 64 * fill.len()) as u64)?;
	let fills = |count: usize| fill.repeat(count);
	Ok(match method {
		"ljust" => [text, &fills(missing)].concat(),
		"center" => {
			let left = missing / 2 + (missing & width & 1);
			[&fills(left), text, &fills(missing - left)].concat()
		}
		"zfill" if text.starts_with(['+', '-']) => {
			let (sign, digits) = text.split_at(1);
			[sign, &fills(missing), digits].concat()
		}
		_ => [&fills(missing), text].concat(),
	})
}

fn cased(char: char) -> bool {
	char.is_lowercase() || char.is_uppercase()
}

/// Every word's first letter large; words end where letters do.
fn titled(text: &str) -> String {
	let mut inside = false;
	let letter = |char: char| {
		let letter = match inside {
			true => char.to_lowercase().to_string(),
			false => char.to_uppercase().to_string(),
		};
		inside = cased(char);
		letter
	};
	text.chars().map(letter).collect()
}
