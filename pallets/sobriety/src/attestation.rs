//! Attesting, withdrawing, rating.

use crate::*;
use aria_primitives::{
	AccountId,
	api::SobrietyView,
	energy::{EvidenceGrade, Rating},
	traits::VerifiedWork,
};
use frame_support::{
	ensure,
	pallet_prelude::*,
	traits::{Get, UnixTime, fungible::MutateHold, tokens::Precision},
};
use sp_runtime::traits::UniqueSaturatedInto;

impl<T: Config> Pallet<T> {
	pub(crate) fn do_attest(
		who: AccountId,
		attestation: Attestation,
		now_ms: u64,
	) -> DispatchResult {
		let Attestation {
			period_start_ms,
			period_end_ms,
			energy,
		} = attestation;
		ensure!(T::Work::is_registered(&who), Error::<T>::NotRegistered);
		ensure!(
			energy.grade > EvidenceGrade::Unknown,
			Error::<T>::UnknownGrade
		);
		ensure!(energy.microjoules > 0, Error::<T>::ZeroEnergy);
		ensure!(period_start_ms < period_end_ms, Error::<T>::EmptyPeriod);
		ensure!(period_end_ms <= now_ms, Error::<T>::FuturePeriod);

		let account = match Accounts::<T>::get(&who) {
			Some(account) => {
				ensure!(
					account.last_end_ms <= period_start_ms,
					Error::<T>::OverlappingPeriod
				);
				Account {
					microjoules: account
						.microjoules
						.checked_add(energy.microjoules.into())
						.ok_or(Error::<T>::Overflow)?,
					grade: account.grade.min(energy.grade),
					attestations: account
						.attestations
						.checked_add(1)
						.ok_or(Error::<T>::Overflow)?,
					last_end_ms: period_end_ms,
					..account
				}
			}
			None => {
				let deposit = T::AccountDeposit::get();
				T::Currency::hold(&HoldReason::Account.into(), &who, deposit)?;
				Account {
					microjoules: energy.microjoules.into(),
					grade: energy.grade,
					attestations: 1,
					last_end_ms: period_end_ms,
					operations_before: T::Work::credited_operations(&who),
					deposit,
				}
			}
		};

		let mut latest = Attestations::<T>::get(&who);
		if latest.is_full() {
			latest.remove(0);
		}
		latest
			.try_push(attestation)
			.map_err(|_| Error::<T>::Overflow)?;

		Accounts::<T>::insert(&who, account);
		Attestations::<T>::insert(&who, latest);
		Self::deposit_event(Event::Attested {
			who,
			period_start_ms,
			period_end_ms,
			energy,
		});
		Ok(())
	}

	pub(crate) fn do_withdraw(who: AccountId) -> DispatchResult {
		let account = Accounts::<T>::get(&who).ok_or(Error::<T>::NoAttestations)?;
		let deposit = account.deposit;
		T::Currency::release(&HoldReason::Account.into(), &who, deposit, Precision::Exact)?;
		Accounts::<T>::remove(&who);
		Attestations::<T>::remove(&who);
		Self::deposit_event(Event::Withdrawn { who, deposit });
		Ok(())
	}

	pub(crate) fn now_ms() -> u64 {
		T::Time::now().as_millis().unique_saturated_into()
	}

	/// An account's sobriety, for the runtime API: its energy against the operations credited since its first
	/// attestation.
	pub fn sobriety_view(who: &AccountId) -> Option<SobrietyView> {
		let account = Accounts::<T>::get(who)?;
		// Less than before after the party has left and forfeited its operations.
		let operations =
			T::Work::credited_operations(who).saturating_sub(account.operations_before);
		Some(SobrietyView {
			microjoules: account.microjoules,
			operations,
			grade: account.grade,
			rating: Rating::of(account.microjoules, operations),
			attestations: account.attestations,
		})
	}
}
