//! Runs commands.

use crate::{
	chain_spec,
	cli::{self, Cli, Subcommand, Word},
	rpc, service,
	worker::Worker,
};
use aria_runtime::opaque::Block;
use aria_worker::cli::{Program, stderr_has_colours};
use clap::FromArgMatches;
use sc_cli::{CliConfiguration, DefaultConfigurationValues, Runner, SubstrateCli};
use sc_network::config::NetworkBackendType;
use sc_service::{ChainType, PartialComponents};
use sp_runtime::traits::Block as BlockT;
use std::process::ExitCode;

type Hash = <Block as BlockT>::Hash;

impl SubstrateCli for Cli {
	fn impl_name() -> String {
		"ARIA Node".into()
	}

	fn impl_version() -> String {
		env!("SUBSTRATE_CLI_IMPL_VERSION").into()
	}

	fn description() -> String {
		env!("CARGO_PKG_DESCRIPTION").into()
	}

	fn author() -> String {
		env!("CARGO_PKG_AUTHORS").into()
	}

	fn support_url() -> String {
		concat!(env!("CARGO_PKG_REPOSITORY"), "/issues").into()
	}

	fn copyright_start_year() -> i32 {
		2026
	}

	fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
		Ok(match id {
			"dev" => Box::new(chain_spec::development()?),
			"" | "local" => Box::new(chain_spec::local_testnet()?),
			path => Box::new(chain_spec::ChainSpec::from_json_file(path.into())?),
		})
	}
}

/// Parses the command line and does what it says.
pub(crate) fn run() -> sc_cli::Result<ExitCode> {
	let program = Program {
		name: "aria",
		command: cli::command,
	};
	let matches = program.matches();
	let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
	let subcommand = match cli.word.take() {
		Some(Word::Tool(tool)) => return Ok(tool.run(&program)),
		Some(Word::Node(node)) => {
			cli.node = node.options;
			node.subcommand
		}
		Some(Word::Substrate(subcommand)) => Some(*subcommand),
		None => None,
	};
	if subcommand.is_some() {
		end_at_closed_pipe()?;
	}
	run_node(&cli, subcommand.as_ref()).map(|()| ExitCode::SUCCESS)
}

/// Lets SIGPIPE end the process, as it ends other tools: Substrate's print with macros that panic when nobody reads any
/// more. They serve no sockets; a running node does, and never comes here.
fn end_at_closed_pipe() -> std::io::Result<()> {
	#[cfg(unix)]
	signal_hook::flag::register_conditional_default(
		signal_hook::consts::SIGPIPE,
		std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true)),
	)?;
	Ok(())
}

/// What runs a command. Its log has colours where the other commands have them, unless they are switched off.
fn runner<C, DVC>(cli: &Cli, command: &C) -> sc_cli::Result<Runner<Cli>>
where
	C: CliConfiguration<DVC>,
	DVC: DefaultConfigurationValues,
{
	let off = command.disable_log_color()?;
	cli.create_runner_with_logger_hook(command, |logger, _| {
		logger.with_colors(!off && stderr_has_colours());
	})
}

/// The options of a node. A validator of a network for tests makes the key by which its peers know it, as every other
/// node does; one of a network that is to last must be given it (`aria node key generate-node-key`).
fn node_key_for_tests(cli: &Cli) -> sc_cli::Result<sc_cli::RunCmd> {
	let mut run = cli.node.run.clone();
	let spec = cli.load_spec(&run.chain_id(run.is_dev()?)?)?;
	if matches!(spec.chain_type(), ChainType::Development | ChainType::Local) {
		let key = &mut run.network_params.node_key_params;
		key.unsafe_force_node_key_generation = true;
	}
	Ok(run)
}

/// Runs a node, or one of Substrate's tools.
fn run_node(cli: &Cli, subcommand: Option<&Subcommand>) -> sc_cli::Result<()> {
	match subcommand {
		Some(Subcommand::Key(cmd)) => cmd.run(cli),
		Some(Subcommand::BuildSpec(cmd)) => {
			runner(cli, cmd)?.sync_run(|config| cmd.run(config.chain_spec, config.network))
		}
		Some(Subcommand::ExportChainSpec(cmd)) => {
			let spec = cli.load_spec(&cmd.chain)?;
			cmd.run(spec)
		}
		Some(Subcommand::CheckBlock(cmd)) => runner(cli, cmd)?.async_run(|config| {
			let PartialComponents {
				client,
				task_manager,
				import_queue,
				..
			} = service::new_partial(&config)?;
			Ok((cmd.run(client, import_queue), task_manager))
		}),
		Some(Subcommand::ExportBlocks(cmd)) => runner(cli, cmd)?.async_run(|config| {
			let PartialComponents {
				client,
				task_manager,
				..
			} = service::new_partial(&config)?;
			Ok((cmd.run(client, config.database), task_manager))
		}),
		Some(Subcommand::ExportState(cmd)) => runner(cli, cmd)?.async_run(|config| {
			let PartialComponents {
				client,
				task_manager,
				..
			} = service::new_partial(&config)?;
			Ok((cmd.run(client, config.chain_spec), task_manager))
		}),
		Some(Subcommand::ImportBlocks(cmd)) => runner(cli, cmd)?.async_run(|config| {
			let PartialComponents {
				client,
				task_manager,
				import_queue,
				..
			} = service::new_partial(&config)?;
			Ok((cmd.run(client, import_queue), task_manager))
		}),
		Some(Subcommand::PurgeChain(cmd)) => {
			runner(cli, cmd)?.sync_run(|config| cmd.run(config.database))
		}
		Some(Subcommand::Revert(cmd)) => runner(cli, cmd)?.async_run(|config| {
			let PartialComponents {
				client,
				task_manager,
				backend,
				..
			} = service::new_partial(&config)?;
			Ok((
				cmd.run(client, backend, Some(Box::new(service::revert))),
				task_manager,
			))
		}),
		#[cfg(feature = "runtime-benchmarks")]
		Some(Subcommand::Benchmark(cmd)) => crate::benchmark::run(cli, cmd),
		Some(Subcommand::ChainInfo(cmd)) => {
			runner(cli, cmd)?.sync_run(|config| cmd.run::<Block>(&config))
		}
		None => {
			let run = node_key_for_tests(cli)?;
			let runner = runner(cli, &run)?;
			let params = &cli.node.worker;
			runner.run_node_until_exit(|config| async move {
				let endpoints = config.rpc.addr.as_deref().unwrap_or_default();
				// Before anything takes time, or a folder.
				let listeners = rpc::listen(endpoints, &run.rpc_params)?;
				let worker = Worker::from_params(params, &config)?;
				match config.network.network_backend {
					NetworkBackendType::Libp2p => {
						type Network = sc_network::NetworkWorker<Block, Hash>;
						service::new_full::<Network>(config, listeners, worker)
					}
					NetworkBackendType::Litep2p => {
						type Network = sc_network::Litep2pNetworkBackend;
						service::new_full::<Network>(config, listeners, worker)
					}
				}
				.map_err(sc_cli::Error::Service)
			})
		}
	}
}
