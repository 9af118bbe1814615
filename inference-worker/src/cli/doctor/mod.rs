//! `aria-worker doctor`: whether this machine is fit for a worker or a node, and what to do where it is not.

mod check;
mod folders;
mod machine;
mod node;
mod ports;

use super::{Program, output};
use crate::paths;
use anyhow::Result;
use check::{Check, Status};
use clap::Args;
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

#[derive(Args)]
pub(crate) struct DoctorArgs {
	/// WebSocket of the node to check; one that can't be reached is a fault only if it is given here.
	#[arg(
		long,
		visible_alias = "node",
		value_name = "URL",
		env = "ARIA_NODE_URL"
	)]
	node_url: Option<String>,
	/// Port of the worker's API.
	#[arg(long, default_value_t = 3000)]
	api_port: u16,
	/// Port of the node's JSON-RPC.
	#[arg(long, default_value_t = 9944)]
	rpc_port: u16,
	/// Port on which the node listens for peers.
	#[arg(long, default_value_t = 30333)]
	port: u16,
	/// Folder of the worker's journal and keys [default: ~/.local/share/aria/worker].
	#[arg(long)]
	state_dir: Option<PathBuf>,
	/// Skip what takes time: memory and disk are not measured.
	#[arg(long)]
	quick: bool,
	/// One JSON object.
	#[arg(long)]
	json: bool,
}

fn checks(args: &DoctorArgs, each: &mut dyn FnMut(Check) -> Result<()>) -> Result<()> {
	let folder = args
		.state_dir
		.clone()
		.or_else(|| paths::data_folder().map(|folder| folder.join("worker")));
	each(machine::cpu())?;
	if !args.quick {
		each(machine::memory_speed())?;
	}
	each(machine::memory())?;
	each(machine::huge_pages())?;
	each(machine::energy())?;
	each(machine::clock())?;
	each(machine::open_files())?;
	match &folder {
		Some(folder) => {
			each(folders::state_folder(folder))?;
			each(folders::disk(folder, !args.quick))?;
		}
		None => each(Check::fail(
			"state folder",
			"neither HOME nor XDG_DATA_HOME is set",
			"give a --state-dir",
		))?,
	}
	each(ports::api_port(args.api_port))?;
	each(ports::rpc_port(args.rpc_port))?;
	each(ports::peer_port(args.port, args.rpc_port))?;
	let default = format!("ws://127.0.0.1:{}", args.rpc_port);
	let (url, named) = match &args.node_url {
		Some(url) => (url.as_str(), true),
		None => (default.as_str(), false),
	};
	for check in node::checks(url, named) {
		each(check)?;
	}
	Ok(())
}

/// Checks everything.
pub(super) fn run(args: &DoctorArgs, program: &Program) -> Result<ExitCode> {
	let mut all = Vec::new();
	let printed = checks(args, &mut |mut check| {
		check.advice = check.advice.map(|advice| program.rename(&advice));
		let printed = match args.json {
			true => Ok(()),
			false => print(&check),
		};
		all.push(check);
		printed
	});
	let count = |status| all.iter().filter(|check| check.status == status).count();
	let (warnings, faults) = (count(Status::Warn), count(Status::Fail));
	let printed = printed.and_then(|()| match args.json {
		true => output::line(json!({
			"ok": faults == 0,
			"version": env!("CARGO_PKG_VERSION"),
			"warnings": warnings,
			"faults": faults,
			"checks": all,
		})),
		false => output::line(format_args!(
			"{} checks, {warnings} warnings, {faults} faults",
			all.len()
		)),
	});
	output::finding(ExitCode::from(u8::from(faults > 0)), printed)
}

fn print(check: &Check) -> Result<()> {
	use anstyle::AnsiColor::{Green, Red, Yellow};
	let (word, colour) = match check.status {
		Status::Ok => ("ok", Green),
		Status::Warn => ("warn", Yellow),
		Status::Fail => ("fail", Red),
	};
	let style = colour.on_default().bold();
	let (name, found) = (check.name, &check.found);
	output::styled_line(format_args!("{style}{word:<5}{style:#} {name:<14} {found}"))?;
	match &check.advice {
		Some(advice) => output::line(format_args!("{:21}-> {advice}", "")),
		None => Ok(()),
	}
}
