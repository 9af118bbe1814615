//! What turns a finished generation into an answer: its receipt, its usage, and its frame.

use super::{
	ApiError, Shared,
	params::Options,
	shape::Kind,
	state::{fingerprint, random_hex, unix_seconds},
	tools::calls::Item,
};
use crate::{
	keys::Client, metrics::UnderWay, models::Served, receipts::file::ReceiptFile, text::to_hex,
};
use aria_engine::{FinishReason, Generation};
use aria_primitives::{H256, consent::TaskKind, energy::EvidenceGrade};
use serde_json::{Value, json};
use std::{fmt::Display, sync::Arc, time::Instant};

/// The answer to a request, of one choice or several, being made.
pub(super) struct Answer {
	pub(super) shared: Arc<Shared>,
	/// Who answers. It stays in memory meanwhile.
	pub(super) served: Served,
	fingerprint: String,
	/// A chunk's beginning, which all of them share.
	head: String,
	pub(super) kind: Kind,
	pub(super) stream: bool,
	include_usage: bool,
	pub(super) id: String,
	pub(super) created: u64,
	/// Choices that share a prompt.
	choices: usize,
	/// Whose tokens these are.
	client: Option<Arc<Client>>,
	/// The request counts while its answer is being made.
	_under_way: UnderWay,
	begun: Instant,
	/// Whether there is one choice and no more: its receipt then stands beside it, not in it.
	alone: bool,
}

/// The end of a choice, its receipt on disk.
pub(super) struct Finished {
	/// Whether the answer ended because there was no more room.
	pub(super) cut: bool,
	pub(super) aria: Value,
	pub(super) prompt_tokens: usize,
	/// Those whose keys and values were there from an earlier request.
	pub(super) cached_tokens: u32,
	pub(super) output_tokens: usize,
	decode_seconds: f64,
	/// Millijoules, if known.
	energy: Option<f64>,
}

impl Finished {
	/// Why it ended, with so many calls in it.
	fn reason(&self, calls: usize) -> &'static str {
		match (self.cut, calls) {
			(true, _) => "length",
			(false, 0) => "stop",
			(false, _) => "tool_calls",
		}
	}
}

/// Tokens per second and energy of all choices.
pub(super) fn cost(finished: &[Finished]) -> (Option<f64>, Option<f64>) {
	let output: usize = finished.iter().map(|one| one.output_tokens).sum();
	// The first token belongs to the prompt's pass, so one token alone has no rate.
	let timed = output - finished.len();
	let seconds = finished
		.iter()
		.fold(0.0_f64, |most, one| most.max(one.decode_seconds));
	let rate = (timed > 0 && seconds > 0.0).then(|| timed as f64 / seconds);
	(rate, finished.iter().map(|one| one.energy).sum())
}

/// What all choices took. A prompt counts once, however many choices it has.
fn usage(finished: &[Finished], choices: usize) -> Value {
	let of_prompts = |count: fn(&Finished) -> usize| -> usize {
		let first = finished.chunks(choices).filter_map(<[_]>::first);
		first.map(count).sum()
	};
	let prompt = of_prompts(|one| one.prompt_tokens);
	let cached = of_prompts(|one| one.cached_tokens as usize);
	let output: usize = finished.iter().map(|one| one.output_tokens).sum();
	let (rate, millijoules) = cost(finished);
	json!({
		"prompt_tokens": prompt,
		"completion_tokens": output,
		"total_tokens": prompt + output,
		"prompt_tokens_details": { "cached_tokens": cached },
		"tokens_per_second": rate,
		"energy_mj": millijoules,
	})
}

impl Answer {
	/// Begins the answer to so many prompts.
	pub(super) fn new(
		shared: Arc<Shared>,
		served: Served,
		kind: Kind,
		options: &Options,
		prompts: usize,
		client: Option<Arc<Client>>,
	) -> Self {
		let under_way = shared.api.metrics.under_way();
		let mut answer = Self {
			head: String::new(),
			shared,
			fingerprint: fingerprint(served.engine.model()),
			served,
			kind,
			stream: options.stream,
			include_usage: options.stream && options.include_usage,
			id: format!("{}{}", kind.prefix(), random_hex()),
			created: unix_seconds(),
			choices: options.choices,
			client,
			_under_way: under_way,
			begun: Instant::now(),
			alone: prompts * options.choices == 1,
		};
		let mut head = answer.common().to_string();
		// The object goes on.
		head.pop();
		answer.head = head;
		answer
	}

	/// The version of the owner's consent contract that allows this answer to go on.
	pub(super) fn permit(&self) -> Result<u32, ApiError> {
		self.shared.permit(TaskKind::TextGen)
	}

	/// Signs the receipt and returns once the journal has it.
	pub(super) async fn finish(&self, generation: Generation) -> Result<Finished, ApiError> {
		let api = &self.shared.api;
		#[cfg(feature = "fault-injection")]
		let generation = {
			let mut generation = generation;
			if api.alter_token {
				crate::receipts::file::alter_token(&mut generation, self.served.engine.model());
			}
			generation
		};
		let cut = match generation.finish {
			FinishReason::Stop => false,
			FinishReason::Length | FinishReason::Grammar => true,
			// Only a requester who went away cancels, and nobody waits for this then.
			FinishReason::Cancelled => return Err(ApiError::server("the answer was cancelled")),
		};
		// Work that ends outside the contract was not allowed to its end.
		let consent_version = self.permit()?;
		let file = ReceiptFile::sign(
			&generation,
			self.served.engine.model().id,
			consent_version,
			H256(rand::random()),
			&api.signer,
		);
		let json = file.to_json();
		let id = api.journal.record(file).await?;
		api.metrics.answered(&generation, self.begun.elapsed());
		let session = &self.shared.session;
		session.answered(&self.served.name, &generation);
		if let Some(client) = &self.client {
			let tokens = generation.prompt.len() + generation.tokens.len();
			client.tokens(tokens as u64, Instant::now());
		}
		Ok(Finished {
			prompt_tokens: generation.prompt.len(),
			cached_tokens: generation.cached_tokens,
			output_tokens: generation.tokens.len(),
			decode_seconds: generation.timings.decode_seconds,
			energy: (generation.energy.grade != EvidenceGrade::Unknown)
				.then(|| generation.energy.microjoules as f64 / 1000.0),
			aria: json!({
				"receipt_id": to_hex(id.as_bytes()),
				"receipt_key": api.receipt_keys.key(&id),
				"receipt_file": json,
			}),
			cut,
		})
	}

	fn frame(&self, choices: Value) -> Value {
		let mut frame = self.common();
		frame["choices"] = choices;
		frame
	}

	/// What every object of the answer says.
	fn common(&self) -> Value {
		json!({
			"id": self.id,
			"object": self.kind.object(self.stream),
			"created": self.created,
			"model": &*self.served.name,
			"system_fingerprint": self.fingerprint,
		})
	}

	/// The whole answer in one object: choices with what they say and their log probabilities, in order.
	pub(super) fn whole(&self, finished: &[Finished], said: Vec<(Vec<Item>, Value)>) -> Value {
		let choices = finished.iter().zip(said).enumerate();
		let choices = choices.map(|(index, (one, (items, logprobs)))| {
			let call = |item: &&Item| matches!(item, Item::Call(_));
			let finish = one.reason(items.iter().filter(call).count());
			let mut choice = self.kind.choice(index, &items, logprobs, finish);
			if !self.alone {
				choice["aria"] = one.aria.clone();
			}
			choice
		});
		let mut answer = self.frame(choices.collect());
		answer["usage"] = usage(finished, self.choices);
		if let ([one], true) = (finished, self.alone) {
			answer["aria"] = one.aria.clone();
		}
		answer
	}

	/// A chunk of a streamed answer with a choice in JSON. There is one for each token, so only what differs is made anew.
	pub(super) fn chunk(&self, choice: impl Display) -> String {
		let usage = if self.include_usage {
			r#","usage":null"#
		} else {
			""
		};
		format!(r#"{},"choices":[{choice}]{usage}}}"#, self.head)
	}

	/// The last chunk of a choice with so many calls: why it ended, with its receipt.
	pub(super) fn end(&self, index: usize, finished: &Finished, calls: usize) -> String {
		let mut choice = self.kind.ending(index, finished.reason(calls));
		if self.alone {
			let mut end = self.frame(json!([choice]));
			if self.include_usage {
				end["usage"] = Value::Null;
			}
			end["aria"] = finished.aria.clone();
			return end.to_string();
		}
		choice["aria"] = finished.aria.clone();
		self.chunk(choice)
	}

	/// The chunk with the usage, if it was asked for.
	pub(super) fn usage_chunk(&self, finished: &[Finished]) -> Option<String> {
		self.include_usage.then(|| {
			let mut chunk = self.frame(json!([]));
			chunk["usage"] = usage(finished, self.choices);
			chunk.to_string()
		})
	}
}
