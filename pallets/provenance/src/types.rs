//! What the pallet stores. Generic over the balance only, so it can be tested without a runtime.

use aria_primitives::{
	AccountId,
	provenance::{MAX_LICENCE_LEN, MAX_NAME_LEN, OperationCount},
};
use codec::{Decode, Encode, MaxEncodedLen};
use frame_support::{BoundedVec, traits::ConstU32};
use scale_info::TypeInfo;

/// Name of a model, for people.
pub type Name = BoundedVec<u8, ConstU32<MAX_NAME_LEN>>;
/// Licence of a model: an SPDX expression.
pub type Licence = BoundedVec<u8, ConstU32<MAX_LICENCE_LEN>>;

/// A registered model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Model<Balance> {
	/// Who registered it.
	pub publisher: AccountId,
	/// Name for people.
	pub name: Name,
	/// SPDX expression.
	pub licence: Licence,
	/// Cost of its answers.
	pub operations: OperationCount,
	/// Canonical size, bytes.
	pub bytes: u64,
	/// Deposit on hold until it is deregistered.
	pub deposit: Balance,
	/// Block of the registration.
	pub registered_at: u32,
	/// How many records refer to it.
	pub records: u32,
}

/// The deposit behind an identifier and, until it is pruned, its record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Deposit<Balance> {
	/// Who paid it.
	pub worker: AccountId,
	/// How much is on hold.
	pub amount: Balance,
}
