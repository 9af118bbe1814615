//! Who listens inside a pass: the trace, a dispute's transcript, a profiler.

/// What a value inside a layer is, in the order in which a layer computes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
	/// The hidden state that enters the layer: `hidden` elements. After the last layer, the state that leaves it.
	State,
	/// The state after the norm before attention.
	AttnNorm,
	/// Queries as projected, before norm and rotation.
	AttnQ,
	/// Keys, likewise.
	AttnK,
	/// Values.
	AttnV,
	/// Queries after norm and rotation.
	Query,
	/// Keys, likewise.
	Key,
	/// What attention reads from the values, all heads.
	Heads,
	/// Output projection; then added to the state.
	AttnOutput,
	/// The state after the norm before the feed-forward layer.
	FfnNorm,
	/// Gate projection.
	FfnGate,
	/// Up projection.
	FfnUp,
	/// Activated gate times up.
	FfnGated,
	/// Down projection; then added to the state.
	FfnDown,
}

/// Listens to a pass.
pub trait Tape {
	/// Takes what `op` gave in a layer: a row for each of `positions`, which may be of several sequences, all of them
	/// in the pass's order. `layer` counts from the model's first one; that of the state after the last layer is the
	/// number of layers.
	fn saw(&mut self, layer: usize, op: Op, positions: &[usize], values: &[f32]);
}

/// Nobody listens.
impl Tape for () {
	#[inline]
	fn saw(&mut self, _layer: usize, _op: Op, _positions: &[usize], _values: &[f32]) {}
}

impl<T: Tape> Tape for &mut T {
	#[inline]
	fn saw(&mut self, layer: usize, op: Op, positions: &[usize], values: &[f32]) {
		(**self).saw(layer, op, positions, values);
	}
}

/// Two listeners.
impl<A: Tape, B: Tape> Tape for (A, B) {
	#[inline]
	fn saw(&mut self, layer: usize, op: Op, positions: &[usize], values: &[f32]) {
		self.0.saw(layer, op, positions, values);
		self.1.saw(layer, op, positions, values);
	}
}
