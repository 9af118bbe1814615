//! A runtime of this pallet and balances.

use crate as pallet_provenance;
use crate::*;
use aria_primitives::{
	AccountId, H256, ModelId,
	energy::Energy,
	provenance::{OperationCount, Record},
	work::DrawStatus,
};
use frame_support::{
	derive_impl,
	traits::{
		ConstU32, ConstU128,
		fungible::{InspectHold, Mutate},
	},
};
use sp_runtime::{BuildStorage, traits::IdentityLookup};

type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system,
		Balances: pallet_balances,
		Provenance: pallet_provenance,
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
pub(crate) const MODEL_DEPOSIT: u128 = 100;
pub(crate) const RECORD_DEPOSIT: u128 = 20;
pub(crate) const IDENTIFIER_DEPOSIT: u128 = 3;
pub(crate) const RETENTION: u32 = 10;
pub(crate) const LISTED: u32 = 3;

impl Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type WeightInfo = ();
	type ModelDeposit = ConstU128<MODEL_DEPOSIT>;
	type RecordDeposit = ConstU128<RECORD_DEPOSIT>;
	type IdentifierDeposit = ConstU128<IDENTIFIER_DEPOSIT>;
	type RecordRetention = ConstU32<RETENTION>;
	type MaxRecordsPerWorker = ConstU32<LISTED>;
}

pub(crate) const COST: OperationCount = OperationCount {
	position: 10,
	attention: 2,
	head: 100,
};

pub(crate) fn account(seed: u8) -> AccountId {
	[seed; 32].into()
}

pub(crate) fn signed(seed: u8) -> RuntimeOrigin {
	RuntimeOrigin::signed(account(seed))
}

pub(crate) fn held(reason: HoldReason, seed: u8) -> u128 {
	Balances::balance_on_hold(&reason.into(), &account(seed))
}

pub(crate) fn hash(seed: u8) -> H256 {
	H256::repeat_byte(seed)
}

pub(crate) fn bounded<S: frame_support::traits::Get<u32>>(
	text: &str,
) -> frame_support::BoundedVec<u8, S> {
	text.as_bytes().to_vec().try_into().expect("short")
}

/// Registers model `model` for account `who`.
pub(crate) fn register(who: u8, model: u8) -> sp_runtime::DispatchResult {
	Provenance::register_model(
		signed(who),
		hash(model),
		bounded("tiny"),
		bounded("MIT"),
		COST,
		1_000,
	)
}

/// A record of `worker` with `model`, opened in this block.
pub(crate) fn record(worker: u8, model: ModelId) -> Record {
	Record {
		model,
		worker: account(worker),
		verifier: account(9),
		batch: 1,
		leaf_index: 2,
		request: hash(11),
		output: hash(12),
		trace_root: hash(13),
		prompt_tokens: 3,
		output_tokens: 2,
		operations: 262,
		energy: Energy::default(),
		status: DrawStatus::Opened,
		opened_at: System::block_number() as u32,
	}
}

pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let mut ext: sp_io::TestExternalities = frame_system::GenesisConfig::<Test>::default()
		.build_storage()
		.expect("genesis builds")
		.into();
	ext.execute_with(|| {
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
		Provenance::do_try_state().expect("invariants hold");
	});
}
