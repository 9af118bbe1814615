//! The specification: plain code that every other kernel must equal bit for bit.
//!
//! Functions take whole rows. Those over floats are inlined into functions compiled for each
//! instruction set: the sixteen lanes of a reduction are what lets the compiler use wide
//! registers without changing the order of any addition.

use crate::{
	math::{exp, f16_to_f32, ln, round_half_even, round_to_int, sqrt},
	rope::{RopePairing, RopeTable},
};

/// Partial sums in a reduction.
pub const LANES: usize = 16;

/// Bits of the largest finite `f32`.
const MAX_FINITE_BITS: u32 = 0x7f7f_ffff;
/// Floor of the largest magnitude in a row when activations are quantised.
const MIN_ABS_MAX: f32 = 1e-5;

/// Heads of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
	/// Query heads; a multiple of `kv_heads`.
	pub heads: usize,
	/// Key and value heads. Query head `h` reads head `h / (heads / kv_heads)`.
	pub kv_heads: usize,
	/// Elements per head.
	pub head_dim: usize,
}

/// Adds sixteen lanes as a tree: eight pairs, four, two, one.
#[inline(always)]
pub fn reduce_lanes(mut lanes: [f32; LANES]) -> f32 {
	let mut step = LANES / 2;
	while step > 0 {
		for i in 0..step {
			lanes[i] += lanes[i + step];
		}
		step /= 2;
	}
	lanes[0]
}

/// Σ x: element `i` is added to lane `i % 16` in index order, then the lanes as a tree.
#[inline(always)]
pub fn reduce_sum(values: &[f32]) -> f32 {
	let mut lanes = [0.0; LANES];
	let (chunks, tail) = values.as_chunks::<LANES>();
	for chunk in chunks {
		for (lane, x) in lanes.iter_mut().zip(chunk) {
			*lane += x;
		}
	}
	for (lane, x) in lanes.iter_mut().zip(tail) {
		*lane += x;
	}
	reduce_lanes(lanes)
}

/// Σ a b in the order of [`reduce_sum`]; each product is rounded before it is added.
///
/// Slices have the same length.
#[inline(always)]
pub fn reduce_dot(a: &[f32], b: &[f32]) -> f32 {
	debug_assert_eq!(a.len(), b.len());
	let mut lanes = [0.0; LANES];
	let (a_chunks, a_tail) = a.as_chunks::<LANES>();
	let (b_chunks, b_tail) = b.as_chunks::<LANES>();
	for (x, y) in a_chunks.iter().zip(b_chunks) {
		for i in 0..LANES {
			lanes[i] += x[i] * y[i];
		}
	}
	for (lane, (x, y)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail)) {
		*lane += x * y;
	}
	reduce_lanes(lanes)
}

/// [`reduce_dot`] with the first operand in half precision.
#[inline(always)]
pub fn reduce_dot_f16(a: &[u16], b: &[f32]) -> f32 {
	debug_assert_eq!(a.len(), b.len());
	let mut lanes = [0.0; LANES];
	for (i, (x, y)) in a.iter().zip(b).enumerate() {
		lanes[i % LANES] += f16_to_f32(*x) * y;
	}
	reduce_lanes(lanes)
}

/// The largest element; negative infinity when there is none. NaN is passed over.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
	let mut lanes = [f32::NEG_INFINITY; LANES];
	let (chunks, tail) = values.as_chunks::<LANES>();
	for chunk in chunks {
		for (lane, x) in lanes.iter_mut().zip(chunk) {
			*lane = if *x > *lane { *x } else { *lane };
		}
	}
	for (lane, x) in lanes.iter_mut().zip(tail) {
		*lane = if *x > *lane { *x } else { *lane };
	}
	lanes
		.iter()
		.fold(f32::NEG_INFINITY, |m, x| if *x > m { *x } else { m })
}

/// Replaces `values` by `exp(x - max) / Σ exp(x - max)`. Nothing happens when empty.
#[inline(always)]
pub fn softmax(values: &mut [f32]) {
	let m = max(values);
	for x in values.iter_mut() {
		*x = exp(*x - m);
	}
	let sum = reduce_sum(values);
	for x in values.iter_mut() {
		*x /= sum;
	}
}

/// The index of the largest element, the lowest one among equals; 0 when `values` is empty.
pub fn argmax(values: &[f32]) -> usize {
	let m = max(values);
	values.iter().position(|x| *x == m).unwrap_or(0)
}

/// The natural logarithm of the probability of `token`: `logit - max - ln(Σ exp(logit - max))`,
/// left to right.
///
/// # Panics
///
/// If `token` is not an index of `logits`.
pub fn log_softmax_at(logits: &[f32], token: usize) -> f32 {
	let m = max(logits);
	let mut lanes = [0.0; LANES];
	let (chunks, tail) = logits.as_chunks::<LANES>();
	for chunk in chunks {
		for (lane, x) in lanes.iter_mut().zip(chunk) {
			*lane += exp(*x - m);
		}
	}
	for (lane, x) in lanes.iter_mut().zip(tail) {
		*lane += exp(*x - m);
	}
	(logits[token] - m) - ln(reduce_lanes(lanes))
}

/// Σ w q. Exact for up to 2^17 elements.
#[inline(always)]
pub fn ternary_dot(weights: &[i8], q: &[i8]) -> i32 {
	weights
		.iter()
		.zip(q)
		.map(|(w, q)| i32::from(*w) * i32::from(*q))
		.sum()
}

/// The output of a linear layer from its integer dot product.
#[inline(always)]
pub fn rescale(dot: i32, a: f32, scale: f32) -> f32 {
	(dot as f32 / a) * scale
}

/// One output of a linear layer whose weights have a scale for each block of columns: from 0.0, adds
/// [`rescale`] of each block's dot product, in ascending order.
///
/// `a` and `scales` have one element for each block; the values of each block were quantised by
/// [`quantize_row`].
pub fn block_dot(weights: &[i8], q: &[i8], a: &[f32], scales: &[f32]) -> f32 {
	let block = weights.len() / scales.len();
	let mut y = 0.0;
	let blocks = weights.chunks_exact(block).zip(q.chunks_exact(block));
	for ((weights, q), (a, scale)) in blocks.zip(a.iter().zip(scales)) {
		y += rescale(ternary_dot(weights, q), *a, *scale);
	}
	y
}

/// Quantises one token: `a = 127 / max(max |x|, 1e-5)` and `q = round(x a)`, ties to even,
/// limited to -127..=127. Returns `a` and Σ q, or `None` when an element is not finite.
#[inline(always)]
pub fn quantize_row(x: &[f32], q: &mut [i8]) -> Option<(f32, i32)> {
	// The magnitudes of finite floats order like their bits.
	let bits = x.iter().fold(0, |m, x| (x.to_bits() & 0x7fff_ffff).max(m));
	if bits > MAX_FINITE_BITS {
		return None;
	}
	let largest = f32::from_bits(bits);
	let a = 127.0
		/ if largest > MIN_ABS_MAX {
			largest
		} else {
			MIN_ABS_MAX
		};
	let mut sum = 0;
	for (x, q) in x.iter().zip(q) {
		// The limit is for a product a few units above 127.
		*q = round_to_int(*x * a).clamp(-127, 127) as i8;
		sum += i32::from(*q);
	}
	Some((a, sum))
}

/// Largest magnitude of the integers of a head row.
pub const HEAD_LIMIT: i8 = 120;
/// Floor of the largest magnitude in a row of the head when it is quantised.
const MIN_HEAD_ABS_MAX: f32 = 1e-30;

/// Quantises a row of the head: with `m = max(max |w|, 1e-30)`, `n = round(w (120 / m))`, ties to
/// even, limited to -120..=120. Returns the factor `m / 120` that the integers stand for, which is
/// always positive, or `None` when an element is not finite.
pub fn quantize_head_row(w: &[f32], n: &mut [i8]) -> Option<f32> {
	let bits = w.iter().fold(0, |m, w| (w.to_bits() & 0x7fff_ffff).max(m));
	if bits > MAX_FINITE_BITS {
		return None;
	}
	let largest = f32::from_bits(bits).max(MIN_HEAD_ABS_MAX);
	let limit = f32::from(HEAD_LIMIT);
	let factor = limit / largest;
	for (w, n) in w.iter().zip(n) {
		// The limit is for a product a little above 120.
		*n = (round_half_even(w * factor) as i8).clamp(-HEAD_LIMIT, HEAD_LIMIT);
	}
	Some(largest / limit)
}

/// Σ n q of a head row. Exact for up to 2^16 elements.
pub fn head_dot(n: &[i8], q: &[i8]) -> i32 {
	ternary_dot(n, q)
}

/// `(x r) w` with `r = 1 / sqrt(Σ x² / n + eps)`, for each row of `weight.len()` elements.
#[inline(always)]
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
	let n = weight.len();
	for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
		let r = 1.0 / sqrt(reduce_dot(x, x) / n as f32 + eps);
		for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
			*out = (x * r) * w;
		}
	}
}

/// Rotates every head of one token at `position`: `(x c - y s, x s + y c)` for each pair.
#[inline(always)]
pub fn rope_row(
	x: &mut [f32],
	head_dim: usize,
	table: &RopeTable,
	position: usize,
	pairing: RopePairing,
) {
	let angles = table.at(position);
	for head in x.chunks_exact_mut(head_dim) {
		let rotated = &mut head[..table.rotary_dim()];
		match pairing {
			RopePairing::Neox => {
				let (first, second) = rotated.split_at_mut(angles.len());
				for ((x, y), (cos, sin)) in first.iter_mut().zip(second).zip(angles) {
					(*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
				}
			}
			RopePairing::Norm => {
				for ([x, y], (cos, sin)) in rotated.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
					(*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
				}
			}
		}
	}
}

/// Attention of one query head over `scores.len()` cached rows of half-precision bits.
///
/// `keys` and `values` start at the head's first element and have `stride` elements per row.
/// Scores are `(q · k) (1 / sqrt(head_dim))`, then softmax; the output adds `p v` row after row.
/// Keys and values are converted exactly, and each product is rounded before it is added.
pub fn attention_head(
	q: &[f32],
	keys: &[u16],
	values: &[u16],
	stride: usize,
	scores: &mut [f32],
	out: &mut [f32],
) {
	let head_dim = q.len();
	let scale = attention_scale(head_dim);
	for (t, score) in scores.iter_mut().enumerate() {
		*score = reduce_dot_f16(&keys[t * stride..][..head_dim], q) * scale;
	}
	softmax(scores);
	out.fill(0.0);
	for (t, p) in scores.iter().enumerate() {
		for (out, v) in out.iter_mut().zip(&values[t * stride..][..head_dim]) {
			*out += p * f16_to_f32(*v);
		}
	}
}

/// `1 / sqrt(head_dim)`.
pub fn attention_scale(head_dim: usize) -> f32 {
	1.0 / sqrt(head_dim as f32)
}

/// `x + y`, elementwise, into `x`.
#[inline(always)]
pub fn add(x: &mut [f32], y: &[f32]) {
	for (x, y) in x.iter_mut().zip(y) {
		*x += y;
	}
}

/// `(r r) up` with `r = max(gate, 0)`, elementwise, into `gate`.
#[inline(always)]
pub fn squared_relu_mul(gate: &mut [f32], up: &[f32]) {
	for (gate, up) in gate.iter_mut().zip(up) {
		let r = if *gate > 0.0 { *gate } else { 0.0 };
		*gate = (r * r) * up;
	}
}

/// `(gate / (1 + exp(-gate))) up`, elementwise, into `gate`.
#[inline(always)]
pub fn silu_mul(gate: &mut [f32], up: &[f32]) {
	for (gate, up) in gate.iter_mut().zip(up) {
		*gate = (*gate / (1.0 + exp(-*gate))) * up;
	}
}
