//! The program around the commands: its name in their texts, where options come from, and how it ends.

use super::{
	config::{self, NODE_COMMANDS},
	output,
};
use anyhow::Context;
use clap::{
	Arg, ArgAction, ArgMatches, Command,
	builder::{FalseyValueParser, StyledStr},
};
use std::{
	path::{Path, PathBuf},
	process::ExitCode,
};

/// The program's name in the texts of commands.
const NAME_IN_TEXTS: &str = "aria-worker";
/// Longest error, bytes.
const MAX_ERROR: usize = 4000;

/// A program that carries the commands: `aria-worker`, or the node's `aria`.
#[derive(Debug, Clone, Copy)]
pub struct Program {
	/// Name that users type.
	pub name: &'static str,
	/// Its whole command line.
	pub command: fn() -> Command,
}

impl Program {
	/// The command line, with this program's name in all texts and an environment variable for every option of a tool.
	pub fn command(&self) -> Command {
		let config = Arg::new("config")
			.long("config")
			.value_name("FILE")
			.env("ARIA_CONFIG")
			.value_parser(clap::value_parser!(PathBuf))
			.global(true)
			.help_heading(None::<&str>)
			.help("Configuration file [default: ~/.config/aria/config.toml, if it exists]");
		(self.command)().arg(config).mut_subcommands(|word| {
			let word = self.rename_in_help(word);
			// Substrate's own words are as they are everywhere.
			match NODE_COMMANDS.contains(&word.get_name()) {
				true => word,
				false => with_variables(word),
			}
		})
	}

	/// Parses the command line; options that it does not give come from the environment, then from the
	/// configuration file. Ends the program when they are wrong or help was asked for.
	pub fn matches(&self) -> ArgMatches {
		aria_engine::model::template::isolate();
		aria_engine::grammar::isolate();
		let mut arguments = std::env::args_os().collect();
		let prepared = config::find(&mut arguments).and_then(|file| {
			let command = self.command();
			Ok(match file {
				Some(file) => (config::apply(command, &file)?, Some(file)),
				None => (command, None),
			})
		});
		let (command, file) = prepared.unwrap_or_else(|error| {
			self.print_error(&error);
			std::process::exit(2);
		});
		command
			.try_get_matches_from(arguments)
			.unwrap_or_else(|error| {
				use clap::error::ErrorKind;
				let value = matches!(
					error.kind(),
					ErrorKind::InvalidValue | ErrorKind::ValueValidation
				);
				if let (true, Some(file)) = (value, file) {
					output::note(format_args!(
						"note: options also come from {}",
						file.display()
					));
				}
				error.exit()
			})
	}

	fn print_error(&self, error: &anyhow::Error) {
		let text = self.rename(&describe(error));
		let red = anstyle::AnsiColor::Red.on_default().bold();
		output::note(format_args!("{red}error:{red:#} {text}"));
	}

	/// Prints what a command ended with, and makes it the program's exit code: 2 after an error.
	pub(super) fn end(&self, result: anyhow::Result<ExitCode>) -> ExitCode {
		match result {
			Ok(code) => code,
			Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
			Err(error) => {
				self.print_error(&error);
				ExitCode::from(2)
			}
		}
	}

	/// A command's text with this program's name in it.
	pub(super) fn rename(&self, text: &str) -> String {
		if self.name == NAME_IN_TEXTS {
			return text.to_owned();
		}
		text.replace("aria-worker serve", &format!("{} worker", self.name))
			.replace(NAME_IN_TEXTS, self.name)
	}

	/// Puts this program's name into the help of a command, its options and the commands below it.
	fn rename_in_help(&self, mut command: Command) -> Command {
		if self.name == NAME_IN_TEXTS {
			return command;
		}
		let renamed = |text: Option<&StyledStr>| {
			let text = text?.to_string();
			text.contains(NAME_IN_TEXTS).then(|| self.rename(&text))
		};
		if let Some(text) = renamed(command.get_after_help()) {
			command = command.after_help(text);
		}
		if let Some(text) = renamed(command.get_about()) {
			command = command.about(text);
		}
		if let Some(text) = renamed(command.get_long_about()) {
			command = command.long_about(text);
		}
		command
			.mut_args(|mut arg| {
				if let Some(text) = renamed(arg.get_help()) {
					arg = arg.help(text);
				}
				if let Some(text) = renamed(arg.get_long_help()) {
					arg = arg.long_help(text);
				}
				arg
			})
			.mut_subcommands(|inner| self.rename_in_help(inner))
	}
}

/// An error and its causes in one line. A cause that the text has already, because the error above quotes it, is left
/// out. Files and servers are quoted in errors, so that a long text is cut and control characters are replaced.
pub fn describe(error: &anyhow::Error) -> String {
	let mut text = error.to_string();
	for cause in error.chain().skip(1) {
		let cause = cause.to_string();
		if !text.contains(&cause) {
			text = format!("{text}: {cause}");
		}
	}
	if text.len() > MAX_ERROR {
		text.truncate(text.floor_char_boundary(MAX_ERROR));
		text += "...";
	}
	let moves_cursor = |c: char| c.is_control() && c != '\n' && c != '\t';
	text.replace(moves_cursor, "\u{fffd}")
}

/// The variable of an option.
fn variable(long: &str) -> String {
	format!("ARIA_{}", long.to_ascii_uppercase().replace('-', "_"))
}

/// Gives every option of a command, and of those below it, its environment variable.
fn with_variables(command: Command) -> Command {
	command
		.mut_args(|arg| {
			let (id, long) = (arg.get_id().as_str(), arg.get_long().map(variable));
			let Some(variable) = long.filter(|_| !matches!(id, "help" | "version")) else {
				return arg;
			};
			let flag = matches!(arg.get_action(), ArgAction::SetTrue);
			let arg = if arg.get_env().is_none() {
				arg.env(variable).hide_env(true)
			} else {
				arg
			};
			if flag {
				// 1, yes and on are true as well, in the environment as in the file.
				arg.value_parser(FalseyValueParser::new())
			} else {
				arg
			}
		})
		.mut_subcommands(with_variables)
}

/// Prints a completion script of the whole program.
pub(super) fn completions(program: &Program, shell: clap_complete::Shell) -> anyhow::Result<()> {
	let mut script = Vec::new();
	clap_complete::generate(shell, &mut program.command(), program.name, &mut script);
	output::write(&script)
}

/// Prints the program's manual page, or writes those of all commands into a folder.
pub(super) fn manual(program: &Program, folder: Option<&Path>) -> anyhow::Result<()> {
	let command = program.command().name(program.name);
	let Some(folder) = folder else {
		let mut page = Vec::new();
		clap_mangen::Man::new(command).render(&mut page)?;
		return output::write(&page);
	};
	clap_mangen::generate_to(command, folder).with_context(|| {
		format!(
			"can't write into {}; does the folder exist?",
			folder.display()
		)
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::cli::Tool;
	use clap::Subcommand;

	/// As the node's program is made, with a word of Substrate's.
	fn aria() -> Program {
		Program {
			name: "aria",
			command: || {
				let revert = Arg::new("num")
					.long("num")
					.value_parser(clap::value_parser!(u32));
				let node = Command::new("node").subcommand(Command::new("revert").arg(revert));
				Tool::augment_subcommands(Command::new("aria").subcommand(node))
			},
		}
	}

	fn texts(command: &Command, all: &mut Vec<String>) {
		all.extend(command.get_after_help().map(ToString::to_string));
		all.extend(command.get_about().map(ToString::to_string));
		all.extend(command.get_long_about().map(ToString::to_string));
		for arg in command.get_arguments() {
			all.extend(arg.get_help().map(ToString::to_string));
			all.extend(arg.get_long_help().map(ToString::to_string));
		}
		for inner in command.get_subcommands() {
			texts(inner, all);
		}
	}

	#[test]
	fn texts_should_name_the_program_that_is_running() {
		let mut all = Vec::new();
		texts(&aria().command(), &mut all);
		assert!(all.iter().any(|text| text.contains("aria worker --model")));
		assert!(all.iter().any(|text| text.contains("aria chat")));
		for text in all {
			assert!(!text.contains(NAME_IN_TEXTS), "{text}");
		}
	}

	/// Commands without commands below them, by their words.
	fn leaves(command: &Command, words: &str, all: &mut Vec<(String, Command)>) {
		for inner in command.get_subcommands() {
			let words = format!("{words} {}", inner.get_name());
			if inner.has_subcommands() {
				leaves(inner, &words, all);
			} else {
				all.push((words.trim().to_owned(), inner.clone()));
			}
		}
	}

	#[test]
	fn words_that_tell_something_should_tell_it_in_json() {
		let (mut all, mut without) = (Vec::new(), Vec::new());
		let mut command = Tool::augment_subcommands(Command::new("aria"));
		// Options of a word are options of the words below it.
		command.build();
		leaves(&command, "", &mut all);
		for (words, command) in &all {
			let has = command
				.get_arguments()
				.any(|arg| arg.get_long() == Some("json"));
			if !has && !words.split(' ').any(|word| word == "help") {
				without.push(words.as_str());
			}
		}
		// Conversations, services, and what is a file or a text for other programs already.
		let expected = [
			"chat",
			"worker",
			"api start",
			"model pull",
			"model rm",
			"receipt",
			"detokenize",
			"completions",
			"man",
		];
		assert_eq!(without, expected);
	}

	#[test]
	fn causes_should_be_told_once() {
		let io = || std::io::Error::other("disk on fire");
		let quoting = anyhow::Error::new(io()).context("can't read x: disk on fire");
		assert_eq!(describe(&quoting), "can't read x: disk on fire");
		let plain = anyhow::Error::new(io()).context("can't read x");
		assert_eq!(
			describe(&plain.context("in y")),
			"in y: can't read x: disk on fire"
		);
		let long = anyhow::anyhow!("\u{1b}[2J{}", "é".repeat(100_000));
		assert!(describe(&long).len() < MAX_ERROR + 10);
		assert!(describe(&long).starts_with("\u{fffd}[2J"));
	}

	#[test]
	fn variables_should_be_for_tools_alone() {
		let command = aria().command();
		let variable = |words: &[&str], option: &str| {
			let command = words.iter().fold(&command, |command, word| {
				command.find_subcommand(word).unwrap()
			});
			let arg = command
				.get_arguments()
				.find(|arg| arg.get_long() == Some(option));
			arg.unwrap()
				.get_env()
				.map(|name| name.to_string_lossy().into_owned())
		};
		assert_eq!(
			variable(&["chat"], "max-tokens").as_deref(),
			Some("ARIA_MAX_TOKENS")
		);
		assert_eq!(
			variable(&["worker"], "node").as_deref(),
			Some("ARIA_NODE_URL")
		);
		assert_eq!(
			variable(&["ledger"], "node-url").as_deref(),
			Some("ARIA_NODE_URL")
		);
		assert_eq!(variable(&["node", "revert"], "num"), None);
	}

	#[test]
	fn file_should_reach_words_of_words_and_other_names() {
		let folder = tempfile::tempdir().unwrap();
		let file = folder.path().join("config.toml");
		let parse = |text: &str, words: &[&str]| {
			std::fs::write(&file, text).unwrap();
			let command = config::apply(aria().command(), &file).unwrap();
			command.try_get_matches_from(words).unwrap()
		};
		let matches = parse("[node.revert]\nnum = 5\n", &["aria", "node", "revert"]);
		let (_, node) = matches.subcommand().unwrap();
		let (_, revert) = node.subcommand().unwrap();
		assert_eq!(revert.get_one::<u32>("num"), Some(&5));
		let text =
			"node-url = 'ws://there:1'\n[serve]\nmodel = 'x'\nroles = ['worker', 'verifier']\n";
		let matches = parse(text, &["aria", "worker"]);
		let (_, worker) = matches.subcommand().unwrap();
		assert_eq!(worker.get_one::<String>("node").unwrap(), "ws://there:1");
		assert_eq!(
			worker
				.get_many::<crate::service::Role>("roles")
				.unwrap()
				.len(),
			2
		);
	}
}
