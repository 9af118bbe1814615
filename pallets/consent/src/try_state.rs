//! Invariants of the storage, checked after every test and by `try-runtime`.

use crate::*;
use frame_support::{ensure, traits::fungible::InspectHold};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks every invariant.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::contracts_are_valid_and_paid()?;
		Self::versions_are_kept_and_paid()
	}

	/// Terms in force are valid, under the account's last version, and their deposit is what is on hold.
	fn contracts_are_valid_and_paid() -> Result<(), TryRuntimeError> {
		for (who, contract) in Contracts::<T>::iter() {
			ensure!(contract.terms.is_valid(), "terms in force are invalid");
			ensure!(
				LastVersions::<T>::get(&who).is_some_and(|last| last.version == contract.version),
				"a contract's version is not the account's last"
			);
			let held = T::Currency::balance_on_hold(&HoldReason::Contract.into(), &who);
			ensure!(
				held == contract.deposit,
				"a contract's deposit differs from its hold"
			);
		}
		Ok(())
	}

	/// Version numbers begin at one, and their deposit is what is on hold.
	fn versions_are_kept_and_paid() -> Result<(), TryRuntimeError> {
		for (who, last) in LastVersions::<T>::iter() {
			ensure!(last.version > 0, "version zero was given out");
			let held = T::Currency::balance_on_hold(&HoldReason::Version.into(), &who);
			ensure!(
				held == last.deposit,
				"a version's deposit differs from its hold"
			);
		}
		Ok(())
	}
}
