//! Re-execution: the same bits, or the first fault.

use super::{
	forward::KvCache, generate::CHUNK, receipt::ReceiptFile, sampler, trace::Trace, types::*,
};
use crate::model::Model;
use aria_kernels::Backend;
use aria_primitives::{
	SPEC_VERSION,
	receipt::{output_hash, request_hash},
	work::Fault,
};

/// Feeds prompt and output at once and compares every choice, then the trace root.
///
/// `None` when cancelled. The output's last token is chosen but never fed.
pub fn recheck(
	model: &Model,
	backend: &Backend,
	request: &RecheckRequest,
	cancelled: &dyn Fn() -> bool,
) -> Option<RecheckResult> {
	let (prompt, output) = (&request.prompt, &request.output);
	let Some((_, fed)) = output.split_last() else {
		return Some(Err(Fault::WrongCount));
	};
	let vocab = model.config.vocab;
	let in_vocabulary = |token: &u32| (*token as usize) < vocab;
	if prompt.is_empty()
		|| prompt.len() + fed.len() > model.config.context
		|| !prompt.iter().all(in_vocabulary)
	{
		return Some(Err(Fault::WrongOpening));
	}
	// Nothing follows a token that ends the turn.
	if !output.iter().all(in_vocabulary) || fed.iter().any(|id| model.tokenizer.is_end(*id)) {
		return Some(Err(Fault::WrongToken));
	}
	let inputs: Vec<u32> = prompt.iter().chain(fed).copied().collect();
	let mut cache = KvCache::new(&model.config);
	let mut trace = Trace::default();
	let mut logprobs = Vec::new();
	for chunk in inputs.chunks(CHUNK) {
		let start = cache.len();
		let from = (prompt.len() - 1).saturating_sub(start).min(chunk.len());
		let pass = model.forward(backend, &mut cache, chunk, from, &mut trace, cancelled);
		let Ok(logits) = pass else {
			// Only a cancelled pass or damaged weights get here: inputs were checked above.
			return if cancelled() {
				None
			} else {
				Some(Err(Fault::WrongTrace))
			};
		};
		for (row, logits) in logits.chunks_exact(vocab).enumerate() {
			let position = start + from + row;
			let claimed = output[position + 1 - prompt.len()];
			if sampler::sample(logits, &request.sampling, position as u32) != claimed {
				return Some(Err(Fault::WrongToken));
			}
			logprobs.push(sampler::logprob(logits, claimed));
		}
	}
	if trace.root() != request.trace_root {
		return Some(Err(Fault::WrongTrace));
	}
	Some(Ok(logprobs))
}

/// The check of a receipt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckFailure {
	/// Signature.
	#[error("signature: the receipt was not signed by its worker, or was changed afterwards")]
	Signature,
	/// Specification version.
	#[error("specification: version {0}, this program implements {SPEC_VERSION}")]
	Spec(u32),
	/// Model root.
	#[error("model: the receipt is for another model")]
	Model,
	/// Prompt hash.
	#[error("request: salt and prompt do not hash to the receipt")]
	Request,
	/// Output hash.
	#[error("output: the tokens do not hash to the receipt")]
	Output,
	/// Token counts.
	#[error("counts: the receipt states other token counts than were handed over")]
	Counts,
	/// Operation count.
	#[error("operations: the receipt states another cost than the model's shape gives")]
	Operations,
	/// Times.
	#[error("times: the receipt ends before it begins")]
	Times,
	/// Text beside the tokens.
	#[error("text: the text is not that of the tokens")]
	Text,
	/// A token is not the one that the specification chooses.
	#[error("token: re-execution chooses another token")]
	Token,
	/// Hidden states differ.
	#[error("trace: re-execution gives other hidden states")]
	Trace,
	/// Told to end.
	#[error("cancelled")]
	Cancelled,
}

impl CheckFailure {
	/// The fault that a verifier reports for this failure.
	pub fn fault(self) -> Fault {
		match self {
			Self::Counts | Self::Operations => Fault::WrongCount,
			Self::Token => Fault::WrongToken,
			Self::Trace => Fault::WrongTrace,
			_ => Fault::WrongOpening,
		}
	}
}

/// Checks everything about a receipt that needs no re-execution.
pub fn check_fields(model: &Model, file: &ReceiptFile) -> Result<(), CheckFailure> {
	let receipt = &file.signed.receipt;
	let check = |holds: bool, failure| if holds { Ok(()) } else { Err(failure) };
	check(file.signed.verify_signature(), CheckFailure::Signature)?;
	check(
		receipt.spec == SPEC_VERSION,
		CheckFailure::Spec(receipt.spec),
	)?;
	check(receipt.model == model.id, CheckFailure::Model)?;
	let counts = receipt.prompt_tokens as usize == file.prompt.len()
		&& receipt.output_tokens as usize == file.output.len();
	check(counts, CheckFailure::Counts)?;
	let request = request_hash(&file.salt, &file.prompt);
	check(receipt.request == request, CheckFailure::Request)?;
	check(
		receipt.output == output_hash(&file.output),
		CheckFailure::Output,
	)?;
	let operations = model
		.operations()
		.of(receipt.prompt_tokens, receipt.output_tokens);
	check(
		operations == Some(receipt.operations),
		CheckFailure::Operations,
	)?;
	let times = receipt.times.started_ms <= receipt.times.finished_ms;
	check(times, CheckFailure::Times)?;
	// An answer cut before a stop text is a prefix of its tokens' text.
	let decoded = model.tokenizer.decode(&file.output);
	let text = file
		.text
		.as_ref()
		.is_none_or(|text| decoded.starts_with(text.as_str()));
	check(text, CheckFailure::Text)
}

/// Checks a receipt in full, re-executing the answer.
pub fn verify_receipt(
	model: &Model,
	backend: &Backend,
	file: &ReceiptFile,
	cancelled: &dyn Fn() -> bool,
) -> Result<Vec<f32>, CheckFailure> {
	check_fields(model, file)?;
	let request = RecheckRequest {
		prompt: file.prompt.clone(),
		output: file.output.clone(),
		sampling: file.signed.receipt.sampling,
		trace_root: file.signed.receipt.trace_root,
	};
	match recheck(model, backend, &request, cancelled) {
		None => Err(CheckFailure::Cancelled),
		Some(Ok(logprobs)) => Ok(logprobs),
		Some(Err(Fault::WrongTrace)) => Err(CheckFailure::Trace),
		Some(Err(Fault::WrongCount)) => Err(CheckFailure::Counts),
		Some(Err(Fault::WrongOpening | Fault::NotOpened)) => Err(CheckFailure::Request),
		Some(Err(Fault::WrongToken)) => Err(CheckFailure::Token),
	}
}
