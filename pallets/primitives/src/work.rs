//! Useful work: workers, batches, draws, verdicts.

use crate::{AccountId, H256, ModelId};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Identifier of a committed batch, minted by the chain.
pub type BatchId = u64;
/// Identifier of a draw, minted by the chain.
pub type DrawId = u64;
/// Longest multiaddress that a worker may publish, bytes.
pub const MAX_ADDRESS_LEN: u32 = 256;

/// What a registered party does.
#[derive(
	Clone,
	Copy,
	Debug,
	Default,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
pub struct Roles {
	/// Answers requests and commits receipts.
	pub worker: bool,
	/// Re-executes drawn receipts.
	pub verifier: bool,
}

/// Sums over the receipts of a batch, as the worker states them.
#[derive(
	Clone,
	Copy,
	Debug,
	Default,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
pub struct Totals {
	/// Tokens read and written.
	pub tokens: u64,
	/// Multiply-accumulates.
	pub operations: u64,
	/// Energy, microjoules.
	pub microjoules: u64,
}

/// Why a verifier rejects.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
	/// The prompt or tokens that the worker handed over do not hash to the receipt.
	WrongOpening,
	/// A token is not the one that the specification chooses.
	WrongToken,
	/// The trace root differs.
	WrongTrace,
	/// Token or operation counts differ.
	WrongCount,
	/// The worker handed nothing over in time, or did not open the leaf.
	NotOpened,
}

/// A verifier's finding.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
	/// Same bits.
	Accept,
	/// Other bits, and where.
	Reject(Fault),
}

/// Where a draw stands. Room is left for committed verdicts and disputes: variants are only ever appended.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum DrawStatus {
	/// Waiting for the worker to open the leaf.
	#[codec(index = 0)]
	Drawn,
	/// Open; waiting for the verifier.
	#[codec(index = 1)]
	Opened,
	/// Settled: the verifier got the same bits.
	#[codec(index = 2)]
	Accepted,
	/// Settled against the worker.
	#[codec(index = 3)]
	Rejected(Fault),
	/// No verifier answered in time: nobody is paid, nobody but the silent verifiers loses.
	#[codec(index = 4)]
	Unresolved,
}

/// A registered party, as the runtime API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct WorkerView {
	/// What it does.
	pub roles: Roles,
	/// Bond on hold.
	pub bond: u128,
	/// Where its peers reach it: a multiaddress with `/p2p/`.
	pub address: Vec<u8>,
	/// Verified multiply-accumulates credited.
	pub credited_operations: u128,
	/// Draws settled in its favour.
	pub accepted: u32,
	/// Draws settled against it.
	pub rejected: u32,
	/// Batches and draws still open; it can't leave before they end.
	pub open_obligations: u32,
}

/// A draw, as the runtime API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct DrawView {
	/// The batch drawn from.
	pub batch: BatchId,
	/// Which leaf of it.
	pub leaf_index: u32,
	/// Whose answer.
	pub worker: AccountId,
	/// Who re-executes it.
	pub verifier: AccountId,
	/// Record identifier, once open.
	pub record: Option<H256>,
	/// Where it stands.
	pub status: DrawStatus,
	/// Block after which the party whose turn it is has failed.
	pub deadline: u32,
}

/// A batch, as the runtime API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct BatchView {
	/// Who committed it.
	pub worker: AccountId,
	/// Merkle root of its receipts.
	pub root: H256,
	/// How many receipts.
	pub count: u32,
	/// The worker's sums.
	pub totals: Totals,
	/// Block of the commitment.
	pub committed_at: u32,
	/// Draws made from it; empty before its draw block.
	pub draws: Vec<DrawId>,
}

/// Sums over the whole ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct LedgerStats {
	/// Receipts committed.
	pub receipts: u64,
	/// Batches committed.
	pub batches: u64,
	/// Draws made.
	pub draws: u64,
	/// Draws accepted.
	pub accepted: u64,
	/// Draws rejected.
	pub rejected: u64,
	/// Tokens that workers claim.
	pub tokens: u64,
	/// Microjoules that workers claim.
	pub microjoules: u64,
	/// Parties registered.
	pub workers: u32,
	/// Models registered.
	pub models: u32,
}

/// What a draw tells other pallets when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
	/// The record.
	pub record: H256,
	/// Whose answer.
	pub worker: AccountId,
	/// With which model.
	pub model: ModelId,
	/// Operations of the answer.
	pub operations: u64,
	/// The end.
	pub status: DrawStatus,
}
