//! `aria-worker generate`.

use super::{
	files::read_text,
	machine::Machine,
	output,
	sampling::{
		micro, penalty, probability, repetition_penalty, signed_micro, temperature, top_p_micro,
	},
};
use crate::{energy::Meter, hub::resolve, receipts::file::ReceiptFile, schema, text::to_hex};
use anyhow::{Context, Result};
use aria_engine::{GenerateRequest, Generation, answers::alone::generate, model::Model};
use aria_kernels::Backend;
use aria_primitives::{
	H256,
	receipt::{Constraints, Grammar, Sampling},
};
use clap::Args;
use serde_json::json;
use sp_core::{Pair, sr25519};
use std::{
	cell::RefCell,
	path::{Path, PathBuf},
	process::ExitCode,
};

/// Longest file of a schema or grammar, bytes.
const MAX_GRAMMAR: u64 = 16 << 20;

#[derive(Args)]
pub(crate) struct GenerateArgs {
	/// GGUF file, Hugging Face folder, or the name of an installed model.
	#[arg(long)]
	model: PathBuf,
	/// Text to continue.
	#[arg(long)]
	prompt: String,
	/// Maximum number of tokens to generate.
	#[arg(long, default_value_t = 64)]
	max_tokens: u32,
	/// Seed of the sampler: the same seed gives the same answer.
	#[arg(long, default_value_t = 0)]
	seed: u64,
	/// Sampling temperature; 0 always takes the most likely token.
	#[arg(long, default_value_t = 0.0, value_parser = temperature)]
	temperature: f64,
	/// Sample only from the most likely tokens whose probabilities add up to this; 0 always takes the most likely one.
	#[arg(long, default_value_t = 1.0, value_parser = probability)]
	top_p: f64,
	/// Sample only from this many of the most likely tokens; 0 for all.
	#[arg(long, default_value_t = 0)]
	top_k: u32,
	/// Sample only from tokens at least this likely, relative to the most likely one.
	#[arg(long, default_value_t = 0.0, value_parser = probability)]
	min_p: f64,
	/// Make tokens that are in the prompt or the answer already less likely; 1 switches this off.
	#[arg(long, default_value_t = 1.0, value_parser = repetition_penalty)]
	repetition_penalty: f64,
	/// Subtracted from the logit of every token that is in the answer already.
	#[arg(long, default_value_t = 0.0, value_parser = penalty, allow_hyphen_values = true)]
	presence_penalty: f64,
	/// Subtracted from a token's logit for each time that it is in the answer already.
	#[arg(long, default_value_t = 0.0, value_parser = penalty, allow_hyphen_values = true)]
	frequency_penalty: f64,
	/// Added to a token's logit, as TOKEN=BIAS; may be given several times.
	#[arg(long, value_parser = bias, allow_hyphen_values = true)]
	logit_bias: Vec<(u32, i32)>,
	/// File with a JSON schema that the answer must match.
	#[arg(long, group = "form")]
	json_schema: Option<PathBuf>,
	/// Regular expression that the answer must match as a whole.
	#[arg(long, group = "form")]
	regex: Option<String>,
	/// File with a grammar, in Lark's notation, that the answer must match.
	#[arg(long, group = "form")]
	grammar: Option<PathBuf>,
	/// Stop before this text; may be given several times.
	#[arg(long)]
	stop: Vec<String>,
	/// Parse markup such as <|eot_id|> in the prompt as special tokens.
	#[arg(long)]
	special: bool,
	/// Print one JSON object instead of the text.
	#[arg(long)]
	json: bool,
	/// File to write a receipt to, signed with the key of --suri.
	#[arg(long)]
	receipt: Option<PathBuf>,
	/// Secret phrase or derivation path of the signing key.
	#[arg(
		long,
		env = "ARIA_WORKER_SURI",
		default_value = "//Alice",
		hide_env_values = true
	)]
	suri: String,
	/// Declared power of this machine under full load, in watts: used to estimate energy where it can't be measured.
	#[arg(long)]
	watts: Option<f64>,
	/// Alter one token after generating, to test that verifiers notice.
	#[cfg(feature = "fault-injection")]
	#[arg(long)]
	alter_token: bool,
	#[command(flatten)]
	machine: Machine,
}

fn bias(text: &str) -> Result<(u32, i32), String> {
	let parse = |(token, bias): (&str, &str)| {
		let (token, bias) = (token.parse().ok()?, bias.parse::<f64>().ok()?);
		let limits = -100.0..=100.0;
		limits.contains(&bias).then(|| (token, signed_micro(bias)))
	};
	let parts = text.split_once('=').and_then(parse);
	parts.ok_or_else(|| "expected TOKEN=BIAS with a bias between -100 and 100".to_owned())
}

impl GenerateArgs {
	fn sampling(&self) -> Sampling {
		Sampling {
			temperature_micro: micro(self.temperature),
			top_p_micro: top_p_micro(self.top_p),
			min_p_micro: micro(self.min_p),
			top_k: self.top_k,
			seed: self.seed,
			repetition_penalty_micro: micro(self.repetition_penalty),
			presence_penalty_micro: signed_micro(self.presence_penalty),
			frequency_penalty_micro: signed_micro(self.frequency_penalty),
			..Default::default()
		}
	}

	fn constraints(&self) -> Result<Constraints> {
		let read = |path: &Path| read_text(path, MAX_GRAMMAR);
		let grammar = if let Some(path) = &self.json_schema {
			Some(Grammar::JsonSchema(exact(read(path)?)?))
		} else if let Some(path) = &self.grammar {
			Some(Grammar::Lark(read(path)?))
		} else {
			self.regex.clone().map(Grammar::Regex)
		};
		let mut logit_bias = self.logit_bias.clone();
		logit_bias.sort_unstable();
		Ok(Constraints {
			logit_bias,
			grammar,
		})
	}
}

/// A schema such that answers obey it to the letter: as it is, unless bounds have to move.
fn exact(text: String) -> Result<String> {
	// What is wrong with it otherwise, the engine says.
	let Ok(schema) = serde_json::from_str(&text) else {
		return Ok(text);
	};
	let exact = schema::exact(&schema);
	let exact = exact.map_err(|error| anyhow::anyhow!("--json-schema can't be obeyed: {error}"))?;
	Ok(match exact == schema {
		true => text,
		false => serde_json::Value::from(exact).to_string(),
	})
}

/// Continues a text.
pub(crate) fn run(args: &GenerateArgs) -> Result<ExitCode> {
	let (sampling, constraints) = (args.sampling(), args.constraints()?);
	let backend = args.machine.backend()?;
	let model = Model::open(&resolve(&args.model)?, args.machine.load_options(&backend))?;
	let prompt = model.tokenizer.encode(&args.prompt, true, args.special)?;
	let request = GenerateRequest {
		prompt,
		max_tokens: args.max_tokens,
		sampling,
		constraints,
		stop: args.stop.clone(),
		logprobs: args.json,
		..Default::default()
	};
	let meter = Meter::discover(args.watts);
	let printed = RefCell::new(Ok(()));
	let mut print = |token: aria_engine::TokenEvent| {
		let mut printed = printed.borrow_mut();
		if !args.json && printed.is_ok() {
			*printed = output::write(token.text.as_bytes());
		}
	};
	// Without a reader there is no use in an answer, unless its receipt is wanted.
	let unread = || args.receipt.is_none() && printed.borrow().is_err();
	#[cfg_attr(
		not(feature = "fault-injection"),
		expect(unused_mut, reason = "altered by the feature")
	)]
	let mut answer = generate(&model, &backend, &meter, request, &mut print, &unread)?;
	#[cfg(feature = "fault-injection")]
	if args.alter_token {
		crate::receipts::file::alter_token(&mut answer, &model);
	}
	if let Some(path) = &args.receipt {
		let pair = sr25519::Pair::from_string(&args.suri, None)
			.map_err(|_| anyhow::anyhow!("--suri is not a secret phrase or derivation path"))?;
		let salt = H256(rand::random());
		let file = ReceiptFile::sign(&answer, model.id, 0, salt, &pair);
		let text = serde_json::to_string_pretty(&file.to_json())?;
		std::fs::write(path, text + "\n")
			.with_context(|| format!("can't write {}", path.display()))?;
	}
	printed.into_inner()?;
	if args.json {
		output::line(as_json(&answer, &model, &backend))?;
	} else {
		output::line("")?;
	}
	Ok(ExitCode::SUCCESS)
}

fn as_json(answer: &Generation, model: &Model, backend: &Backend) -> serde_json::Value {
	let decoded = answer.tokens.len().saturating_sub(1) as f64;
	json!({
		"model_root": to_hex(model.id.as_bytes()),
		"prompt_tokens": answer.prompt,
		"tokens": answer.tokens,
		"text": answer.text,
		"logprobs": answer.logprobs,
		"trace_root": to_hex(answer.trace_root.as_bytes()),
		"finish_reason": answer.finish,
		"operations": answer.operations.to_string(),
		"energy": { "microjoules": answer.energy.microjoules.to_string(), "grade": answer.energy.grade },
		"isa": backend.isa().name(),
		"threads": backend.threads(),
		"prompt_tokens_per_second": answer.prompt.len() as f64 / answer.timings.prompt_seconds.max(1e-9),
		"tokens_per_second": decoded / answer.timings.decode_seconds.max(1e-9),
	})
}
