//! The forward pass: tokens and a cache of keys and values in, logits out.
//!
//! A pure function of the model, the cache and the tokens; bits do not depend on how tokens are grouped into calls.

use super::{
	config::ModelConfig,
	model::{Block, Model, Rows},
	trace::{LOGITS, TraceSink},
};
use aria_kernels::{
	AttentionShape, Backend, KV_PAGE_ROWS, NonFinite, QuantizedActivations, RopePairing,
	TernaryMatrix,
};

/// Why a pass ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
	/// NaN or infinity.
	#[error("the model produced a number that is not finite")]
	NotFinite,
	/// Told to end.
	#[error("cancelled")]
	Cancelled,
	/// More tokens than positions.
	#[error("the context is full")]
	ContextFull,
	/// A token outside the vocabulary.
	#[error("token {0} is outside the vocabulary")]
	UnknownToken(u32),
}

impl From<NonFinite> for ForwardError {
	fn from(_: NonFinite) -> Self {
		Self::NotFinite
	}
}

/// Keys and values of all layers for the positions computed so far.
#[derive(Debug, Clone)]
pub struct KvCache {
	/// Per layer, `len` rows of the key heads' width in half precision.
	keys: Vec<Vec<u16>>,
	values: Vec<Vec<u16>>,
	len: usize,
	limit: usize,
}

impl KvCache {
	/// An empty cache for up to the model's context.
	pub fn new(config: &ModelConfig) -> Self {
		Self {
			keys: vec![Vec::new(); config.layers],
			values: vec![Vec::new(); config.layers],
			len: 0,
			limit: config.context,
		}
	}

	/// Positions computed.
	pub fn len(&self) -> usize {
		self.len
	}

	/// Whether nothing was computed.
	pub fn is_empty(&self) -> bool {
		self.len == 0
	}

	/// Drops what a failed pass left behind the last complete position.
	fn trim(&mut self, width: usize) {
		for rows in self.keys.iter_mut().chain(&mut self.values) {
			rows.truncate(self.len * width);
		}
	}
}

/// Buffers of one pass.
struct Scratch {
	quantized: QuantizedActivations,
	normed: Vec<f32>,
	q: Vec<f32>,
	k: Vec<f32>,
	v: Vec<f32>,
	heads: Vec<f32>,
	sub: Vec<f32>,
	gate: Vec<f32>,
	up: Vec<f32>,
	out: Vec<f32>,
}

fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
	buffer.clear();
	buffer.resize(len, 0.0);
	buffer
}

fn linear<const N: usize>(
	backend: &Backend,
	quantized: &QuantizedActivations,
	layers: [(&TernaryMatrix, &mut Vec<f32>); N],
) {
	let mut layers =
		layers.map(|(matrix, out)| (matrix, sized(out, matrix.rows() * quantized.tokens())));
	backend.linear_group(quantized, &mut layers);
}

impl Model {
	/// Feeds `tokens` and returns the logits of those from index `logits_from` of `tokens` on, one row each.
	///
	/// `cancelled` is asked before each layer. After an error the cache is as it was.
	pub fn forward(
		&self,
		backend: &Backend,
		cache: &mut KvCache,
		tokens: &[u32],
		logits_from: usize,
		trace: &mut impl TraceSink,
		cancelled: &dyn Fn() -> bool,
	) -> Result<Vec<f32>, ForwardError> {
		if tokens.len() > cache.limit - cache.len {
			return Err(ForwardError::ContextFull);
		}
		if let Some(token) = tokens
			.iter()
			.find(|token| **token as usize >= self.config.vocab)
		{
			return Err(ForwardError::UnknownToken(*token));
		}
		if tokens.is_empty() {
			return Ok(Vec::new());
		}
		let result = self.layers(backend, cache, tokens, logits_from, trace, cancelled);
		match &result {
			Ok(_) => cache.len += tokens.len(),
			Err(_) => cache.trim(self.config.kv_width()),
		}
		result
	}

	fn layers(
		&self,
		backend: &Backend,
		cache: &mut KvCache,
		tokens: &[u32],
		logits_from: usize,
		trace: &mut impl TraceSink,
		cancelled: &dyn Fn() -> bool,
	) -> Result<Vec<f32>, ForwardError> {
		let hidden = self.config.hidden;
		let past = cache.len;
		let mut record = |boundary: u32, width: usize, first: usize, states: &[f32]| {
			for (index, state) in states.chunks_exact(width).enumerate() {
				trace.record((past + first + index) as u32, boundary, state);
			}
		};
		let mut x = vec![0.0; tokens.len() * hidden];
		for (token, row) in tokens.iter().zip(x.chunks_exact_mut(hidden)) {
			self.embedding.row(*token as usize, row);
		}
		record(0, hidden, 0, &x);
		let positions: Vec<usize> = (past..past + tokens.len()).collect();
		let mut scratch = Scratch {
			quantized: QuantizedActivations::new(),
			normed: Vec::new(),
			q: Vec::new(),
			k: Vec::new(),
			v: Vec::new(),
			heads: Vec::new(),
			sub: Vec::new(),
			gate: Vec::new(),
			up: Vec::new(),
			out: Vec::new(),
		};
		for (layer, block) in self.blocks.iter().enumerate() {
			if cancelled() {
				return Err(ForwardError::Cancelled);
			}
			let (keys, values) = (&mut cache.keys[layer], &mut cache.values[layer]);
			self.attention(
				backend,
				block,
				&mut x,
				keys,
				values,
				&positions,
				&mut scratch,
			)?;
			self.feed_forward(backend, block, &mut x, &mut scratch)?;
			record(layer as u32 + 1, hidden, 0, &x);
		}
		if logits_from >= tokens.len() {
			return Ok(Vec::new());
		}
		if cancelled() {
			return Err(ForwardError::Cancelled);
		}
		let last = &x[logits_from * hidden..];
		let normed = sized(&mut scratch.normed, last.len());
		backend.rms_norm(last, &self.output_norm, self.config.norm_eps, normed);
		let mut logits = vec![0.0; (tokens.len() - logits_from) * self.config.vocab];
		match self.head.as_ref().unwrap_or(&self.embedding) {
			Rows::F16(rows) => backend.head_f16(rows, hidden, normed, &mut logits),
			Rows::F32(rows) => backend.head_f32(rows, hidden, normed, &mut logits),
		}
		if !logits.iter().all(|logit| logit.is_finite()) {
			return Err(ForwardError::NotFinite);
		}
		record(LOGITS, self.config.vocab, logits_from, &logits);
		Ok(logits)
	}

	#[expect(
		clippy::too_many_arguments,
		reason = "one call site; a struct would only rename the parts"
	)]
	fn attention(
		&self,
		backend: &Backend,
		block: &Block,
		x: &mut [f32],
		keys: &mut Vec<u16>,
		values: &mut Vec<u16>,
		positions: &[usize],
		scratch: &mut Scratch,
	) -> Result<(), ForwardError> {
		let config = &self.config;
		let normed = sized(&mut scratch.normed, x.len());
		backend.rms_norm(x, &block.attn_norm, config.norm_eps, normed);
		backend.quantize(normed, config.hidden, &mut scratch.quantized)?;
		linear(
			backend,
			&scratch.quantized,
			[
				(&block.attn_q, &mut scratch.q),
				(&block.attn_k, &mut scratch.k),
				(&block.attn_v, &mut scratch.v),
			],
		);
		for rotated in [&mut scratch.q, &mut scratch.k] {
			backend.rope(
				rotated,
				config.head_dim,
				&self.rope,
				positions,
				RopePairing::Neox,
			);
		}
		let past = keys.len() / config.kv_width();
		for (cached, new) in [(&mut *keys, &scratch.k), (&mut *values, &scratch.v)] {
			let old = cached.len();
			cached.resize(old + new.len(), 0);
			backend.store_halves(new, &mut cached[old..]);
		}
		let shape = AttentionShape {
			heads: config.heads,
			kv_heads: config.kv_heads,
			head_dim: config.head_dim,
		};
		let heads = sized(&mut scratch.heads, scratch.q.len());
		let page = KV_PAGE_ROWS * config.kv_width();
		let keys: Vec<&[u16]> = keys.chunks(page).collect();
		let values: Vec<&[u16]> = values.chunks(page).collect();
		backend.attention(&scratch.q, &keys, &values, shape, past, heads);
		let sub = sized(&mut scratch.sub, heads.len());
		backend.rms_norm(heads, &block.attn_sub_norm, config.norm_eps, sub);
		backend.quantize(sub, config.query_width(), &mut scratch.quantized)?;
		linear(
			backend,
			&scratch.quantized,
			[(&block.attn_output, &mut scratch.out)],
		);
		backend.add(x, &scratch.out);
		Ok(())
	}

	fn feed_forward(
		&self,
		backend: &Backend,
		block: &Block,
		x: &mut [f32],
		scratch: &mut Scratch,
	) -> Result<(), ForwardError> {
		let config = &self.config;
		let normed = sized(&mut scratch.normed, x.len());
		backend.rms_norm(x, &block.ffn_norm, config.norm_eps, normed);
		backend.quantize(normed, config.hidden, &mut scratch.quantized)?;
		linear(
			backend,
			&scratch.quantized,
			[
				(&block.ffn_gate, &mut scratch.gate),
				(&block.ffn_up, &mut scratch.up),
			],
		);
		backend.squared_relu_mul(&mut scratch.gate, &scratch.up);
		let sub = sized(&mut scratch.sub, scratch.gate.len());
		backend.rms_norm(&scratch.gate, &block.ffn_sub_norm, config.norm_eps, sub);
		backend.quantize(sub, config.ffn, &mut scratch.quantized)?;
		linear(
			backend,
			&scratch.quantized,
			[(&block.ffn_down, &mut scratch.out)],
		);
		backend.add(x, &scratch.out);
		Ok(())
	}
}
