//! ARIA's chain.
//!
//! BABE authors blocks and gives the randomness that draws receipts, GRANDPA finalizes, and four pallets of ours keep
//! consent contracts, provenance, useful work and sobriety. This crate only joins pallets: `configs/` has one file for
//! each concern, `apis.rs` what clients can ask, `presets.rs` the genesis of development networks.

#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "256"]
#![expect(missing_docs, reason = "FRAME's macros make public items without any")]

extern crate alloc;

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

pub mod apis;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks;
pub mod configs;
pub mod presets;

use alloc::vec::Vec;
use sp_runtime::{
	MultiAddress, MultiSignature, generic, impl_opaque_keys,
	traits::{BlakeTwo256, IdentifyAccount, Verify},
};
use sp_version::RuntimeVersion;

/// Names without the details of this runtime, for the node.
pub mod opaque {
	pub use sp_runtime::OpaqueExtrinsic;
	use sp_runtime::{generic, traits::BlakeTwo256};

	/// Header.
	pub type Header = generic::Header<super::BlockNumber, BlakeTwo256>;
	/// Block with undecoded extrinsics.
	pub type Block = generic::Block<Header, OpaqueExtrinsic>;
}

impl_opaque_keys! {
	/// Keys of a validator.
	pub struct SessionKeys {
		/// Authors blocks.
		pub babe: Babe,
		/// Finalizes blocks.
		pub grandpa: Grandpa,
	}
}

/// Version of this runtime.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
	spec_name: alloc::borrow::Cow::Borrowed("aria"),
	impl_name: alloc::borrow::Cow::Borrowed("aria"),
	authoring_version: 1,
	spec_version: 1,
	impl_version: 1,
	apis: apis::RUNTIME_API_VERSIONS,
	transaction_version: 1,
	// Light clients of today (smoldot) read 0 and 1 only.
	system_version: 1,
};

/// Signature of an extrinsic.
pub type Signature = MultiSignature;
/// Account.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// Amount of funds, in units of [`UNIT`] / 10^12.
pub type Balance = u128;
/// Number of extrinsics that an account has sent.
pub type Nonce = u32;
/// Hash.
pub type Hash = sp_core::H256;
/// Block number.
pub type BlockNumber = u32;
/// How extrinsics name accounts.
pub type Address = MultiAddress<AccountId, ()>;
/// Header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// Block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
/// What is checked and paid around every extrinsic.
pub type TxExtension = (
	frame_system::CheckNonZeroSender<Runtime>,
	frame_system::CheckSpecVersion<Runtime>,
	frame_system::CheckTxVersion<Runtime>,
	frame_system::CheckGenesis<Runtime>,
	frame_system::CheckEra<Runtime>,
	frame_system::CheckNonce<Runtime>,
	frame_system::CheckWeight<Runtime>,
	pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
	frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
	frame_system::WeightReclaim<Runtime>,
);
/// Extrinsic.
pub type UncheckedExtrinsic =
	generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// What a sender signs.
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TxExtension>;
/// Executes blocks.
pub type Executive = frame_executive::Executive<
	Runtime,
	Block,
	frame_system::ChainContext<Runtime>,
	Runtime,
	AllPalletsWithSystem,
>;

/// Symbol of the token.
pub const SYMBOL: &str = "ARIA";
/// Decimals of the token, as wallets show it.
pub const DECIMALS: u8 = 12;
/// One token.
pub const UNIT: Balance = (10 as Balance).pow(DECIMALS as u32);
/// A thousandth of a token.
pub const MILLI_UNIT: Balance = UNIT / 1_000;
/// A millionth of a token.
pub const MICRO_UNIT: Balance = UNIT / 1_000_000;
/// Least balance of an account.
pub const EXISTENTIAL_DEPOSIT: Balance = MILLI_UNIT;

/// Time between blocks, milliseconds. It can't change once a chain has begun.
pub const MILLISECS_PER_BLOCK: u64 = 2_000;
/// Blocks in a minute.
pub const MINUTES: BlockNumber = 60_000 / MILLISECS_PER_BLOCK as BlockNumber;
/// Blocks in an hour.
pub const HOURS: BlockNumber = 60 * MINUTES;
/// Blocks in a day.
pub const DAYS: BlockNumber = 24 * HOURS;

// Indices are part of the encoding of calls, events and errors: they never change and are never reused.
#[frame_support::runtime]
mod runtime {
	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeFreezeReason,
		RuntimeHoldReason,
		RuntimeSlashReason,
		RuntimeLockId,
		RuntimeTask,
		RuntimeViewFunction
	)]
	pub struct Runtime;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;

	// Before the pallets that read its clock.
	#[runtime::pallet_index(1)]
	pub type Timestamp = pallet_timestamp;

	#[runtime::pallet_index(2)]
	pub type Babe = pallet_babe;

	// Before Session, so that a block's author is looked up in the session that it was made in.
	#[runtime::pallet_index(3)]
	pub type Authorship = pallet_authorship;

	#[runtime::pallet_index(4)]
	pub type Balances = pallet_balances;

	#[runtime::pallet_index(5)]
	pub type TransactionPayment = pallet_transaction_payment;

	#[runtime::pallet_index(6)]
	pub type Offences = pallet_offences;

	#[runtime::pallet_index(7)]
	pub type Historical = pallet_session::historical;

	#[runtime::pallet_index(8)]
	pub type Session = pallet_session;

	#[runtime::pallet_index(9)]
	pub type Grandpa = pallet_grandpa;

	#[runtime::pallet_index(10)]
	pub type Sudo = pallet_sudo;

	#[runtime::pallet_index(20)]
	pub type Consent = pallet_consent;

	#[runtime::pallet_index(21)]
	pub type Provenance = pallet_provenance;

	#[runtime::pallet_index(22)]
	pub type UsefulWork = pallet_useful_work;

	#[runtime::pallet_index(23)]
	pub type Sobriety = pallet_sobriety;
}
