//! What the pallet stores. Generic over the balance only, so it can be tested without a runtime.

use aria_primitives::consent::Terms;
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// A contract in force.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Contract<Balance> {
	/// What is allowed.
	pub terms: Terms,
	/// Number of these terms among all that the account ever set.
	pub version: u32,
	/// Block of the last change.
	pub changed_at: u32,
	/// Deposit on hold until the contract is revoked.
	pub deposit: Balance,
}

/// The last version of an account's contracts, kept past their revocation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct LastVersion<Balance> {
	/// The number.
	pub version: u32,
	/// Deposit on hold for this entry.
	pub deposit: Balance,
}
