//! `aria-worker tokenize` and `aria-worker detokenize`.

use super::output;
use anyhow::{Context, Result, bail, ensure};
use aria_engine::tokenizer::Tokenizer;
use clap::Args;
use std::{io::Read, path::PathBuf, process::ExitCode};

/// Longest input, bytes.
const MAX_INPUT: u64 = 256 << 20;

#[derive(Args)]
pub(crate) struct TokenizeArgs {
	/// GGUF file (a vocabulary alone will do), Hugging Face folder or tokenizer.json.
	#[arg(long)]
	model: PathBuf,
	/// Leave out the token that begins a text (BOS).
	#[arg(long)]
	no_bos: bool,
	/// Parse markup such as <|eot_id|> as special tokens; without this it is text like any other.
	#[arg(long)]
	special: bool,
	/// Print one JSON array of ids.
	#[arg(long)]
	json: bool,
}

#[derive(Args)]
pub(crate) struct DetokenizeArgs {
	/// GGUF file (a vocabulary alone will do), Hugging Face folder or tokenizer.json.
	#[arg(long)]
	model: PathBuf,
	/// Print special tokens as the vocabulary spells them; without this they are left out.
	#[arg(long)]
	special: bool,
}

/// All of standard input.
fn input() -> Result<String> {
	let mut bytes = Vec::new();
	std::io::stdin()
		.lock()
		.take(MAX_INPUT + 1)
		.read_to_end(&mut bytes)
		.context("standard input can't be read")?;
	ensure!(
		bytes.len() as u64 <= MAX_INPUT,
		"standard input is longer than {MAX_INPUT} bytes"
	);
	String::from_utf8(bytes).map_err(|error| {
		let at = error.utf8_error().valid_up_to();
		anyhow::anyhow!(
			"standard input is not UTF-8 at byte {at}; convert it first, for example with iconv"
		)
	})
}

/// Prints the tokens of a text.
pub(crate) fn tokenize(args: &TokenizeArgs) -> Result<ExitCode> {
	let tokenizer = Tokenizer::open(&args.model)?;
	let ids = tokenizer.encode(&input()?, !args.no_bos, args.special)?;
	if args.json {
		output::line(serde_json::to_string(&ids)?)?;
		return Ok(ExitCode::SUCCESS);
	}
	let mut text = String::new();
	for id in ids {
		let spelling = tokenizer.token(id).unwrap_or_default();
		let piece = if tokenizer.is_control(id) {
			spelling.to_owned()
		} else {
			format!("{:?}", String::from_utf8_lossy(&tokenizer.bytes(id)))
		};
		text += &format!("{id:>7}  {piece}\n");
	}
	output::write(text.as_bytes())?;
	Ok(ExitCode::SUCCESS)
}

/// Ids of a JSON array, or with white space between them.
fn parse(text: &str) -> Result<Vec<u32>> {
	if text.trim_start().starts_with('[') {
		return serde_json::from_str(text)
			.context("standard input is not a JSON array of token ids");
	}
	let ids = text.split_whitespace().map(|word| {
		let id = word.parse();
		id.with_context(|| {
			format!("{word:?} is not a token id: give a JSON array, or ids with spaces between")
		})
	});
	ids.collect()
}

/// Prints the text of tokens.
pub(crate) fn detokenize(args: &DetokenizeArgs) -> Result<ExitCode> {
	let tokenizer = Tokenizer::open(&args.model)?;
	let ids = parse(&input()?)?;
	if let Some(id) = ids.iter().find(|id| tokenizer.token(**id).is_none()) {
		bail!(
			"token {id} is not in the vocabulary of {} tokens",
			tokenizer.len()
		);
	}
	if !args.special {
		output::write(&tokenizer.detokenize_bytes(&ids))?;
		return Ok(ExitCode::SUCCESS);
	}
	let mut text = Vec::new();
	for run in ids.chunk_by(|one, two| tokenizer.is_control(*one) == tokenizer.is_control(*two)) {
		match run {
			[first, ..] if tokenizer.is_control(*first) => {
				let spellings = run.iter().filter_map(|id| tokenizer.token(*id));
				text.extend(spellings.flat_map(str::bytes));
			}
			_ => text.extend(tokenizer.detokenize_bytes(run)),
		}
	}
	output::write(&text)?;
	Ok(ExitCode::SUCCESS)
}
