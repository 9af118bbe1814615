//! # Consent
//!
//! What the owner of a machine allows others to do with it, enforced by the state machine.
//!
//! ## Overview
//!
//! A machine does no work for others until its owner grants a *contract*: how much of the machine, which kinds of
//! work, on which days and at which times. Other pallets ask through
//! [`ConsentCheck`](aria_primitives::traits::ConsentCheck); work that the contract does not allow at that moment fails
//! to dispatch. Receipts name the *version* of the contract they were made under.
//!
//! ```text
//! grant --> contract, version n --amend--> contract, version n + 1 --revoke--> none --grant--> version n + 2 ...
//! ```
//!
//! ## Properties
//!
//! - A version of an account names one set of terms forever: numbers go up with every grant and amendment and never
//!   start again, not even after a revocation.
//! - Revoking always works, at once, and gives the contract's deposit back. The account's last version number (a few
//!   bytes) stays, and so does the small [`Config::VersionDeposit`] that pays for it: a promise never to reuse a
//!   number can't be given back.
//! - Nobody but the owner can grant, amend or revoke.
//!
//! ## Assumptions
//!
//! - [`Config::Time`] is the block's timestamp, so terms hold to within the drift that consensus allows it.
//! - The chain enforces the window, days and kinds of work. Shares of CPU, memory and network, logging, and privacy
//!   are for the worker's process to obey; the contract is what it is held to.
//! - Consent is checked when work is assigned or committed. Revoking does not undo obligations that exist by then.

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

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod contract;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "try-runtime"))]
mod try_state;
mod types;
pub mod weights;

#[frame_support::pallet]
#[expect(clippy::expect_used, reason = "in code that the macro generates")]
pub mod pallet {
	use super::*;
	use aria_primitives::{AccountId, consent::Terms};
	use frame_support::{
		pallet_prelude::*,
		traits::{UnixTime, fungible, fungible::hold},
	};
	use frame_system::pallet_prelude::*;

	/// Balance of [`Config::Currency`].
	pub type BalanceOf<T> = <<T as Config>::Currency as fungible::Inspect<AccountId>>::Balance;
	/// A contract.
	pub type ContractOf<T> = Contract<BalanceOf<T>>;
	/// The last version of an account's contracts.
	pub type VersionOf<T> = LastVersion<BalanceOf<T>>;

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

		/// The clock that windows and days are read from.
		type Time: UnixTime;

		/// Weights.
		type WeightInfo: WeightInfo;

		/// Deposit for a contract, until it is revoked.
		#[pallet::constant]
		type ContractDeposit: Get<BalanceOf<Self>>;

		/// Deposit for an account's last version number, taken once, at its first grant, and kept.
		#[pallet::constant]
		type VersionDeposit: Get<BalanceOf<Self>>;
	}

	/// Why funds are on hold.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Deposit for a contract.
		#[codec(index = 0)]
		Contract,
		/// Deposit for the last version number.
		#[codec(index = 1)]
		Version,
	}

	/// Contracts in force; each is paid for by a deposit.
	// Blake2: keys are chosen by users.
	#[pallet::storage]
	pub type Contracts<T: Config> = StorageMap<_, Blake2_128Concat, AccountId, ContractOf<T>>;

	/// The last version of every account that ever granted a contract; each is paid for by a deposit that stays.
	#[pallet::storage]
	pub type LastVersions<T: Config> = StorageMap<_, Blake2_128Concat, AccountId, VersionOf<T>>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// An owner has granted a contract.
		Granted {
			/// Who.
			who: AccountId,
			/// Its terms.
			terms: Terms,
			/// Its version.
			version: u32,
		},
		/// An owner has changed a contract's terms.
		Amended {
			/// Who.
			who: AccountId,
			/// The terms from now on.
			terms: Terms,
			/// The version from now on.
			version: u32,
		},
		/// An owner has revoked a contract.
		Revoked {
			/// Who.
			who: AccountId,
			/// The version that is no longer in force.
			version: u32,
			/// The contract's deposit, released.
			deposit: BalanceOf<T>,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The account has a contract already; use `amend`.
		AlreadyGranted,
		/// The account has no contract; its owner must `grant` one first.
		NoContract,
		/// A field of the terms is out of its range, or no time or task would ever be allowed.
		InvalidTerms,
		/// The contract does not allow this kind of work at this time.
		OutsideTerms,
		/// The account has used up all version numbers.
		VersionsExhausted,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Grants a contract with these terms for the caller's machine.
		///
		/// ## Dispatch Origin
		///
		/// Signed.
		///
		/// ## Details
		///
		/// Holds `ContractDeposit` until the contract is revoked and, the first time, `VersionDeposit`, which stays.
		/// The contract's version is the one after the last that this account ever had, or 1.
		///
		/// ## Errors
		///
		/// [`Error::AlreadyGranted`], [`Error::InvalidTerms`], [`Error::VersionsExhausted`], and the currency's when
		/// the caller can't pay the deposits.
		///
		/// ## Events
		///
		/// [`Event::Granted`].
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::grant())]
		pub fn grant(origin: OriginFor<T>, terms: Terms) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_grant(who, terms)
		}

		/// Changes the terms of the caller's contract.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by an account with a contract.
		///
		/// ## Details
		///
		/// The new terms are in force at once, under the next version.
		///
		/// ## Errors
		///
		/// [`Error::NoContract`], [`Error::InvalidTerms`], [`Error::VersionsExhausted`].
		///
		/// ## Events
		///
		/// [`Event::Amended`].
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::amend())]
		pub fn amend(origin: OriginFor<T>, terms: Terms) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_amend(who, terms)
		}

		/// Revokes the caller's contract and releases its deposit.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by an account with a contract.
		///
		/// ## Details
		///
		/// From now on nothing is allowed. Obligations that exist already stay. `VersionDeposit` stays on hold.
		///
		/// ## Errors
		///
		/// [`Error::NoContract`].
		///
		/// ## Events
		///
		/// [`Event::Revoked`].
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::revoke())]
		pub fn revoke(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_revoke(who)
		}
	}
}
