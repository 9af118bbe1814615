//! The command line: Substrate's, and the worker's options.

use crate::worker::WorkerParams;
use clap::Parser;

/// An ARIA node: a chain whose mining is inference.
#[derive(Debug, Parser)]
#[command(
	after_help = "Examples:\n  aria --dev --tmp\n  aria --dev --worker --model model.gguf --worker-key //Worker\n  aria --chain local --alice --validator\n  aria key generate\n  aria completions bash > /etc/bash_completion.d/aria"
)]
pub(crate) struct Cli {
	#[command(subcommand)]
	pub(crate) subcommand: Option<Subcommand>,

	#[command(flatten)]
	pub(crate) run: sc_cli::RunCmd,

	#[command(flatten)]
	pub(crate) worker: WorkerParams,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
	/// Key management cli utilities
	#[command(subcommand)]
	Key(sc_cli::KeySubcommand),

	/// Build a chain specification.
	BuildSpec(sc_cli::BuildSpecCmd),

	/// Export the chain specification.
	ExportChainSpec(sc_cli::ExportChainSpecCmd),

	/// Validate blocks.
	CheckBlock(sc_cli::CheckBlockCmd),

	/// Export blocks.
	ExportBlocks(sc_cli::ExportBlocksCmd),

	/// Export the state of a given block into a chain spec.
	ExportState(sc_cli::ExportStateCmd),

	/// Import blocks.
	ImportBlocks(sc_cli::ImportBlocksCmd),

	/// Remove the whole chain.
	PurgeChain(sc_cli::PurgeChainCmd),

	/// Revert the chain to a previous state.
	Revert(sc_cli::RevertCmd),

	/// Sub-commands concerned with benchmarking.
	#[cfg(feature = "runtime-benchmarks")]
	#[command(subcommand)]
	Benchmark(Box<frame_benchmarking_cli::BenchmarkCmd>),

	/// Db meta columns information.
	ChainInfo(sc_cli::ChainInfoCmd),

	/// Print a completion script.
	Completions {
		/// Which shell.
		shell: clap_complete::Shell,
	},
}
