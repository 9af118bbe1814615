//! The forward pass through some layers: attention and feed-forward, with their norms, projections and caches.
//!
//! Bits do not depend on how tokens are grouped into passes, nor on which sequences share one.

use super::{
	cache::KvCache,
	tape::{Op, Tape},
	trace::{Recorder, Trace},
};
use crate::model::{Activation, Linear, Weights};
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
	/// States for the head are wanted of the tokens from this index on.
	pub states_from: usize,
}

/// Buffers that passes use again, and their result.
#[derive(Default)]
pub struct Workspace {
	pub(super) recorder: Recorder,
	quantized: QuantizedActivations,
	pub(super) x: Vec<f32>,
	pub(super) normed: Vec<f32>,
	sub: Vec<f32>,
	q: Vec<f32>,
	k: Vec<f32>,
	v: Vec<f32>,
	heads: Vec<f32>,
	gate: Vec<f32>,
	up: Vec<f32>,
	out: Vec<f32>,
	pub(super) states: Vec<f32>,
}

impl Workspace {
	/// The hidden states that left the last layer run, a row for each token of the pass.
	pub fn hidden(&self) -> &[f32] {
		&self.x
	}

	/// The last hidden states that were wanted, after the last norm, one row each.
	pub fn states(&self) -> &[f32] {
		&self.states
	}
}

/// A token with a number that is not finite.
pub(super) struct NotFinite(pub(super) usize);

pub(super) fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
	buffer.resize(len, 0.0);
	buffer
}

/// Which tokens of a pass are whose.
pub(super) struct Layout {
	/// Tokens of each segment.
	pub(super) ranges: Vec<Range<usize>>,
	/// Position of each token.
	pub(super) positions: Vec<usize>,
}

impl Layout {
	pub(super) fn new(segments: &[Segment<'_>]) -> Self {
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

	pub(super) fn error(&self, token: usize, layer: usize) -> ForwardError {
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

impl Weights {
	/// Adds what attention of the block `index` makes of the states `x`.
	#[expect(
		clippy::too_many_arguments,
		reason = "a pass's parts, split so that they can be borrowed apart"
	)]
	pub(super) fn attention(
		&self,
		backend: &Backend,
		workspace: &mut Workspace,
		segments: &mut [Segment<'_>],
		layout: &Layout,
		index: usize,
		x: &mut [f32],
		tape: &mut impl Tape,
	) -> Result<(), NotFinite> {
		let (config, block) = (&self.config, &self.blocks[index]);
		let (layer, positions) = (self.layers.start + index, &layout.positions[..]);
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
		tape.saw(layer, Op::AttnNorm, positions, normed);
		let inputs = [
			(&block.attn_q, &mut *q),
			(&block.attn_k, &mut *k),
			(&block.attn_v, &mut *v),
		];
		project(backend, config.norm_eps, normed, sub, quantized, inputs)?;
		tape.saw(layer, Op::AttnQ, positions, q);
		tape.saw(layer, Op::AttnK, positions, k);
		tape.saw(layer, Op::AttnV, positions, v);
		for (rotated, norm) in [(&mut *q, &block.q_norm), (&mut *k, &block.k_norm)] {
			if let Some(norm) = norm {
				let source = sized(sub, rotated.len());
				source.copy_from_slice(rotated);
				backend.rms_norm(source, norm, config.norm_eps, rotated);
			}
			let (dim, neox) = (config.head_dim, RopePairing::Neox);
			backend.rope(rotated, dim, &self.rope, positions, neox);
		}
		tape.saw(layer, Op::Query, positions, q);
		tape.saw(layer, Op::Key, positions, k);
		let width = config.kv_width();
		for (segment, range) in segments.iter_mut().zip(&layout.ranges) {
			for token in range.clone() {
				let position = layout.positions[token];
				let (keys, values, row) = segment.cache.row_mut(index, position);
				let (dim, at) = (config.head_dim, token * width);
				backend.store_row(&k[at..][..width], dim, keys, row);
				backend.store_row(&v[at..][..width], dim, values, row);
			}
		}
		let pages: Vec<_> = segments
			.iter()
			.map(|segment| segment.cache.layer(index))
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
		tape.saw(layer, Op::Heads, positions, heads);
		let output = [(&block.attn_output, &mut *out)];
		project(backend, config.norm_eps, heads, sub, quantized, output)?;
		tape.saw(layer, Op::AttnOutput, positions, out);
		backend.add(x, out);
		Ok(())
	}

	/// Adds what the feed-forward layer of the block `index` makes of the states `x`.
	pub(super) fn feed_forward(
		&self,
		backend: &Backend,
		workspace: &mut Workspace,
		positions: &[usize],
		index: usize,
		x: &mut [f32],
		tape: &mut impl Tape,
	) -> Result<(), NotFinite> {
		let (eps, block) = (self.config.norm_eps, &self.blocks[index]);
		let layer = self.layers.start + index;
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
		tape.saw(layer, Op::FfnNorm, positions, normed);
		let inputs = [(&block.ffn_gate, &mut *gate), (&block.ffn_up, &mut *up)];
		project(backend, eps, normed, sub, quantized, inputs)?;
		tape.saw(layer, Op::FfnGate, positions, gate);
		tape.saw(layer, Op::FfnUp, positions, up);
		match self.config.activation {
			Activation::SquaredRelu => backend.squared_relu_mul(gate, up),
			Activation::Silu => backend.silu_mul(gate, up),
		}
		tape.saw(layer, Op::FfnGated, positions, gate);
		let down = [(&block.ffn_down, &mut *out)];
		project(backend, eps, gate, sub, quantized, down)?;
		tape.saw(layer, Op::FfnDown, positions, out);
		backend.add(x, out);
		Ok(())
	}
}
