//! `aria-worker`: the commands of a machine that computes, without a node.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use aria_worker::cli::{Program, Tool};
use clap::{CommandFactory, FromArgMatches, Parser};
use std::process::ExitCode;

/// ARIA's inference worker, and the commands around it.
#[derive(Parser)]
#[command(
	name = "aria-worker",
	version,
	after_help = "Examples:\n  aria-worker chat --model model.gguf\n  aria-worker infer 'What is ternary?' --url http://127.0.0.1:3000\n  aria-worker serve --model model.gguf --worker-key file:worker.key\n  aria-worker verify receipt.json --model model.gguf\n  aria-worker doctor\n  aria-worker completions bash > /etc/bash_completion.d/aria-worker\n\nOptions can also be set in a file, see --config, and in environment variables: ARIA_MAX_TOKENS for --max-tokens."
)]
struct Cli {
	#[command(subcommand)]
	tool: Tool,
}

fn main() -> ExitCode {
	let program = Program {
		name: "aria-worker",
		command: Cli::command,
	};
	let matches = program.matches();
	match Cli::from_arg_matches(&matches) {
		Ok(cli) => cli.tool.run(&program),
		Err(error) => error.exit(),
	}
}
