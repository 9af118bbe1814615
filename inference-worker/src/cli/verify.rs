//! `aria-worker verify`.

use super::Machine;
use anyhow::{Context, Result};
use aria_worker::{
	engine::{receipt::ReceiptFile, recheck::verify_receipt},
	model::Model,
};
use std::{path::Path, process::ExitCode};

/// Checks a receipt by executing its answer again.
pub(crate) fn run(receipt: &Path, model: &Path, machine: &Machine) -> Result<ExitCode> {
	let text = std::fs::read_to_string(receipt)
		.with_context(|| format!("can't read {}", receipt.display()))?;
	let file = ReceiptFile::from_json(&text)?;
	let backend = machine.backend()?;
	let model = Model::open(model, backend.packing())?;
	match verify_receipt(&model, &backend, &file, &|| false) {
		Ok(()) => {
			println!("ok: {} tokens re-executed, same bits", file.output.len());
			Ok(ExitCode::SUCCESS)
		}
		Err(failure) => {
			println!("wrong: {failure}");
			Ok(ExitCode::from(1))
		}
	}
}
