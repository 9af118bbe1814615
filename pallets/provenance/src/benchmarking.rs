//! Benchmarks: each sets up the worst case of one call.

use crate::*;
use aria_primitives::{
	AccountId, H256, ModelId,
	energy::Energy,
	provenance::{MAX_LICENCE_LEN, MAX_NAME_LEN, OperationCount, Record},
	traits::ProvenanceLedger,
	work::DrawStatus,
};
use frame_benchmarking::v2::*;
use frame_support::traits::{
	Get,
	fungible::{Inspect, Mutate},
};
use frame_system::RawOrigin;

const MODEL: ModelId = H256::repeat_byte(7);

/// Gives an account enough for a model and `records` records, on top of what it has.
fn fund<T: Config>(who: &AccountId, records: u32) {
	let holds = T::Currency::minimum_balance()
		+ T::ModelDeposit::get()
		+ T::RecordDeposit::get() * records.into();
	T::Currency::mint_into(who, holds * 10u32.into()).expect("far below the most; qed");
}

/// The longest name.
fn name() -> Name {
	alloc::vec![b'n'; MAX_NAME_LEN as usize]
		.try_into()
		.expect("exactly the bound; qed")
}

/// The longest licence.
fn licence() -> Licence {
	alloc::vec![b'l'; MAX_LICENCE_LEN as usize]
		.try_into()
		.expect("exactly the bound; qed")
}

/// Registers a model, with a publisher of its own.
pub(crate) fn register<T: Config>(model: ModelId, operations: OperationCount) {
	let publisher: AccountId = account("publisher", 0, 0);
	fund::<T>(&publisher, 1);
	Pallet::<T>::do_register_model(publisher, model, name(), licence(), operations, 1)
		.expect("the publisher is funded and the model new; qed");
}

fn id(index: u32) -> H256 {
	H256::from_low_u64_be(index.into())
}

fn record(worker: &AccountId) -> Record {
	Record {
		model: MODEL,
		worker: worker.clone(),
		verifier: account("verifier", 0, 0),
		batch: 0,
		leaf_index: 0,
		request: H256::zero(),
		output: H256::zero(),
		trace_root: H256::zero(),
		prompt_tokens: 1,
		output_tokens: 1,
		operations: 1,
		energy: Energy::default(),
		status: DrawStatus::Opened,
		opened_at: 0,
	}
}

/// A worker whose list of records is full; the next identifier is `MaxRecordsPerWorker`.
fn worker_with_records<T: Config>() -> AccountId {
	let worker: AccountId = account("worker", 0, 0);
	let most = T::MaxRecordsPerWorker::get();
	fund::<T>(&worker, most + 1);
	register::<T>(MODEL, OperationCount::default());
	for index in 0..most {
		Pallet::<T>::do_insert(id(index), record(&worker)).expect("funded and new; qed");
	}
	worker
}

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn register_model() {
		let caller: AccountId = whitelisted_caller();
		fund::<T>(&caller, 1);
		#[extrinsic_call]
		_(
			RawOrigin::Signed(caller),
			MODEL,
			name(),
			licence(),
			OperationCount::default(),
			u64::MAX,
		);
		assert!(Models::<T>::contains_key(MODEL));
	}

	#[benchmark]
	fn deregister_model() {
		register::<T>(MODEL, OperationCount::default());
		let publisher: AccountId = account("publisher", 0, 0);
		#[extrinsic_call]
		_(RawOrigin::Signed(publisher), MODEL);
		assert!(!Models::<T>::contains_key(MODEL));
	}

	#[benchmark]
	fn prune_record() {
		worker_with_records::<T>();
		Pallet::<T>::set_status(&id(0), DrawStatus::Accepted);
		let after = T::RecordRetention::get() + 1;
		frame_system::Pallet::<T>::set_block_number(after.into());
		let caller: AccountId = whitelisted_caller();
		#[extrinsic_call]
		_(RawOrigin::Signed(caller), id(0));
		assert!(!Records::<T>::contains_key(id(0)));
	}

	#[benchmark]
	fn insert() {
		let worker = worker_with_records::<T>();
		let next = id(T::MaxRecordsPerWorker::get());
		let new = record(&worker);
		let result;
		#[block]
		{
			result = Pallet::<T>::insert(next, new);
		}
		assert_eq!(result, Ok(()));
	}

	#[benchmark]
	fn set_status() {
		worker_with_records::<T>();
		#[block]
		{
			Pallet::<T>::set_status(&id(0), DrawStatus::Accepted);
		}
		assert!(Records::<T>::get(id(0)).is_some_and(|r| r.status == DrawStatus::Accepted));
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
