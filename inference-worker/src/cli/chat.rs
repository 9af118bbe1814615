//! `aria-worker chat`: a conversation.

use super::{
	Program,
	exchange::{Question, Reply, Settings},
	interrupt::Interrupt,
	output,
	program::describe,
	responder::{Responder, ResponderArgs},
};
use crate::paths;
use anyhow::{Context, Result};
use clap::Args;
use rustyline::{DefaultEditor, error::ReadlineError};
use serde_json::{Value, json};
use std::{
	io::{BufRead, IsTerminal, Read, Write},
	path::{Path, PathBuf},
	process::ExitCode,
};

/// Longest message from a pipe, bytes.
const MAX_LINE: u64 = 8 << 20;
/// Lines kept for the arrow keys.
const HISTORY: usize = 1000;

const HELP: &str = "\
/help             this list
/clear            forget the conversation
/system [TEXT]    begin anew with this system message, or with none
/regenerate       answer the last message again, with the next seed
/save FILE        write the conversation and its receipts as JSON
/stats            switch tokens per second and energy after each answer on or off
/quit             end the chat (or Ctrl-D)

Ctrl-C stops an answer. A line that begins with // is a message that begins with /.";

#[derive(Args)]
#[command(
	mut_arg("max_tokens", |arg| arg.default_value("512")),
	mut_arg("temperature", |arg| arg.default_value("0.7"))
)]
pub(crate) struct ChatArgs {
	/// System message, before the first message.
	#[arg(long)]
	system: Option<String>,
	/// Show tokens per second and energy after each answer.
	#[arg(long)]
	stats: bool,
	/// Keep no history of the lines that are typed.
	#[arg(long)]
	no_history: bool,
	/// Folder of the history [default: ~/.local/share/aria].
	#[arg(long)]
	state_dir: Option<PathBuf>,
	#[command(flatten)]
	responder: ResponderArgs,
}

/// What was said so far.
struct Conversation {
	system: Option<String>,
	/// Messages after the system's.
	messages: Vec<Value>,
	receipts: Vec<Value>,
	settings: Settings,
	stats: bool,
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
	Message(&'a str),
	Help,
	Clear,
	System(&'a str),
	Regenerate,
	Save(&'a str),
	Stats,
	Quit,
	Nothing,
	Unknown(&'a str),
}

fn parse(line: &str) -> Line<'_> {
	let line = line.trim();
	if line.is_empty() {
		return Line::Nothing;
	}
	let Some(command) = line.strip_prefix('/') else {
		return Line::Message(line);
	};
	if command.starts_with('/') {
		return Line::Message(command);
	}
	let (word, rest) = command
		.split_once(char::is_whitespace)
		.unwrap_or((command, ""));
	match word {
		"help" | "?" => Line::Help,
		"clear" => Line::Clear,
		"system" => Line::System(rest.trim()),
		"regenerate" => Line::Regenerate,
		"save" => Line::Save(rest.trim()),
		"stats" => Line::Stats,
		"quit" | "exit" | "bye" => Line::Quit,
		_ => Line::Unknown(word),
	}
}

impl Conversation {
	fn ask(&mut self, responder: &Responder, interrupt: &Interrupt) -> Result<Reply> {
		let mut messages = Vec::new();
		if let Some(system) = &self.system {
			messages.push(json!({ "role": "system", "content": system }));
		}
		messages.extend(self.messages.iter().cloned());
		let mut show = |text: &str| output::write(text.as_bytes());
		interrupt.clear();
		let question = Question::Chat(&messages);
		let answer = responder.ask(&question, &self.settings, interrupt, &mut show);
		output::line("")?;
		let answer = answer?;
		if answer.finish == "cancelled" {
			note("stopped");
		}
		self.messages
			.push(json!({ "role": "assistant", "content": answer.text }));
		self.receipts.extend(answer.receipt.clone());
		if self.stats {
			note(&answer.stats());
		}
		Ok(answer)
	}

	/// The last question again, as if it had not been answered; false when there is none.
	fn take_back(&mut self) -> bool {
		while self
			.messages
			.last()
			.is_some_and(|message| message["role"] == "assistant")
		{
			self.messages.pop();
		}
		!self.messages.is_empty()
	}

	fn save(&self, model: &str, path: &Path) -> Result<()> {
		let mut messages: Vec<Value> = Vec::new();
		if let Some(system) = &self.system {
			messages.push(json!({ "role": "system", "content": system }));
		}
		messages.extend(self.messages.iter().cloned());
		let content = json!({ "model": model, "messages": messages, "receipts": self.receipts });
		let text = serde_json::to_string_pretty(&content)?;
		let mut file = std::fs::File::create_new(path).with_context(|| {
			format!("can't write {}; choose a name that is free", path.display())
		})?;
		file.write_all(text.as_bytes())?;
		Ok(file.write_all(b"\n")?)
	}

	/// Does what a line says; false ends the conversation.
	fn obey(&mut self, line: &str, responder: &Responder, interrupt: &Interrupt) -> Result<bool> {
		match parse(line) {
			Line::Nothing => {}
			Line::Quit => return Ok(false),
			Line::Help => note(HELP),
			Line::Clear => {
				self.messages.clear();
				self.receipts.clear();
				note("forgotten");
			}
			Line::System(text) => {
				self.messages.clear();
				self.receipts.clear();
				self.system = (!text.is_empty()).then(|| text.to_owned());
				note(if self.system.is_some() {
					"set; the conversation begins anew"
				} else {
					"none; the conversation begins anew"
				});
			}
			Line::Stats => {
				self.stats = !self.stats;
				note(if self.stats { "on" } else { "off" });
			}
			Line::Save("") => note("give a file: /save conversation.json"),
			Line::Save(path) => match self.save(responder.model(), Path::new(path)) {
				Ok(()) => note(&format!(
					"written to {path}, with {} receipt(s)",
					self.receipts.len()
				)),
				Err(error) => note(&describe(&error)),
			},
			Line::Unknown(word) => note(&format!("no command /{word}: /help lists them")),
			Line::Regenerate => {
				if self.take_back() {
					self.settings.seed = self.settings.seed.wrapping_add(1);
					self.ask(responder, interrupt)?;
				} else {
					note("nothing was asked yet");
				}
			}
			Line::Message(text) => {
				self.messages
					.push(json!({ "role": "user", "content": text }));
				if let Err(error) = self.ask(responder, interrupt) {
					self.messages.pop();
					return Err(error);
				}
			}
		}
		Ok(true)
	}
}

/// Something that the program says, not the model.
fn note(text: &str) {
	let dim = anstyle::Style::new().dimmed();
	output::note(format_args!("{dim}{text}{dim:#}"));
}

/// Talks until the end of the input.
pub(super) fn run(args: &ChatArgs, program: &Program) -> Result<ExitCode> {
	let responder = args.responder.responder()?;
	let mut conversation = Conversation {
		system: args.system.clone(),
		messages: Vec::new(),
		receipts: Vec::new(),
		settings: args.responder.settings(),
		stats: args.stats,
	};
	if std::io::stdin().is_terminal() {
		interactive(args, &mut conversation, &responder, program)?;
	} else {
		plain(&mut conversation, &responder)?;
	}
	Ok(ExitCode::SUCCESS)
}

/// Every line of a pipe or file is a message; the first error ends it.
fn plain(conversation: &mut Conversation, responder: &Responder) -> Result<()> {
	let mut input = std::io::stdin().lock();
	loop {
		let mut line = Vec::new();
		let read = (&mut input)
			.take(MAX_LINE + 1)
			.read_until(b'\n', &mut line)
			.context("can't read standard input")?;
		anyhow::ensure!(read as u64 <= MAX_LINE, "a line is longer than 8 MiB");
		let line = String::from_utf8(line).context("standard input is not UTF-8 text")?;
		if read == 0 || !conversation.obey(&line, responder, &Interrupt::never())? {
			return Ok(());
		}
	}
}

fn interactive(
	args: &ChatArgs,
	conversation: &mut Conversation,
	responder: &Responder,
	program: &Program,
) -> Result<()> {
	let config = rustyline::Config::builder()
		.max_history_size(HISTORY)?
		.auto_add_history(true)
		.build();
	let mut editor = DefaultEditor::with_config(config).context("can't use this terminal")?;
	let folder = args.state_dir.clone().or_else(paths::data_folder);
	let file = folder
		.filter(|_| !args.no_history)
		.map(|folder| folder.join("chat-history"));
	if let Some(file) = &file
		&& file.exists()
		&& let Err(error) = editor.load_history(file)
	{
		note(&format!("can't read {}: {error}", file.display()));
	}
	let interrupt = Interrupt::watch()?;
	note(&format!(
		"{}; /help for help, Ctrl-D to end",
		responder.model()
	));
	loop {
		match editor.readline("> ") {
			Ok(line) => match conversation.obey(&line, responder, &interrupt) {
				Ok(true) => {}
				Ok(false) => break,
				Err(error) if output::is_closed(&error) => return Err(error),
				// The prompt was too long or the server busy: the conversation goes on.
				Err(error) => note(&program.rename(&describe(&error))),
			},
			Err(ReadlineError::Interrupted) => note("/quit or Ctrl-D ends"),
			Err(ReadlineError::Eof) => break,
			Err(error) => return Err(error.into()),
		}
	}
	if let Some(file) = &file {
		let folder = file.parent().unwrap_or(Path::new("."));
		let saved = std::fs::create_dir_all(folder)
			.map_err(ReadlineError::from)
			.and_then(|()| editor.save_history(file));
		if let Err(error) = saved {
			note(&format!(
				"can't keep the history in {}: {error}",
				file.display()
			));
		}
	}
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn lines_should_be_messages_or_commands() {
		assert_eq!(parse("  hello / there "), Line::Message("hello / there"));
		assert_eq!(parse("//etc"), Line::Message("/etc"));
		assert_eq!(parse("/system  be brief "), Line::System("be brief"));
		assert_eq!(parse("/system"), Line::System(""));
		assert_eq!(parse("/save a b.json"), Line::Save("a b.json"));
		assert_eq!(parse("/quit"), Line::Quit);
		assert_eq!(parse("/what now"), Line::Unknown("what"));
		assert_eq!(parse(" \t"), Line::Nothing);
	}
}
