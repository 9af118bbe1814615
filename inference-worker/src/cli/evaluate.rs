//! `aria-worker evaluate` and `aria-worker embed`: what a model makes of a given text.

use super::{machine::Machine, output};
use crate::{hub::resolve, text::to_hex};
use anyhow::{Context, Result, ensure};
use aria_engine::{
	answers::{
		evaluate::{embed, evaluate},
		sampler::logprob,
	},
	model::Model,
};
use clap::Args;
use serde_json::json;
use std::{io::Read, path::PathBuf, process::ExitCode};

/// Longest text, bytes.
const MAX_TEXT: u64 = 16 << 20;

#[derive(Args)]
pub(crate) struct TextArgs {
	/// GGUF file, Hugging Face folder, or the name of an installed model.
	#[arg(long)]
	model: PathBuf,
	/// Token ids, separated by commas; without them a text is read from standard input.
	#[arg(long, value_delimiter = ',')]
	tokens: Vec<u32>,
	/// One JSON object, with all logits of every position.
	#[arg(long)]
	json: bool,
	#[command(flatten)]
	machine: Machine,
}

impl TextArgs {
	fn read(&self, model: &Model) -> Result<Vec<u32>> {
		if !self.tokens.is_empty() {
			return Ok(self.tokens.clone());
		}
		let mut text = String::new();
		std::io::stdin()
			.take(MAX_TEXT + 1)
			.read_to_string(&mut text)
			.context("can't read a text in UTF-8 from standard input")?;
		ensure!(
			text.len() as u64 <= MAX_TEXT,
			"standard input is longer than 16 MiB"
		);
		Ok(model.tokenizer.encode(&text, true, false)?)
	}
}

/// Prints how likely the model finds a text.
pub(crate) fn run(args: &TextArgs) -> Result<ExitCode> {
	let backend = args.machine.backend()?;
	let model = Model::open(&resolve(&args.model)?, args.machine.load_options(&backend))?;
	let tokens = args.read(&model)?;
	let (mut logits, mut logprobs, mut hits) = (Vec::new(), Vec::new(), 0);
	evaluate(&model, &backend, &tokens, |position, row| {
		if let Some(next) = tokens.get(position + 1) {
			logprobs.push(logprob(row, *next));
			hits += usize::from(aria_kernels::scalar::argmax(row) == *next as usize);
		}
		if args.json {
			logits.push(row.to_vec());
		}
	})?;
	let sum: f64 = logprobs.iter().map(|logprob| f64::from(*logprob)).sum();
	let mean = sum / logprobs.len().max(1) as f64;
	if args.json {
		output::line(json!({
			"model_root": to_hex(model.id.as_bytes()),
			"tokens": tokens,
			"logprobs": logprobs,
			"logits": logits,
		}))?;
	} else {
		let (tokens, scored, perplexity) = (tokens.len(), logprobs.len(), (-mean).exp());
		output::line(format_args!("tokens          {tokens}"))?;
		output::line(format_args!("log probability {mean:.4} per token"))?;
		output::line(format_args!("perplexity      {perplexity:.3}"))?;
		output::line(format_args!(
			"best token      right {hits} of {scored} times"
		))?;
	}
	Ok(ExitCode::SUCCESS)
}

/// Prints the embedding of a text.
pub(crate) fn run_embed(args: &TextArgs) -> Result<ExitCode> {
	let backend = args.machine.backend()?;
	let model = Model::open(&resolve(&args.model)?, args.machine.load_options(&backend))?;
	let tokens = args.read(&model)?;
	let embedding = embed(&model, &backend, &tokens, &|| false)?;
	if args.json {
		let root = to_hex(model.id.as_bytes());
		output::line(json!({ "model_root": root, "tokens": tokens, "embedding": embedding }))?;
	} else {
		let numbers: Vec<String> = embedding.iter().map(ToString::to_string).collect();
		output::line(numbers.join(" "))?;
	}
	Ok(ExitCode::SUCCESS)
}
