//! Calls as the pallets decode them: SCALE of our own types after the two indices that the metadata gives.

use aria_primitives::{
	H256, ModelId,
	consent::Terms,
	provenance::OperationCount,
	receipt::SignedReceipt,
	work::{DrawId, Roles, Totals, Verdict},
};
use codec::{Compact, Encode};
use subxt::{
	ext::{
		scale_encode::{EncodeAsFields, Error},
		scale_type_resolver::{FieldIter, TypeResolver},
	},
	tx::Payload,
};

/// Arguments that are encoded already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments(pub Vec<u8>);

impl EncodeAsFields for Arguments {
	fn encode_as_fields_to<R: TypeResolver>(
		&self,
		_: &mut dyn FieldIter<'_, R::TypeId>,
		_: &R,
		out: &mut Vec<u8>,
	) -> Result<(), Error> {
		out.extend_from_slice(&self.0);
		Ok(())
	}
}

/// A call of one of ARIA's pallets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
	pallet: &'static str,
	name: &'static str,
	arguments: Arguments,
}

impl Call {
	fn new(pallet: &'static str, name: &'static str, arguments: impl Encode) -> Self {
		Self {
			pallet,
			name,
			arguments: Arguments(arguments.encode()),
		}
	}

	/// Gives consent.
	pub fn grant(terms: Terms) -> Self {
		Self::new("Consent", "grant", (terms,))
	}

	/// Changes the terms of a contract.
	pub fn amend(terms: Terms) -> Self {
		Self::new("Consent", "amend", (terms,))
	}

	/// Revokes a contract.
	pub fn revoke() -> Self {
		Self::new("Consent", "revoke", ())
	}

	/// Registers a model.
	pub fn register_model(
		model: ModelId,
		name: &[u8],
		licence: &[u8],
		operations: OperationCount,
		bytes: u64,
	) -> Self {
		let arguments = (model, name, licence, operations, bytes);
		Self::new("Provenance", "register_model", arguments)
	}

	/// Registers the caller at a multiaddress.
	pub fn register(roles: Roles, address: &[u8]) -> Self {
		Self::new("UsefulWork", "register", (roles, address))
	}

	/// Changes roles and multiaddress.
	pub fn update(roles: Roles, address: &[u8]) -> Self {
		Self::new("UsefulWork", "update", (roles, address))
	}

	/// Commits receipts.
	pub fn commit_batch(root: H256, count: u32, totals: Totals) -> Self {
		Self::new("UsefulWork", "commit_batch", (root, count, totals))
	}

	/// Opens a drawn leaf.
	pub fn open(draw: DrawId, receipt: &SignedReceipt, proof: &[H256]) -> Self {
		Self::new("UsefulWork", "open", (Compact(draw), receipt, proof))
	}

	/// Gives a verdict.
	pub fn verdict(draw: DrawId, verdict: Verdict) -> Self {
		Self::new("UsefulWork", "verdict", (Compact(draw), verdict))
	}
}

impl std::fmt::Display for Call {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		write!(f, "{}.{}", self.pallet, self.name)
	}
}

impl Payload for Call {
	type CallData = Arguments;

	fn pallet_name(&self) -> &str {
		self.pallet
	}

	fn call_name(&self) -> &str {
		self.name
	}

	fn call_data(&self) -> &Arguments {
		&self.arguments
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use aria_primitives::work::Fault;

	#[test]
	fn arguments_should_be_what_the_pallets_decode() {
		let verdict = Call::verdict(70, Verdict::Reject(Fault::WrongTrace));
		// 70 as a compact number takes two bytes: 70 << 2 | 1.
		assert_eq!(verdict.arguments.0, [0x19, 0x01, 1, 2]);
		assert_eq!(verdict.to_string(), "UsefulWork.verdict");
		let roles = Roles {
			worker: true,
			verifier: false,
		};
		let register = Call::register(roles, b"/ip4");
		assert_eq!(register.arguments.0, [1, 0, 4 << 2, b'/', b'i', b'p', b'4']);
		let totals = Totals {
			tokens: 1,
			operations: 2,
			microjoules: 3,
		};
		let commit = Call::commit_batch(H256::repeat_byte(7), 5, totals)
			.arguments
			.0;
		assert_eq!(commit.len(), 32 + 4 + 24);
		assert_eq!(commit[32..37], [5, 0, 0, 0, 1]);
		let grant = Call::grant(Terms::default()).arguments.0;
		assert_eq!(grant, Terms::default().encode());
		assert_eq!(
			Call::amend(Terms::default()).arguments.0,
			Terms::default().encode()
		);
		assert!(Call::revoke().arguments.0.is_empty());
		let cost = OperationCount::default();
		let model = Call::register_model(H256::zero(), b"m", b"MIT", cost, 9);
		assert_eq!(model.arguments.0.len(), 32 + 2 + 4 + 24 + 8);
		assert_eq!(model.arguments.0[32..34], [4, b'm']);
	}
}
