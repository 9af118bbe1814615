//! How the pallets reach each other; the runtime joins them (`runtime/src/configs/aria.rs`).

use crate::{
	AccountId, H256, ModelId,
	consent::TaskKind,
	provenance::{OperationCount, Record},
	work::{DrawStatus, Settlement},
};
use sp_runtime::{DispatchError, DispatchResult};

/// Asks the consent contracts.
pub trait ConsentCheck {
	/// Version of the worker's contract in force, or an error that says why this work is not allowed now.
	fn ensure_permitted(worker: &AccountId, task: TaskKind) -> Result<u32, DispatchError>;
	/// Gives the worker a contract that permits everything.
	#[cfg(feature = "runtime-benchmarks")]
	fn grant_for_benchmark(worker: &AccountId);
}

impl ConsentCheck for () {
	fn ensure_permitted(_: &AccountId, _: TaskKind) -> Result<u32, DispatchError> {
		Ok(0)
	}
	#[cfg(feature = "runtime-benchmarks")]
	fn grant_for_benchmark(_: &AccountId) {}
}

/// The registry of models and the ledger of records.
pub trait ProvenanceLedger {
	/// Cost of a registered model's answers; `None` if it is not registered.
	fn operations(model: &ModelId) -> Option<OperationCount>;
	/// Keeps a new record; fails when it exists or the worker can't pay its deposit.
	fn insert(id: H256, record: Record) -> DispatchResult;
	/// Changes a record's status.
	fn set_status(id: &H256, status: DrawStatus);
	/// How many models are registered.
	fn model_count() -> u32;
	/// Registers a model of this cost.
	#[cfg(feature = "runtime-benchmarks")]
	fn register_for_benchmark(model: ModelId, operations: OperationCount);
}

impl ProvenanceLedger for () {
	fn operations(_: &ModelId) -> Option<OperationCount> {
		Some(OperationCount::default())
	}
	fn insert(_: H256, _: Record) -> DispatchResult {
		Ok(())
	}
	fn set_status(_: &H256, _: DrawStatus) {}
	fn model_count() -> u32 {
		0
	}
	#[cfg(feature = "runtime-benchmarks")]
	fn register_for_benchmark(_: ModelId, _: OperationCount) {}
}

/// Told when a draw ends.
pub trait OnSettled {
	/// A draw has ended.
	fn on_settled(settlement: &Settlement);
}

impl OnSettled for () {
	fn on_settled(_: &Settlement) {}
}

/// Verified work of a worker, for its sobriety rating.
pub trait VerifiedWork {
	/// Multiply-accumulates credited so far.
	fn credited_operations(worker: &AccountId) -> u128;
	/// Whether the account is registered.
	fn is_registered(worker: &AccountId) -> bool;
	/// Registers the account as a worker.
	#[cfg(feature = "runtime-benchmarks")]
	fn register_for_benchmark(worker: &AccountId);
}

impl VerifiedWork for () {
	fn credited_operations(_: &AccountId) -> u128 {
		0
	}
	fn is_registered(_: &AccountId) -> bool {
		true
	}
	#[cfg(feature = "runtime-benchmarks")]
	fn register_for_benchmark(_: &AccountId) {}
}
