//! A runtime of this pallet and balances, with a clock that tests set.

use crate as pallet_consent;
use crate::*;
use aria_primitives::AccountId;
use core::time::Duration;
use frame_support::{
	derive_impl, parameter_types,
	traits::{
		ConstU128, UnixTime,
		fungible::{InspectHold, Mutate},
	},
};
use sp_runtime::{BuildStorage, traits::IdentityLookup};

type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system,
		Balances: pallet_balances,
		Consent: pallet_consent,
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
pub(crate) const CONTRACT_DEPOSIT: u128 = 50;
pub(crate) const VERSION_DEPOSIT: u128 = 5;

parameter_types! {
	pub static NowMs: u64 = 0;
}

pub struct Clock;
impl UnixTime for Clock {
	fn now() -> Duration {
		Duration::from_millis(NowMs::get())
	}
}

impl Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Time = Clock;
	type WeightInfo = ();
	type ContractDeposit = ConstU128<CONTRACT_DEPOSIT>;
	type VersionDeposit = ConstU128<VERSION_DEPOSIT>;
}

pub(crate) fn account(seed: u8) -> AccountId {
	[seed; 32].into()
}

pub(crate) fn signed(seed: u8) -> RuntimeOrigin {
	RuntimeOrigin::signed(account(seed))
}

pub(crate) fn held(reason: HoldReason, seed: u8) -> u128 {
	Balances::balance_on_hold(&reason.into(), &account(seed))
}

pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let mut ext: sp_io::TestExternalities = frame_system::GenesisConfig::<Test>::default()
		.build_storage()
		.expect("genesis builds")
		.into();
	ext.execute_with(|| {
		// Tests that share a thread share this.
		NowMs::set(0);
		System::set_block_number(1);
		for seed in 1..=3 {
			Balances::set_balance(&account(seed), FUNDS);
		}
	});
	ext
}

/// Runs a test at block 1, with accounts 1 to 3 funded, and the invariants after it.
pub(crate) fn run(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		test();
		Consent::do_try_state().expect("invariants hold");
	});
}
