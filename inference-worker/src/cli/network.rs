//! `aria-worker network`: a node and its peers.

use super::onchain::{NodeArgs, print};
use crate::chain::{Block, Chain};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct NetworkArgs {
	#[command(flatten)]
	node: NodeArgs,
	#[command(subcommand)]
	command: NetworkCommand,
}

#[derive(Subcommand)]
enum NetworkCommand {
	/// Show the node: its chain, version, blocks and addresses.
	Status,
	/// Show the peers that it is connected to.
	Peers,
}

/// Runs the command.
pub(super) fn run(args: &NetworkArgs) -> Result<ExitCode> {
	let node = &args.node;
	match args.command {
		NetworkCommand::Status => {
			let status = node.with(async |chain: Chain, _: Block| chain.status().await)?;
			print(&json!(status), node.json)?;
		}
		NetworkCommand::Peers => {
			let peers = node
				.with(async |chain: Chain, _: Block| chain.peers().await)
				.context(
					"nodes tell their peers only to their own machine, or with --rpc-methods unsafe",
				)?;
			print(&json!(peers), node.json)?;
		}
	}
	Ok(ExitCode::SUCCESS)
}
