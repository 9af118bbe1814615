//! `aria-worker inspect`.

use super::output;
use crate::{service::I2sBlock, text::to_hex};
use anyhow::Result;
use aria_engine::model::{Dither, Head, LoadOptions, Model};
use aria_kernels::Packing;
use clap::Args;
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

#[derive(Args)]
pub(crate) struct InspectArgs {
	/// GGUF file, Hugging Face folder, or the name of an installed model.
	file: PathBuf,
	/// Print one JSON object.
	#[arg(long)]
	json: bool,
	/// Block size of I2_S tensors, in weights, which the file does not say: 64 if they were quantised on ARM since November 2025.
	#[arg(long, value_enum, default_value = "128")]
	i2s_block: I2sBlock,
}

/// Bytes for people.
fn size(bytes: u64) -> String {
	format!("{:.1} MB", bytes as f64 / 1e6)
}

fn words(model: &Model) -> Result<()> {
	let config = &model.config();
	let line = |name: &str, text: String| output::line(format_args!("{name:<12}{text}"));
	line("name", model.name.clone())?;
	line(
		"licence",
		model
			.licence
			.clone()
			.unwrap_or_else(|| "not stated in the file".into()),
	)?;
	line("model root", to_hex(model.id.as_bytes()))?;
	line(
		"family",
		format!(
			"{:?}, architecture {}, {:?}",
			config.family, config.architecture, config.activation
		),
	)?;
	line(
		"shape",
		format!(
			"{} layers of width {}, feed-forward {}, {} heads of {} on {} key heads",
			config.layers,
			config.hidden,
			config.ffn,
			config.heads,
			config.head_dim,
			config.kv_heads
		),
	)?;
	line(
		"context",
		format!(
			"{} tokens, rotary base {}",
			config.context, config.rope_theta
		),
	)?;
	line(
		"weights",
		format!(
			"{} million, {} in memory",
			model.parameters() / 1_000_000,
			size(model.weights.packed_bytes())
		),
	)?;
	line(
		"embedding",
		format!(
			"{} rows, {} in memory",
			config.vocab,
			size(model.weights.embedding_bytes())
		),
	)?;
	line(
		"head",
		match (&model.weights.head, model.tied) {
			(None, _) => "none: makes embeddings".into(),
			(Some(_), true) => "made from the embedding".into(),
			(Some(Head::Int8(_)), false) => "its own, in eight bits".into(),
			(Some(Head::Ternary(_)), false) => "its own, ternary".into(),
		},
	)?;
	line(
		"cache",
		format!("{} for 1000 tokens", size(1000 * config.cache_bytes())),
	)?;
	let tokenizer = &model.tokenizer;
	line(
		"tokenizer",
		format!(
			"{}, {} tokens, ends at {:?}",
			tokenizer.pre(),
			tokenizer.len(),
			tokenizer.end_tokens()
		),
	)?;
	let template = match model.template.usable() {
		Err(fault) => format!("no chats: {fault}"),
		Ok(()) if model.template.source().is_some() => "yes".into(),
		Ok(()) => "no: role lines are used".into(),
	};
	line("template", template)
}

/// Shows a model.
pub(crate) fn run(args: &InspectArgs) -> Result<ExitCode> {
	let options = LoadOptions {
		packing: Packing::Dense,
		i2_block: args.i2s_block.into(),
		dither: Dither::random(),
	};
	let model = Model::open(&crate::hub::resolve(&args.file)?, options)?;
	if !args.json {
		words(&model)?;
		return Ok(ExitCode::SUCCESS);
	}
	let report = json!({
		"name": model.name,
		"licence": model.licence,
		"model_root": to_hex(model.id.as_bytes()),
		"canonical_bytes": model.bytes,
		"packed_bytes": model.weights.packed_bytes(),
		"cache_bytes_per_token": model.config().cache_bytes(),
		"parameters": model.parameters(),
		"config": model.config(),
		"tokenizer": {
			"pre": model.tokenizer.pre(),
			"tokens": model.tokenizer.len(),
			"bos": model.tokenizer.bos(),
			"end_tokens": model.tokenizer.end_tokens(),
		},
		"chat_template": model.template.source().is_some() && model.template.usable().is_ok(),
		"tied_head": model.tied,
		"operations": model.operations(),
	});
	output::line(report)?;
	Ok(ExitCode::SUCCESS)
}
