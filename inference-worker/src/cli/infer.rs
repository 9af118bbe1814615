//! `aria-worker infer`: one question, one answer.

use super::{
	interrupt::Interrupt,
	partner::{PartnerArgs, Question},
};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;
use std::{
	io::{Read, Write},
	process::ExitCode,
};

/// Longest question from standard input, bytes.
const MAX_QUESTION: u64 = 8 << 20;

#[derive(Args)]
pub(crate) struct InferArgs {
	/// The question; - reads it from standard input.
	query: String,
	/// What the model is told before the question.
	#[arg(long, conflicts_with = "raw")]
	system: Option<String>,
	/// The question is a text to continue, not a message: for models that were not taught to talk.
	#[arg(long)]
	raw: bool,
	/// One JSON object with the answer, its usage and its receipt.
	#[arg(long)]
	json: bool,
	/// Tokens per second and energy, on standard error.
	#[arg(long)]
	stats: bool,
	#[command(flatten)]
	partner: PartnerArgs,
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
	let partner = args.partner.partner()?;
	let mut out = std::io::stdout();
	let mut show = |text: &str| -> Result<()> {
		if !args.json {
			out.write_all(text.as_bytes())?;
			out.flush()?;
		}
		Ok(())
	};
	let settings = args.partner.settings();
	let answer = partner.ask(&question, &settings, &Interrupt::never(), &mut show)?;
	if args.json {
		writeln!(out, "{}", answer.to_json())?;
	} else {
		writeln!(out)?;
	}
	if args.stats {
		anstream::eprintln!("{}", answer.stats());
	}
	Ok(ExitCode::SUCCESS)
}
