//! `aria-worker receipt`: a receipt of this machine's own journal, for its operator.

use super::{onchain::identifier, output};
use crate::{receipts::journal::Snapshot, service::default_state_dir};
use anyhow::{Context, Result};
use aria_primitives::H256;
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

#[derive(Args)]
pub(crate) struct ReceiptArgs {
	/// The receipt's identifier: `receipt_id` of an answer.
	#[arg(value_parser = identifier)]
	id: H256,
	/// The worker's folder [default: ~/.local/share/aria/worker].
	#[arg(long)]
	state_dir: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &ReceiptArgs) -> Result<ExitCode> {
	let dir = match &args.state_dir {
		Some(dir) => dir.clone(),
		None => default_state_dir()?,
	};
	let entry = Snapshot::read(&dir)?.get(&args.id)?;
	let entry = entry.with_context(|| {
		format!(
			"the journal in {} has no such receipt; another worker's folder may, see --state-dir",
			dir.display()
		)
	})?;
	output::line(format_args!("{:#}", entry.file.to_json()))?;
	Ok(ExitCode::SUCCESS)
}
