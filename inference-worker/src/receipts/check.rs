//! Re-execution: the same bits, or the first fault.

use super::file::ReceiptFile;
use aria_engine::{RecheckRequest, answers::alone::recheck, model::Model};
use aria_kernels::Backend;
use aria_primitives::{
	SPEC_VERSION,
	receipt::{output_hash, request_hash},
	work::Fault,
};

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
	/// Hash of bias and grammar.
	#[error("constraints: logit bias and grammar do not hash to the receipt")]
	Constraints,
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
	/// The grammar is too much for this machine, now or at all: nothing was found out.
	#[error("grammar: it can't be compiled here within the limits, so nothing was found out")]
	Grammar,
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
	let constraints = receipt.sampling.constraints == file.constraints.hash();
	check(constraints, CheckFailure::Constraints)?;
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

/// What a re-execution found.
impl From<Fault> for CheckFailure {
	fn from(fault: Fault) -> Self {
		match fault {
			Fault::WrongTrace => Self::Trace,
			Fault::WrongCount => Self::Counts,
			Fault::WrongOpening | Fault::NotOpened => Self::Request,
			Fault::WrongToken => Self::Token,
		}
	}
}

impl From<&ReceiptFile> for RecheckRequest {
	fn from(file: &ReceiptFile) -> Self {
		Self {
			prompt: file.prompt.clone(),
			output: file.output.clone(),
			sampling: file.signed.receipt.sampling,
			constraints: file.constraints.clone(),
			trace_root: file.signed.receipt.trace_root,
			logprobs: false,
		}
	}
}

/// Checks a receipt in full, re-executing the answer.
pub fn verify_receipt(
	model: &Model,
	backend: &Backend,
	file: &ReceiptFile,
	cancelled: &dyn Fn() -> bool,
) -> Result<(), CheckFailure> {
	check_fields(model, file)?;
	let request = RecheckRequest::from(file);
	match recheck(model, backend, &request, cancelled) {
		Err(_) => Err(CheckFailure::Grammar),
		Ok(None) => Err(CheckFailure::Cancelled),
		Ok(Some(result)) => result.map(drop).map_err(CheckFailure::from),
	}
}
