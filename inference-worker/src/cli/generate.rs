//! `aria-worker generate`.

use super::Machine;
use anyhow::{Context, Result};
use aria_kernels::Backend;
use aria_primitives::{H256, receipt::Sampling};
use aria_worker::{
	energy::{Meter, POWERCAP},
	engine::{
		GenerateRequest, Generation,
		generate::generate,
		receipt::{ReceiptFile, to_hex},
	},
	model::Model,
};
use clap::Args;
use serde_json::json;
use sp_core::{Pair, sr25519};
use std::{
	io::Write,
	path::{Path, PathBuf},
	process::ExitCode,
};

#[derive(Args)]
pub(crate) struct GenerateArgs {
	/// GGUF file.
	#[arg(long)]
	model: PathBuf,
	/// Text to continue.
	#[arg(long)]
	prompt: String,
	/// Most tokens to write.
	#[arg(long, default_value_t = 64)]
	max_tokens: u32,
	/// Key of the sampler.
	#[arg(long, default_value_t = 0)]
	seed: u64,
	/// 0 always takes the likeliest token.
	#[arg(long, default_value_t = 0.0)]
	temperature: f64,
	/// Keep the likeliest tokens that make up this probability.
	#[arg(long, default_value_t = 1.0)]
	top_p: f64,
	/// Keep this many of the likeliest tokens; 0 keeps all.
	#[arg(long, default_value_t = 0)]
	top_k: u32,
	/// End before this text; may be given several times.
	#[arg(long)]
	stop: Vec<String>,
	/// Treat markup such as <|eot_id|> in the prompt as special tokens.
	#[arg(long)]
	special: bool,
	/// One JSON object instead of the text.
	#[arg(long)]
	json: bool,
	/// Write a receipt here, signed with the key of --suri.
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
	/// Declared power in watts, for an estimate where the processor shows no counters.
	#[arg(long)]
	watts: Option<f64>,
	/// Alter one token after generating, to test that verifiers notice.
	#[cfg(feature = "fault-injection")]
	#[arg(long)]
	alter_token: bool,
	#[command(flatten)]
	machine: Machine,
}

fn micro(value: f64, name: &str) -> Result<u32> {
	anyhow::ensure!(
		value.is_finite() && (0.0..=100.0).contains(&value),
		"--{name} must be between 0 and 100"
	);
	Ok((value * 1e6).round() as u32)
}

/// Continues a text.
pub(crate) fn run(args: &GenerateArgs) -> Result<ExitCode> {
	let sampling = Sampling {
		temperature_micro: micro(args.temperature, "temperature")?,
		top_p_micro: micro(args.top_p, "top-p")?,
		min_p_micro: 0,
		top_k: args.top_k,
		seed: args.seed,
	};
	let backend = args.machine.backend()?;
	let model = Model::open(&aria_worker::hub::resolve(&args.model)?, backend.packing())?;
	let prompt = model.tokenizer.encode(&args.prompt, true, args.special)?;
	let request = GenerateRequest {
		prompt,
		max_tokens: args.max_tokens,
		sampling,
		stop: args.stop.clone(),
		top_logprobs: 0,
	};
	let meter = Meter::new(Path::new(POWERCAP), args.watts);
	let mut out = std::io::stdout();
	let mut print = |token: aria_worker::engine::TokenEvent| {
		if !args.json {
			// A closed pipe ends the program at the final write below.
			drop(
				out.write_all(token.text.as_bytes())
					.and_then(|()| out.flush()),
			);
		}
	};
	#[cfg_attr(
		not(feature = "fault-injection"),
		expect(unused_mut, reason = "altered by the feature")
	)]
	let mut answer = generate(&model, &backend, &meter, request, &mut print, &|| false)?;
	#[cfg(feature = "fault-injection")]
	if args.alter_token {
		aria_worker::engine::alter_token(&mut answer, &model);
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
	if args.json {
		println!("{}", as_json(&answer, &model, &backend));
	} else {
		println!();
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
