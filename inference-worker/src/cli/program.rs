//! The program around the commands: its name in their texts, where options come from, and how it ends.

use super::{Tool, config};
use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command, Subcommand, builder::FalseyValueParser};
use std::{
	path::{Path, PathBuf},
	process::ExitCode,
};

/// The name under which the texts of commands speak of the program.
const WRITTEN: &str = "aria-worker";

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
			.help("File with options [default: ~/.config/aria/config.toml, if it is there]");
		let name = self.name;
		(self.command)().arg(config).mut_subcommands(|word| {
			match Tool::has_subcommand(word.get_name()) {
				true => dress(word, name),
				// Substrate's own words are as they are everywhere.
				false => word,
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
			self.complain(&error);
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
					anstream::eprintln!("note: options also come from {}", file.display());
				}
				error.exit()
			})
	}

	fn complain(&self, error: &anyhow::Error) {
		let text = in_the_words_of(self.name, &format!("{error:#}"));
		let red = anstyle::AnsiColor::Red.on_default().bold();
		anstream::eprintln!("{red}error:{red:#} {text}");
	}

	/// Prints what a command ended with, and makes it the program's exit code: 2 after an error.
	pub(super) fn end(&self, result: anyhow::Result<ExitCode>) -> ExitCode {
		match result {
			Ok(code) => code,
			Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
			Err(error) => {
				self.complain(&error);
				ExitCode::from(2)
			}
		}
	}
}

/// Whether whoever read our output has had enough of it, as `head` has.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
	error.chain().any(|cause| {
		cause
			.downcast_ref::<std::io::Error>()
			.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
	})
}

/// A text that names the program as `aria-worker`, for a program of another name.
fn in_the_words_of(program: &str, text: &str) -> String {
	if program == WRITTEN {
		return text.to_owned();
	}
	text.replace("aria-worker serve", &format!("{program} worker"))
		.replace(WRITTEN, program)
}

/// The variable of an option.
fn variable(long: &str) -> String {
	format!("ARIA_{}", long.to_ascii_uppercase().replace('-', "_"))
}

fn dress(mut command: Command, program: &str) -> Command {
	if program != WRITTEN {
		if let Some(text) = command.get_after_help() {
			let text = in_the_words_of(program, &text.to_string());
			command = command.after_help(text);
		}
		if let Some(text) = command.get_about() {
			let text = in_the_words_of(program, &text.to_string());
			command = command.about(text);
		}
	}
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
		.mut_subcommands(|inner| dress(inner, program))
}

/// Prints a completion script of the whole program.
pub(super) fn completions(program: &Program, shell: clap_complete::Shell) -> anyhow::Result<()> {
	let mut script = Vec::new();
	clap_complete::generate(shell, &mut program.command(), program.name, &mut script);
	std::io::Write::write_all(&mut std::io::stdout(), &script)?;
	Ok(())
}

/// Prints the program's manual page, or writes those of all commands into a folder.
pub(super) fn manual(program: &Program, folder: Option<&Path>) -> anyhow::Result<()> {
	let command = program.command().name(program.name);
	let Some(folder) = folder else {
		let mut page = Vec::new();
		clap_mangen::Man::new(command).render(&mut page)?;
		std::io::Write::write_all(&mut std::io::stdout(), &page)?;
		return Ok(());
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
			assert!(!text.contains(WRITTEN), "{text}");
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
			"detokenize",
			"completions",
			"man",
		];
		assert_eq!(without, expected);
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
