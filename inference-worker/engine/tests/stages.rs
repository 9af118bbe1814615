//! Stages: the same bits wherever a model is cut, and tapes that hear every operation.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use aria_engine::{
	model::Model,
	pass::{
		cache::{KvCache, PagePool},
		forward::{Segment, Workspace},
		stage::{Input, Layers, Stage},
		tape::{Op, Tape},
		trace::Trace,
	},
};
use aria_kernels::{Backend, Isa, Packing};
use std::collections::BTreeMap;

const TOKENS: [u32; 7] = [258, 104, 101, 108, 108, 111, 33];

fn model() -> Model {
	let bytes = support::synth::model(1).bytes();
	Model::from_bytes(&bytes, "synthetic", Packing::Dense).unwrap()
}

/// What a pass gave: bits of the states that left the last layer, and the roots of all positions.
type Found = (Vec<u32>, Trace);

/// Runs one stage over all tokens.
fn run(model: &Model, input: Input<'_>, tape: &mut impl Tape) -> Found {
	let backend = Backend::new(Isa::detect(), 1);
	let pool = PagePool::new(model.config(), 0);
	let (mut cache, mut trace) = (KvCache::new(&pool), Trace::default());
	let mut workspace = Workspace::default();
	cache.reserve(TOKENS.len()).unwrap();
	let segment = Segment {
		tokens: &TOKENS,
		cache: &mut cache,
		trace: &mut trace,
		states_from: 0,
	};
	let stage = Layers {
		weights: &model.weights,
		backend: &backend,
	};
	assert_eq!(stage.layers(), model.weights.layers);
	stage
		.run(&mut workspace, input, &mut [segment], tape, &|| false)
		.unwrap();
	assert_eq!(cache.len(), TOKENS.len());
	let bits = workspace.hidden().iter().map(|value| value.to_bits());
	(bits.collect(), trace)
}

#[test]
fn two_stages_should_have_the_bits_of_one() {
	let (whole, mut first, mut second) = (model(), model(), model());
	let layers = whole.config().layers;
	assert!(layers > 1);
	first.weights.layers = 0..1;
	first.weights.blocks.truncate(1);
	second.weights.layers = 1..layers;
	second.weights.blocks.remove(0);
	second.weights.embedding = None;
	let expected = run(&whole, Input::Tokens, &mut ());
	let (states, _) = run(&first, Input::Tokens, &mut ());
	let states: Vec<f32> = states.into_iter().map(f32::from_bits).collect();
	let (found, _) = run(&second, Input::States(&states), &mut ());
	assert_eq!(found, expected.0);
}

/// Counts what it hears, by operation, and remembers the last states.
#[derive(Default)]
struct Listener {
	heard: BTreeMap<(usize, Op), usize>,
	states: Vec<u32>,
}

impl Tape for Listener {
	fn saw(&mut self, layer: usize, op: Op, positions: &[usize], values: &[f32]) {
		assert_eq!(positions, [0, 1, 2, 3, 4, 5, 6]);
		assert!(values.iter().all(|value| value.is_finite()));
		assert_eq!(values.len() % positions.len(), 0);
		*self.heard.entry((layer, op)).or_default() += values.len() / positions.len();
		if op == Op::State {
			self.states = values.iter().map(|value| value.to_bits()).collect();
		}
	}
}

#[test]
fn tape_should_hear_every_operation_and_change_nothing() {
	let model = model();
	let mut listener = Listener::default();
	let found = run(&model, Input::Tokens, &mut listener);
	assert_eq!(found, run(&model, Input::Tokens, &mut ()));
	assert_eq!(listener.states, found.0);
	let config = model.config();
	let (hidden, query, kv) = (config.hidden, config.query_width(), config.kv_width());
	let widths = [
		(Op::State, hidden),
		(Op::AttnNorm, hidden),
		(Op::AttnQ, query),
		(Op::AttnK, kv),
		(Op::AttnV, kv),
		(Op::Query, query),
		(Op::Key, kv),
		(Op::Heads, query),
		(Op::AttnOutput, hidden),
		(Op::FfnNorm, hidden),
		(Op::FfnGate, config.ffn),
		(Op::FfnUp, config.ffn),
		(Op::FfnGated, config.ffn),
		(Op::FfnDown, hidden),
	];
	let mut expected: BTreeMap<_, _> = (0..config.layers)
		.flat_map(|layer| widths.map(|(op, width)| ((layer, op), width)))
		.collect();
	expected.insert((config.layers, Op::State), hidden);
	assert_eq!(listener.heard, expected);
}
