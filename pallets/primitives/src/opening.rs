//! What a worker hands to an assigned verifier, off the chain, over an encrypted stream.

use crate::{
	AccountId, H256,
	receipt::{Constraints, SignedReceipt},
	sr25519,
	work::DrawId,
};
use alloc::vec::Vec;
use codec::{Decode, Encode};

/// Name of the libp2p protocol.
pub const PROTOCOL: &str = "/aria/opening/1";
/// Largest request, bytes.
pub const MAX_REQUEST_LEN: u64 = 1024;
/// Largest answer, bytes: prompt and tokens of a context of a million tokens.
pub const MAX_RESPONSE_LEN: u64 = 8 * 1024 * 1024;
/// Prefix of every signed request.
pub const SIGNING_CONTEXT: &[u8] = b"aria-opening-v1";

/// A verifier asks for what was drawn.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OpeningRequest {
	/// Which draw.
	pub draw: DrawId,
	/// Who asks: must be the draw's verifier.
	pub verifier: AccountId,
	/// sr25519 over `SIGNING_CONTEXT || genesis hash || draw || verifier`.
	pub signature: sr25519::Signature,
}

impl OpeningRequest {
	/// The bytes that the verifier signs.
	pub fn signing_payload(genesis: &H256, draw: DrawId, verifier: &AccountId) -> Vec<u8> {
		let mut bytes = SIGNING_CONTEXT.to_vec();
		(genesis, draw, verifier).encode_to(&mut bytes);
		bytes
	}
}

/// All that is needed to re-execute an answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Opening {
	/// The receipt.
	pub receipt: SignedReceipt,
	/// Salt of the request hash.
	pub salt: H256,
	/// Prompt tokens.
	pub prompt: Vec<u32>,
	/// Answer tokens.
	pub output: Vec<u32>,
	/// What the receipt's sampling names by its hash.
	pub constraints: Constraints,
}

/// Why a worker does not open.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OpeningError {
	/// No such draw, or not this worker's.
	UnknownDraw,
	/// Asked by somebody who is not the draw's verifier, or the signature is wrong.
	NotAssigned,
	/// The worker no longer has the tokens.
	Gone,
}

/// Answer to an [`OpeningRequest`].
pub type OpeningResponse = Result<Opening, OpeningError>;

#[cfg(test)]
mod tests {
	use super::*;
	use sp_core::{Pair, sr25519::Pair as Key};

	#[test]
	fn request_signature_should_bind_chain_draw_and_verifier() {
		let pair = Key::from_seed(&[1; 32]);
		let verifier = AccountId::new(pair.public().0);
		let other: AccountId = [9; 32].into();
		let genesis = H256::repeat_byte(1);
		let payload = OpeningRequest::signing_payload(&genesis, 5, &verifier);
		let signature = pair.sign(&payload);
		let verify =
			|payload: &[u8]| sp_io::crypto::sr25519_verify(&signature, payload, &pair.public());
		assert!(verify(&payload));
		for wrong in [
			OpeningRequest::signing_payload(&H256::zero(), 5, &verifier),
			OpeningRequest::signing_payload(&genesis, 6, &verifier),
			OpeningRequest::signing_payload(&genesis, 5, &other),
		] {
			assert!(!verify(&wrong));
		}
	}

	#[test]
	fn request_should_fit_its_bound() {
		let request = OpeningRequest {
			draw: u64::MAX,
			verifier: [0xff; 32].into(),
			signature: sr25519::Signature::default(),
		};
		assert!(request.encoded_size() as u64 <= MAX_REQUEST_LEN);
	}
}
