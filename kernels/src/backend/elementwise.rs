//! Normalisation, activation functions and sums.

use super::{Backend, kernel, whole_rows};
use crate::pool::Disjoint;

impl Backend {
	/// Root-mean-square normalisation of each row of `weight.len()` elements.
	///
	/// With a weight of `head_dim` elements this normalises each head of queries or keys by itself, as
	/// Qwen 3 does before the rotary embedding.
	///
	/// # Panics
	///
	/// If `weight` is empty, or `x` is not whole rows or not as long as `out`.
	pub fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
		let cols = weight.len();
		let rows = whole_rows(x.len(), cols);
		assert_eq!(out.len(), x.len(), "output does not fit the input");
		let out = Disjoint::new(out);
		self.split(rows, x.len(), |range| {
			let (start, len) = (range.start * cols, range.len() * cols);
			// SAFETY: the ranges of threads do not overlap.
			let out = unsafe { out.part(start, len) };
			kernel!(self, rms_norm(&x[start..][..len], weight, eps, out));
		});
	}

	/// `x += y`.
	///
	/// # Panics
	///
	/// If the lengths differ.
	pub fn add(&self, x: &mut [f32], y: &[f32]) {
		assert_eq!(x.len(), y.len(), "operands differ in length");
		kernel!(self, add(x, y));
	}

	/// `gate = max(gate, 0)² up`.
	///
	/// # Panics
	///
	/// If the lengths differ.
	pub fn squared_relu_mul(&self, gate: &mut [f32], up: &[f32]) {
		self.elementwise(gate, up, |gate, up| {
			kernel!(self, squared_relu_mul(gate, up))
		});
	}

	/// `gate = gate / (1 + exp(-gate)) up`.
	///
	/// # Panics
	///
	/// If the lengths differ.
	pub fn silu_mul(&self, gate: &mut [f32], up: &[f32]) {
		self.elementwise(gate, up, |gate, up| kernel!(self, silu_mul(gate, up)));
	}

	fn elementwise(&self, x: &mut [f32], y: &[f32], f: impl Fn(&mut [f32], &[f32]) + Sync) {
		assert_eq!(x.len(), y.len(), "operands differ in length");
		let len = x.len();
		let x = Disjoint::new(x);
		self.split(len, len, |range| {
			// SAFETY: the ranges of threads do not overlap.
			f(unsafe { x.part(range.start, range.len()) }, &y[range]);
		});
	}

	/// Softmax in place; see [`crate::scalar::softmax`].
	pub fn softmax(&self, values: &mut [f32]) {
		kernel!(self, softmax(values));
	}
}
