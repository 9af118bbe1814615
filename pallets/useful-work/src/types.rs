//! What the pallet stores. Records are generic over the balance only, so they can be tested without a runtime.

use aria_primitives::{
	AccountId, H256, ModelId,
	work::{BatchId, DrawId, DrawStatus, MAX_ADDRESS_LEN, Roles, Totals},
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{BoundedVec, traits::ConstU32};
use scale_info::TypeInfo;

/// A multiaddress.
pub type Address = BoundedVec<u8, ConstU32<MAX_ADDRESS_LEN>>;

/// Most tokens that a receipt can stand for; bounds the sums that a worker may state for a batch.
pub const MAX_TOKENS_PER_RECEIPT: u64 = 1 << 20;

/// Most energy that a receipt can stand for, microjoules (one megajoule); bounds the sums that a worker may state.
pub const MAX_MICROJOULES_PER_RECEIPT: u64 = 1_000_000_000_000;

/// A registered party.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Worker<Balance> {
	/// What it does.
	pub roles: Roles,
	/// Where its peers reach it.
	pub address: Address,
	/// Bond on hold.
	pub bond: Balance,
	/// Verified multiply-accumulates.
	pub credited_operations: u128,
	/// Draws settled in its favour.
	pub accepted: u32,
	/// Draws settled against it.
	pub rejected: u32,
	/// Leaves for which its bond stands: draws of its batches that are open, and those that its pending batches
	/// can still yield.
	pub exposure: u32,
	/// Open draws that it has to re-execute.
	pub assigned: u32,
}

impl<Balance> Worker<Balance> {
	/// Everything that must end before the party may leave.
	pub fn open_obligations(&self) -> u32 {
		self.exposure.saturating_add(self.assigned)
	}
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum BatchState {
	/// Waiting for its draw.
	Pending {
		/// Draws that the worker's exposure counts for it.
		reserved: u32,
		/// Draw attempts that found no randomness or no verifier.
		retries: u32,
	},
	/// Leaves are drawn.
	Drawn {
		/// Draws not yet settled.
		open: u32,
	},
	/// Over; may be pruned once the retention period has passed.
	Closed {
		/// Since this block.
		at: u32,
	},
}

/// A committed batch. Its draws are numbered without gaps: `first_draw..first_draw + draws`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Batch<Balance> {
	/// Who committed it.
	pub worker: AccountId,
	/// Merkle root of its receipts.
	pub root: H256,
	/// How many receipts.
	pub count: u32,
	/// The worker's sums.
	pub totals: Totals,
	/// Version of the worker's consent contract at the commitment.
	pub consent_version: u32,
	/// Block of the commitment.
	pub committed_at: u32,
	/// Deposit on hold until the batch is pruned.
	pub deposit: Balance,
	/// First draw made from it.
	pub first_draw: DrawId,
	/// How many draws were made from it.
	pub draws: u32,
	/// Where it stands.
	pub state: BatchState,
}

/// What an opened receipt said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct OpenedReceipt {
	/// Identifier of the record: the leaf hash.
	pub record: H256,
	/// The model.
	pub model: ModelId,
	/// Multiply-accumulates.
	pub operations: u64,
}

/// A drawn leaf.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Draw {
	/// The batch drawn from.
	pub batch: BatchId,
	/// Which leaf of it.
	pub leaf_index: u32,
	/// Whose answer.
	pub worker: AccountId,
	/// Who re-executes it.
	pub verifier: AccountId,
	/// The receipt, once open.
	pub opened: Option<OpenedReceipt>,
	/// Where it stands.
	pub status: DrawStatus,
	/// Last block in which the party whose turn it is may act.
	pub deadline: u32,
	/// Verifiers that were silent before this one.
	pub reassignments: u32,
}

/// Sums over all batches ever committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Sums {
	/// Receipts committed.
	pub receipts: u64,
	/// Batches committed; also the next batch identifier.
	pub batches: u64,
	/// Draws made; also the next draw identifier.
	pub draws: u64,
	/// Draws accepted.
	pub accepted: u64,
	/// Draws rejected.
	pub rejected: u64,
	/// Draws that no verifier answered.
	pub unresolved: u64,
	/// Tokens that workers claim.
	pub tokens: u64,
	/// Microjoules that workers claim.
	pub microjoules: u64,
}

/// The three queues. Each has one constant delay, so entries come due in the order in which they were queued.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	PartialOrd,
	Ord,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
pub enum QueueKind {
	/// Batches that wait for their draw.
	Draw,
	/// Draws whose leaf must be opened.
	Open,
	/// Opened draws that wait for their verdict.
	Verdict,
}

/// An entry of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct QueueEntry {
	/// A batch (queue of draws) or a draw (the other two).
	pub id: u64,
	/// First block in which it may be served.
	pub due: u32,
}
