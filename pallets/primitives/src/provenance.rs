//! Provenance: models and records.

use crate::{
	AccountId, H256, ModelId,
	energy::Energy,
	work::{BatchId, DrawStatus},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Longest model name, bytes.
pub const MAX_NAME_LEN: u32 = 64;
/// Longest licence expression (SPDX), bytes.
pub const MAX_LICENCE_LEN: u32 = 64;

/// Cost of a model in multiply-accumulates, exact for any answer: `position` of them for each computed position,
/// `attention` more for each earlier position that one attends to, `head` for each position whose logits are used.
#[derive(
	Clone,
	Copy,
	Debug,
	Default,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
pub struct OperationCount {
	/// Ternary layers, per position.
	pub position: u64,
	/// Scores and weighted values of all layers, per pair of positions.
	pub attention: u64,
	/// LM head, per position with logits.
	pub head: u64,
}

impl OperationCount {
	/// Operations of an answer, or `None` when they exceed 64 bits.
	///
	/// `prompt + output - 1` positions are computed (the last token is never fed); position `i` attends to `i + 1`.
	pub fn of(&self, prompt_tokens: u32, output_tokens: u32) -> Option<u64> {
		let positions = u64::from(prompt_tokens)
			.checked_add(u64::from(output_tokens))?
			.saturating_sub(1);
		let pairs = positions.checked_mul(positions.checked_add(1)?)? / 2;
		self.position
			.checked_mul(positions)?
			.checked_add(self.attention.checked_mul(pairs)?)?
			.checked_add(self.head.checked_mul(u64::from(output_tokens))?)
	}
}

/// A model, as the runtime API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ModelView {
	/// Who registered it.
	pub publisher: AccountId,
	/// Name for people.
	pub name: Vec<u8>,
	/// SPDX expression.
	pub licence: Vec<u8>,
	/// Cost of its answers.
	pub operations: OperationCount,
	/// Canonical size, bytes.
	pub bytes: u64,
}

/// What the chain keeps of a drawn answer.
#[derive(
	Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Record {
	/// The model.
	pub model: ModelId,
	/// Who answered.
	pub worker: AccountId,
	/// Who re-executes it.
	pub verifier: AccountId,
	/// The batch that committed it.
	pub batch: BatchId,
	/// Which leaf.
	pub leaf_index: u32,
	/// Salted hash of the prompt.
	pub request: H256,
	/// Hash of the answer's tokens.
	pub output: H256,
	/// Root of the hidden-state hashes.
	pub trace_root: H256,
	/// Prompt length.
	pub prompt_tokens: u32,
	/// Answer length.
	pub output_tokens: u32,
	/// Multiply-accumulates.
	pub operations: u64,
	/// Energy as claimed, with its grade.
	pub energy: Energy,
	/// Where it stands.
	pub status: DrawStatus,
	/// Block at which it was opened.
	pub opened_at: u32,
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	const COST: OperationCount = OperationCount {
		position: 1_000,
		attention: 10,
		head: 7,
	};

	#[test]
	fn operations_should_count_positions_pairs_and_logits() {
		// Three prompt tokens and two answered: four positions, which attend to 1 + 2 + 3 + 4 positions.
		assert_eq!(COST.of(3, 2), Some(4 * 1_000 + 10 * 10 + 2 * 7));
		assert_eq!(COST.of(1, 1), Some(1_000 + 10 + 7));
		assert_eq!(COST.of(0, 0), Some(0));
	}

	#[test]
	fn operations_should_be_none_when_they_exceed_64_bits() {
		assert_eq!(COST.of(u32::MAX, u32::MAX), None);
		let huge = OperationCount {
			position: u64::MAX,
			attention: 0,
			head: 0,
		};
		assert_eq!(huge.of(1, 1), Some(u64::MAX));
		assert_eq!(huge.of(2, 1), None);
	}

	proptest! {
		#[test]
		fn operations_equal_the_sum_over_positions(prompt in 1u32..200, output in 1u32..200) {
			let mut sum = 0;
			for position in 0..u64::from(prompt + output - 1) {
				sum += COST.position + COST.attention * (position + 1);
			}
			sum += COST.head * u64::from(output);
			prop_assert_eq!(COST.of(prompt, output), Some(sum));
		}
	}
}
