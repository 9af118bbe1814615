//! # Provenance
//!
//! Which models exist, and which answers were put to the test.
//!
//! ## Overview
//!
//! A *publisher* registers a model under its identifier, the root of the Merkle tree over its manifest and tensors,
//! with its licence and its exact cost in operations. Other pallets insert a *record* for each answer that was drawn
//! and opened, and mark it as the draw goes on, through [`ProvenanceLedger`](aria_primitives::traits::ProvenanceLedger).
//! A record names the model, the worker, the verifier and the hashes of what was asked and answered; its identifier is
//! the leaf hash of the signed receipt, so whoever holds a receipt can look up what became of it.
//!
//! ```text
//! register_model --insert--> record, Opened --set_status--> Accepted | Rejected | Unresolved --prune--> identifier
//! ```
//!
//! ## Properties
//!
//! - An identifier is recorded once, forever: an answer can't earn a second time after its record was pruned. The
//!   identifier stays, and so does the small [`Config::IdentifierDeposit`] that pays for it; a promise never to
//!   forget can't be given back. The rest of a record's deposit and all of a model's are returned.
//! - A model stays while a record refers to it, so every record's model can be looked up.
//! - Everything stored is paid for by a deposit of who caused it.
//!
//! ## Assumptions
//!
//! - Identifiers of models are first come, first served, and the cost is the publisher's claim. A wrong one harms
//!   nobody who looks: a worker compares it with the model's files before it commits answers of that model.
//! - A publisher may deregister a model without records while answers of it are committed but not yet opened. Those
//!   can be opened once anyone has registered the model again.
//! - Callers of the ledger's trait are trusted: they insert records of answers whose receipts they have checked.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
	not(any(test, feature = "runtime-benchmarks")),
	deny(
		clippy::arithmetic_side_effects,
		clippy::indexing_slicing,
		clippy::expect_used,
		clippy::unwrap_used
	)
)]

extern crate alloc;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod ledger;
#[cfg(test)]
mod mock;
mod models;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "try-runtime"))]
mod try_state;
mod types;
mod views;
pub mod weights;

#[frame_support::pallet]
#[expect(clippy::expect_used, reason = "in code that the macro generates")]
pub mod pallet {
	use super::*;
	use aria_primitives::{
		AccountId, H256, ModelId,
		provenance::{OperationCount, Record},
		work::DrawStatus,
	};
	use frame_support::{
		pallet_prelude::*,
		traits::{fungible, fungible::hold},
	};
	use frame_system::pallet_prelude::*;

	/// Balance of [`Config::Currency`].
	pub type BalanceOf<T> = <<T as Config>::Currency as fungible::Inspect<AccountId>>::Balance;
	/// A registered model.
	pub type ModelOf<T> = Model<BalanceOf<T>>;
	/// The deposit behind an identifier.
	pub type DepositOf<T> = Deposit<BalanceOf<T>>;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: frame_system::Config<AccountId = AccountId> {
		/// Holds deposits.
		type Currency: fungible::Mutate<AccountId>
			+ hold::Mutate<AccountId, Reason = Self::RuntimeHoldReason>;

		/// The runtime's hold reason.
		type RuntimeHoldReason: From<HoldReason>;

		/// Weights.
		type WeightInfo: WeightInfo;

		/// Deposit for a model, until it is deregistered.
		#[pallet::constant]
		type ModelDeposit: Get<BalanceOf<Self>>;

		/// Deposit for a record; all but [`Config::IdentifierDeposit`] of it until the record is pruned.
		#[pallet::constant]
		type RecordDeposit: Get<BalanceOf<Self>>;

		/// Part of a record's deposit that stays, for its identifier.
		#[pallet::constant]
		type IdentifierDeposit: Get<BalanceOf<Self>>;

		/// Blocks for which a record stays readable, from its opening on.
		#[pallet::constant]
		type RecordRetention: Get<u32>;

		/// How many of a worker's latest records are listed.
		#[pallet::constant]
		type MaxRecordsPerWorker: Get<u32>;
	}

	/// Why funds are on hold.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Deposit for a model.
		#[codec(index = 0)]
		Model,
		/// Deposit for a record and its identifier.
		#[codec(index = 1)]
		Record,
	}

	/// Registered models; each is paid for by a deposit.
	// Blake2: keys are chosen by users.
	#[pallet::storage]
	pub type Models<T: Config> = CountedStorageMap<_, Blake2_128Concat, ModelId, ModelOf<T>>;

	/// Records, by the leaf hash of the signed receipt.
	#[pallet::storage]
	pub type Records<T: Config> = StorageMap<_, Blake2_128Concat, H256, Record>;

	/// Every identifier ever recorded, with the deposit that pays for it and for its record.
	#[pallet::storage]
	pub type RecordDeposits<T: Config> = StorageMap<_, Blake2_128Concat, H256, DepositOf<T>>;

	/// Identifiers of a worker's latest records, oldest first.
	#[pallet::storage]
	pub type LatestRecords<T: Config> = StorageMap<
		_,
		Blake2_128Concat,
		AccountId,
		BoundedVec<H256, T::MaxRecordsPerWorker>,
		ValueQuery,
	>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A publisher has registered a model.
		ModelRegistered {
			/// The model.
			model: ModelId,
			/// Who registered it.
			publisher: AccountId,
			/// Its name.
			name: Name,
		},
		/// A publisher has deregistered a model.
		ModelDeregistered {
			/// The model.
			model: ModelId,
			/// Who had registered it.
			publisher: AccountId,
			/// The deposit, released.
			deposit: BalanceOf<T>,
		},
		/// An answer is on record.
		RecordInserted {
			/// Its identifier.
			id: H256,
			/// Who answered.
			worker: AccountId,
			/// With which model.
			model: ModelId,
		},
		/// A record's status has changed.
		RecordMarked {
			/// Its identifier.
			id: H256,
			/// The status from now on.
			status: DrawStatus,
		},
		/// A record was removed; its identifier stays.
		RecordPruned {
			/// Its identifier.
			id: H256,
			/// Who gets the deposit back.
			worker: AccountId,
			/// The part of the deposit that was released.
			deposit: BalanceOf<T>,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The model is registered already.
		AlreadyRegistered,
		/// The model is not registered; use `register_model`.
		UnknownModel,
		/// The name is empty.
		EmptyName,
		/// Only the publisher may deregister a model.
		NotThePublisher,
		/// Records refer to the model; prune them first.
		InUse,
		/// This identifier is or was on record; an answer counts once.
		AlreadyRecorded,
		/// There is no such record; it may have been pruned.
		UnknownRecord,
		/// The record's draw is not settled; wait until it is.
		NotSettled,
		/// The record's retention period has not passed.
		NotPrunable,
		/// A counter would leave its range.
		Overflow,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(
				T::IdentifierDeposit::get() <= T::RecordDeposit::get(),
				"what stays of a deposit is a part of it"
			);
			assert!(
				T::MaxRecordsPerWorker::get() >= 1,
				"a worker's latest record must be listed"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Registers a model.
		///
		/// ## Dispatch Origin
		///
		/// Signed; the caller becomes the publisher.
		///
		/// ## Details
		///
		/// Holds `ModelDeposit`. `model` is the root of the Merkle tree over the model's canonical manifest and
		/// tensors, `licence` an SPDX expression, `bytes` the canonical size.
		///
		/// ## Errors
		///
		/// [`Error::AlreadyRegistered`], [`Error::EmptyName`], and the currency's when the caller can't pay the
		/// deposit.
		///
		/// ## Events
		///
		/// [`Event::ModelRegistered`].
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::register_model())]
		pub fn register_model(
			origin: OriginFor<T>,
			model: ModelId,
			name: Name,
			licence: Licence,
			operations: OperationCount,
			bytes: u64,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_register_model(who, model, name, licence, operations, bytes)
		}

		/// Deregisters a model and releases its deposit.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by the publisher.
		///
		/// ## Details
		///
		/// Answers of the model can't be opened from now on, until somebody registers it again.
		///
		/// ## Errors
		///
		/// [`Error::UnknownModel`], [`Error::NotThePublisher`], [`Error::InUse`].
		///
		/// ## Events
		///
		/// [`Event::ModelDeregistered`].
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::deregister_model())]
		pub fn deregister_model(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_deregister_model(who, model)
		}

		/// Removes a record and releases its deposit to its worker, less `IdentifierDeposit`.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by anyone.
		///
		/// ## Details
		///
		/// Possible once the record's draw is settled and more than `RecordRetention` blocks have passed since the
		/// opening. The identifier stays, so that the same answer is never recorded again.
		///
		/// ## Errors
		///
		/// [`Error::UnknownRecord`], [`Error::NotSettled`], [`Error::NotPrunable`].
		///
		/// ## Events
		///
		/// [`Event::RecordPruned`].
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::prune_record())]
		pub fn prune_record(origin: OriginFor<T>, id: H256) -> DispatchResult {
			ensure_signed(origin)?;
			Self::do_prune_record(id)
		}
	}
}
