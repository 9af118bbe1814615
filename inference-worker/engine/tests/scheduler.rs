//! Scheduling changes no bit: whatever arrives when, each answer is that of the request alone.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use aria_engine::host::System as Host;
use aria_engine::{
	Event, FinishReason, GenerateRequest, Generation, Options, RecheckRequest, Scheduler, Sink,
	answers::{
		alone::generate,
		request::{check, prepare},
	},
	grammar::Purpose,
	model::Model,
};
use aria_kernels::{Backend, Isa, Packing};
use aria_primitives::{
	receipt::{Constraints, Grammar, Sampling},
	work::Fault,
};
use proptest::prelude::*;
use std::{
	sync::{
		Arc, LazyLock,
		atomic::{AtomicBool, AtomicU64, Ordering},
		mpsc,
	},
	time::Duration,
};

static MODEL: LazyLock<Model> = LazyLock::new(|| {
	let bytes = support::synth::model(1).bytes();
	Model::from_bytes(&bytes, "synthetic", Packing::TwoBit).unwrap()
});

static BACKEND: LazyLock<Backend> = LazyLock::new(|| Backend::new(Isa::detect(), 2));

/// Events of one request, with its number.
struct Channel(usize, mpsc::Sender<(usize, Event)>, Arc<AtomicBool>);

impl Sink for Channel {
	fn send(&mut self, event: Event) {
		self.1.send((self.0, event)).unwrap();
	}

	fn is_closed(&self) -> bool {
		self.2.load(Ordering::Relaxed)
	}
}

fn alone(request: &GenerateRequest) -> Generation {
	let host = Host;
	generate(
		&MODEL,
		&BACKEND,
		&host,
		request.clone(),
		&mut |_| {},
		&|| false,
	)
	.unwrap()
}

/// Everything of an answer but times.
fn bits(answer: &Generation) -> (&[u32], &str, Vec<u32>, aria_primitives::H256, FinishReason) {
	let logprobs = answer
		.logprobs
		.iter()
		.map(|logprob| logprob.to_bits())
		.collect();
	(
		&answer.tokens,
		&answer.text,
		logprobs,
		answer.trace_root,
		answer.finish,
	)
}

fn requests() -> impl Strategy<Value = GenerateRequest> {
	let sampling = (
		prop::sample::select(vec![0u32, 0, 700_000, 1_500_000]),
		prop::sample::select(vec![0u32, 5, 300]),
		prop::sample::select(vec![0u32, 900_000]),
		any::<u64>(),
		prop::sample::select(vec![0u32, 1_300_000]),
	);
	let sampling = sampling.prop_map(
		|(temperature_micro, top_k, top_p_micro, seed, repetition_penalty_micro)| Sampling {
			temperature_micro,
			top_k,
			top_p_micro,
			seed,
			repetition_penalty_micro,
			..Default::default()
		},
	);
	// Repeating prompts of few different tokens, so that prefixes are shared and drafts are found.
	let prompt = (prop::collection::vec(0u32..3, 1..4), 1usize..90).prop_map(|(pattern, len)| {
		pattern
			.iter()
			.cycle()
			.take(len)
			.copied()
			.collect::<Vec<u32>>()
	});
	(prompt, 1u32..30, sampling, any::<bool>(), 0u64..3).prop_map(
		|(prompt, max_tokens, sampling, logprobs, client)| GenerateRequest {
			prompt,
			max_tokens,
			sampling,
			logprobs,
			client,
			..Default::default()
		},
	)
}

fn options() -> impl Strategy<Value = Options> {
	(1u64..6, 1usize..6, any::<bool>(), any::<bool>()).prop_map(
		|(pages, parallel, prefix_cache, speculate)| Options {
			// Few pages, so that sequences are preempted.
			cache_bytes: pages
				* aria_engine::pass::cache::PagePool::new(MODEL.config(), 0).page_bytes(),
			parallel,
			queue: 64,
			prefix_cache,
			speculate,
		},
	)
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(48))]
	#[test]
	fn answers_do_not_depend_on_who_else_asks(
		arrivals in prop::collection::vec((requests(), 0usize..6, any::<bool>()), 1..8), options in options(),
	) {
		let host = Host;
		let mut scheduler = Scheduler::new(&MODEL, &BACKEND, &host, options);
		let (sender, events) = mpsc::channel();
		let mut answers: Vec<Option<Generation>> = vec![None; arrivals.len()];
		let mut tokens = vec![Vec::new(); arrivals.len()];
		let mut closed = Vec::new();
		for (number, (request, steps, _)) in arrivals.iter().enumerate() {
			let flag = Arc::new(AtomicBool::new(false));
			closed.push(flag.clone());
			let sink = Box::new(Channel(number, sender.clone(), flag));
			scheduler.generate(prepare(&MODEL, request.clone()).unwrap(), sink);
			for _ in 0..*steps {
				scheduler.step();
			}
		}
		// Some are cancelled half way.
		for (flag, (_, _, cancel)) in closed.iter().zip(&arrivals) {
			flag.store(*cancel && options.parallel % 2 == 0, Ordering::Relaxed);
		}
		let mut steps = 0;
		while !scheduler.is_idle() {
			scheduler.step();
			steps += 1;
			prop_assert!(steps < 20_000, "no progress");
		}
		for (number, event) in events.try_iter() {
			match event {
				Event::Token(token) => tokens[number].push(token.id),
				Event::Done(generation) => answers[number] = Some(*generation),
				other => panic!("{other:?}"),
			}
		}
		let (used, limit) = scheduler.pages();
		prop_assert!(used <= limit, "{used} of {limit} pages");
		for (number, (request, ..)) in arrivals.iter().enumerate() {
			let found = answers[number].as_ref().unwrap();
			prop_assert_eq!(&tokens[number], &found.tokens);
			let expected = alone(request);
			if found.finish == FinishReason::Cancelled {
				prop_assert!(expected.tokens.starts_with(&found.tokens));
			} else {
				prop_assert_eq!(bits(found), bits(&expected));
			}
		}
	}

	#[test]
	fn rechecks_beside_answers_find_the_truth(requests in prop::collection::vec(requests(), 1..5), options in options()) {
		let host = Host;
		let mut scheduler = Scheduler::new(&MODEL, &BACKEND, &host, options);
		let (sender, events) = mpsc::channel();
		let mut expected = Vec::new();
		for (number, request) in requests.iter().enumerate() {
			let answer = alone(request);
			let mut claim = RecheckRequest {
				prompt: answer.prompt.clone(),
				output: answer.tokens.clone(),
				sampling: answer.sampling,
				constraints: Constraints::default(),
				trace_root: answer.trace_root,
				logprobs: request.logprobs,
			};
			if number % 2 == 1 {
				claim.trace_root.0[0] ^= 1;
				expected.push(Err(Fault::WrongTrace));
			} else {
				expected.push(Ok(answer.logprobs.clone()));
			}
			let sink = |number| Box::new(Channel(number, sender.clone(), Arc::default()));
			// The answer itself is being made meanwhile, and shares its pages.
			scheduler.generate(prepare(&MODEL, request.clone()).unwrap(), sink(requests.len()));
			scheduler.step();
			scheduler.recheck(check(&MODEL, claim, Purpose::Claim).unwrap(), sink(number));
		}
		while !scheduler.is_idle() {
			scheduler.step();
		}
		let mut found = vec![None; requests.len()];
		for (number, event) in events.try_iter() {
			if let Event::Checked(result) = event {
				found[number] = Some(result);
			}
		}
		for (found, expected) in found.into_iter().zip(expected) {
			prop_assert_eq!(found, Some(expected));
		}
	}
}

/// Runs requests together and counts passes.
fn passes(requests: &[GenerateRequest], options: Options) -> (usize, Vec<Generation>) {
	let host = Host;
	let mut scheduler = Scheduler::new(&MODEL, &BACKEND, &host, options);
	let (sender, events) = mpsc::channel();
	for (number, request) in requests.iter().enumerate() {
		let sink = Box::new(Channel(number, sender.clone(), Arc::default()));
		scheduler.generate(prepare(&MODEL, request.clone()).unwrap(), sink);
	}
	let mut count = 0;
	while !scheduler.is_idle() {
		scheduler.step();
		count += 1;
	}
	let mut answers = vec![None; requests.len()];
	for (number, event) in events.try_iter() {
		if let Event::Done(generation) = event {
			answers[number] = Some(*generation);
		}
	}
	(count, answers.into_iter().map(Option::unwrap).collect())
}

#[test]
fn requests_should_share_passes() {
	let request = |seed| GenerateRequest {
		prompt: vec![seed, 1, 2],
		max_tokens: 20,
		ignore_end: true,
		..Default::default()
	};
	let options = Options {
		speculate: false,
		..Options::default()
	};
	let all: Vec<GenerateRequest> = (10..18).map(request).collect();
	assert_eq!(passes(&all[..1], options).0, 20);
	assert_eq!(passes(&all, options).0, 20);
}

#[test]
fn a_prompt_that_begins_as_an_earlier_one_should_not_be_computed_twice() {
	let host = Host;
	let mut scheduler = Scheduler::new(&MODEL, &BACKEND, &host, Options::default());
	let (sender, events) = mpsc::channel();
	let mut cached = Vec::new();
	for tail in [5, 6] {
		let prompt = [vec![7; 70], vec![tail]].concat();
		let request = GenerateRequest {
			prompt,
			max_tokens: 3,
			..Default::default()
		};
		let sink = Box::new(Channel(0, sender.clone(), Arc::default()));
		scheduler.generate(prepare(&MODEL, request.clone()).unwrap(), sink);
		while !scheduler.is_idle() {
			scheduler.step();
		}
		for (_, event) in events.try_iter() {
			if let Event::Done(answer) = event {
				assert_eq!(bits(&answer), bits(&alone(&request)));
				cached.push(answer.cached_tokens);
			}
		}
	}
	assert_eq!(cached, [0, 64]);
}

#[test]
fn clients_with_fewer_running_should_go_first() {
	let host = Host;
	let options = Options {
		parallel: 2,
		..Options::default()
	};
	let mut scheduler = Scheduler::new(&MODEL, &BACKEND, &host, options);
	let (sender, events) = mpsc::channel();
	for (number, client) in [1, 1, 1, 1, 2].into_iter().enumerate() {
		let request = GenerateRequest {
			prompt: vec![number as u32],
			max_tokens: 4,
			ignore_end: true,
			client,
			..Default::default()
		};
		let sink = Box::new(Channel(number, sender.clone(), Arc::default()));
		scheduler.generate(prepare(&MODEL, request).unwrap(), sink);
	}
	while !scheduler.is_idle() {
		scheduler.step();
	}
	let done = events
		.try_iter()
		.filter(|(_, event)| matches!(event, Event::Done(_)));
	let order: Vec<usize> = done.map(|(number, _)| number).collect();
	let place = |number: usize| order.iter().position(|done| *done == number).unwrap();
	assert!(place(4) < place(1), "{order:?}");
}

/// A machine on which time passes between any two looks at the clock.
#[derive(Default)]
struct Slow(AtomicU64);

impl aria_engine::Host for Slow {
	fn elapsed(&self) -> Duration {
		Duration::from_millis(20 * self.0.fetch_add(1, Ordering::Relaxed))
	}

	fn unix_ms(&self) -> u64 {
		0
	}

	fn measure(&self) -> Box<dyn aria_engine::host::Lap + '_> {
		Box::new(())
	}
}

#[test]
fn grammars_that_take_long_should_take_turns() {
	let options = Options {
		speculate: false,
		..Options::default()
	};
	let host = Slow::default();
	let mut scheduler = Scheduler::new(&MODEL, &BACKEND, &host, options);
	let (sender, events) = mpsc::channel();
	let request = |number: u32, grammar: Option<&str>| GenerateRequest {
		prompt: vec![65 + number],
		max_tokens: 24,
		ignore_end: true,
		constraints: Constraints {
			grammar: grammar.map(|text| Grammar::Regex(text.into())),
			..Default::default()
		},
		..Default::default()
	};
	let mut requests = vec![request(0, None)];
	requests.extend((1..4).map(|number| request(number, Some("[a-z]{60}"))));
	for (number, request) in requests.iter().enumerate() {
		let sink = Box::new(Channel(number, sender.clone(), Arc::default()));
		scheduler.generate(prepare(&MODEL, request.clone()).unwrap(), sink);
	}
	// One that is executed again takes its turn, too.
	let honest = alone(&requests[3]);
	let claim = RecheckRequest {
		prompt: honest.prompt.clone(),
		output: honest.tokens.clone(),
		sampling: honest.sampling,
		constraints: honest.constraints.clone(),
		trace_root: honest.trace_root,
		logprobs: false,
	};
	let sink = Box::new(Channel(4, sender, Arc::default()));
	scheduler.recheck(check(&MODEL, claim, Purpose::Claim).unwrap(), sink);
	let (mut said, mut answers, mut found) = ([0; 4], vec![None; 4], None);
	for pass in 1.. {
		scheduler.step();
		for (number, event) in events.try_iter() {
			match event {
				Event::Token(_) => said[number] += 1,
				Event::Done(answer) => answers[number] = Some(*answer),
				Event::Checked(result) => found = Some(result),
				Event::Error(error) => panic!("{error}"),
			}
		}
		if answers[0].is_none() {
			// The one without a grammar waits for nobody.
			assert_eq!(said[0], pass);
		} else if pass == 24 {
			// A step takes 40 of the 50 milliseconds that there are in a pass.
			let others: usize = said[1..].iter().sum();
			assert!((12..40).contains(&others), "{said:?}");
			assert!(
				said[1..].iter().all(|said| (3..20).contains(said)),
				"{said:?}"
			);
		}
		if scheduler.is_idle() {
			break;
		}
	}
	assert_eq!(found, Some(Ok(vec![])));
	for (request, answer) in requests.iter().zip(answers) {
		assert_eq!(bits(&answer.unwrap()), bits(&alone(request)));
	}
}
