//! `aria-worker`: generate, inspect and verify on the command line.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
	match cli::run(cli::Cli::parse()) {
		Ok(code) => code,
		Err(error) => {
			eprintln!("error: {error:#}");
			ExitCode::from(2)
		}
	}
}
