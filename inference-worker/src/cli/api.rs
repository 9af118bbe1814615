//! `aria-worker api`: a running worker's API.

use super::api_status;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct ApiArgs {
	#[command(subcommand)]
	command: ApiCommand,
}

#[derive(Subcommand)]
enum ApiCommand {
	/// Show whether a worker is ready, and which models it has.
	#[command(after_help = "Example:\n  aria-worker api status --url http://127.0.0.1:3000 --json")]
	Status(api_status::StatusArgs),
}

/// Runs the command.
pub(super) fn run(args: &ApiArgs) -> Result<ExitCode> {
	match &args.command {
		ApiCommand::Status(args) => api_status::run(args),
	}
}
