//! `aria-worker infer`: one question, one answer.

use super::{exchange::Question, interrupt::Interrupt, output, responder::ResponderArgs};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;
use std::{io::Read, process::ExitCode};

/// Longest question from standard input, bytes.
const MAX_QUESTION: u64 = 8 << 20;

#[derive(Args)]
pub(crate) struct InferArgs {
	/// The question; - reads it from standard input.
	query: String,
	/// System message, before the question.
	#[arg(long, conflicts_with = "raw")]
	system: Option<String>,
	/// Continue the text instead of answering it as a message: for models without training in chat.
	#[arg(long)]
	raw: bool,
	/// Print one JSON object with the answer, its usage and its receipt.
	#[arg(long)]
	json: bool,
	/// Print tokens per second and energy to standard error.
	#[arg(long)]
	stats: bool,
	#[command(flatten)]
	responder: ResponderArgs,
}

/// Asks.
pub(super) fn run(args: &InferArgs) -> Result<ExitCode> {
	let query = if args.query == "-" {
		let mut text = String::new();
		std::io::stdin()
			.take(MAX_QUESTION + 1)
			.read_to_string(&mut text)
			.context("can't read the question from standard input")?;
		ensure!(
			text.len() as u64 <= MAX_QUESTION,
			"the question is longer than 8 MiB: shorten it"
		);
		text
	} else {
		args.query.clone()
	};
	let mut messages = Vec::new();
	if let Some(system) = &args.system {
		messages.push(json!({ "role": "system", "content": system }));
	}
	messages.push(json!({ "role": "user", "content": query }));
	let question = if args.raw {
		Question::Text(&query)
	} else {
		Question::Chat(&messages)
	};
	let responder = args.responder.responder()?;
	let mut show = |text: &str| match args.json {
		true => Ok(()),
		false => output::write(text.as_bytes()),
	};
	let settings = args.responder.settings();
	let answer = responder.ask(&question, &settings, &Interrupt::never(), &mut show)?;
	if args.json {
		output::line(answer.to_json())?;
	} else {
		output::line("")?;
	}
	if args.stats {
		output::note(answer.stats());
	}
	Ok(ExitCode::SUCCESS)
}
