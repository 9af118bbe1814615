//! Invariants of the storage, checked after every test and by `try-runtime`.

use crate::*;
use aria_primitives::energy::EvidenceGrade;
use frame_support::{ensure, traits::fungible::InspectHold};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks every invariant.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::accounts_are_paid()?;
		Self::sums_cover_the_lists()?;
		Self::periods_follow_each_other()
	}

	/// An account's deposit is what it has on hold.
	fn accounts_are_paid() -> Result<(), TryRuntimeError> {
		for (who, account) in Accounts::<T>::iter() {
			let held = T::Currency::balance_on_hold(&HoldReason::Account.into(), &who);
			ensure!(
				held == account.deposit,
				"an account's deposit differs from its hold"
			);
		}
		Ok(())
	}

	/// Sums are at least those of the listed attestations, and equal while none has fallen off.
	fn sums_cover_the_lists() -> Result<(), TryRuntimeError> {
		for (who, account) in Accounts::<T>::iter() {
			let list = Attestations::<T>::get(&who);
			let mut microjoules = 0u128;
			let mut weakest = EvidenceGrade::ProcessorCounters;
			for attestation in &list {
				microjoules = microjoules.saturating_add(attestation.energy.microjoules.into());
				weakest = weakest.min(attestation.energy.grade);
			}
			let listed = u32::try_from(list.len()).unwrap_or(u32::MAX);
			let complete = listed == account.attestations;
			ensure!(
				complete || (list.is_full() && listed < account.attestations),
				"attestations are miscounted"
			);
			ensure!(
				microjoules <= account.microjoules
					&& (!complete || microjoules == account.microjoules),
				"an account's energy is not the sum of its attestations"
			);
			ensure!(
				account.grade > EvidenceGrade::Unknown
					&& account.grade <= weakest
					&& (!complete || account.grade == weakest),
				"an account's grade is not its weakest"
			);
			ensure!(
				list.last()
					.is_some_and(|last| last.period_end_ms == account.last_end_ms),
				"an account's last period is not the listed one"
			);
		}
		Ok(())
	}

	/// Lists belong to accounts; their periods are in order and don't overlap.
	fn periods_follow_each_other() -> Result<(), TryRuntimeError> {
		for (who, list) in Attestations::<T>::iter() {
			ensure!(
				Accounts::<T>::contains_key(&who),
				"a list belongs to no account"
			);
			let mut end_ms = 0;
			for attestation in list {
				ensure!(
					end_ms <= attestation.period_start_ms
						&& attestation.period_start_ms < attestation.period_end_ms,
					"periods overlap or are empty"
				);
				end_ms = attestation.period_end_ms;
			}
		}
		Ok(())
	}
}
