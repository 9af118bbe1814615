//! A stage: some of a model's layers on one machine. A machine alone is one stage over all of them.

use super::{
	forward::{ForwardError, Layout, NotFinite, Segment, Workspace, sized},
	tape::{Op, Tape},
	trace::Recorder,
};
use crate::model::Weights;
use aria_kernels::{Backend, Pool};
use std::ops::Range;

/// What enters a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input<'a> {
	/// The segments' tokens: before the first layer.
	Tokens,
	/// The states that left the layer before, a row of the hidden width for each token, segment by segment.
	States(&'a [f32]),
}

/// Runs passes through a range of layers.
pub trait Stage {
	/// Which of the model's layers these are.
	fn layers(&self) -> Range<usize>;

	/// Runs the segments through the layers; [`Workspace::hidden`] then has the states that left the last one, and the
	/// segments' caches and traces have grown by their tokens.
	///
	/// `tape` listens; `cancelled` is asked before each layer. After an error caches and traces are as they were.
	///
	/// # Errors
	///
	/// [`ForwardError`].
	///
	/// # Panics
	///
	/// If a token is outside the vocabulary, a position outside the context, its cache has no room reserved, or `input`
	/// is not what this stage takes.
	fn run<T: Tape>(
		&self,
		workspace: &mut Workspace,
		input: Input<'_>,
		segments: &mut [Segment<'_>],
		tape: &mut T,
		cancelled: &dyn Fn() -> bool,
	) -> Result<(), ForwardError>;
}

/// The layers of some weights, on this machine.
#[derive(Clone, Copy)]
pub struct Layers<'a> {
	/// The weights.
	pub weights: &'a Weights,
	/// What computes.
	pub backend: &'a Backend,
}

/// Hashes what the trace covers: the states between layers.
struct Boundaries<'a> {
	recorder: Recorder,
	pool: &'a Pool,
}

impl Tape for Boundaries<'_> {
	fn saw(&mut self, layer: usize, op: Op, positions: &[usize], values: &[f32]) {
		if op == Op::State {
			self.recorder
				.record(self.pool, layer as u32, positions, values);
		}
	}
}

impl Layers<'_> {
	fn run_layers(
		&self,
		workspace: &mut Workspace,
		segments: &mut [Segment<'_>],
		layout: &Layout,
		x: &mut [f32],
		tape: &mut impl Tape,
		cancelled: &dyn Fn() -> bool,
	) -> Result<(), ForwardError> {
		let (weights, backend) = (self.weights, self.backend);
		let positions = &layout.positions;
		if weights.layers.start == 0 {
			tape.saw(0, Op::State, positions, x);
		}
		for (index, layer) in weights.layers.clone().enumerate() {
			if cancelled() {
				return Err(ForwardError::Cancelled);
			}
			let failed = |NotFinite(token)| layout.error(token, layer);
			weights
				.attention(backend, workspace, segments, layout, index, x, tape)
				.map_err(failed)?;
			weights
				.feed_forward(backend, workspace, positions, index, x, tape)
				.map_err(failed)?;
			tape.saw(layer + 1, Op::State, positions, x);
		}
		Ok(())
	}
}

impl Stage for Layers<'_> {
	fn layers(&self) -> Range<usize> {
		self.weights.layers.clone()
	}

	fn run<T: Tape>(
		&self,
		workspace: &mut Workspace,
		input: Input<'_>,
		segments: &mut [Segment<'_>],
		tape: &mut T,
		cancelled: &dyn Fn() -> bool,
	) -> Result<(), ForwardError> {
		let hidden = self.weights.config.hidden;
		let layout = Layout::new(segments);
		let count = layout.positions.len();
		let mut x = std::mem::take(&mut workspace.x);
		sized(&mut x, count * hidden);
		match (input, &self.weights.embedding) {
			(Input::Tokens, Some(embedding)) => {
				let tokens = segments.iter().flat_map(|segment| segment.tokens);
				for (token, row) in tokens.zip(x.chunks_exact_mut(hidden)) {
					embedding.row(*token as usize, row);
				}
			}
			(Input::States(states), _) => x.copy_from_slice(states),
			(Input::Tokens, None) => panic!("tokens go to the stage with the embedding"),
		}
		let mut recorder = std::mem::take(&mut workspace.recorder);
		recorder.begin(hidden);
		let pool = self.backend.pool();
		let mut tapes = (Boundaries { recorder, pool }, &mut *tape);
		let result = self.run_layers(workspace, segments, &layout, &mut x, &mut tapes, cancelled);
		workspace.recorder = tapes.0.recorder;
		workspace.x = x;
		result?;
		let roots = workspace.recorder.roots(pool, count);
		for (segment, range) in segments.iter_mut().zip(&layout.ranges) {
			segment.cache.advance(segment.tokens.len());
			segment.trace.extend(&roots[range.clone()]);
		}
		Ok(())
	}
}

impl Weights {
	/// Feeds the segments' tokens through all layers and the last norm; the states that were wanted are then in the
	/// workspace, segment by segment.
	///
	/// `cancelled` is asked before each layer. After an error caches and traces are as they were.
	///
	/// # Errors
	///
	/// [`ForwardError`].
	///
	/// # Panics
	///
	/// As [`Stage::run`], and if these are not all layers.
	pub fn forward(
		&self,
		backend: &Backend,
		workspace: &mut Workspace,
		segments: &mut [Segment<'_>],
		cancelled: &dyn Fn() -> bool,
	) -> Result<(), ForwardError> {
		assert_eq!(
			self.layers,
			0..self.config.layers,
			"some layers are elsewhere"
		);
		let stage = Layers {
			weights: self,
			backend,
		};
		stage.run(workspace, Input::Tokens, segments, &mut (), cancelled)?;
		let result = self.norm_wanted(backend, workspace, segments);
		if result.is_err() {
			for segment in segments {
				let before = segment.cache.len() - segment.tokens.len();
				segment.cache.truncate(before);
				segment.trace.truncate(before);
			}
		}
		result
	}

	/// The last norm, of the states that are wanted.
	fn norm_wanted(
		&self,
		backend: &Backend,
		workspace: &mut Workspace,
		segments: &[Segment<'_>],
	) -> Result<(), ForwardError> {
		let hidden = self.config.hidden;
		let Workspace {
			x, normed, states, ..
		} = workspace;
		normed.clear();
		let mut start = 0;
		for segment in segments {
			let end = start + segment.tokens.len();
			let from = (start + segment.states_from).min(end);
			normed.extend_from_slice(&x[from * hidden..end * hidden]);
			start = end;
		}
		let states = sized(states, normed.len());
		backend.rms_norm(normed, &self.output_norm, self.config.norm_eps, states);
		if states.iter().all(|value| value.is_finite()) {
			return Ok(());
		}
		let bad = x.iter().position(|value| !value.is_finite()).unwrap_or(0) / hidden;
		let mut end = 0;
		let segment = segments.iter().position(|segment| {
			end += segment.tokens.len();
			bad < end
		});
		Err(ForwardError::NotFinite {
			segment: segment.unwrap_or(0),
			layer: self.config.layers,
		})
	}
}
