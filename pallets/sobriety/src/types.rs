//! What the pallet stores. Generic over the balance only, so it can be tested without a runtime.

use aria_primitives::energy::{Energy, EvidenceGrade};
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Energy of a period.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Attestation {
	/// Begin of the period, Unix milliseconds.
	pub period_start_ms: u64,
	/// End of the period, Unix milliseconds.
	pub period_end_ms: u64,
	/// Energy used, with its grade.
	pub energy: Energy,
}

/// Sums over everything that an account has attested.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Account<Balance> {
	/// Energy, microjoules.
	pub microjoules: u128,
	/// The weakest evidence.
	pub grade: EvidenceGrade,
	/// How many attestations, those that fell off the list included.
	pub attestations: u32,
	/// End of the last period, Unix milliseconds.
	pub last_end_ms: u64,
	/// Operations that were credited before the first attestation; they don't count.
	pub operations_before: u128,
	/// Deposit on hold until the account withdraws.
	pub deposit: Balance,
}
