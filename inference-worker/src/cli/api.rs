//! `aria-worker api`: a worker's API and its keys.

use super::{api_key, api_status, serve};
use crate::service::ServiceArgs;
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
	/// Serve the API: with a --worker-key as `worker` does; without one, no chain is needed, and receipts are signed but not
	/// committed.
	#[command(
		after_help = "Examples:\n  aria-worker api start --model model.gguf\n  aria-worker api start --model bitnet-2b4t --api-port 8080"
	)]
	Start(Box<ServiceArgs>),
	/// Show whether a worker is ready, and which models it serves.
	#[command(after_help = "Example:\n  aria-worker api status --url http://127.0.0.1:3000 --json")]
	Status(api_status::StatusArgs),
	/// Make, list and revoke the keys that requests must bring.
	#[command(
		after_help = "Examples:\n  aria-worker api key new alice\n  aria-worker api key list\n  aria-worker api key revoke alice"
	)]
	Key(api_key::KeyArgs),
}

/// Runs the command.
pub(super) fn run(args: ApiArgs) -> Result<ExitCode> {
	match args.command {
		ApiCommand::Start(mut args) => {
			args.offline |= args.worker_key.is_none();
			serve::run(*args)
		}
		ApiCommand::Status(args) => api_status::run(&args),
		ApiCommand::Key(args) => api_key::run(&args),
	}
}
