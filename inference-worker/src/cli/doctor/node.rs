//! The node: what it says of itself, and whether its clock agrees with this machine's.

use super::check::Check;
use crate::chain::{Chain, NodeStatus};
use anyhow::Result;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far the clock may be from the chain's, beside the age of the final block.
const DRIFT: Duration = Duration::from_secs(10);

pub(super) fn checks(url: &str, named: bool) -> Vec<Check> {
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
