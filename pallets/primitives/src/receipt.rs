//! Receipts: what a worker signs about every answer.

use crate::{AccountId, H256, ModelId, energy::Energy, merkle, sr25519};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_crypto_hashing::blake2_256;

/// Sampling parameters in integers, so that a receipt holds exactly what was used (docs/numerics.md, "Sampler").
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
pub struct Sampling {
	/// Temperature in millionths; 0 is greedy.
	pub temperature_micro: u32,
	/// Nucleus probability in millionths; 1_000_000 (or 0) is off.
	pub top_p_micro: u32,
	/// Least probability relative to the best token, in millionths; 0 is off.
	pub min_p_micro: u32,
	/// How many of the best tokens stay candidates; 0 is all.
	pub top_k: u32,
	/// Key of the counter-based generator.
	pub seed: u64,
	/// Divides the positive and multiplies the negative logits of tokens in the prompt or the answer, in millionths;
	/// 1_000_000 (or 0) is off.
	pub repetition_penalty_micro: u32,
	/// Taken from the logits of tokens in the answer, in millionths; 0 is off.
	pub presence_penalty_micro: i32,
	/// Taken from the logits of tokens in the answer for each time they occur there, in millionths; 0 is off.
	pub frequency_penalty_micro: i32,
	/// [`Constraints::hash`].
	pub constraints: H256,
}

/// The form that an answer must have.
#[derive(
	Clone,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Grammar {
	/// Any JSON object.
	JsonObject,
	/// JSON that this JSON schema allows.
	JsonSchema(alloc::string::String),
	/// Text that this regular expression matches as a whole.
	Regex(alloc::string::String),
	/// Text of this grammar in Lark's notation, as llguidance reads it.
	Lark(alloc::string::String),
}

impl Grammar {
	/// Bytes of its text.
	pub fn text_len(&self) -> usize {
		match self {
			Self::JsonObject => 0,
			Self::JsonSchema(text) | Self::Regex(text) | Self::Lark(text) => text.len(),
		}
	}
}

/// What decides the choice of tokens beside the numbers in [`Sampling`]. A receipt holds its hash.
#[derive(
	Clone,
	Debug,
	Default,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	TypeInfo,
	Serialize,
	Deserialize,
)]
pub struct Constraints {
	/// Added to logits, in millionths, with the token; ascending by token, no token twice.
	pub logit_bias: Vec<(u32, i32)>,
	/// The form that the answer must have.
	pub grammar: Option<Grammar>,
}

/// Most tokens with a bias.
pub const MAX_LOGIT_BIAS: usize = 1024;
/// Longest text of a grammar, bytes.
pub const MAX_GRAMMAR_LEN: usize = 64 * 1024;

impl Constraints {
	/// Whether nothing is constrained.
	pub fn is_empty(&self) -> bool {
		self.logit_bias.is_empty() && self.grammar.is_none()
	}

	/// `blake2b-256(SCALE(self))`, or zero when nothing is constrained.
	pub fn hash(&self) -> H256 {
		if self.is_empty() {
			H256::zero()
		} else {
			H256(blake2_256(&self.encode()))
		}
	}

	/// Whether sizes and order are within the limits.
	pub fn is_valid(&self) -> bool {
		self.logit_bias.len() <= MAX_LOGIT_BIAS
			&& self.logit_bias.is_sorted_by(|left, right| left.0 < right.0)
			&& self
				.grammar
				.as_ref()
				.is_none_or(|grammar| grammar.text_len() <= MAX_GRAMMAR_LEN)
	}
}

/// Times of a request, in milliseconds since the Unix epoch, by the worker's clock.
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
)]
pub struct Times {
	/// When execution began.
	pub started_ms: u64,
	/// When the last token was chosen.
	pub finished_ms: u64,
}

/// A worker's statement about one answer.
#[derive(
	Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Receipt {
	/// Version of the numeric specification.
	pub spec: u32,
	/// The model that answered.
	pub model: ModelId,
	/// Who answered, and whose bond stands behind it.
	pub worker: AccountId,
	/// `blake2b-256(salt || SCALE(prompt tokens))`: binds the prompt without showing it.
	pub request: H256,
	/// `blake2b-256(SCALE(output tokens))`.
	pub output: H256,
	/// Root over the hidden-state hashes (docs/numerics.md, "Trace").
	pub trace_root: H256,
	/// Prompt length in tokens.
	pub prompt_tokens: u32,
	/// Answer length in tokens.
	pub output_tokens: u32,
	/// How tokens were chosen.
	pub sampling: Sampling,
	/// Multiply-accumulates of the answer, from the model's shape and the token counts.
	pub operations: u64,
	/// Version of the worker's consent contract in force, 0 off the chain.
	pub consent_version: u32,
	/// Energy of the answer and how it was known.
	pub energy: Energy,
	/// When.
	pub times: Times,
}

/// A receipt with its worker's sr25519 signature over `SIGNING_CONTEXT || SCALE(receipt)`.
#[derive(
	Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct SignedReceipt {
	/// What is signed.
	pub receipt: Receipt,
	/// The worker's signature.
	pub signature: sr25519::Signature,
}

/// Prefix of every signed receipt, so that a signature can't be replayed as an extrinsic or another message.
pub const SIGNING_CONTEXT: &[u8] = b"aria-receipt-v1";

/// Hash that stands for a prompt in a receipt.
pub fn request_hash(salt: &H256, prompt: &[u32]) -> H256 {
	let mut bytes = Vec::with_capacity(36 + 4 * prompt.len());
	bytes.extend_from_slice(salt.as_bytes());
	prompt.encode_to(&mut bytes);
	H256(blake2_256(&bytes))
}

/// Hash that stands for an answer's tokens in a receipt.
pub fn output_hash(tokens: &[u32]) -> H256 {
	H256(blake2_256(&tokens.encode()))
}

impl Receipt {
	/// The bytes that a worker signs.
	pub fn signing_payload(&self) -> Vec<u8> {
		let mut bytes = SIGNING_CONTEXT.to_vec();
		self.encode_to(&mut bytes);
		bytes
	}
}

impl SignedReceipt {
	/// Hash of this receipt as a leaf of a batch; also the identifier of its record on the chain.
	pub fn leaf(&self) -> H256 {
		merkle::leaf_hash(&self.encode())
	}

	/// Whether the signature is the worker's.
	#[cfg(any(test, feature = "chain", feature = "verify"))]
	pub fn verify_signature(&self) -> bool {
		sr25519::verify(
			&self.signature,
			&self.receipt.signing_payload(),
			&self.receipt.worker,
		)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use sp_core::{Pair, sr25519::Pair as Key};

	fn signed() -> SignedReceipt {
		let pair = Key::from_seed(&[1; 32]);
		let receipt = Receipt {
			spec: 1,
			model: H256::repeat_byte(1),
			worker: AccountId::new(pair.public().0),
			request: request_hash(&H256::repeat_byte(2), &[1, 2, 3]),
			output: output_hash(&[4]),
			trace_root: H256::repeat_byte(3),
			prompt_tokens: 3,
			output_tokens: 1,
			sampling: Sampling::default(),
			operations: 9,
			consent_version: 1,
			energy: Energy::default(),
			times: Times::default(),
		};
		let signature = sr25519::Signature::from_raw(pair.sign(&receipt.signing_payload()).0);
		SignedReceipt { receipt, signature }
	}

	#[test]
	fn signature_should_bind_every_byte_of_the_receipt() {
		let signed = signed();
		assert!(signed.verify_signature());
		let bytes = signed.receipt.encode();
		for index in 0..bytes.len() {
			let mut changed = bytes.clone();
			changed[index] ^= 1;
			let Ok(receipt) = Receipt::decode(&mut &changed[..]) else {
				continue;
			};
			let forged = SignedReceipt {
				receipt,
				signature: signed.signature,
			};
			assert!(!forged.verify_signature(), "byte {index}");
			assert_ne!(forged.leaf(), signed.leaf(), "byte {index}");
		}
	}

	#[test]
	fn signature_over_the_bare_receipt_should_fail() {
		let mut signed = signed();
		let pair = Key::from_seed(&[1; 32]);
		signed.signature = sr25519::Signature::from_raw(pair.sign(&signed.receipt.encode()).0);
		assert!(!signed.verify_signature());
	}

	#[test]
	fn request_hash_should_hide_the_prompt_behind_its_salt() {
		let prompt = [1, 2, 3];
		let hash = request_hash(&H256::zero(), &prompt);
		assert_ne!(hash, request_hash(&H256::repeat_byte(1), &prompt));
		assert_ne!(hash, request_hash(&H256::zero(), &prompt[..2]));
		assert_ne!(output_hash(&prompt), output_hash(&prompt[1..]));
	}

	#[test]
	fn receipt_should_survive_scale() {
		let signed = signed();
		let bytes = signed.encode();
		assert_eq!(SignedReceipt::decode(&mut &bytes[..]), Ok(signed.clone()));
		assert!(SignedReceipt::decode(&mut &bytes[..bytes.len() - 1]).is_err());
	}
}
