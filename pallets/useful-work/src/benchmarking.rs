//! Benchmarks: each sets up the worst case of one call or of one queue entry.

use crate::*;
use alloc::{boxed::Box, vec::Vec};
use aria_primitives::{
	AccountId, H256, ModelId, SPEC_VERSION,
	energy::Energy,
	merkle,
	provenance::OperationCount,
	receipt::{Receipt, Sampling, SignedReceipt, Times},
	traits::{ConsentCheck, ProvenanceLedger},
	work::{DrawStatus, Fault, MAX_ADDRESS_LEN, Roles, Totals, Verdict},
};
use frame_benchmarking::v2::*;
use frame_support::{
	BoundedVec,
	traits::{Get, fungible::Balanced, tokens::Precision},
};
use frame_system::RawOrigin;
use sp_runtime::{KeyTypeId, traits::SaturatedConversion};

const KEY_TYPE: KeyTypeId = KeyTypeId(*b"bnch");
const MODEL: ModelId = H256::repeat_byte(7);
const COST: OperationCount = OperationCount {
	position: 1,
	attention: 1,
	head: 1,
};
const ROLES: Roles = Roles {
	worker: true,
	verifier: true,
};

/// Gives an account what all holds of a benchmark need.
pub(crate) fn fund<T: Config>(who: &AccountId) {
	let bonds = T::Bond::get() + T::BatchDeposit::get() + T::SlashAmount::get();
	let amount = bonds * 1_000u32.into();
	let _ = T::Currency::deposit(who, amount, Precision::Exact)
		.map(|debt| T::Currency::settle(who, debt, frame_support::traits::tokens::Preservation::Expendable));
}
