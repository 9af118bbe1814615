//! `aria benchmark`: measures the weights of calls and of the machine.

use crate::{cli::Cli, service};
use aria_runtime::opaque::Block;
use frame_benchmarking_cli::{BenchmarkCmd, SUBSTRATE_REFERENCE_HARDWARE};
use sc_cli::SubstrateCli;
use sc_service::PartialComponents;
use sp_runtime::traits::HashingFor;

/// Runs a benchmark.
pub(crate) fn run(cli: &Cli, cmd: &BenchmarkCmd) -> sc_cli::Result<()> {
	cli.create_runner(cmd)?.sync_run(|config| match cmd {
		BenchmarkCmd::Pallet(cmd) => {
			cmd.run_with_spec::<HashingFor<Block>, ()>(Some(config.chain_spec))
		}
		BenchmarkCmd::Block(cmd) => {
			let PartialComponents { client, .. } = service::new_partial(&config)?;
			cmd.run::<Block, service::FullBackend, _>(client)
		}
		BenchmarkCmd::Storage(cmd) => {
			let PartialComponents {
				client, backend, ..
			} = service::new_partial(&config)?;
			let db = backend.expose_db();
			let storage = backend.expose_storage();
			let cache = backend.expose_shared_trie_cache();
			cmd.run::<Block, service::FullBackend, _>(config, client, db, storage, cache)
		}
		BenchmarkCmd::Overhead(cmd) => {
			cmd.run_with_default_builder_and_spec::<Block, ()>(Some(config.chain_spec))
		}
		BenchmarkCmd::Extrinsic(_) => {
			Err("use `benchmark pallet` for calls and `benchmark overhead` for the rest".into())
		}
		BenchmarkCmd::Machine(cmd) => cmd.run(&config, SUBSTRATE_REFERENCE_HARDWARE.clone()),
	})
}
