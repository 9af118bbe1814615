//! Invariants of the storage, checked after every test and by `try-runtime`.

use crate::*;
use alloc::collections::{BTreeMap, BTreeSet};
use aria_primitives::{AccountId, ModelId};
use frame_support::{ensure, traits::fungible::InspectHold};
use sp_runtime::{
	TryRuntimeError,
	traits::{CheckedAdd, Zero},
};

impl<T: Config> Pallet<T> {
	/// Checks every invariant.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::models_are_named_and_paid()?;
		Self::records_are_counted()?;
		Self::identifiers_are_paid()?;
		Self::lists_name_records_of_their_worker()
	}

	/// Models have a name, and a publisher's deposits are what it has on hold for them.
	fn models_are_named_and_paid() -> Result<(), TryRuntimeError> {
		let mut deposits = BTreeMap::new();
		let mut models = 0u32;
		for model in Models::<T>::iter_values() {
			ensure!(!model.name.is_empty(), "a model has no name");
			add_deposit::<T>(&mut deposits, model.publisher, model.deposit)?;
			models = models.saturating_add(1);
		}
		ensure!(models == Models::<T>::count(), "models are miscounted");
		ensure_held::<T>(&deposits, HoldReason::Model)
	}

	/// A record's model is registered and knows how many records refer to it.
	fn records_are_counted() -> Result<(), TryRuntimeError> {
		let mut counts: BTreeMap<ModelId, u32> = BTreeMap::new();
		for (id, record) in Records::<T>::iter() {
			let count = counts.entry(record.model).or_default();
			*count = count.saturating_add(1);
			ensure!(
				Models::<T>::contains_key(record.model),
				"a record's model is not registered"
			);
			ensure!(
				RecordDeposits::<T>::get(id).is_some_and(|d| d.worker == record.worker),
				"a record has no deposit of its worker"
			);
		}
		for (id, model) in Models::<T>::iter() {
			ensure!(
				counts.get(&id).copied().unwrap_or_default() == model.records,
				"a model's records are miscounted"
			);
		}
		Ok(())
	}

	/// The deposits of a worker's records and identifiers are what it has on hold for them.
	fn identifiers_are_paid() -> Result<(), TryRuntimeError> {
		let mut deposits = BTreeMap::new();
		for deposit in RecordDeposits::<T>::iter_values() {
			add_deposit::<T>(&mut deposits, deposit.worker, deposit.amount)?;
		}
		ensure_held::<T>(&deposits, HoldReason::Record)
	}

	/// Lists are not empty and name records of their worker, each once.
	fn lists_name_records_of_their_worker() -> Result<(), TryRuntimeError> {
		for (worker, list) in LatestRecords::<T>::iter() {
			ensure!(!list.is_empty(), "an empty list is stored");
			let distinct: BTreeSet<_> = list.iter().collect();
			ensure!(distinct.len() == list.len(), "a record is listed twice");
			for id in list {
				ensure!(
					Records::<T>::get(id).is_some_and(|record| record.worker == worker),
					"a list names what is no record of its worker"
				);
			}
		}
		Ok(())
	}
}

type Deposits<T> = BTreeMap<AccountId, BalanceOf<T>>;

fn add_deposit<T: Config>(
	deposits: &mut Deposits<T>,
	who: AccountId,
	amount: BalanceOf<T>,
) -> Result<(), TryRuntimeError> {
	let sum = deposits.entry(who).or_insert_with(Zero::zero);
	*sum = sum
		.checked_add(&amount)
		.ok_or("deposits overflow the balance")?;
	Ok(())
}

fn ensure_held<T: Config>(
	deposits: &Deposits<T>,
	reason: HoldReason,
) -> Result<(), TryRuntimeError> {
	let reason = reason.into();
	for (who, sum) in deposits {
		ensure!(
			T::Currency::balance_on_hold(&reason, who) == *sum,
			"deposits differ from their hold"
		);
	}
	Ok(())
}
