//! Registering and deregistering models.

use crate::*;
use aria_primitives::{AccountId, ModelId, provenance::OperationCount};
use frame_support::{
	ensure,
	pallet_prelude::*,
	traits::{Get, fungible::MutateHold, tokens::Precision},
};
use sp_runtime::traits::UniqueSaturatedInto;

impl<T: Config> Pallet<T> {
	pub(crate) fn do_register_model(
		publisher: AccountId,
		model: ModelId,
		name: Name,
		licence: Licence,
		operations: OperationCount,
		bytes: u64,
	) -> DispatchResult {
		ensure!(
			!Models::<T>::contains_key(model),
			Error::<T>::AlreadyRegistered
		);
		ensure!(!name.is_empty(), Error::<T>::EmptyName);
		let deposit = T::ModelDeposit::get();
		T::Currency::hold(&HoldReason::Model.into(), &publisher, deposit)?;
		Models::<T>::insert(
			model,
			Model {
				publisher: publisher.clone(),
				name: name.clone(),
				licence,
				operations,
				bytes,
				deposit,
				registered_at: Self::now(),
				records: 0,
			},
		);
		Self::deposit_event(Event::ModelRegistered {
			model,
			publisher,
			name,
		});
		Ok(())
	}

	pub(crate) fn do_deregister_model(who: AccountId, model: ModelId) -> DispatchResult {
		let stored = Models::<T>::get(model).ok_or(Error::<T>::UnknownModel)?;
		ensure!(stored.publisher == who, Error::<T>::NotThePublisher);
		ensure!(stored.records == 0, Error::<T>::InUse);
		let deposit = stored.deposit;
		T::Currency::release(&HoldReason::Model.into(), &who, deposit, Precision::Exact)?;
		Models::<T>::remove(model);
		Self::deposit_event(Event::ModelDeregistered {
			model,
			publisher: who,
			deposit,
		});
		Ok(())
	}

	pub(crate) fn now() -> u32 {
		frame_system::Pallet::<T>::block_number().unique_saturated_into()
	}
}
