//! # Sobriety
//!
//! The energy that machines used, set against work that was verified.
//!
//! ## Overview
//!
//! A registered party *attests* the energy that its machine used in a period, with the grade of the evidence behind the
//! figure. Periods follow each other, so no time is counted twice. The account's sums are rated against the operations
//! that proof of useful work has credited to it, through [`VerifiedWork`](aria_primitives::traits::VerifiedWork): energy
//! per billion verified operations, never per claimed ones.
//!
//! ```text
//! attest --> account, sums, latest attestations --attest--> ... --withdraw--> none
//! ```
//!
//! ## Properties
//!
//! - Operations that were credited before an account's first attestation do not count, so nobody sets the energy of a
//!   day against the work of a year. The account remembers how many there were, and they are subtracted.
//! - Sums cover every attestation since the first. Those that fall off the bounded list stay in the sums.
//! - The grade of the sums is the weakest among the attestations.
//! - Withdrawing always works, at once: it removes everything and gives the deposit back. An account that attests
//!   again starts at zero, its earlier operations left out.
//!
//! ## Assumptions
//!
//! - Energy is the party's own word; the grade says what it rests on. Nothing is paid by this pallet, and whoever pays
//!   by the rating should ask for a grade.
//! - Operations count from the moment they are credited, energy from the moment it is attested. A party that falls
//!   silent looks better with each answer, so readers compare [`Account::last_end_ms`] with their clock.
//! - A party that leaves proof of useful work forfeits its operations. If it returns, its operations count again once
//!   they exceed those before the first attestation; withdrawing starts afresh.
//! - [`Config::Time`] is the block's timestamp, right to within the drift that consensus allows it.

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

mod attestation;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
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
	use aria_primitives::{AccountId, energy::Energy, traits::VerifiedWork};
	use frame_support::{
		pallet_prelude::*,
		traits::{UnixTime, fungible, fungible::hold},
	};
	use frame_system::pallet_prelude::*;

	/// Balance of [`Config::Currency`].
	pub type BalanceOf<T> = <<T as Config>::Currency as fungible::Inspect<AccountId>>::Balance;
	/// An account that attests.
	pub type AccountOf<T> = Account<BalanceOf<T>>;

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

		/// Verified work that energy is set against.
		type Work: VerifiedWork;

		/// The clock that periods must not run ahead of.
		type Time: UnixTime;

		/// Weights.
		type WeightInfo: WeightInfo;

		/// Deposit for an account's sums and list, until it withdraws.
		#[pallet::constant]
		type AccountDeposit: Get<BalanceOf<Self>>;

		/// How many of an account's latest attestations are listed.
		#[pallet::constant]
		type MaxAttestations: Get<u32>;
	}

	/// Why funds are on hold.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Deposit for an account's sums and list.
		#[codec(index = 0)]
		Account,
	}

	/// Sums of the accounts that attest; each is paid for by a deposit.
	// Blake2: keys are chosen by users.
	#[pallet::storage]
	pub type Accounts<T: Config> = StorageMap<_, Blake2_128Concat, AccountId, AccountOf<T>>;

	/// Latest attestations of each of the accounts, oldest first.
	#[pallet::storage]
	pub type Attestations<T: Config> = StorageMap<
		_,
		Blake2_128Concat,
		AccountId,
		BoundedVec<Attestation, T::MaxAttestations>,
		ValueQuery,
	>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A party has attested the energy of a period.
		Attested {
			/// Who.
			who: AccountId,
			/// Begin of the period, Unix milliseconds.
			period_start_ms: u64,
			/// End of the period, Unix milliseconds.
			period_end_ms: u64,
			/// Energy used, with its grade.
			energy: Energy,
		},
		/// An account has withdrawn its attestations.
		Withdrawn {
			/// Who.
			who: AccountId,
			/// The deposit, released.
			deposit: BalanceOf<T>,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The caller is not registered for proof of useful work; only such work can be set against energy.
		NotRegistered,
		/// The period does not end after it begins.
		EmptyPeriod,
		/// The period ends in the future; wait until it is over.
		FuturePeriod,
		/// The period begins before the end of the account's last one.
		OverlappingPeriod,
		/// Energy of unknown grade has no evidence; state what the figure rests on.
		UnknownGrade,
		/// No machine works without energy.
		ZeroEnergy,
		/// The account has attested nothing.
		NoAttestations,
		/// A counter would leave its range.
		Overflow,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(
				T::MaxAttestations::get() >= 1,
				"an account's latest attestation must be listed"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Attests the energy that the caller's machine used in a period.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by a party registered for proof of useful work.
		///
		/// ## Details
		///
		/// Holds `AccountDeposit` at the account's first attestation; operations credited by then don't count for the
		/// rating. The period is in Unix milliseconds, its end excluded: it may begin where the last one ended.
		///
		/// ## Errors
		///
		/// [`Error::NotRegistered`], [`Error::UnknownGrade`], [`Error::ZeroEnergy`], [`Error::EmptyPeriod`],
		/// [`Error::FuturePeriod`], [`Error::OverlappingPeriod`], [`Error::Overflow`], and the currency's when the
		/// caller can't pay the deposit.
		///
		/// ## Events
		///
		/// [`Event::Attested`].
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::attest())]
		pub fn attest(
			origin: OriginFor<T>,
			period_start_ms: u64,
			period_end_ms: u64,
			energy: Energy,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let attestation = Attestation {
				period_start_ms,
				period_end_ms,
				energy,
			};
			Self::do_attest(who, attestation, Self::now_ms())
		}

		/// Removes the caller's sums and attestations and releases the deposit.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by an account that has attested.
		///
		/// ## Errors
		///
		/// [`Error::NoAttestations`].
		///
		/// ## Events
		///
		/// [`Event::Withdrawn`].
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::withdraw())]
		pub fn withdraw(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_withdraw(who)
		}
	}
}
