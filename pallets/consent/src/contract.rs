//! Granting, amending, revoking, asking.

use crate::*;
use aria_primitives::{
	AccountId,
	consent::{ConsentView, TaskKind, Terms},
	traits::ConsentCheck,
};
use frame_support::{
	ensure,
	pallet_prelude::*,
	traits::{Get, UnixTime, fungible::MutateHold, tokens::Precision},
};
use sp_runtime::traits::UniqueSaturatedInto;

impl<T: Config> Pallet<T> {
	pub(crate) fn do_grant(who: AccountId, terms: Terms) -> DispatchResult {
		ensure!(
			!Contracts::<T>::contains_key(&who),
			Error::<T>::AlreadyGranted
		);
		ensure!(terms.is_valid(), Error::<T>::InvalidTerms);
		let last = LastVersions::<T>::get(&who);
		let next = Self::after(last.as_ref().map_or(0, |last| last.version))?;
		let deposit = T::ContractDeposit::get();

		let version_deposit = match last {
			Some(last) => last.deposit,
			None => {
				let deposit = T::VersionDeposit::get();
				T::Currency::hold(&HoldReason::Version.into(), &who, deposit)?;
				deposit
			}
		};
		T::Currency::hold(&HoldReason::Contract.into(), &who, deposit)?;

		LastVersions::<T>::insert(
			&who,
			LastVersion {
				version: next,
				deposit: version_deposit,
			},
		);
		Contracts::<T>::insert(
			&who,
			Contract {
				terms,
				version: next,
				changed_at: Self::now(),
				deposit,
			},
		);
		Self::deposit_event(Event::Granted {
			who,
			terms,
			version: next,
		});
		Ok(())
	}

	pub(crate) fn do_amend(who: AccountId, terms: Terms) -> DispatchResult {
		let mut contract = Contracts::<T>::get(&who).ok_or(Error::<T>::NoContract)?;
		let mut last = LastVersions::<T>::get(&who).ok_or(Error::<T>::NoContract)?;
		ensure!(terms.is_valid(), Error::<T>::InvalidTerms);
		let version = Self::after(contract.version)?;
		contract.terms = terms;
		contract.version = version;
		contract.changed_at = Self::now();
		last.version = version;
		Contracts::<T>::insert(&who, contract);
		LastVersions::<T>::insert(&who, last);
		Self::deposit_event(Event::Amended {
			who,
			terms,
			version,
		});
		Ok(())
	}

	pub(crate) fn do_revoke(who: AccountId) -> DispatchResult {
		let contract = Contracts::<T>::get(&who).ok_or(Error::<T>::NoContract)?;
		let deposit = contract.deposit;
		T::Currency::release(
			&HoldReason::Contract.into(),
			&who,
			deposit,
			Precision::Exact,
		)?;
		Contracts::<T>::remove(&who);
		Self::deposit_event(Event::Revoked {
			who,
			version: contract.version,
			deposit,
		});
		Ok(())
	}

	/// An account's contract, for the runtime API.
	pub fn consent_view(who: &AccountId) -> Option<ConsentView> {
		Contracts::<T>::get(who).map(|contract| ConsentView {
			terms: contract.terms,
			version: contract.version,
			changed_at: contract.changed_at,
		})
	}

	fn after(version: u32) -> Result<u32, DispatchError> {
		let next = version.checked_add(1);
		Ok(next.ok_or(Error::<T>::VersionsExhausted)?)
	}

	fn now() -> u32 {
		frame_system::Pallet::<T>::block_number().unique_saturated_into()
	}
}

impl<T: Config> ConsentCheck for Pallet<T> {
	fn ensure_permitted(worker: &AccountId, task: TaskKind) -> Result<u32, DispatchError> {
		let contract = Contracts::<T>::get(worker).ok_or(Error::<T>::NoContract)?;
		let now_ms = T::Time::now().as_millis().unique_saturated_into();
		ensure!(
			contract.terms.permits(task, now_ms),
			Error::<T>::OutsideTerms
		);
		Ok(contract.version)
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn grant_for_benchmark(worker: &AccountId) {
		benchmarking::fund::<T>(worker);
		Self::do_grant(worker.clone(), Terms::default())
			.expect("the account is funded and has no contract; qed");
	}
}
