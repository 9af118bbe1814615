//! What turns a finished generation into an answer: its receipt, its usage, and its frame.

use super::{ApiError, Shared, params::Options, random_hex, shape::Kind, unix_seconds};
use crate::engine::{
	FinishReason, Generation,
	receipt::{ReceiptFile, to_hex},
};
use aria_primitives::{H256, energy::EvidenceGrade};
use serde_json::{Value, json};
use std::sync::{Arc, atomic::Ordering};

/// An answer being made.
pub(super) struct Answer {
	pub(super) shared: Arc<Shared>,
	pub(super) kind: Kind,
	pub(super) stream: bool,
	include_usage: bool,
	id: String,
	created: u64,
}

/// The end of an answer, its receipt on disk.
pub(super) struct Finished {
	pub(super) text: String,
	pub(super) finish: &'static str,
	pub(super) usage: Value,
	pub(super) aria: Value,
}

fn usage(generation: &Generation) -> Value {
	let (prompt, output) = (generation.prompt.len(), generation.tokens.len());
	let energy = generation.energy;
	// The first token belongs to the prompt's pass, so one token alone has no rate.
	let rate = (output > 1 && generation.timings.decode_seconds > 0.0)
		.then(|| (output - 1) as f64 / generation.timings.decode_seconds);
	let millijoules =
		(energy.grade != EvidenceGrade::Unknown).then(|| energy.microjoules as f64 / 1000.0);
	json!({
		"prompt_tokens": prompt,
		"completion_tokens": output,
		"total_tokens": prompt + output,
		"tokens_per_second": rate,
		"energy_mj": millijoules,
	})
}

impl Answer {
	/// Begins an answer.
	pub(super) fn new(shared: Arc<Shared>, kind: Kind, options: &Options) -> Self {
		Self {
			shared,
			kind,
			stream: options.stream,
			include_usage: options.stream && options.include_usage,
			id: format!("{}-{}", kind.prefix(), random_hex()),
			created: unix_seconds(),
		}
	}

	/// Signs the receipt and returns once the journal has it.
	pub(super) async fn finish(&self, generation: Generation) -> Result<Finished, ApiError> {
		let api = &self.shared.api;
		#[cfg(feature = "fault-injection")]
		let generation = {
			let mut generation = generation;
			if api.alter_token {
				crate::engine::alter_token(&mut generation, api.engine.model());
			}
			generation
		};
		let finish = match generation.finish {
			FinishReason::Stop => "stop",
			FinishReason::Length => "length",
			// Only a requester who went away cancels, and nobody waits for this then.
			FinishReason::Cancelled => return Err(ApiError::server("the answer was cancelled")),
		};
		let file = ReceiptFile::sign(
			&generation,
			api.engine.model().id,
			api.consent_version.load(Ordering::Relaxed),
			H256(rand::random()),
			&api.signer,
		);
		let json = file.to_json();
		let id = api.journal.record(file).await?;
		Ok(Finished {
			usage: usage(&generation),
			aria: json!({ "receipt_id": to_hex(id.as_bytes()), "receipt_file": json }),
			text: generation.text,
			finish,
		})
	}

	fn frame(&self, choices: Value) -> Value {
		json!({
			"id": self.id,
			"object": self.kind.object(self.stream),
			"created": self.created,
			"model": self.shared.api.model_name,
			"system_fingerprint": self.shared.fingerprint,
			"choices": choices,
		})
	}

	/// The whole answer in one object.
	pub(super) fn whole(&self, finished: Finished, logprobs: Value) -> Value {
		let choice = self.kind.choice(&finished.text, logprobs, finished.finish);
		let mut answer = self.frame(json!([choice]));
		answer["usage"] = finished.usage;
		answer["aria"] = finished.aria;
		answer
	}

	/// A chunk of a streamed answer.
	pub(super) fn chunk(&self, choice: Value) -> Value {
		let mut chunk = self.frame(json!([choice]));
		if self.include_usage {
			chunk["usage"] = Value::Null;
		}
		chunk
	}

	/// The last chunks: why the answer ended, with its receipt, and the usage if it was asked for.
	pub(super) fn last_chunks(&self, finished: Finished) -> Vec<Value> {
		let mut end = self.chunk(self.kind.ending(finished.finish));
		end["aria"] = finished.aria;
		let mut chunks = vec![end];
		if self.include_usage {
			let mut chunk = self.frame(json!([]));
			chunk["usage"] = finished.usage;
			chunks.push(chunk);
		}
		chunks
	}
}
