//! What the methods return: hashes in hex, accounts in SS58, sums and times as texts, so that no reader rounds them.

use crate::{
	receipts::journal::{self, Counts, Listed, Place},
	text::to_hex,
};
use aria_primitives::{energy::EvidenceGrade, work::Roles};
use serde::{Deserialize, Serialize};
use sp_core::crypto::Ss58Codec;

/// How the worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
	/// It is not ready yet.
	Loading,
	/// It answers.
	Ready,
	/// It has requests and does not get on with them.
	Stuck,
	/// It has ended; the node's log says why.
	Stopped,
}

/// How the worker stands, and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
	/// How it stands.
	pub state: State,
	/// What it has, while it runs.
	pub worker: Option<Worker>,
}

/// A worker that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
	/// Its account.
	pub account: String,
	/// What it is registered as, or will be.
	pub roles: Roles,
	/// Address of its HTTP API.
	pub api: String,
	/// The models that it serves.
	pub models: Vec<Model>,
	/// Requests being answered, or waiting.
	pub requests: usize,
	/// Its connection to the chain.
	pub chain: ChainStatus,
	/// Its receipts.
	pub receipts: Counts,
}

/// A model that the worker serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
	/// Name under which requests ask for it.
	pub id: String,
	/// Its root, once it was loaded.
	pub root: Option<String>,
	/// Positions of its context.
	pub context_length: usize,
	/// Whether it is in memory.
	pub ready: bool,
}

/// The worker's connection to the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainStatus {
	/// Whether there is one now.
	pub connected: bool,
	/// Version of the consent contract in force, 0 for none.
	pub consent_version: u32,
}

/// What became of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReceiptState {
	/// It will be committed.
	Waiting,
	/// It is in a batch that is not final.
	Pending,
	/// It is in a final batch.
	Committed,
	/// Its batch was abandoned.
	Lost,
	/// It was made for another chain than the one that the worker is on.
	OtherChain,
}

/// Where a receipt was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Committed {
	/// The batch.
	pub batch: u64,
	/// Which leaf of it.
	pub leaf_index: u32,
}

impl From<Place> for ReceiptState {
	fn from(place: Place) -> Self {
		match place {
			Place::Waiting => Self::Waiting,
			Place::Pending => Self::Pending,
			Place::Committed(_) => Self::Committed,
			Place::Lost => Self::Lost,
			Place::OtherChain => Self::OtherChain,
		}
	}
}

fn committed(place: Place) -> Option<Committed> {
	place.committed().map(|at| Committed {
		batch: at.batch,
		leaf_index: at.leaf_index,
	})
}

/// A receipt, for somebody with its key or without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
	/// What it says.
	#[serde(flatten)]
	pub info: ReceiptInfo,
	/// The receipt file, as the HTTP API gives it and `aria verify` reads it; none without the receipt's key.
	pub receipt_file: Option<serde_json::Value>,
}

impl Receipt {
	pub(super) fn new(listed: Listed, receipt_file: Option<serde_json::Value>) -> Self {
		Self {
			info: listed.into(),
			receipt_file,
		}
	}
}

/// Energy of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Energy {
	/// Microjoules.
	pub microjoules: String,
	/// The evidence behind the figure.
	pub grade: EvidenceGrade,
}

/// What a receipt says, without the prompt and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptInfo {
	/// How many were written before it.
	pub number: u64,
	/// Its identifier.
	pub id: String,
	/// What became of it.
	pub state: ReceiptState,
	/// Where it is committed, once that is final.
	pub committed: Option<Committed>,
	/// The model that answered.
	pub model: String,
	/// The worker's account.
	pub worker: String,
	/// Length of the prompt in tokens.
	pub prompt_tokens: u32,
	/// Length of the answer in tokens.
	pub output_tokens: u32,
	/// Multiply-accumulates.
	pub operations: String,
	/// Energy of the answer.
	pub energy: Energy,
	/// When execution began, Unix milliseconds.
	pub started_ms: String,
	/// When the last token was chosen, Unix milliseconds.
	pub finished_ms: String,
}

impl From<Listed> for ReceiptInfo {
	fn from(listed: Listed) -> Self {
		let receipt = &listed.signed.receipt;
		Self {
			number: listed.number,
			id: to_hex(listed.id.as_bytes()),
			state: listed.place.into(),
			committed: committed(listed.place),
			model: to_hex(receipt.model.as_bytes()),
			worker: receipt.worker.to_ss58check(),
			prompt_tokens: receipt.prompt_tokens,
			output_tokens: receipt.output_tokens,
			operations: receipt.operations.to_string(),
			energy: Energy {
				microjoules: receipt.energy.microjoules.to_string(),
				grade: receipt.energy.grade,
			},
			started_ms: receipt.times.started_ms.to_string(),
			finished_ms: receipt.times.finished_ms.to_string(),
		}
	}
}

/// Some receipts, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
	/// The receipts.
	pub receipts: Vec<ReceiptInfo>,
	/// `before` of the next page, if there are more.
	pub next: Option<u64>,
}

/// That a receipt is a leaf of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
	/// The batch; the chain has its root and count.
	pub batch: u64,
	/// Which leaf of it.
	pub leaf_index: u32,
	/// How many leaves it has.
	pub count: u32,
	/// Its Merkle root.
	pub root: String,
	/// Hashes beside the way from the leaf to the root, from below.
	pub proof: Vec<String>,
}

impl From<journal::Proof> for Proof {
	fn from(proof: journal::Proof) -> Self {
		Self {
			batch: proof.at.batch,
			leaf_index: proof.at.leaf_index,
			count: proof.count,
			root: to_hex(proof.root.as_bytes()),
			proof: proof
				.path
				.iter()
				.map(|hash| to_hex(hash.as_bytes()))
				.collect(),
		}
	}
}

/// A batch that is not known to be final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingBatch {
	/// Its Merkle root.
	pub root: String,
	/// How many receipts it has.
	pub count: usize,
	/// Last block that can include it; after that it is committed again.
	pub until: u32,
}

impl From<journal::PendingBatch> for PendingBatch {
	fn from(batch: journal::PendingBatch) -> Self {
		Self {
			root: to_hex(batch.root.as_bytes()),
			count: batch.leaves.len(),
			until: batch.until,
		}
	}
}
