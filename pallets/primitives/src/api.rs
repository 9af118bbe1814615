//! The runtime API: every ledger item, readable by any client without types of ours.

use crate::energy::{EvidenceGrade, Rating};
#[cfg(feature = "chain")]
use crate::{
	AccountId, H256, ModelId,
	consent::ConsentView,
	provenance::{ModelView, Record},
	work::{BatchId, BatchView, DrawId, DrawView, LedgerStats, WorkerView},
};
#[cfg(feature = "chain")]
use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// Most items that one call returns.
pub const MAX_PAGE: u32 = 256;

/// A worker's sobriety, as the runtime API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SobrietyView {
	/// Energy attested, microjoules.
	pub microjoules: u128,
	/// Verified operations that it is set against.
	pub operations: u128,
	/// The weakest evidence among the attestations.
	pub grade: EvidenceGrade,
	/// `None` without attested energy or verified work.
	pub rating: Option<Rating>,
	/// How many attestations.
	pub attestations: u32,
}

#[cfg(feature = "chain")]
sp_api::decl_runtime_apis! {
	/// Reads the ledger. Lists are paged: `from` is the first identifier, at most [`MAX_PAGE`] items come back.
	pub trait AriaApi {
		/// A registered party.
		fn worker(account: AccountId) -> Option<WorkerView>;
		/// Registered parties, in storage order, `skip` of them left out.
		fn workers(skip: u32, limit: u32) -> Vec<(AccountId, WorkerView)>;
		/// A batch.
		fn batch(id: BatchId) -> Option<BatchView>;
		/// A draw.
		fn draw(id: DrawId) -> Option<DrawView>;
		/// Draws from this identifier on.
		fn draws(from: DrawId, limit: u32) -> Vec<(DrawId, DrawView)>;
		/// Draws not yet settled in which this account is the worker or the verifier.
		fn open_draws(account: AccountId) -> Vec<(DrawId, DrawView)>;
		/// A record by its identifier: the leaf hash of its signed receipt.
		fn record(id: H256) -> Option<Record>;
		/// Identifiers of a worker's latest records, newest first.
		fn records_of(worker: AccountId, limit: u32) -> Vec<H256>;
		/// A registered model.
		fn model(id: ModelId) -> Option<ModelView>;
		/// Registered models, in storage order, `skip` of them left out.
		fn models(skip: u32, limit: u32) -> Vec<(ModelId, ModelView)>;
		/// An account's consent contract.
		fn consent(account: AccountId) -> Option<ConsentView>;
		/// An account's sobriety.
		fn sobriety(account: AccountId) -> Option<SobrietyView>;
		/// Sums over the ledger.
		fn stats() -> LedgerStats;
	}
}
