//! The four pallets of ours, joined through the traits of `aria-primitives`.

use crate::{
	Balances, BlockNumber, Consent, DAYS, HOURS, MILLI_UNIT, Provenance, Runtime,
	RuntimeHoldReason, Timestamp, UNIT, UsefulWork, configs::system::BlockWeightLimits,
};
use frame_support::{
	parameter_types,
	traits::{ConstU32, ConstU128},
	weights::Weight,
};
use sp_runtime::Perbill;

parameter_types! {
	/// Every receipt is drawn, up to the limit for a batch.
	pub const SampleRate: Perbill = Perbill::one();
	pub const ReporterShare: Perbill = Perbill::from_percent(10);
	pub ServiceWeight: Weight = Perbill::from_percent(20) * BlockWeightLimits::get().max_block;
}

const RETENTION: BlockNumber = 8 * HOURS;

impl pallet_consent::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Time = Timestamp;
	type WeightInfo = pallet_consent::weights::SubstrateWeight<Runtime>;
	type ContractDeposit = ConstU128<{ 100 * MILLI_UNIT }>;
	type VersionDeposit = ConstU128<{ 10 * MILLI_UNIT }>;
}

impl pallet_useful_work::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Randomness = pallet_babe::ParentBlockRandomness<Runtime>;
	type Consent = Consent;
	type Ledger = Provenance;
	type OnSettled = ();
	// What is slashed is burnt, less the reporter's share.
	type OnSlash = ();
	type WeightInfo = pallet_useful_work::weights::SubstrateWeight<Runtime>;
	type Bond = ConstU128<{ 1_000 * UNIT }>;
	type BatchDeposit = ConstU128<UNIT>;
	type SlashAmount = ConstU128<{ 50 * UNIT }>;
	type VerifierSlash = ConstU128<{ 5 * UNIT }>;
	type ReporterShare = ReporterShare;
	type DrawDelay = ConstU32<2>;
	type SampleRate = SampleRate;
	type MaxDrawsPerBatch = ConstU32<4>;
	type MaxDrawRetries = ConstU32<10>;
	type OpenWindow = ConstU32<20>;
	type VerdictWindow = ConstU32<50>;
	type MaxReassignments = ConstU32<2>;
	type MaxReceiptsPerBatch = ConstU32<4_096>;
	type MaxOpenObligations = ConstU32<64>;
	type Retention = ConstU32<RETENTION>;
	type ServiceWeight = ServiceWeight;
}

impl pallet_provenance::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type WeightInfo = pallet_provenance::weights::SubstrateWeight<Runtime>;
	type ModelDeposit = ConstU128<{ 10 * UNIT }>;
	type RecordDeposit = ConstU128<{ 100 * MILLI_UNIT }>;
	type IdentifierDeposit = ConstU128<{ 10 * MILLI_UNIT }>;
	type RecordRetention = ConstU32<{ 7 * DAYS }>;
	type MaxRecordsPerWorker = ConstU32<256>;
}

impl pallet_sobriety::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Work = UsefulWork;
	type Time = Timestamp;
	type WeightInfo = pallet_sobriety::weights::SubstrateWeight<Runtime>;
	type AccountDeposit = ConstU128<UNIT>;
	type MaxAttestations = ConstU32<32>;
}
