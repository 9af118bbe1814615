//! A runtime of this pallet and balances, with a clock and credited work that tests set.

use crate as pallet_sobriety;
use crate::*;
use aria_primitives::{
	AccountId,
	energy::{Energy, EvidenceGrade},
	traits::VerifiedWork,
};
use core::time::Duration;
use frame_support::{
	derive_impl, parameter_types,
	traits::{
		ConstU32, ConstU128, UnixTime,
		fungible::{InspectHold, Mutate},
	},
};
use sp_runtime::{BuildStorage, traits::IdentityLookup};

type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system,
		Balances: pallet_balances,
		Sobriety: pallet_sobriety,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = Block;
	type AccountId = AccountId;
	type Lookup = IdentityLookup<AccountId>;
	type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = u128;
	type ExistentialDeposit = ConstU128<1>;
	type AccountStore = System;
	type RuntimeHoldReason = RuntimeHoldReason;
}

pub(crate) const FUNDS: u128 = 1_000;
pub(crate) const DEPOSIT: u128 = 50;
pub(crate) const LISTED: u32 = 3;
pub(crate) const START_MS: u64 = 1_000_000;

parameter_types! {
	pub static NowMs: u64 = START_MS;
	/// Operations credited to every registered account.
	pub static Credited: u128 = 0;
	/// Accounts with this first byte and above are not registered.
	pub static FirstUnregistered: u8 = 3;
}

pub struct Clock;
impl UnixTime for Clock {
	fn now() -> Duration {
		Duration::from_millis(NowMs::get())
	}
}

pub struct Work;
impl VerifiedWork for Work {
	fn credited_operations(_: &AccountId) -> u128 {
		Credited::get()
	}
	fn is_registered(who: &AccountId) -> bool {
		let bytes: &[u8; 32] = who.as_ref();
		bytes[0] < FirstUnregistered::get()
	}
	#[cfg(feature = "runtime-benchmarks")]
	fn register_for_benchmark(_: &AccountId) {
		FirstUnregistered::set(u8::MAX);
	}
}

impl Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Work = Work;
	type Time = Clock;
	type WeightInfo = ();
	type AccountDeposit = ConstU128<DEPOSIT>;
	type MaxAttestations = ConstU32<LISTED>;
}

pub(crate) fn account(seed: u8) -> AccountId {
	[seed; 32].into()
}

pub(crate) fn signed(seed: u8) -> RuntimeOrigin {
	RuntimeOrigin::signed(account(seed))
}

pub(crate) fn held(seed: u8) -> u128 {
	Balances::balance_on_hold(&HoldReason::Account.into(), &account(seed))
}

pub(crate) fn battery(microjoules: u64) -> Energy {
	Energy {
		microjoules,
		grade: EvidenceGrade::Battery,
	}
}

pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let mut ext: sp_io::TestExternalities = frame_system::GenesisConfig::<Test>::default()
		.build_storage()
		.expect("genesis builds")
		.into();
	ext.execute_with(|| {
		// Tests that share a thread share these.
		NowMs::set(START_MS);
		Credited::set(0);
		FirstUnregistered::set(3);
		System::set_block_number(1);
		for seed in 1..=3 {
			Balances::set_balance(&account(seed), FUNDS);
		}
	});
	ext
}

/// Runs a test at block 1, with accounts 1 to 3 funded, 1 and 2 registered, and the invariants after it.
pub(crate) fn run(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		test();
		Sobriety::do_try_state().expect("invariants hold");
	});
}
