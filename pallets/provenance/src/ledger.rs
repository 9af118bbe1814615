//! Records: inserted and marked by other pallets, pruned by anyone.

use crate::*;
use aria_primitives::{
	H256, ModelId,
	provenance::{OperationCount, Record},
	traits::ProvenanceLedger,
	work::DrawStatus,
};
use frame_support::{
	ensure,
	pallet_prelude::*,
	traits::{Get, fungible::MutateHold, tokens::Precision},
};
use sp_runtime::traits::Saturating;

impl<T: Config> Pallet<T> {
	pub(crate) fn do_insert(id: H256, record: Record) -> DispatchResult {
		ensure!(
			!RecordDeposits::<T>::contains_key(id),
			Error::<T>::AlreadyRecorded
		);
		let mut model = Models::<T>::get(record.model).ok_or(Error::<T>::UnknownModel)?;
		model.records = model.records.checked_add(1).ok_or(Error::<T>::Overflow)?;
		let worker = record.worker.clone();
		let mut latest = LatestRecords::<T>::get(&worker);
		if latest.is_full() {
			latest.remove(0);
		}
		latest.try_push(id).map_err(|_| Error::<T>::Overflow)?;

		let amount = T::RecordDeposit::get();
		T::Currency::hold(&HoldReason::Record.into(), &worker, amount)?;

		let model_id = record.model;
		Models::<T>::insert(model_id, model);
		LatestRecords::<T>::insert(&worker, latest);
		RecordDeposits::<T>::insert(
			id,
			Deposit {
				worker: worker.clone(),
				amount,
			},
		);
		Records::<T>::insert(id, record);
		Self::deposit_event(Event::RecordInserted {
			id,
			worker,
			model: model_id,
		});
		Ok(())
	}

	pub(crate) fn do_prune_record(id: H256) -> DispatchResult {
		let record = Records::<T>::get(id).ok_or(Error::<T>::UnknownRecord)?;
		let mut deposit = RecordDeposits::<T>::get(id).ok_or(Error::<T>::UnknownRecord)?;
		let mut model = Models::<T>::get(record.model).ok_or(Error::<T>::UnknownModel)?;
		ensure!(
			!matches!(record.status, DrawStatus::Drawn | DrawStatus::Opened),
			Error::<T>::NotSettled
		);
		let age = Self::now().saturating_sub(record.opened_at);
		ensure!(age > T::RecordRetention::get(), Error::<T>::NotPrunable);
		model.records = model.records.checked_sub(1).ok_or(Error::<T>::Overflow)?;

		let worker = record.worker;
		let kept = T::IdentifierDeposit::get().min(deposit.amount);
		let released = deposit.amount.saturating_sub(kept);
		let reason = HoldReason::Record.into();
		T::Currency::release(&reason, &worker, released, Precision::Exact)?;

		deposit.amount = kept;
		RecordDeposits::<T>::insert(id, deposit);
		Models::<T>::insert(record.model, model);
		Records::<T>::remove(id);
		LatestRecords::<T>::mutate_exists(&worker, |latest| {
			if let Some(list) = latest {
				list.retain(|listed| *listed != id);
				if list.is_empty() {
					*latest = None;
				}
			}
		});
		Self::deposit_event(Event::RecordPruned {
			id,
			worker,
			deposit: released,
		});
		Ok(())
	}
}

impl<T: Config> ProvenanceLedger for Pallet<T> {
	fn operations(model: &ModelId) -> Option<OperationCount> {
		Models::<T>::get(model).map(|model| model.operations)
	}

	fn insert(id: H256, record: Record) -> DispatchResult {
		Self::do_insert(id, record)
	}

	/// Does nothing when there is no such record.
	fn set_status(id: &H256, status: DrawStatus) {
		let marked = Records::<T>::mutate_exists(id, |record| {
			record.as_mut().map(|record| record.status = status)
		});
		if marked.is_some() {
			Self::deposit_event(Event::RecordMarked { id: *id, status });
		}
	}

	fn model_count() -> u32 {
		Models::<T>::count()
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn register_for_benchmark(model: ModelId, operations: OperationCount) {
		benchmarking::register::<T>(model, operations);
	}
}
