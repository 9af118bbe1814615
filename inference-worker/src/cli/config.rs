//! The configuration file: options under the names that they have on the command line.
//!
//! A key at the top is for every command that has such an option; a table is for the command of its name. What the file
//! says becomes the option's default, so the command line and the environment take precedence.

use super::files::read_text;
use anyhow::{Context, Result, bail, ensure};
use clap::{Arg, ArgAction, Command};
use std::{
	ffi::{OsStr, OsString},
	path::{Path, PathBuf},
};
use toml::{Table, Value};

/// Longest file, bytes.
const MAX_FILE: u64 = 1 << 20;
/// Options that have no place in the file.
const ELSEWHERE: [&str; 3] = ["config", "help", "version"];

/// Commands that `aria` has and `aria-worker` has not: a program without them passes over their tables, so that one file
/// serves both.
pub const NODE_COMMANDS: [&str; 12] = [
	"node",
	"key",
	"build-spec",
	"export-chain-spec",
	"check-block",
	"export-blocks",
	"export-state",
	"import-blocks",
	"purge-chain",
	"revert",
	"benchmark",
	"chain-info",
];

/// The file that the arguments, the environment or the user's folder name; the last only if it is there.
///
/// `--config` is taken out of the arguments: with some commands the parser allows no option before them.
pub(super) fn find(arguments: &mut Vec<OsString>) -> Result<Option<PathBuf>> {
	let end = arguments.iter().position(|argument| argument == "--");
	let own = arguments
		.get(..end.unwrap_or(arguments.len()))
		.unwrap_or_default();
	let equals = |argument: &OsString| {
		argument
			.to_str()?
			.strip_prefix("--config=")
			.map(PathBuf::from)
	};
	let place = own
		.iter()
		.position(|argument| argument == "--config" || equals(argument).is_some());
	if let Some(place) = place {
		if let Some(path) = own.get(place).and_then(equals) {
			arguments.remove(place);
			return Ok(Some(path));
		}
		// Without a value the parser says so.
		if place + 1 < own.len() {
			let path = arguments.drain(place..place + 2).next_back();
			return Ok(path.map(PathBuf::from));
		}
	}
	if let Some(path) = std::env::var_os("ARIA_CONFIG").filter(|path| !path.is_empty()) {
		return Ok(Some(path.into()));
	}
	let Some(path) = crate::paths::config_folder().map(|folder| folder.join("config.toml")) else {
		return Ok(None);
	};
	let there = path
		.try_exists()
		.with_context(|| format!("can't look at {}; check its permissions", path.display()))?;
	Ok(there.then_some(path))
}

/// Makes what the file says the defaults of a command line.
pub(super) fn apply(command: Command, path: &Path) -> Result<Command> {
	let text = read_text(path, MAX_FILE)?;
	let refused = || format!("in {}", path.display());
	let table: Table = text.parse().with_context(refused)?;
	fill(command, &table, "").with_context(refused)
}

fn fill(mut command: Command, table: &Table, place: &str) -> Result<Command> {
	// Tables last: they are about fewer commands.
	for (key, value) in table.iter().filter(|(_, value)| !value.is_table()) {
		let values = texts(value).with_context(|| {
			format!("{place}{key} must be a text, a number, true, false or a list of these")
		})?;
		let mut taken = false;
		command = set(command, key, &values, &mut taken)?;
		if ELSEWHERE.contains(&key.as_str()) || !taken {
			bail!(
				"unknown key {place}{key}: keys are the long options of commands, without the leading dashes, see `aria-worker help`; those of a node belong in the table [node]"
			);
		}
	}
	for (key, value) in table {
		let Some(inner) = value.as_table() else {
			continue;
		};
		let of_that_name = |command: &Command| {
			command.get_name() == key || command.get_all_aliases().any(|alias| alias == key)
		};
		let top = place.is_empty();
		let place = format!("{place}{key}.");
		if !command.get_subcommands().any(of_that_name) {
			if top && NODE_COMMANDS.contains(&key.as_str()) {
				continue;
			}
			bail!(
				"unknown table [{}]: tables are named after commands; see `aria-worker help`",
				place.trim_end_matches('.')
			);
		}
		let mut failure = None;
		command = command.mut_subcommands(|sub| {
			if !of_that_name(&sub) || failure.is_some() {
				return sub;
			}
			fill(sub, inner, &place).unwrap_or_else(|error| {
				failure = Some(error);
				Command::new("unused")
			})
		});
		if let Some(error) = failure {
			return Err(error);
		}
	}
	Ok(command)
}

/// Sets an option's default wherever it occurs.
fn set(command: Command, key: &str, values: &[String], taken: &mut bool) -> Result<Command> {
	let mut several = false;
	let command = command.mut_args(|arg| {
		let named = arg.get_long() == Some(key)
			|| arg
				.get_all_aliases()
				.is_some_and(|names| names.contains(&key));
		if !named {
			return arg;
		}
		*taken = true;
		let (arg, fits) = with_default(arg, values);
		several |= !fits;
		arg
	});
	ensure!(!several, "{key} takes one value, not a list");
	let mut failure = None;
	let command = command.mut_subcommands(|inner| {
		let name = inner.get_name().to_owned();
		set(inner, key, values, taken).unwrap_or_else(|error| {
			failure = Some(error);
			Command::new(name)
		})
	});
	failure.map_or(Ok(command), Err)
}

/// The option with these values as its default, and whether it takes so many.
fn with_default(arg: Arg, values: &[String]) -> (Arg, bool) {
	let many = matches!(arg.get_action(), ArgAction::Append)
		|| arg
			.get_num_args()
			.is_some_and(|range| range.max_values() > 1);
	let fits = many || values.len() == 1;
	// A default is there before requirements are looked at.
	let arg = arg.required(false);
	(
		arg.default_values(values.iter().map(OsStr::new).map(OsStr::to_owned)),
		fits,
	)
}

/// A value as it would stand on the command line.
fn texts(value: &Value) -> Option<Vec<String>> {
	let one = |value: &Value| match value {
		Value::String(text) => Some(text.clone()),
		Value::Integer(number) => Some(number.to_string()),
		Value::Float(number) => Some(number.to_string()),
		Value::Boolean(flag) => Some(flag.to_string()),
		_ => None,
	};
	match value {
		Value::Array(list) => list.iter().map(one).collect(),
		other => Some(vec![one(other)?]),
	}
}
