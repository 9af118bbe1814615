//! The engine as a whole: same bits however it is run.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use aria_engine::{
	FinishReason, GenerateRequest, Generation, RecheckRequest,
	answers::alone::{generate, recheck},
	error::EngineError,
	host::System,
	model::Model,
	pass::{
		cache::{KvCache, PagePool},
		forward::{Segment, Workspace},
		trace::Trace,
	},
};
use aria_kernels::{Backend, Isa, Packing};
use aria_primitives::{receipt::Sampling, work::Fault};
use proptest::prelude::*;
use std::sync::LazyLock;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
	Model::from_bytes(
		&support::synth::model(1).bytes(),
		"synthetic",
		Packing::Dense,
	)
	.unwrap()
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
		logprobs: true,
		..Default::default()
	}
}

fn answer(backend: &Backend, request: GenerateRequest) -> Generation {
	generate(&MODEL, backend, &System, request, &mut |_| {}, &|| false).unwrap()
}

fn claim(answer: &Generation) -> RecheckRequest {
	RecheckRequest {
		prompt: answer.prompt.clone(),
		output: answer.tokens.clone(),
		sampling: answer.sampling,
		constraints: answer.constraints.clone(),
		trace_root: answer.trace_root,
		logprobs: true,
	}
}

#[test]
fn answer_should_not_depend_on_instruction_set_or_threads() {
	let expected = answer(&scalar(), request("the cat", 900_000, 20));
	for isa in Isa::supported() {
		for threads in [1, 2] {
			let backend = Backend::new(isa, threads);
			let found = answer(&backend, request("the cat", 900_000, 20));
			assert_eq!(found.tokens, expected.tokens, "{isa} x {threads}");
			assert_eq!(found.logprobs, expected.logprobs, "{isa} x {threads}");
			assert_eq!(found.trace_root, expected.trace_root, "{isa} x {threads}");
			assert_eq!(
				recheck(&MODEL, &backend, &claim(&expected), &|| false).unwrap(),
				Some(Ok(expected.logprobs.clone()))
			);
		}
	}
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(12))]
	#[test]
	fn batch_has_the_bits_of_one_at_a_time(tokens in prop::collection::vec(0u32..260, 1..40), cut in 0usize..40) {
		let backend = Backend::new(Isa::detect(), 1);
		let cut = cut.min(tokens.len());
		let run = |parts: Vec<&[u32]>| {
			let pool = PagePool::new(MODEL.config(), 0);
			let (mut cache, mut trace) = (KvCache::new(&pool), Trace::default());
			let (mut workspace, mut states) = (Workspace::default(), Vec::new());
			for part in parts.into_iter().filter(|part| !part.is_empty()) {
				cache.reserve(part.len()).unwrap();
				let segment = Segment { tokens: part, cache: &mut cache, trace: &mut trace, states_from: 0 };
				MODEL.weights.forward(&backend, &mut workspace, &mut [segment], &|| false).unwrap();
				states.extend(workspace.states().iter().map(|state| state.to_bits()));
			}
			(trace.root(), states)
		};
		let single = run(tokens.chunks(1).collect());
		prop_assert_eq!(&run(vec![&tokens]), &single);
		prop_assert_eq!(&run(vec![&tokens[..cut], &tokens[cut..]]), &single);
	}

	#[test]
	fn altered_answers_are_found(at in 0usize..12, by in 1u32..260, temperature in prop::sample::select(vec![0u32, 800_000])) {
		let honest = answer(&scalar(), request("a dog", temperature, 12));
		let mut claim = claim(&honest);
		let at = at % claim.output.len();
		claim.output[at] = (claim.output[at] + by) % 260;
		prop_assert_eq!(recheck(&MODEL, &scalar(), &claim, &|| false).unwrap(), Some(Err(Fault::WrongToken)));
	}
}

#[test]
fn recheck_should_reject_another_trace_prompt_or_seed() {
	let honest = answer(&scalar(), request("one", 1_000_000, 24));
	let found = |claim: RecheckRequest| recheck(&MODEL, &scalar(), &claim, &|| false).unwrap();
	let mut trace = claim(&honest);
	trace.trace_root.0[5] ^= 1;
	assert_eq!(found(trace), Some(Err(Fault::WrongTrace)));
	let mut seed = claim(&honest);
	seed.sampling.seed += 1;
	assert_eq!(found(seed), Some(Err(Fault::WrongToken)));
	let mut empty = claim(&honest);
	empty.output.clear();
	assert_eq!(found(empty), Some(Err(Fault::WrongCount)));
	assert_eq!(
		recheck(&MODEL, &scalar(), &claim(&honest), &|| true).unwrap(),
		None
	);
}

#[test]
fn requests_out_of_range_should_be_refused_with_numbers() {
	let ask = |request| generate(&MODEL, &scalar(), &System, request, &mut |_| {}, &|| false);
	let long = GenerateRequest {
		prompt: vec![1; 97],
		..request("", 0, 1)
	};
	let refused = EngineError::ContextLengthExceeded {
		prompt: 97,
		context: 96,
	};
	assert_eq!(ask(long), Err(refused));
	let unknown = GenerateRequest {
		prompt: vec![260],
		..request("", 0, 1)
	};
	assert_eq!(
		ask(unknown),
		Err(EngineError::UnknownToken {
			token: 260,
			vocab: 260
		})
	);
	assert!(matches!(
		ask(request("x", 0, 0)),
		Err(EngineError::InvalidParameter(_))
	));
	let empty = GenerateRequest {
		prompt: vec![],
		..request("", 0, 1)
	};
	assert_eq!(ask(empty).unwrap().prompt, [258]);
	let full = ask(GenerateRequest {
		prompt: vec![1; 96],
		..request("", 0, 50)
	});
	assert_eq!(full.unwrap().tokens.len(), 1);
}

#[test]
fn identity_should_follow_every_weight() {
	let other =
		Model::from_bytes(&support::synth::model(2).bytes(), "other", Packing::Dense).unwrap();
	assert_ne!(other.id, MODEL.id);
	let again =
		Model::from_bytes(&support::synth::model(1).bytes(), "again", Packing::Dense).unwrap();
	assert_eq!(again.id, MODEL.id);
}

#[test]
fn cancelled_answer_should_keep_a_checkable_prefix() {
	let count = std::cell::Cell::new(0);
	let cancelled = || {
		count.set(count.get() + 1);
		count.get() > 10
	};
	let part = generate(
		&MODEL,
		&scalar(),
		&System,
		request("x", 0, 50),
		&mut |_| {},
		&cancelled,
	);
	let part = part.unwrap();
	assert_eq!(part.finish, FinishReason::Cancelled);
	assert!(!part.tokens.is_empty());
	assert!(matches!(
		recheck(&MODEL, &scalar(), &claim(&part), &|| false).unwrap(),
		Some(Ok(_))
	));
}
