//! The operations of a transformer layer on one instruction set and some threads.
//!
//! Every output element is computed whole by one thread, and every token as if it were alone, so
//! neither the number of threads nor the grouping of tokens changes a bit.

use crate::{
	isa::Isa,
	math,
	pool::{Disjoint, Pool, share},
	portable,
	quant::{NonFinite, QuantizedActivations},
	rope::{RopePairing, RopeTable},
	scalar::{self, AttentionShape},
	ternary::{PANEL_ROWS, TernaryMatrix},
};
use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::x86::{avx2, avx512};

/// Tokens that share one read of the weights.
const TILE_TOKENS: usize = 4;

/// Below this many multiplications or elements, waking threads costs more than it saves.
const PARALLEL_WORK: usize = 1 << 15;

/// An instruction set and a thread pool.
#[derive(Debug)]
pub struct Backend {
	/// Supported by this CPU: checked once, in [`Backend::new`].
	isa: Isa,
	pool: Pool,
}

/// Calls the kernel of the backend's level.
macro_rules! kernel {
	($backend:expr, $name:ident $(::<$tile:tt>)? ($($argument:expr),* $(,)?)) => {
		match $backend.isa {
			#[cfg(target_arch = "x86_64")]
			// SAFETY: `Backend::new` checked that the CPU has the features of the level.
			Isa::Avx512 => unsafe { avx512::$name $(::<$tile>)? ($($argument),*) },
			#[cfg(target_arch = "x86_64")]
			// SAFETY: as above.
			Isa::Avx2 => unsafe { avx2::$name $(::<$tile>)? ($($argument),*) },
			_ => portable::$name $(::<$tile>)? ($($argument),*),
		}
	};
}

impl Backend {
	/// A backend on `threads` threads, the calling thread included; 0 counts as 1.
	///
	/// # Panics
	///
	/// If this CPU does not support `isa`; [`Isa::from_env`] and [`Isa::detect`] give one it does.
	pub fn new(isa: Isa, threads: usize) -> Self {
		assert!(
			isa.is_supported(),
			"this CPU does not support the instruction set {isa}"
		);
		Self {
			isa,
			pool: Pool::new(threads),
		}
	}

	/// The instruction set in use.
	pub fn isa(&self) -> Isa {
		self.isa
	}

	/// The number of threads in use.
	pub fn threads(&self) -> usize {
		self.pool.threads()
	}

	/// Quantises `x`, rows of `cols` activations, one row per token.
	///
	/// # Errors
	///
	/// [`NonFinite`] names the first infinity or NaN; `out` then holds no tokens.
	///
	/// # Panics
	///
	/// If `cols` is 0 or `x` is not whole rows.
	pub fn quantize(
		&self,
		x: &[f32],
		cols: usize,
		out: &mut QuantizedActivations,
	) -> Result<(), NonFinite> {
		let tokens = whole_rows(x.len(), cols);
		out.resize(tokens, cols);
		let q = Disjoint::new(&mut out.q);
		let inv = Disjoint::new(&mut out.inv);
		let sums = Disjoint::new(&mut out.sums);
		self.split(tokens, x.len(), |range| {
			for token in range {
				// SAFETY: each token is in one range, and has its own part of each buffer.
				let (q, inv, sum) = unsafe {
					(
						q.part(token * cols, cols),
						inv.part(token, 1),
						sums.part(token, 1),
					)
				};
				// A zero scale marks a bad row: a good one is always positive.
				(inv[0], sum[0]) =
					kernel!(self, quantize_row(&x[token * cols..][..cols], q)).unwrap_or((0.0, 0));
			}
		});
		if out.inv.contains(&0.0) {
			out.clear();
			let index = x.iter().position(|x| !x.is_finite()).unwrap_or(0);
			return Err(NonFinite { index });
		}
		Ok(())
	}

	/// `out[token * rows + row] = (Σ w q / a) scale`.
	///
	/// # Panics
	///
	/// If the shapes do not fit: `a.cols() == w.cols()`, `out.len() == a.tokens() * w.rows()`.
	pub fn linear(&self, w: &TernaryMatrix, a: &QuantizedActivations, out: &mut [f32]) {
		let (rows, cols, tokens) = (w.rows(), w.cols(), a.tokens);
		assert_eq!(a.cols, cols, "activations do not fit the matrix");
		assert_eq!(out.len(), tokens * rows, "output does not fit the matrix");
		let out = Disjoint::new(out);
		self.split(rows.div_ceil(PANEL_ROWS), rows * cols * tokens, |panels| {
			for panel in panels {
				let mut token = 0;
				while token < tokens {
					token += match tokens - token {
						1 => self.tile::<1>(w, a, panel, token, &out),
						2 => self.tile::<2>(w, a, panel, token, &out),
						3 => self.tile::<3>(w, a, panel, token, &out),
						_ => self.tile::<TILE_TOKENS>(w, a, panel, token, &out),
					};
				}
			}
		});
	}

	/// One panel by `T` tokens from `token`; returns `T`. Panels given to threads differ.
	fn tile<const T: usize>(
		&self,
		w: &TernaryMatrix,
		a: &QuantizedActivations,
		panel: usize,
		token: usize,
		out: &Disjoint<'_, f32>,
	) -> usize {
		let q = core::array::from_fn(|t| &a.q[(token + t) * a.cols..][..a.cols]);
		let sums = core::array::from_fn(|t| a.sums[token + t]);
		let dots = kernel!(self, panel_dots::<T>(w.panel(panel), q, sums));
		let first = panel * PANEL_ROWS;
		let count = PANEL_ROWS.min(w.rows() - first);
		for (t, dots) in dots.iter().enumerate() {
			// SAFETY: each panel is in one thread's range, so its rows are written by one thread.
			let out = unsafe { out.part((token + t) * w.rows() + first, count) };
			for (out, dot) in out.iter_mut().zip(dots) {
				*out = scalar::rescale(*dot, a.inv[token + t], w.scale());
			}
		}
		T
	}

	/// Logits from half-precision rows: `out[token * rows + row] = row · x[token]`.
	///
	/// `rows` is a matrix of IEEE 754 half bits with `cols` columns.
	///
	/// # Panics
	///
	/// If `cols` is 0, or the shapes do not fit: whole rows, whole tokens, and the output.
	pub fn head_f16(&self, rows: &[u16], cols: usize, x: &[f32], out: &mut [f32]) {
		self.head(rows, cols, x, out, |row, buffer, each| {
			if x.len() == cols {
				each(0, kernel!(self, dot_f16(row, x)));
				return;
			}
			// Several tokens share the conversion, which is exact.
			buffer.resize(cols, 0.0);
			kernel!(self, widen_f16(row, buffer));
			for (token, x) in x.chunks_exact(cols).enumerate() {
				each(token, kernel!(self, dot(buffer, x)));
			}
		});
	}

	/// As [`head_f16`](Self::head_f16) with rows in single precision.
	///
	/// # Panics
	///
	/// As [`head_f16`](Self::head_f16).
	pub fn head_f32(&self, rows: &[f32], cols: usize, x: &[f32], out: &mut [f32]) {
		self.head(rows, cols, x, out, |row, _, each| {
			for (token, x) in x.chunks_exact(cols).enumerate() {
				each(token, kernel!(self, dot(row, x)));
			}
		});
	}

	/// Splits the rows of a head over threads; `dots` reports a row's product with each token.
	fn head<W: Sync>(
		&self,
		rows: &[W],
		cols: usize,
		x: &[f32],
		out: &mut [f32],
		dots: impl Fn(&[W], &mut Vec<f32>, &mut dyn FnMut(usize, f32)) + Sync,
	) {
		let count = whole_rows(rows.len(), cols);
		let tokens = whole_rows(x.len(), cols);
		assert_eq!(out.len(), tokens * count, "output does not fit the head");
		let out = Disjoint::new(out);
		self.split(count, rows.len() * tokens, |range| {
			let mut buffer = Vec::new();
			for row in range {
				dots(
					&rows[row * cols..][..cols],
					&mut buffer,
					&mut |token, dot| {
						// SAFETY: each row is in one range, so this element has one writer.
						unsafe { out.part(token * count + row, 1)[0] = dot };
					},
				);
			}
		});
	}

	/// Root-mean-square normalisation of each row of `weight.len()` elements.
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

	/// Rotates the heads of each token in place; token `i` is at `positions[i]`.
	///
	/// # Panics
	///
	/// If `x` is not `positions.len()` rows of whole heads, the table rotates more than `head_dim`
	/// elements, or a position is outside the table.
	pub fn rope(
		&self,
		x: &mut [f32],
		head_dim: usize,
		table: &RopeTable,
		positions: &[usize],
		pairing: RopePairing,
	) {
		assert!(
			table.rotary_dim() <= head_dim,
			"rotary dimension exceeds the head's"
		);
		if positions.is_empty() {
			assert!(x.is_empty(), "tokens without positions");
			return;
		}
		assert!(
			x.len().is_multiple_of(positions.len()),
			"tokens do not fit the positions"
		);
		let cols = x.len() / positions.len();
		whole_rows(cols, head_dim);
		let work = x.len();
		let x = Disjoint::new(x);
		self.split(positions.len(), work, |range| {
			for token in range {
				// SAFETY: each token is in one range.
				let x = unsafe { x.part(token * cols, cols) };
				kernel!(
					self,
					rope_row(x, head_dim, table, positions[token], pairing)
				);
			}
		});
	}

	/// Causal attention: token `i` of `q` reads the first `past + i + 1` rows of the cache.
	///
	/// `q` and `out` have `heads * head_dim` elements per token, `keys` and `values`
	/// `kv_heads * head_dim` per row, `past + tokens` rows.
	///
	/// # Panics
	///
	/// If the shapes do not fit, a dimension is 0, or `heads` is not a multiple of `kv_heads`.
	pub fn attention(
		&self,
		q: &[f32],
		keys: &[f32],
		values: &[f32],
		shape: AttentionShape,
		past: usize,
		out: &mut [f32],
	) {
		let AttentionShape {
			heads,
			kv_heads,
			head_dim,
		} = shape;
		assert!(
			kv_heads > 0 && heads.is_multiple_of(kv_heads),
			"heads {heads}/{kv_heads}"
		);
		let stride = kv_heads * head_dim;
		let tokens = whole_rows(q.len(), heads * head_dim);
		assert_eq!(
			keys.len(),
			(past + tokens) * stride,
			"keys do not fit the shape"
		);
		assert_eq!(values.len(), keys.len(), "values do not fit the keys");
		assert_eq!(out.len(), q.len(), "output does not fit the queries");
		let out = Disjoint::new(out);
		let tasks = tokens * heads;
		let job = |thread: usize, threads: usize| {
			let mut scores = vec![0.0; past + tokens];
			// Interleaved, because later tokens read more rows.
			for task in (thread..tasks).step_by(threads) {
				let (token, head) = (task / heads, task % heads);
				let first = head / (heads / kv_heads) * head_dim;
				// SAFETY: a task belongs to one thread and has its own part.
				let out = unsafe { out.part(task * head_dim, head_dim) };
				kernel!(
					self,
					attention_head(
						&q[task * head_dim..][..head_dim],
						&keys[first..],
						&values[first..],
						stride,
						&mut scores[..past + token + 1],
						out,
					)
				);
			}
		};
		if q.len() * (past + tokens) < PARALLEL_WORK {
			job(0, 1)
		} else {
			self.pool.run(job)
		}
	}

	/// `x += y`.
	///
	/// # Panics
	///
	/// If the lengths differ.
	pub fn add(&self, x: &mut [f32], y: &[f32]) {
		assert_eq!(x.len(), y.len(), "operands differ in length");
		scalar::add(x, y);
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

	/// Softmax in place; see [`math::softmax`].
	pub fn softmax(&self, values: &mut [f32]) {
		math::softmax(values);
	}

	/// Calls `f` with disjoint ranges that cover `0..items`, on all threads when `work` is large.
	fn split(&self, items: usize, work: usize, f: impl Fn(Range<usize>) + Sync) {
		if work < PARALLEL_WORK {
			return f(0..items);
		}
		self.pool.run(|thread, threads| {
			let range = share(items, thread, threads);
			if !range.is_empty() {
				f(range);
			}
		});
	}
}

/// Number of rows of `cols` elements in `len`.
fn whole_rows(len: usize, cols: usize) -> usize {
	assert!(
		cols > 0 && len.is_multiple_of(cols),
		"{len} elements are not rows of {cols}"
	);
	len / cols
}
