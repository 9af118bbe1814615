//! Receipts hold only what happened, and the engine's thread answers.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

#[path = "../engine/tests/support/mod.rs"]
mod support;

use aria_engine::{
	Event, GenerateRequest, Options, answers::alone::generate, host::System, model::Model,
};
use aria_kernels::{Backend, Isa, Packing};
use aria_primitives::{
	H256,
	receipt::{Receipt, Sampling},
};
use aria_worker::{
	energy::Meter,
	models::engine::{Engine, SubmitError},
	receipts::{
		check::{CheckFailure, verify_receipt},
		file::ReceiptFile,
	},
};
use sp_core::{Pair, sr25519};
use std::sync::{Arc, LazyLock};

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
	let bytes = support::synth::model(1).bytes();
	Arc::new(Model::from_bytes(&bytes, "synthetic", Packing::Dense).unwrap())
});

fn scalar() -> Backend {
	Backend::new(Isa::from_name("scalar").unwrap(), 1)
}

fn request(prompt: &str, temperature_micro: u32, max_tokens: u32) -> GenerateRequest {
	GenerateRequest {
		prompt: MODEL.tokenizer.encode(prompt, true, false).unwrap(),
		max_tokens,
		sampling: Sampling {
			temperature_micro,
			top_p_micro: 950_000,
			seed: 11,
			..Default::default()
		},
		..Default::default()
	}
}

fn receipt() -> (ReceiptFile, sr25519::Pair) {
	let pair = sr25519::Pair::from_string("//Alice", None).unwrap();
	let request = request("receipt", 700_000, 10);
	let honest = generate(&MODEL, &scalar(), &System, request, &mut |_| {}, &|| false).unwrap();
	(
		ReceiptFile::sign(&honest, MODEL.id, 3, H256([9; 32]), &pair),
		pair,
	)
}

#[test]
fn receipt_should_survive_json_and_verify() {
	let (file, _) = receipt();
	let back = ReceiptFile::from_json(&file.to_json().to_string()).unwrap();
	assert_eq!(back, file);
	assert_eq!(verify_receipt(&MODEL, &scalar(), &back, &|| false), Ok(()));
}

/// Name, change and the check that fails for a worker that signs the change.
type Case = (&'static str, fn(&mut Receipt), Option<CheckFailure>);

/// A change beside the receipt and the check that fails.
type Around = (fn(&mut ReceiptFile), CheckFailure);

#[test]
fn verify_should_reject_every_changed_field() {
	let cases: [Case; 15] = [
		("spec", |r| r.spec += 1, Some(CheckFailure::Spec(2))),
		("model", |r| r.model.0[0] ^= 1, Some(CheckFailure::Model)),
		(
			"worker",
			|r| r.worker = [7; 32].into(),
			Some(CheckFailure::Signature),
		),
		(
			"request",
			|r| r.request.0[0] ^= 1,
			Some(CheckFailure::Request),
		),
		("output", |r| r.output.0[0] ^= 1, Some(CheckFailure::Output)),
		(
			"trace",
			|r| r.trace_root.0[0] ^= 1,
			Some(CheckFailure::Trace),
		),
		(
			"prompt tokens",
			|r| r.prompt_tokens += 1,
			Some(CheckFailure::Counts),
		),
		(
			"output tokens",
			|r| r.output_tokens -= 1,
			Some(CheckFailure::Counts),
		),
		("seed", |r| r.sampling.seed += 1, Some(CheckFailure::Token)),
		(
			"temperature",
			|r| r.sampling.temperature_micro = 90_000_000,
			Some(CheckFailure::Token),
		),
		(
			"operations",
			|r| r.operations += 1,
			Some(CheckFailure::Operations),
		),
		(
			"started",
			|r| r.times.started_ms = u64::MAX,
			Some(CheckFailure::Times),
		),
		// What only the worker knows can't be re-executed, but nobody else can change it.
		("finished", |r| r.times.finished_ms += 1, None),
		("consent", |r| r.consent_version += 1, None),
		("energy", |r| r.energy.microjoules += 1, None),
	];
	for (name, change, expected) in cases {
		let (mut file, pair) = receipt();
		change(&mut file.signed.receipt);
		let found = verify_receipt(&MODEL, &scalar(), &file, &|| false).err();
		assert_eq!(
			found,
			Some(CheckFailure::Signature),
			"{name}, old signature"
		);
		file.signed.signature = pair.sign(&file.signed.receipt.signing_payload());
		let found = verify_receipt(&MODEL, &scalar(), &file, &|| false).err();
		assert_eq!(found, expected, "{name}, signed anew");
	}
	let around: [Around; 5] = [
		(|f| f.signed.signature.0[3] ^= 1, CheckFailure::Signature),
		(|f| f.salt.0[0] ^= 1, CheckFailure::Request),
		(|f| f.prompt[0] ^= 1, CheckFailure::Request),
		(|f| f.output[0] ^= 1, CheckFailure::Output),
		(
			|f| f.text = Some("something else".into()),
			CheckFailure::Text,
		),
	];
	for (change, expected) in around {
		let (mut file, _) = receipt();
		change(&mut file);
		assert_eq!(
			verify_receipt(&MODEL, &scalar(), &file, &|| false),
			Err(expected)
		);
	}
}

#[test]
fn engine_thread_should_stream_refuse_and_cancel() {
	let options = Options {
		parallel: 1,
		queue: 2,
		..Options::default()
	};
	let engine = Engine::spawn(MODEL.clone(), scalar(), Meter::default(), options).unwrap();
	let mut events = engine.submit(request("stream", 0, 8)).unwrap();
	let (mut text, mut ids) = (String::new(), Vec::new());
	let done = loop {
		match events.blocking_recv().unwrap() {
			Event::Token(token) => {
				text += &token.text;
				ids.push(token.id);
			}
			Event::Done(done) => break done,
			other => panic!("{other:?}"),
		}
	};
	assert_eq!((&text, &ids), (&done.text, &done.tokens));
	let kept: Vec<_> = std::iter::repeat_with(|| engine.submit(request("q", 0, 90)))
		.take(64)
		.collect();
	assert!(
		kept.iter()
			.any(|result| matches!(result, Err(SubmitError::QueueFull(3))))
	);
}
