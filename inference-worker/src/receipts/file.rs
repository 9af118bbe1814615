//! Receipt files: what an answer's signature covers, and what is needed to check it, as JSON.

use crate::text::{fixed, parse_account, parse_hash, to_hex};
use aria_engine::Generation;
use aria_primitives::{
	AccountId, H256, ModelId, SPEC_VERSION,
	energy::Energy,
	receipt::{Constraints, Receipt, Sampling, SignedReceipt, Times, output_hash, request_hash},
};
use serde::{Deserialize, Serialize};
use sp_core::{Pair, crypto::Ss58Codec, sr25519};

/// Most tokens in a file.
const MAX_TOKENS: usize = 2 << 20;

/// Why a file is not a receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
	/// Not the expected JSON.
	#[error("not a receipt file: {0}")]
	Json(#[from] serde_json::Error),
	/// A field that does not hold what it should.
	#[error("not a receipt file: {0} is malformed")]
	Field(&'static str),
}

/// A signed receipt with what is needed to check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptFile {
	/// What the worker signed.
	pub signed: SignedReceipt,
	/// Salt of the request hash.
	pub salt: H256,
	/// Prompt tokens.
	pub prompt: Vec<u32>,
	/// Output tokens.
	pub output: Vec<u32>,
	/// What the receipt's sampling names by its hash.
	pub constraints: Constraints,
	/// The answer, for people.
	pub text: Option<String>,
}

/// The JSON form: hashes in hex, accounts in SS58, 64-bit numbers as text so that no reader rounds them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
	receipt: WireReceipt,
	signature: String,
	salt: String,
	prompt: Vec<u32>,
	output: Vec<u32>,
	#[serde(default, skip_serializing_if = "Constraints::is_empty")]
	constraints: Constraints,
	#[serde(default, skip_serializing_if = "Option::is_none")]
	text: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireReceipt {
	spec: u32,
	model: String,
	worker: String,
	request: String,
	output: String,
	trace_root: String,
	prompt_tokens: u32,
	output_tokens: u32,
	sampling: WireSampling,
	operations: String,
	consent_version: u32,
	energy: WireEnergy,
	started_ms: String,
	finished_ms: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSampling {
	temperature_micro: u32,
	top_p_micro: u32,
	min_p_micro: u32,
	top_k: u32,
	seed: String,
	#[serde(default)]
	repetition_penalty_micro: u32,
	#[serde(default)]
	presence_penalty_micro: i32,
	#[serde(default)]
	frequency_penalty_micro: i32,
	#[serde(default, skip_serializing_if = "Option::is_none")]
	constraints: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEnergy {
	microjoules: String,
	grade: aria_primitives::energy::EvidenceGrade,
}

impl ReceiptFile {
	/// Makes and signs the receipt of an answer.
	pub fn sign(
		generation: &Generation,
		model: ModelId,
		consent_version: u32,
		salt: H256,
		pair: &sr25519::Pair,
	) -> Self {
		let receipt = Receipt {
			spec: SPEC_VERSION,
			model,
			worker: AccountId::new(pair.public().0),
			request: request_hash(&salt, &generation.prompt),
			output: output_hash(&generation.tokens),
			trace_root: generation.trace_root,
			prompt_tokens: generation.prompt.len() as u32,
			output_tokens: generation.tokens.len() as u32,
			sampling: generation.sampling,
			operations: generation.operations,
			consent_version,
			energy: generation.energy,
			times: Times {
				started_ms: generation.timings.started_ms,
				finished_ms: generation.timings.finished_ms,
			},
		};
		let signature = pair.sign(&receipt.signing_payload());
		Self {
			signed: SignedReceipt { receipt, signature },
			salt,
			prompt: generation.prompt.clone(),
			output: generation.tokens.clone(),
			constraints: generation.constraints.clone(),
			text: Some(generation.text.clone()),
		}
	}

	/// The file's content.
	pub fn to_json(&self) -> serde_json::Value {
		let receipt = &self.signed.receipt;
		let wire = Wire {
			receipt: WireReceipt {
				spec: receipt.spec,
				model: to_hex(receipt.model.as_bytes()),
				worker: receipt.worker.to_ss58check(),
				request: to_hex(receipt.request.as_bytes()),
				output: to_hex(receipt.output.as_bytes()),
				trace_root: to_hex(receipt.trace_root.as_bytes()),
				prompt_tokens: receipt.prompt_tokens,
				output_tokens: receipt.output_tokens,
				sampling: WireSampling {
					temperature_micro: receipt.sampling.temperature_micro,
					top_p_micro: receipt.sampling.top_p_micro,
					min_p_micro: receipt.sampling.min_p_micro,
					top_k: receipt.sampling.top_k,
					seed: receipt.sampling.seed.to_string(),
					repetition_penalty_micro: receipt.sampling.repetition_penalty_micro,
					presence_penalty_micro: receipt.sampling.presence_penalty_micro,
					frequency_penalty_micro: receipt.sampling.frequency_penalty_micro,
					constraints: (!self.constraints.is_empty())
						.then(|| to_hex(receipt.sampling.constraints.as_bytes())),
				},
				operations: receipt.operations.to_string(),
				consent_version: receipt.consent_version,
				energy: WireEnergy {
					microjoules: receipt.energy.microjoules.to_string(),
					grade: receipt.energy.grade,
				},
				started_ms: receipt.times.started_ms.to_string(),
				finished_ms: receipt.times.finished_ms.to_string(),
			},
			signature: to_hex(&self.signed.signature.0),
			salt: to_hex(self.salt.as_bytes()),
			prompt: self.prompt.clone(),
			output: self.output.clone(),
			constraints: self.constraints.clone(),
			text: self.text.clone(),
		};
		// Strings, numbers and lists only: this can't fail.
		serde_json::to_value(wire).unwrap_or_default()
	}

	/// Parses a file.
	pub fn from_json(json: &str) -> Result<Self, ReceiptError> {
		let wire: Wire = serde_json::from_str(json)?;
		if wire.prompt.len() > MAX_TOKENS || wire.output.len() > MAX_TOKENS {
			return Err(ReceiptError::Field("tokens"));
		}
		let hash = |text: &str, field| parse_hash(text).ok_or(ReceiptError::Field(field));
		let number =
			|text: &str, field| text.parse::<u64>().map_err(|_| ReceiptError::Field(field));
		let from = wire.receipt;
		let receipt = Receipt {
			spec: from.spec,
			model: hash(&from.model, "model")?,
			worker: parse_account(&from.worker).ok_or(ReceiptError::Field("worker"))?,
			request: hash(&from.request, "request")?,
			output: hash(&from.output, "output")?,
			trace_root: hash(&from.trace_root, "trace_root")?,
			prompt_tokens: from.prompt_tokens,
			output_tokens: from.output_tokens,
			sampling: Sampling {
				temperature_micro: from.sampling.temperature_micro,
				top_p_micro: from.sampling.top_p_micro,
				min_p_micro: from.sampling.min_p_micro,
				top_k: from.sampling.top_k,
				seed: number(&from.sampling.seed, "seed")?,
				repetition_penalty_micro: from.sampling.repetition_penalty_micro,
				presence_penalty_micro: from.sampling.presence_penalty_micro,
				frequency_penalty_micro: from.sampling.frequency_penalty_micro,
				constraints: match &from.sampling.constraints {
					Some(text) => hash(text, "constraints")?,
					None => H256::zero(),
				},
			},
			operations: number(&from.operations, "operations")?,
			consent_version: from.consent_version,
			energy: Energy {
				microjoules: number(&from.energy.microjoules, "microjoules")?,
				grade: from.energy.grade,
			},
			times: Times {
				started_ms: number(&from.started_ms, "started_ms")?,
				finished_ms: number(&from.finished_ms, "finished_ms")?,
			},
		};
		let signature = fixed::<64>(&wire.signature).ok_or(ReceiptError::Field("signature"))?;
		Ok(Self {
			signed: SignedReceipt {
				receipt,
				signature: sr25519::Signature::from_raw(signature),
			},
			salt: hash(&wire.salt, "salt")?,
			prompt: wire.prompt,
			output: wire.output,
			constraints: wire.constraints,
			text: wire.text,
		})
	}
}

/// Replaces the middle token of an answer by another one: the dishonest worker of the end-to-end test.
#[cfg(feature = "fault-injection")]
pub fn alter_token(answer: &mut Generation, model: &aria_engine::model::Model) {
	let middle = answer.tokens.len() / 2;
	if let Some(token) = answer.tokens.get_mut(middle) {
		*token = (*token + 1) % model.config().vocab as u32;
	}
	answer.text = model.tokenizer.decode(&answer.tokens);
}
