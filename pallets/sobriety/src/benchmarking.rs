//! Benchmarks: each sets up the worst case of one call.
//!
//! The runtime's clock may stand at zero while benchmarks run, so that of `attest` reads it, to count the access, and
//! goes on with a time of its own.

use crate::*;
use aria_primitives::{
	AccountId,
	energy::{Energy, EvidenceGrade},
	traits::VerifiedWork,
};
use frame_benchmarking::v2::*;
use frame_support::traits::{
	Get,
	fungible::{Inspect, Mutate},
};
use frame_system::RawOrigin;

const ENERGY: Energy = Energy {
	microjoules: 1_000_000,
	grade: EvidenceGrade::Battery,
};

/// A registered party with enough for the deposit, on top of what it has.
fn party<T: Config>() -> AccountId {
	let caller: AccountId = whitelisted_caller();
	let holds = T::Currency::minimum_balance() + T::AccountDeposit::get();
	T::Currency::mint_into(&caller, holds * 10u32.into()).expect("far below the most; qed");
	T::Work::register_for_benchmark(&caller);
	caller
}

/// A period of a millisecond.
fn attestation(period_start_ms: u64) -> Attestation {
	Attestation {
		period_start_ms,
		period_end_ms: period_start_ms + 1,
		energy: ENERGY,
	}
}

/// A registered party whose list is full, with periods up to `MaxAttestations` milliseconds.
fn party_with_attestations<T: Config>() -> AccountId {
	let caller = party::<T>();
	for start_ms in 0..u64::from(T::MaxAttestations::get()) {
		Pallet::<T>::do_attest(caller.clone(), attestation(start_ms), u64::MAX)
			.expect("registered, funded, and after the last; qed");
	}
	caller
}

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn attest() {
		let caller = party_with_attestations::<T>();
		let last = u64::from(T::MaxAttestations::get());
		#[block]
		{
			core::hint::black_box(Pallet::<T>::now_ms());
			Pallet::<T>::do_attest(caller.clone(), attestation(last), u64::MAX)
				.expect("registered, funded, and after the last; qed");
		}
		assert!(Accounts::<T>::get(&caller).is_some_and(|a| a.last_end_ms == last + 1));
	}

	#[benchmark]
	fn withdraw() {
		let caller = party_with_attestations::<T>();
		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()));
		assert!(!Accounts::<T>::contains_key(&caller));
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
