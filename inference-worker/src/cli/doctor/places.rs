//! Folders, ports and the node.

use super::{Check, size};
use crate::chain::{Chain, NodeStatus};
use anyhow::Result;
use serde_json::{Value, json};
use std::{
	io::Write,
	net::{Ipv4Addr, TcpListener},
	path::Path,
	time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Bytes written to measure the disk.
const WRITE_BYTES: usize = 64 << 20;
const LITTLE_SPACE: u64 = 1 << 30;
const SCARCE_SPACE: u64 = 10 << 30;
/// Bytes a second below which a node falls behind.
const SLOW_DISK: f64 = 20e6;
/// How far the clock may be from the chain's, beside the age of the final block.
const DRIFT: Duration = Duration::from_secs(10);

/// The folder, or what is there of the way to it.
fn nearest(folder: &Path) -> &Path {
	folder
		.ancestors()
		.find(|path| path.is_dir())
		.unwrap_or(Path::new("/"))
}

pub(super) fn state_folder(folder: &Path) -> Check {
	const NAME: &str = "state folder";
	let shown = folder.display();
	if folder.exists() && !folder.is_dir() {
		return Check::fail(
			NAME,
			format!("{shown} is not a folder"),
			"remove it, or give another --state-dir",
		);
	}
	let place = nearest(folder);
	if let Err(error) = tempfile_in(place) {
		return Check::fail(
			NAME,
			format!("can't write in {}: {error}", place.display()),
			"give it to this user with chown, or give another --state-dir",
		);
	}
	if !folder.exists() {
		return Check::ok(NAME, format!("{shown}, made at the first start"));
	}
	#[cfg(unix)]
	if let Some(open) = open_to_others(folder) {
		return open;
	}
	Check::ok(NAME, format!("{shown}"))
}

/// The complaint about a folder of secrets that others may read.
#[cfg(unix)]
fn open_to_others(folder: &Path) -> Option<Check> {
	use std::os::unix::fs::PermissionsExt;
	let mode = |path: &Path| Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o777);
	let key = folder.join("network.key");
	if mode(&key).is_some_and(|mode| mode & 0o077 != 0) {
		return Some(Check::fail(
			"state folder",
			format!("others may read {}", key.display()),
			format!(
				"run `chmod 600 {}`, and think of the key as known",
				key.display()
			),
		));
	}
	let open = mode(folder)?;
	(open & 0o077 != 0).then(|| {
		Check::warn(
			"state folder",
			format!(
				"{}, which others may look into (mode {open:o})",
				folder.display()
			),
			format!(
				"run `chmod 700 {}`: the journal there holds prompts",
				folder.display()
			),
		)
	})
}

/// A new file in a folder, removed from it at once.
fn tempfile_in(folder: &Path) -> std::io::Result<std::fs::File> {
	let path = folder.join(format!(".aria-doctor-{}", std::process::id()));
	let file = std::fs::File::create_new(&path)?;
	std::fs::remove_file(&path)?;
	Ok(file)
}

pub(super) fn disk(folder: &Path, measure: bool) -> Check {
	const NAME: &str = "disk";
	let place = nearest(folder);
	let free = match rustix::fs::statvfs(place) {
		Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
		Err(error) => {
			return Check::fail(
				NAME,
				format!("can't look at {}: {error}", place.display()),
				"give another --state-dir",
			);
		}
	};
	let mut found = format!("{} free in {}", size(free), place.display());
	// Never more than a part of what is left.
	let speed = (measure && free > LITTLE_SPACE).then(|| write_speed(place));
	let speed = match speed.transpose() {
		Ok(speed) => speed,
		Err(error) => {
			return Check::fail(
				NAME,
				format!("{found}, but writing fails: {error}"),
				"check the disk",
			);
		}
	};
	if let Some(speed) = speed {
		found += &format!(", writes {:.0} MB/s", speed / 1e6);
	}
	let values = json!({ "free_bytes": free, "write_bytes_per_second": speed });
	let check = if free < LITTLE_SPACE {
		Check::fail(
			NAME,
			found,
			"make room: a node's database alone takes more than that",
		)
	} else if free < SCARCE_SPACE {
		Check::warn(
			NAME,
			found,
			"make room: a model of 2 billion weights takes 1.2 GB, and the chain grows",
		)
	} else if speed.is_some_and(|speed| speed < SLOW_DISK) {
		Check::warn(
			NAME,
			found,
			"use a faster disk for a node; a worker alone can live with it",
		)
	} else {
		Check::ok(NAME, found)
	};
	check.with(values)
}

/// Bytes a second of a write that is on the disk at the end.
fn write_speed(folder: &Path) -> std::io::Result<f64> {
	let mut file = tempfile_in(folder)?;
	let block = vec![0xa5; 1 << 20];
	let start = Instant::now();
	for _ in 0..WRITE_BYTES / block.len() {
		file.write_all(&block)?;
	}
	file.sync_all()?;
	Ok(WRITE_BYTES as f64 / start.elapsed().as_secs_f64())
}

fn is_free(port: u16) -> std::io::Result<()> {
	TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
}

fn agent() -> ureq::Agent {
	let config = ureq::Agent::config_builder()
		.http_status_as_error(false)
		.timeout_global(Some(Duration::from_secs(3)))
		.build();
	ureq::Agent::new_with_config(config)
}

fn port(name: &'static str, port: u16, option: &str, ours: Option<String>) -> Check {
	let error = match is_free(port) {
		Ok(()) => return Check::ok(name, format!("{port}, free")),
		Err(error) => error,
	};
	match ours {
		Some(who) => Check::ok(name, format!("{port}, {who} answers there")),
		None if error.kind() == std::io::ErrorKind::PermissionDenied => Check::fail(
			name,
			format!("{port}, not for this user"),
			format!("choose one above 1023 with {option}"),
		),
		None => Check::fail(
			name,
			format!("{port}, taken by another program"),
			format!("choose another with {option}; `ss -ltnp 'sport = :{port}'` shows who has it"),
		),
	}
}

pub(super) fn api_port(number: u16) -> Check {
	// Its list of models says whose it is, or that a key is needed, in words of the OpenAI API.
	let ask = || {
		let url = format!("http://127.0.0.1:{number}/v1/models");
		let text = agent()
			.get(url)
			.call()
			.ok()?
			.body_mut()
			.read_to_string()
			.ok()?;
		let value: Value = serde_json::from_str(&text).ok()?;
		let owner = value.pointer("/data/0/owned_by").and_then(Value::as_str);
		let locked = value.pointer("/error/type").is_some();
		match owner {
			Some("aria") => Some("a worker".to_owned()),
			Some(_) => None,
			None => locked.then(|| "an OpenAI API with a key".to_owned()),
		}
	};
	port("API port", number, "--api-port", ask())
}

/// The name of the node whose JSON-RPC is at a port.
fn node_at(number: u16) -> Option<String> {
	let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "system_name", "params": [] });
	let mut answer = agent()
		.post(format!("http://127.0.0.1:{number}"))
		.header("content-type", "application/json")
		.send(body.to_string())
		.ok()?;
	let value: Value = serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()?;
	let name = value.get("result")?.as_str()?;
	name.contains("ARIA").then(|| "a node".to_owned())
}

pub(super) fn rpc_port(number: u16) -> Check {
	port("RPC port", number, "--rpc-port", node_at(number))
}

pub(super) fn peer_port(number: u16, rpc: u16) -> Check {
	// Who is there can't be asked; a node here will have it.
	port(
		"peer port",
		number,
		"--port",
		node_at(rpc).map(|_| "presumably that node".into()),
	)
}

pub(super) fn node(url: &str, named: bool) -> Vec<Check> {
	let ask = || -> Result<NodeStatus> {
		let runtime = tokio::runtime::Runtime::new()?;
		Ok(runtime.block_on(async { Chain::connect_with_timeout(url).await?.status().await })?)
	};
	match ask() {
		Ok(status) => about(&status, url),
		Err(error) if named => vec![Check::fail(
			"node",
			format!("{url}: {error:#}"),
			"start it, or correct --node-url; `aria --dev --tmp` starts a chain of one's own",
		)],
		Err(_) => vec![Check::warn(
			"node",
			format!("none at {url}"),
			"name one with --node-url, or start one with `aria --dev --tmp`; a worker with --offline needs none",
		)],
	}
}

fn about(status: &NodeStatus, url: &str) -> Vec<Check> {
	let genesis = status.genesis.get(..10).unwrap_or(&status.genesis);
	let found = format!(
		"{} {} at {url}, chain {}, genesis {genesis}..., {}",
		status.program, status.version, status.chain, status.runtime
	);
	let blocks = format!(
		"block {}, final {}, {} peers",
		status.best, status.finalized, status.peers
	);
	let sync = if status.syncing {
		Check::warn(
			"sync",
			blocks,
			"wait until it has caught up: duties follow final blocks",
		)
	} else if status.should_have_peers && status.peers == 0 {
		Check::warn(
			"sync",
			blocks,
			"no peers: check the network, --bootnodes and the firewall for the peer port",
		)
	} else if status.best.saturating_sub(status.finalized) > 100 {
		Check::warn(
			"sync",
			blocks,
			"blocks do not become final: too few validators are up",
		)
	} else {
		Check::ok("sync", blocks)
	};
	let values = json!(status);
	let mut checks = vec![Check::ok("node", found).with(values), sync];
	checks.extend(drift(status.timestamp_ms));
	checks
}

/// Whether the chain's clock is ahead of this one: it can be behind, but never ahead.
fn drift(chain_ms: Option<u64>) -> Option<Check> {
	let chain = Duration::from_millis(chain_ms.filter(|time| *time > 0)?);
	let here = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
	let ahead = chain.checked_sub(here)?;
	(ahead > DRIFT).then(|| {
		Check::fail(
			"chain's clock",
			format!("{} s ahead of this machine's", ahead.as_secs()),
			"set the clock: `sudo timedatectl set-ntp true`",
		)
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::cli::doctor::Status;

	#[test]
	fn taken_port_should_be_a_fault_and_a_free_one_not() {
		let taken = TcpListener::bind("127.0.0.1:0").unwrap();
		let number = taken.local_addr().unwrap().port();
		let check = port("API port", number, "--api-port", None);
		assert_eq!(check.status, Status::Fail);
		assert!(check.advice.unwrap().contains("--api-port"));
		assert_eq!(
			port("API port", number, "--api-port", Some("a worker".into())).status,
			Status::Ok
		);
		drop(taken);
		assert_eq!(
			port("API port", number, "--api-port", None).status,
			Status::Ok
		);
	}

	#[test]
	fn chain_ahead_of_the_clock_should_be_a_fault() {
		let now = SystemTime::now()
			.duration_since(UNIX_EPOCH)
			.unwrap()
			.as_millis() as u64;
		assert!(drift(None).is_none());
		assert!(drift(Some(0)).is_none());
		assert!(drift(Some(now - 60_000)).is_none());
		assert_eq!(drift(Some(now + 60_000)).unwrap().status, Status::Fail);
	}
}
