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

fn main() -> sc_cli::Result<std::process::ExitCode> {
	command::run()
}
