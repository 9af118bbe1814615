//! `aria-worker verify`.

use super::Machine;
use crate::{
	hub::resolve,
	receipts::{
		check::{CheckFailure, verify_receipt},
		file::ReceiptFile,
	},
};
use anyhow::{Context, Result, bail};
use aria_engine::model::Model;
use clap::Args;
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

#[derive(Args)]
pub(crate) struct VerifyArgs {
	/// Receipt file (JSON).
	receipt: PathBuf,
	/// GGUF file, Hugging Face folder, or the name of an installed model.
	#[arg(long)]
	model: PathBuf,
	/// One JSON object.
	#[arg(long)]
	json: bool,
	#[command(flatten)]
	machine: Machine,
}

/// Checks a receipt by executing its answer again.
pub(crate) fn run(args: &VerifyArgs) -> Result<ExitCode> {
	let (receipt, machine) = (&args.receipt, &args.machine);
	let text = std::fs::read_to_string(receipt)
		.with_context(|| format!("can't read {}", receipt.display()))?;
	let file = ReceiptFile::from_json(&text)?;
	let backend = machine.backend()?;
	let model = Model::open(&resolve(&args.model)?, machine.load_options(&backend))?;
	let failure = verify_receipt(&model, &backend, &file, &|| false).err();
	if let Some(CheckFailure::Grammar) = failure {
		bail!("can't verify: {}", CheckFailure::Grammar);
	}
	let failure = failure.map(|failure| failure.to_string());
	match &failure {
		_ if args.json => println!(
			"{}",
			json!({ "ok": failure.is_none(), "tokens": file.output.len(), "failure": failure })
		),
		None => println!("ok: {} tokens re-executed, same bits", file.output.len()),
		Some(failure) => println!("wrong: {failure}"),
	}
	Ok(ExitCode::from(u8::from(failure.is_some())))
}
