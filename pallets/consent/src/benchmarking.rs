//! Benchmarks: each sets up the worst case of one call.

use crate::*;
use aria_primitives::{
	AccountId,
	consent::{TaskKind, Terms},
	traits::ConsentCheck,
};
use frame_benchmarking::v2::*;
use frame_support::traits::{
	Get,
	fungible::{Inspect, Mutate},
};
use frame_system::RawOrigin;

/// Gives an account enough for every hold of a benchmark, on top of what it has.
pub(crate) fn fund<T: Config>(who: &AccountId) {
	let holds =
		T::Currency::minimum_balance() + T::ContractDeposit::get() + T::VersionDeposit::get();
	T::Currency::mint_into(who, holds * 10u32.into()).expect("far below the most; qed");
}

fn caller_with_contract<T: Config>() -> AccountId {
	let caller: AccountId = whitelisted_caller();
	Pallet::<T>::grant_for_benchmark(&caller);
	caller
}

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn grant() {
		let caller: AccountId = whitelisted_caller();
		fund::<T>(&caller);
		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), Terms::default());
		assert!(Contracts::<T>::contains_key(&caller));
	}

	#[benchmark]
	fn amend() {
		let caller = caller_with_contract::<T>();
		let terms = Terms {
			cpu_percent: 1,
			..Terms::default()
		};
		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), terms);
		assert!(Contracts::<T>::get(&caller).is_some_and(|c| c.terms == terms));
	}

	#[benchmark]
	fn revoke() {
		let caller = caller_with_contract::<T>();
		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()));
		assert!(!Contracts::<T>::contains_key(&caller));
	}

	#[benchmark]
	fn ensure_permitted() {
		let caller = caller_with_contract::<T>();
		let version;
		#[block]
		{
			version = Pallet::<T>::ensure_permitted(&caller, TaskKind::TextGen);
		}
		assert_eq!(version, Ok(1));
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
