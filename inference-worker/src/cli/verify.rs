//! `aria-worker verify`.

use super::{files::read_text, machine::Machine, output};
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

/// Longest receipt file, bytes: more than the text and tokens of the longest answer take.
const MAX_RECEIPT: u64 = 256 << 20;

#[derive(Args)]
pub(crate) struct VerifyArgs {
	/// Receipt file (JSON).
	receipt: PathBuf,
	/// GGUF file, Hugging Face folder, or the name of an installed model.
	#[arg(long)]
	model: PathBuf,
	/// Print one JSON object.
	#[arg(long)]
	json: bool,
	#[command(flatten)]
	machine: Machine,
}

/// Checks a receipt by executing its answer again.
pub(crate) fn run(args: &VerifyArgs) -> Result<ExitCode> {
	let (receipt, machine) = (&args.receipt, &args.machine);
	let text = read_text(receipt, MAX_RECEIPT)?;
	let file = ReceiptFile::from_json(&text).with_context(|| receipt.display().to_string())?;
	let backend = machine.backend()?;
	let model = Model::open(&resolve(&args.model)?, machine.load_options(&backend))?;
	let failure = verify_receipt(&model, &backend, &file, &|| false).err();
	if let Some(CheckFailure::Grammar) = failure {
		bail!("can't verify: {}", CheckFailure::Grammar);
	}
	let failure = failure.map(|failure| failure.to_string());
	let tokens = file.output.len();
	let printed = match &failure {
		_ if args.json => {
			output::line(json!({ "ok": failure.is_none(), "tokens": tokens, "failure": failure }))
		}
		None => output::line(format_args!("ok: {tokens} tokens re-executed, same bits")),
		Some(failure) => output::line(format_args!("wrong: {failure}")),
	};
	output::finding(ExitCode::from(u8::from(failure.is_some())), printed)
}
