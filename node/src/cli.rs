//! The command line: every word of `aria-worker`, and `node` with all of Substrate's.

use crate::worker::WorkerParams;
use aria_worker::cli::Tool;
use clap::{CommandFactory, Parser};
use sc_cli::SubstrateCli;

/// `aria`: a node, a worker, and tools.
#[derive(Parser)]
pub(crate) struct Cli {
	#[command(subcommand)]
	pub(crate) word: Option<Word>,

	// `aria --dev` is `aria node --dev`.
	#[command(flatten)]
	pub(crate) node: NodeOptions,
}

/// The first word.
#[derive(clap::Subcommand)]
pub(crate) enum Word {
	/// Run a node, or one of Substrate's tools for its chain and keys.
	#[command(
		after_help = "Examples:\n  aria node --dev --tmp\n  aria node --dev --worker --model model.gguf --worker-key //Worker\n  aria node --chain local --alice --validator\n  aria node key generate\n\nWithout the word node, all of this works as well: aria --dev --tmp."
	)]
	Node(Box<NodeArgs>),

	#[command(flatten)]
	Tool(Tool),

	// `aria build-spec` is `aria node build-spec`.
	#[command(flatten)]
	Substrate(Box<Subcommand>),
}

/// What follows the word `node`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct NodeArgs {
	#[command(subcommand)]
	pub(crate) subcommand: Option<Subcommand>,

	#[command(flatten)]
	pub(crate) options: NodeOptions,
}

/// Options of a running node.
#[derive(clap::Args)]
pub(crate) struct NodeOptions {
	#[command(flatten)]
	pub(crate) run: sc_cli::RunCmd,

	#[command(flatten)]
	pub(crate) worker: WorkerParams,
}

/// The whole command line. What works without the word `node` is not shown twice.
pub(crate) fn command() -> clap::Command {
	let command = Cli::setup_command(Cli::command())
		.about("A blockchain whose mining is inference: node, worker and tools in one")
		.long_about(None)
		.after_help(
			"Examples:\n  aria node --dev --tmp\n  aria chat --model bitnet-2b4t\n  aria worker --model model.gguf --worker-key file:worker.key\n  aria ledger stats\n  aria doctor\n  aria completions bash > /etc/bash_completion.d/aria\n\naria --dev is short for aria node --dev, and likewise for its other options and commands.\nOptions can also be set in a file, see --config.",
		)
		.mut_args(|arg| arg.hide(true));
	command.mut_subcommands(|word| {
		let old = <Subcommand as clap::Subcommand>::has_subcommand(word.get_name());
		word.hide(old)
	})
}

/// Substrate's tools.
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
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::collections::BTreeSet;

	/// Long options of a word.
	fn options(word: &str) -> BTreeSet<String> {
		let command = command();
		let word = command
			.find_subcommand(word)
			.expect("a word of the command line");
		let long = word.get_arguments().filter_map(clap::Arg::get_long);
		long.map(str::to_owned).collect()
	}

	#[test]
	fn command_line_should_be_without_contradictions() {
		command().debug_assert();
	}

	#[test]
	fn node_should_take_all_options_of_a_worker() {
		let missing: Vec<_> = options("worker")
			.difference(&options("node"))
			.cloned()
			.collect();
		assert_eq!(missing, Vec::<String>::new());
	}

	fn parse(words: &[&str]) -> Result<Cli, clap::error::ErrorKind> {
		use clap::FromArgMatches;
		let matches = command().try_get_matches_from(words);
		matches
			.and_then(|matches| Cli::from_arg_matches(&matches))
			.map_err(|error| error.kind())
	}

	#[test]
	fn options_of_a_worker_should_go_with_one() {
		use clap::error::ErrorKind;
		assert!(parse(&["aria", "node", "--dev"]).is_ok());
		assert!(parse(&["aria", "--dev", "--worker", "--model", "m.gguf"]).is_ok());
		let worker = ["aria", "node", "--dev", "--worker", "--model", "m.gguf"];
		let with = |more: &[&'static str]| parse(&[&worker[..], more].concat());
		assert!(with(&["--threads", "2", "--parallel", "4", "--queue", "1"]).is_ok());
		assert!(with(&["--worker-threads", "2", "--worker-cache-mib", "64"]).is_ok());
		assert!(
			with(&[
				"--roles",
				"worker,verifier",
				"--announce",
				"/ip4/1.2.3.4/tcp/1"
			])
			.is_ok()
		);
		let refused = |words: &[&str]| parse(words).err();
		assert_eq!(
			with(&["--node", "ws://127.0.0.1:9944"]).err(),
			Some(ErrorKind::ArgumentConflict)
		);
		let missing = Some(ErrorKind::MissingRequiredArgument);
		assert_eq!(refused(&["aria", "node", "--dev", "--worker"]), missing);
		assert_eq!(refused(&["aria", "node", "--model", "m.gguf"]), missing);
		// It needs a model without a node, too.
		assert_eq!(refused(&["aria", "worker", "--offline"]), missing);
	}

	#[test]
	fn tables_of_the_node_should_be_known_to_both_programs() {
		let command = command();
		let commands = command.get_subcommands().map(clap::Command::get_name);
		let mut own: Vec<&str> = commands
			.filter(|name| !<Tool as clap::Subcommand>::has_subcommand(name))
			.collect();
		// A command of its feature alone.
		if !own.contains(&"benchmark") {
			own.push("benchmark");
		}
		own.sort_unstable();
		let mut known = aria_worker::cli::NODE_COMMANDS;
		known.sort_unstable();
		assert_eq!(own, known);
	}
}
