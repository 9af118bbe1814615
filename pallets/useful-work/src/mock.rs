//! A runtime of this pallet and balances, with recording stand-ins for the others.

use crate as pallet_useful_work;
use crate::*;
use aria_primitives::{
	AccountId, H256, ModelId, SPEC_VERSION,
	consent::TaskKind,
	energy::Energy,
	merkle,
	provenance::{OperationCount, Record},
	receipt::{Receipt, Sampling, SignedReceipt, Times},
	traits::{ConsentCheck, OnSettled, ProvenanceLedger},
	work::{BatchId, DrawId, DrawStatus, Roles, Settlement, Totals},
};
use frame_support::{
	assert_ok, derive_impl, parameter_types,
	traits::{ConstU32, ConstU128, Hooks, fungible::Mutate},
	weights::Weight,
};
use sp_core::{Pair, sr25519};
use sp_runtime::{
	BuildStorage, DispatchError, DispatchResult, Perbill,
	traits::{BlakeTwo256, Hash, IdentityLookup},
};
use std::collections::BTreeMap;

type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system,
		Balances: pallet_balances,
		UsefulWork: pallet_useful_work,
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

pub(crate) const FUNDS: u128 = 10_000;
pub(crate) const BOND: u128 = 1_000;
pub(crate) const DEPOSIT: u128 = 10;
pub(crate) const SLASH: u128 = 100;
pub(crate) const VERIFIER_SLASH: u128 = 20;
pub(crate) const DRAW_DELAY: u32 = 2;
pub(crate) const OPEN_WINDOW: u32 = 5;
pub(crate) const VERDICT_WINDOW: u32 = 6;
pub(crate) const RETENTION: u32 = 20;
pub(crate) const COST: OperationCount = OperationCount {
	position: 10,
	attention: 2,
	head: 100,
};

parameter_types! {
	pub static SampleRate: Perbill = Perbill::one();
	pub static ServiceWeight: Weight = Weight::MAX;
	pub static ConsentVersion: Result<u32, DispatchError> = Ok(7);
	pub static RandomnessAvailable: bool = true;
	pub static RandomnessAge: u64 = 1;
	pub static Records: BTreeMap<H256, Record> = BTreeMap::new();
	pub static InsertResult: DispatchResult = Ok(());
	pub static Settlements: Vec<Settlement> = Vec::new();
	pub static Slashed: u128 = 0;
	pub const ReporterShare: Perbill = Perbill::from_percent(10);
}

/// As BABE: the parent block's, mixed with the subject.
pub struct MockRandomness;
impl frame_support::traits::Randomness<Option<H256>, u64> for MockRandomness {
	fn random(subject: &[u8]) -> (Option<H256>, u64) {
		let parent = System::block_number().saturating_sub(RandomnessAge::get());
		let seed = BlakeTwo256::hash_of(&(parent, subject));
		(RandomnessAvailable::get().then_some(seed), parent)
	}
}

pub struct MockConsent;
impl ConsentCheck for MockConsent {
	fn ensure_permitted(_: &AccountId, task: TaskKind) -> Result<u32, DispatchError> {
		assert_eq!(task, TaskKind::TextGen);
		ConsentVersion::get()
	}
	#[cfg(feature = "runtime-benchmarks")]
	fn grant_for_benchmark(_: &AccountId) {}
}

pub struct MockLedger;
impl ProvenanceLedger for MockLedger {
	fn operations(model: &ModelId) -> Option<OperationCount> {
		(*model == MODEL).then_some(COST)
	}
	fn insert(id: H256, record: Record) -> DispatchResult {
		InsertResult::get()?;
		Records::mutate(|records| match records.insert(id, record) {
			None => Ok(()),
			Some(_) => Err(DispatchError::Other("on record already")),
		})
	}
	fn set_status(id: &H256, status: DrawStatus) {
		Records::mutate(|records| records.get_mut(id).expect("record exists").status = status);
	}
	fn model_count() -> u32 {
		1
	}
	#[cfg(feature = "runtime-benchmarks")]
	fn register_for_benchmark(_: ModelId, _: OperationCount) {}
}

pub struct RecordSettlements;
impl OnSettled for RecordSettlements {
	fn on_settled(settlement: &Settlement) {
		Settlements::mutate(|all| all.push(settlement.clone()));
	}
}

pub struct CountSlashed;
impl frame_support::traits::OnUnbalanced<CreditOf<Test>> for CountSlashed {
	fn on_nonzero_unbalanced(credit: CreditOf<Test>) {
		use frame_support::traits::Imbalance;
		Slashed::mutate(|sum| *sum += credit.peek());
	}
}

impl Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Randomness = MockRandomness;
	type Consent = MockConsent;
	type Ledger = MockLedger;
	type OnSettled = RecordSettlements;
	type OnSlash = CountSlashed;
	type WeightInfo = ();
	type Bond = ConstU128<BOND>;
	type BatchDeposit = ConstU128<DEPOSIT>;
	type SlashAmount = ConstU128<SLASH>;
	type VerifierSlash = ConstU128<VERIFIER_SLASH>;
	type ReporterShare = ReporterShare;
	type DrawDelay = ConstU32<DRAW_DELAY>;
	type SampleRate = SampleRate;
	type MaxDrawsPerBatch = ConstU32<4>;
	type MaxDrawRetries = ConstU32<3>;
	type OpenWindow = ConstU32<OPEN_WINDOW>;
	type VerdictWindow = ConstU32<VERDICT_WINDOW>;
	type MaxReassignments = ConstU32<2>;
	type MaxReceiptsPerBatch = ConstU32<64>;
	type MaxOpenObligations = ConstU32<12>;
	type Retention = ConstU32<RETENTION>;
	type ServiceWeight = ServiceWeight;
}

pub(crate) const MODEL: ModelId = H256::repeat_byte(7);
pub(crate) const BOTH: Roles = Roles {
	worker: true,
	verifier: true,
};
pub(crate) const WORKER: Roles = Roles {
	worker: true,
	verifier: false,
};
pub(crate) const VERIFIER: Roles = Roles {
	worker: false,
	verifier: true,
};

pub(crate) fn pair(seed: u8) -> sr25519::Pair {
	sr25519::Pair::from_seed(&[seed; 32])
}

pub(crate) fn account(seed: u8) -> AccountId {
	pair(seed).public().into()
}

pub(crate) fn signed(seed: u8) -> RuntimeOrigin {
	RuntimeOrigin::signed(account(seed))
}

pub(crate) fn address() -> Address {
	b"/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW"
		.to_vec()
		.try_into()
		.expect("short enough")
}

pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
	let mut ext: sp_io::TestExternalities = frame_system::GenesisConfig::<Test>::default()
		.build_storage()
		.expect("genesis builds")
		.into();
	ext.register_extension(sp_keystore::KeystoreExt::new(
		sp_keystore::testing::MemoryKeystore::new(),
	));
	ext.execute_with(|| {
		// Tests that share a thread share these.
		SampleRate::set(Perbill::one());
		ServiceWeight::set(Weight::MAX);
		ConsentVersion::set(Ok(7));
		RandomnessAvailable::set(true);
		RandomnessAge::set(1);
		Records::set(BTreeMap::new());
		InsertResult::set(Ok(()));
		Settlements::set(Vec::new());
		Slashed::set(0);
		System::set_block_number(1);
		for seed in 1..=9 {
			Balances::set_balance(&account(seed), FUNDS);
		}
	});
	ext
}

/// Runs a test at block 1, with accounts 1 to 9 funded, and the invariants after it.
pub(crate) fn run(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		test();
		check();
	});
}

pub(crate) fn check() {
	UsefulWork::do_try_state().expect("invariants hold");
}

pub(crate) fn now() -> u32 {
	System::block_number() as u32
}

pub(crate) fn next_block() {
	let next = System::block_number() + 1;
	System::set_block_number(next);
	UsefulWork::on_initialize(next);
}

pub(crate) fn skip(blocks: u32) {
	for _ in 0..blocks {
		next_block();
	}
}

pub(crate) fn register(seed: u8, roles: Roles) {
	assert_ok!(UsefulWork::register(signed(seed), roles, address()));
}

/// A receipt that the chain accepts; `salt` tells receipts of one worker apart.
pub(crate) fn receipt(seed: u8, salt: u64) -> SignedReceipt {
	sign(
		seed,
		Receipt {
			spec: SPEC_VERSION,
			model: MODEL,
			worker: account(seed),
			request: H256::from_low_u64_be(salt),
			output: H256::repeat_byte(2),
			trace_root: H256::repeat_byte(3),
			prompt_tokens: 3,
			output_tokens: 2,
			sampling: Sampling::default(),
			operations: COST.of(3, 2).expect("fits"),
			consent_version: 7,
			energy: Energy::default(),
			times: Times::default(),
		},
	)
}

pub(crate) fn sign(seed: u8, receipt: Receipt) -> SignedReceipt {
	let signature = pair(seed).sign(&receipt.signing_payload());
	SignedReceipt { receipt, signature }
}

pub(crate) fn leaves(receipts: &[SignedReceipt]) -> Vec<H256> {
	receipts.iter().map(SignedReceipt::leaf).collect()
}

/// Commits these receipts and returns the batch.
pub(crate) fn commit(seed: u8, receipts: &[SignedReceipt]) -> BatchId {
	let batch = LedgerSums::<Test>::get().batches;
	assert_ok!(UsefulWork::commit_batch(
		signed(seed),
		merkle::root(&leaves(receipts)),
		receipts.len() as u32,
		Totals::default(),
	));
	batch
}

/// The call that opens a draw with the receipt of its leaf.
pub(crate) fn open(seed: u8, draw: DrawId, receipts: &[SignedReceipt]) -> DispatchResult {
	let index = Draws::<Test>::get(draw).map_or(0, |d| d.leaf_index) as usize;
	let proof = merkle::proof(&leaves(receipts), index).expect("leaf exists");
	UsefulWork::open(
		signed(seed),
		draw,
		Box::new(receipts[index].clone()),
		proof.try_into().expect("short enough"),
	)
}

/// Worker 1 and verifier 2 with one receipt drawn: returns the receipts; the draw is number 0.
pub(crate) fn one_draw() -> Vec<SignedReceipt> {
	register(1, WORKER);
	register(2, VERIFIER);
	let receipts = vec![receipt(1, 0)];
	commit(1, &receipts);
	skip(DRAW_DELAY);
	receipts
}

pub(crate) fn held(seed: u8) -> u128 {
	use frame_support::traits::fungible::InspectHold;
	Balances::balance_on_hold(&HoldReason::Bond.into(), &account(seed))
}
