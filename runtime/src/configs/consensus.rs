//! BABE, GRANDPA, sessions and offences.

use crate::{
	AccountId, Babe, Balances, BlockNumber, HOURS, Historical, MILLISECS_PER_BLOCK, MINUTES,
	Offences, Runtime, RuntimeCall, RuntimeEvent, Session, SessionKeys, UNIT, UncheckedExtrinsic,
};
use alloc::vec::Vec;
use frame_support::{
	parameter_types,
	traits::{ConstU32, ConstU64, ConstU128},
	weights::Weight,
};
use frame_system::offchain::{CreateBare, CreateTransactionBase};
use pallet_session::{
	disabling::UpToLimitDisablingStrategy,
	historical::{IdentificationTuple, NoteHistoricalRoot},
};
use sp_consensus_babe::{AllowedSlots, BabeEpochConfiguration};
use sp_runtime::{
	Perbill,
	traits::{Convert, ConvertInto, OpaqueKeys},
};
use sp_staking::{
	SessionIndex,
	offence::{OffenceDetails, OffenceSeverity, OnOffenceHandler},
};

/// Slots of an epoch, which is also a session.
pub const EPOCH_SLOTS: BlockNumber = 10 * MINUTES;
const MAX_AUTHORITIES: u32 = 100;

/// Chance of a primary slot is 1 in 4; every other slot has a secondary author who must prove its VRF output too, so
/// that each block brings randomness for draws.
pub const BABE_GENESIS_CONFIG: BabeEpochConfiguration = BabeEpochConfiguration {
	c: (1, 4),
	allowed_slots: AllowedSlots::PrimaryAndSecondaryVRFSlots,
};

parameter_types! {
	pub const EpochDuration: u64 = EPOCH_SLOTS as u64;
	/// How long evidence of an offence counts, in blocks.
	pub const ReportLongevity: u64 = 24 * HOURS as u64;
}

impl pallet_babe::Config for Runtime {
	type EpochDuration = EpochDuration;
	type ExpectedBlockTime = ConstU64<MILLISECS_PER_BLOCK>;
	type EpochChangeTrigger = pallet_babe::ExternalTrigger;
	type DisabledValidators = Session;
	type WeightInfo = ();
	type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
	type MaxNominators = ConstU32<0>;
	type KeyOwnerProof = sp_session::MembershipProof;
	type EquivocationReportSystem =
		pallet_babe::EquivocationReportSystem<Self, Offences, Historical, ReportLongevity>;
}

impl pallet_grandpa::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = ();
	type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
	type MaxNominators = ConstU32<0>;
	type MaxSetIdSessionEntries = ConstU64<{ 24 * HOURS as u64 / EPOCH_SLOTS as u64 }>;
	type KeyOwnerProof = sp_session::MembershipProof;
	type EquivocationReportSystem =
		pallet_grandpa::EquivocationReportSystem<Self, Offences, Historical, ReportLongevity>;
}

impl pallet_authorship::Config for Runtime {
	type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Self, Babe>;
	type EventHandler = ();
}

impl pallet_session::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type ValidatorId = AccountId;
	type ValidatorIdOf = ConvertInto;
	type ShouldEndSession = Babe;
	type NextSessionRotation = Babe;
	type SessionManager = NoteHistoricalRoot<Self, GenesisValidators>;
	type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
	type Keys = SessionKeys;
	type DisablingStrategy = UpToLimitDisablingStrategy;
	type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
	type Currency = Balances;
	type KeyDeposit = ConstU128<UNIT>;
}

impl pallet_session::historical::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type FullIdentification = ();
	type FullIdentificationOf = NoIdentification;
}

impl pallet_offences::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type IdentificationTuple = IdentificationTuple<Self>;
	type OnOffenceHandler = DisableOffenders;
}

/// Validators have no exposure beside their account.
pub struct NoIdentification;

impl Convert<AccountId, Option<()>> for NoIdentification {
	fn convert(_: AccountId) -> Option<()> {
		Some(())
	}
}

/// The validators of genesis, for good; verified work is to decide later.
pub struct GenesisValidators;

impl GenesisValidators {
	fn validators() -> Vec<AccountId> {
		let current = Session::validators();
		if current.is_empty() {
			// Genesis: those whose keys the chain specification sets.
			return pallet_session::NextKeys::<Runtime>::iter_keys()
				.take(MAX_AUTHORITIES as usize)
				.collect();
		}
		current
	}
}

impl pallet_session::SessionManager<AccountId> for GenesisValidators {
	fn new_session(_: SessionIndex) -> Option<Vec<AccountId>> {
		Some(Self::validators())
	}
	fn start_session(_: SessionIndex) {}
	fn end_session(_: SessionIndex) {}
}

impl pallet_session::historical::SessionManager<AccountId, ()> for GenesisValidators {
	fn new_session(_: SessionIndex) -> Option<Vec<(AccountId, ())>> {
		Some(
			Self::validators()
				.into_iter()
				.map(|who| (who, ()))
				.collect(),
		)
	}
	fn start_session(_: SessionIndex) {}
	fn end_session(index: SessionIndex) {
		// Proofs of older sessions than evidence may name are of no use.
		let sessions = u32::try_from(ReportLongevity::get() / EpochDuration::get());
		if let Some(old) = index.checked_sub(sessions.unwrap_or(u32::MAX)) {
			Historical::prune_up_to(old);
		}
	}
}

/// Silences who equivocates, up to a third of the validators, until the session ends.
pub struct DisableOffenders;

impl OnOffenceHandler<AccountId, IdentificationTuple<Runtime>, Weight> for DisableOffenders {
	fn on_offence(
		offenders: &[OffenceDetails<AccountId, IdentificationTuple<Runtime>>],
		slash_fraction: &[Perbill],
		_: SessionIndex,
	) -> Weight {
		for (offender, fraction) in offenders.iter().zip(slash_fraction) {
			let (validator, ()) = &offender.offender;
			Session::report_offence(validator.clone(), OffenceSeverity(*fraction));
		}
		let db = <Runtime as frame_system::Config>::DbWeight::get();
		db.reads_writes(2, 1).saturating_mul(offenders.len() as u64)
	}
}

// Equivocation reports are unsigned: their proof is their authority.
impl<C> CreateTransactionBase<C> for Runtime
where
	RuntimeCall: From<C>,
{
	type Extrinsic = UncheckedExtrinsic;
	type RuntimeCall = RuntimeCall;
}

impl<C> CreateBare<C> for Runtime
where
	RuntimeCall: From<C>,
{
	fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
		UncheckedExtrinsic::new_bare(call)
	}
}
