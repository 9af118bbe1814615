//! The forward pass: tokens of some sequences and their caches of keys and values in, last hidden states out.
//!
//! Bits do not depend on how tokens are grouped into passes, nor on which sequences share one.

use super::{
	cache::KvCache,
	trace::{Recorder, Trace},
};
use crate::model::{Activation, Block, Linear, Model};
use aria_kernels::{
	AttentionJob, AttentionShape, Backend, QuantizedActivations, RopePairing, TernaryMatrix,
};
use std::ops::Range;

/// Why a pass ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
	/// NaN or infinity.
	#[error("segment {segment} gave a number that is not finite in layer {layer}")]
	NotFinite {
		/// Which of the pass's segments.
		segment: usize,
		/// Layer, or the number of layers for the norm before the head.
		layer: usize,
	},
	/// Told to end.
	#[error("cancelled")]
	Cancelled,
}

/// Tokens of one sequence for a pass.
pub struct Segment<'a> {
	/// The tokens, each in the vocabulary; they follow those in the cache.
	pub tokens: &'a [u32],
	/// Keys and values of the sequence, with room reserved for the tokens.
	pub cache: &'a mut KvCache,
	/// Gets the roots of the tokens' positions.
	pub trace: &'a mut Trace,
	/// Last hidden states are wanted of the tokens from this index on.
	pub states_from: usize,
}

/// Buffers that passes use again, and their result.
#[derive(Default)]
pub struct Workspace {
	recorder: Recorder,
	quantized: QuantizedActivations,
	x: Vec<f32>,
	normed: Vec<f32>,
	sub: Vec<f32>,
	q: Vec<f32>,
	k: Vec<f32>,
	v: Vec<f32>,
	heads: Vec<f32>,
	gate: Vec<f32>,
	up: Vec<f32>,
	out: Vec<f32>,
	states: Vec<f32>,
}

impl Workspace {
	/// The last hidden states that were asked for, after the last norm, one row each.
	pub fn states(&self) -> &[f32] {
		&self.states
	}
}

/// A token with a number that is not finite.
struct NotFinite(usize);

fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
	buffer.resize(len, 0.0);
	buffer
}

/// Which tokens of a pass are whose.
struct Layout {
	/// Tokens of each segment.
	ranges: Vec<Range<usize>>,
	/// Position of each token.
	positions: Vec<usize>,
}

impl Layout {
	fn new(segments: &[Segment<'_>]) -> Self {
		let mut layout = Self {
			ranges: Vec::new(),
			positions: Vec::new(),
		};
		for segment in segments {
			let past = segment.cache.len();
			let start = layout.positions.len();
			layout.positions.extend(past..past + segment.tokens.len());
			layout.ranges.push(start..layout.positions.len());
		}
		layout
	}

	fn error(&self, token: usize, layer: usize) -> ForwardError {
		let segment = self.ranges.iter().position(|range| range.contains(&token));
		ForwardError::NotFinite {
			segment: segment.unwrap_or(0),
			layer,
		}
	}
}

/// Layers on the same input: quantised once, unless one has a norm of its own.
fn project<const N: usize>(
	backend: &Backend,
	eps: f32,
	x: &[f32],
	sub: &mut Vec<f32>,
	quantized: &mut QuantizedActivations,
	layers: [(&Linear, &mut Vec<f32>); N],
) -> Result<(), NotFinite> {
	let cols = layers.first().map_or(1, |(linear, _)| linear.weight.cols());
	let tokens = x.len() / cols;
	let block = layers.first().and_then(|(linear, _)| linear.weight.block());
	let alike = |linear: &Linear| linear.norm.is_none() && linear.weight.block() == block;
	if layers.iter().all(|(linear, _)| alike(linear)) {
		quantize(
			backend,
			x,
			layers.first().map(|(linear, _)| &linear.weight),
			quantized,
		)?;
		let mut group =
			layers.map(|(linear, out)| (&linear.weight, sized(out, linear.weight.rows() * tokens)));
		backend.linear_group(quantized, &mut group);
		return Ok(());
	}
	for (linear, out) in layers {
		let input = match &linear.norm {
			Some(norm) => {
				let sub = sized(sub, x.len());
				backend.rms_norm(x, norm, eps, sub);
				&*sub
			}
			None => x,
		};
		quantize(backend, input, Some(&linear.weight), quantized)?;
		backend.linear(
			&linear.weight,
			quantized,
			sized(out, linear.weight.rows() * tokens),
		);
	}
	Ok(())
}

/// Quantises activations for a matrix.
fn quantize(
	backend: &Backend,
	x: &[f32],
	weight: Option<&TernaryMatrix>,
	out: &mut QuantizedActivations,
) -> Result<(), NotFinite> {
	let cols = weight.map_or(x.len(), TernaryMatrix::cols);
	let result = match weight.and_then(TernaryMatrix::block) {
		Some(block) => backend.quantize_blocks(x, cols, block, out),
		None => backend.quantize(x, cols, out),
	};
	result.map_err(|error| NotFinite(error.index / cols))
}

impl Model {
	/// Feeds the segments' tokens; the states that were asked for are then in the workspace, segment by segment.
	///
	/// `cancelled` is asked before each layer. After an error caches and traces are as they were.
	///
	/// # Panics
	///
	/// If a token is outside the vocabulary, a position outside the context, or its cache has no room reserved.
	pub fn forward(
		&self,
		backend: &Backend,
		workspace: &mut Workspace,
		segments: &mut [Segment<'_>],
		cancelled: &dyn Fn() -> bool,
	) -> Result<(), ForwardError> {
		let hidden = self.config.hidden;
		let layout = Layout::new(segments);
		let count = layout.positions.len();
		let mut x = std::mem::take(&mut workspace.x);
		sized(&mut x, count * hidden);
		let tokens = segments.iter().flat_map(|segment| segment.tokens);
		for (token, row) in tokens.zip(x.chunks_exact_mut(hidden)) {
			self.embedding.row(*token as usize, row);
		}
		workspace.recorder.begin(hidden);
		let result = self.layers(backend, workspace, segments, &layout, &mut x, cancelled);
		workspace.x = x;
		result?;
		let roots = workspace.recorder.roots(backend.pool(), count);
		for (segment, range) in segments.iter_mut().zip(&layout.ranges) {
			segment.cache.advance(segment.tokens.len());
			segment.trace.extend(&roots[range.clone()]);
		}
		Ok(())
	}

	fn layers(
		&self,
		backend: &Backend,
		workspace: &mut Workspace,
		segments: &mut [Segment<'_>],
		layout: &Layout,
		x: &mut [f32],
		cancelled: &dyn Fn() -> bool,
	) -> Result<(), ForwardError> {
		let hidden = self.config.hidden;
		let positions = &layout.positions;
		workspace.recorder.record(backend.pool(), 0, positions, x);
		for (layer, block) in self.blocks.iter().enumerate() {
			if cancelled() {
				return Err(ForwardError::Cancelled);
			}
			self.attention(backend, workspace, segments, layout, layer, x)
				.map_err(|NotFinite(token)| layout.error(token, layer))?;
			self.feed_forward(backend, workspace, block, x)
				.map_err(|NotFinite(token)| layout.error(token, layer))?;
			workspace
				.recorder
				.record(backend.pool(), layer as u32 + 1, positions, x);
		}
		workspace.normed.clear();
		for (segment, range) in segments.iter().zip(&layout.ranges) {
			let from = range.start + segment.states_from.min(range.len());
			workspace
				.normed
				.extend_from_slice(&x[from * hidden..range.end * hidden]);
		}
		let states = sized(&mut workspace.states, workspace.normed.len());
		backend.rms_norm(
			&workspace.normed,
			&self.output_norm,
			self.config.norm_eps,
			states,
		);
		match states.iter().position(|value| !value.is_finite()) {
			None => Ok(()),
			Some(_) => {
				let bad = x.iter().position(|value| !value.is_finite()).unwrap_or(0);
				Err(layout.error(bad / hidden, self.blocks.len()))
			}
		}
	}

	fn attention(
		&self,
		backend: &Backend,
		workspace: &mut Workspace,
		segments: &mut [Segment<'_>],
		layout: &Layout,
		layer: usize,
		x: &mut [f32],
	) -> Result<(), NotFinite> {
		let (config, block) = (&self.config, &self.blocks[layer]);
		let Workspace {
			quantized,
			normed,
			sub,
			q,
			k,
			v,
			heads,
			out,
			..
		} = workspace;
		backend.rms_norm(x, &block.attn_norm, config.norm_eps, sized(normed, x.len()));
		let inputs = [
			(&block.attn_q, &mut *q),
			(&block.attn_k, &mut *k),
			(&block.attn_v, &mut *v),
		];
		project(backend, config.norm_eps, normed, sub, quantized, inputs)?;
		for (rotated, norm) in [(&mut *q, &block.q_norm), (&mut *k, &block.k_norm)] {
			if let Some(norm) = norm {
				let source = sized(sub, rotated.len());
				source.copy_from_slice(rotated);
				backend.rms_norm(source, norm, config.norm_eps, rotated);
			}
			let (dim, neox) = (config.head_dim, RopePairing::Neox);
			backend.rope(rotated, dim, &self.rope, &layout.positions, neox);
		}
		let width = config.kv_width();
		for (segment, range) in segments.iter_mut().zip(&layout.ranges) {
			for token in range.clone() {
				let position = layout.positions[token];
				let (keys, values, row) = segment.cache.row_mut(layer, position);
				let (dim, at) = (config.head_dim, token * width);
				backend.store_row(&k[at..][..width], dim, keys, row);
				backend.store_row(&v[at..][..width], dim, values, row);
			}
		}
		let pages: Vec<_> = segments
			.iter()
			.map(|segment| segment.cache.layer(layer))
			.collect();
		let query = config.query_width();
		let jobs: Vec<AttentionJob<'_>> = pages
			.iter()
			.zip(segments.iter().zip(&layout.ranges))
			.map(|((keys, values), (segment, range))| AttentionJob {
				q: &q[range.start * query..range.end * query],
				keys,
				values,
				past: segment.cache.len(),
			})
			.collect();
		let shape = AttentionShape {
			heads: config.heads,
			kv_heads: config.kv_heads,
			head_dim: config.head_dim,
		};
		backend.attention_batch(&jobs, shape, sized(heads, q.len()));
		let output = [(&block.attn_output, &mut *out)];
		project(backend, config.norm_eps, heads, sub, quantized, output)?;
		backend.add(x, out);
		Ok(())
	}

	fn feed_forward(
		&self,
		backend: &Backend,
		workspace: &mut Workspace,
		block: &Block,
		x: &mut [f32],
	) -> Result<(), NotFinite> {
		let eps = self.config.norm_eps;
		let Workspace {
			quantized,
			normed,
			sub,
			gate,
			up,
			out,
			..
		} = workspace;
		backend.rms_norm(x, &block.ffn_norm, eps, sized(normed, x.len()));
		let inputs = [(&block.ffn_gate, &mut *gate), (&block.ffn_up, &mut *up)];
		project(backend, eps, normed, sub, quantized, inputs)?;
		match self.config.activation {
			Activation::SquaredRelu => backend.squared_relu_mul(gate, up),
			Activation::Silu => backend.silu_mul(gate, up),
		}
		project(
			backend,
			eps,
			gate,
			sub,
			quantized,
			[(&block.ffn_down, &mut *out)],
		)?;
		backend.add(x, out);
		Ok(())
	}
}
