//! `aria`: an ARIA node, and beside it an inference worker.

#![expect(
	clippy::result_large_err,
	reason = "Substrate's own error type; nothing here returns it often"
)]
// println! panics when its reader is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "runtime-benchmarks")]
mod benchmark;
mod chain_spec;
mod cli;
mod command;
mod rpc;
mod service;
mod worker;

use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
	command::run().unwrap_or_else(|error| {
		let text = match error {
			sc_cli::Error::Service(sc_service::Error::Other(text)) => text,
			error => error.to_string(),
		};
		// Where nobody reads it, the exit code says it.
		drop(writeln!(std::io::stderr(), "Error: {text}"));
		ExitCode::FAILURE
	})
}
