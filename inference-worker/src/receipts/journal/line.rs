//! Lines of the journal.

use aria_primitives::{H256, work::BatchId};
use serde::{Deserialize, Serialize};

/// A batch that was, or was about to be, submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingBatch {
	/// Merkle root of its leaves.
	pub root: H256,
	/// Its number on the chain is at least this.
	pub from: BatchId,
	/// Last block that can include the call.
	pub until: u32,
	/// Identifiers of its receipts, in order.
	pub leaves: Vec<H256>,
}

/// A line, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
	Chain { origin: H256 },
	Receipt(serde_json::Value),
	Batch(PendingBatch),
	Committed { root: H256, batch: BatchId },
	Dropped { root: H256, requeue: bool },
}

/// Where a line stands in the file, bytes.
#[derive(Clone, Copy)]
pub(super) struct Range {
	pub(super) at: u64,
	pub(super) len: u64,
}
