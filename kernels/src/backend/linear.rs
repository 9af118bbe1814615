//! Quantised activations and linear layers.

use super::{Backend, kernel};
use crate::{
	Isa,
	pool::Disjoint,
	quant::{NonFinite, QuantizedActivations},
	scalar,
	ternary::{
		PANEL_ROWS, Packing, Panel, TernaryMatrix,
		codes::{self, Codes},
		dense, two_bit,
	},
};
use std::ops::Range;

/// Tokens whose sums are kept while the weights of a panel are unpacked block by block: with them,
/// the quantised values of as many tokens stay in the second-level cache.
const TOKEN_CHUNK: usize = 128;

/// The most tokens that look up dense weights one after the other: unpacking for all takes longer than they do.
const DENSE_TOKENS: usize = 7;
/// The same for two-bit weights, and where masks and dot products take a register of 64 bytes.
const TWO_BIT_TOKENS: usize = 3;
const TWO_BIT_TOKENS_512: usize = 6;

/// Panels of a matrix for one thread, and the whole output.
pub(super) struct Part<'a, 'b> {
	pub(super) w: &'a TernaryMatrix,
	pub(super) out: &'a Disjoint<'b, f32>,
	pub(super) panels: Range<usize>,
}

/// How many panels the parts have, if every matrix has one scale.
#[cfg(target_arch = "x86_64")]
pub(super) fn panels_of_one_scale(parts: &[Part<'_, '_>]) -> Option<usize> {
	let one_scale = parts.iter().all(|part| part.w.blocks().is_none());
	one_scale.then(|| parts.iter().map(|part| part.panels.len()).sum())
}

/// Each panel of the parts.
#[cfg(target_arch = "x86_64")]
pub(super) fn each_panel<'p, 'a, 'b>(parts: &'p [Part<'a, 'b>]) -> Vec<(&'p Part<'a, 'b>, usize)> {
	let panels = |part: &'p Part<'a, 'b>| part.panels.clone().map(move |panel| (part, panel));
	parts.iter().flat_map(panels).collect()
}

impl Backend {
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
		self.quantize_blocks(x, cols, cols, out)?;
		if self.packing() == Packing::Dense && self.takes_each(Packing::Dense, out.tokens) {
			let mut tables = std::mem::take(&mut out.tables);
			self.build_tables(out, &mut tables);
			out.tables = tables;
		}
		Ok(())
	}

	/// `out[token * rows + row] = (Σ w q / a) scale`, or, if weights have a scale for each block of
	/// columns, the sum of that over the blocks, see [`scalar::block_dot`].
	///
	/// # Panics
	///
	/// If the shapes do not fit: `a.cols() == w.cols()`, `out.len() == a.tokens() * w.rows()`; or if
	/// activations were quantised by other blocks than those of the weights: `a.block()` is
	/// `w.block()`, or `w.cols()` if that is `None`.
	pub fn linear(&self, w: &TernaryMatrix, a: &QuantizedActivations, out: &mut [f32]) {
		self.linear_group(a, &mut [(w, out)]);
	}

	/// As [`linear`](Self::linear) for several matrices on the same activations, with one wait for
	/// the threads: query, key and value; gate and up.
	///
	/// # Panics
	///
	/// As [`linear`](Self::linear).
	pub fn linear_group(
		&self,
		a: &QuantizedActivations,
		layers: &mut [(&TernaryMatrix, &mut [f32])],
	) {
		let (tokens, cols) = (a.tokens, a.cols);
		let mut work = 0;
		let (mut dense, mut fives) = (false, false);
		let mut jobs = Vec::with_capacity(layers.len());
		for (w, out) in layers {
			assert_eq!(w.cols(), cols, "activations do not fit the matrix");
			assert_eq!(
				out.len(),
				tokens * w.rows(),
				"output does not fit the matrix"
			);
			assert_eq!(
				a.block,
				w.block().unwrap_or(cols),
				"activations are quantised by other blocks than the weights"
			);
			work += w.rows() * cols * tokens;
			dense |= w.packing() == Packing::Dense;
			fives |= w.packing() == Packing::Fives;
			jobs.push((*w, Disjoint::new(out)));
		}
		let mut own = Vec::new();
		let each = dense && self.takes_each(Packing::Dense, tokens);
		let tables = if each && a.tables.is_empty() {
			self.build_tables(a, &mut own);
			&own
		} else {
			&a.tables
		};
		let panels: usize = jobs.iter().map(|(w, _)| w.panels()).sum();
		self.split_by(self.grain(tokens, fives), panels, work, |range| {
			let mut skipped = 0;
			let parts = jobs.iter().map(|(w, out)| {
				// What is in the range of this matrix.
				let here = range.start.max(skipped)..range.end.min(skipped + w.panels());
				let panels = here.start - skipped..here.end.saturating_sub(skipped);
				skipped += w.panels();
				Part { w, out, panels }
			});
			let parts = parts.filter(|part| !part.panels.is_empty());
			let (fives, parts): (Vec<_>, Vec<_>) = parts
				.partition(|part| self.looks_up_each(tokens) && part.w.packing() == Packing::Fives);
			self.few_tokens_fives(&fives, a);
			#[cfg(target_arch = "x86_64")]
			if self.prefers_lookup(tokens, &parts) {
				return self.look_up(&parts, a);
			}
			#[cfg(target_arch = "x86_64")]
			if self.prefers_fives_lookup(tokens, &parts) {
				return self.look_up_fives(&parts, a);
			}
			#[cfg(target_arch = "x86_64")]
			if self.prefers_mixed(tokens, &parts) {
				return self.mix(&parts, a);
			}
			for Part { w, out, panels } in parts {
				if let Some(scales) = w.blocks() {
					self.linear_blocks(w, scales, a, panels, out);
				} else if self.takes_each(w.packing(), tokens) {
					self.few_tokens(w, a, tables, panels, out);
				} else {
					self.many_tokens(w, a, panels, out);
				}
			}
		});
	}

	/// Panels that a part of the work has at least, if there are so many.
	fn grain(&self, tokens: usize, fives: bool) -> usize {
		if fives && self.looks_up_each(tokens) {
			return super::fives::PART_PANELS;
		}
		#[cfg(target_arch = "x86_64")]
		if self.may_look_up(tokens) {
			return super::lookup::PART_PANELS;
		}
		#[cfg(target_arch = "x86_64")]
		if fives && self.may_look_up_fives(tokens) {
			return super::fives_many::PART_PANELS;
		}
		#[cfg(target_arch = "x86_64")]
		if self.may_mix(tokens) {
			return super::mixed::PART_PANELS;
		}
		1
	}

	/// Whether tokens are multiplied one after the other, by weights that are not five in a byte.
	fn takes_each(&self, packing: Packing, tokens: usize) -> bool {
		match packing {
			Packing::Dense => tokens <= DENSE_TOKENS,
			Packing::TwoBit => match self.isa() {
				Isa::Avx512 | Isa::Avx512Vbmi => tokens <= TWO_BIT_TOKENS_512,
				_ => tokens <= TWO_BIT_TOKENS,
			},
			Packing::Fives => false,
		}
	}

	/// Tables for dense weights and each token.
	fn build_tables(&self, a: &QuantizedActivations, tables: &mut Vec<dense::Table>) {
		let padded = dense::padded_cols(a.cols);
		tables.resize(a.tokens * padded / 3, [0; 32]);
		for (token, tables) in tables.chunks_exact_mut(padded / 3).enumerate() {
			let q = &a.padded(token)[..padded];
			kernel!(self, build_tables(q, tables));
		}
	}

	/// Matrix times few vectors, one after the other while a panel is in a cache. Panels given to threads differ.
	fn few_tokens(
		&self,
		w: &TernaryMatrix,
		a: &QuantizedActivations,
		tables: &[dense::Table],
		panels: Range<usize>,
		out: &Disjoint<'_, f32>,
	) {
		let of_token = dense::padded_cols(a.cols) / 3;
		for panel in panels {
			let weights = w.panel(panel);
			let first = panel * PANEL_ROWS;
			let count = PANEL_ROWS.min(w.rows() - first);
			for token in 0..a.tokens {
				let dots = match weights {
					Panel::TwoBit(blocks) => self.two_bit_dots(blocks, a.q(token), a.sums[token]),
					Panel::Dense(groups, corrections) => {
						let tables = &tables[token * of_token..][..of_token];
						kernel!(self, dense_dots(groups, tables, corrections))
					}
					Panel::Fives(..) => unreachable!("these are looked up or unpacked"),
				};
				// SAFETY: each panel is in one thread's range, so its rows are written by one thread.
				let out = unsafe { out.part(token * w.rows() + first, count) };
				for (out, dot) in out.iter_mut().zip(dots) {
					*out = scalar::rescale(dot, a.inv[token], w.scale());
				}
			}
		}
	}

	/// A two-bit panel times a vector.
	fn two_bit_dots(&self, blocks: &[two_bit::Block], q: &[i8], sum: i32) -> [i32; PANEL_ROWS] {
		let mut dots = [0; PANEL_ROWS];
		let runs = blocks.chunks_exact(q.len() / two_bit::BLOCK_COLS);
		for (run, dots) in runs.zip(dots.as_chunks_mut::<{ two_bit::BLOCK_ROWS }>().0) {
			*dots = kernel!(self, two_bit_dots(run, q, sum));
		}
		dots
	}

	/// Matrix times matrix, for some panels. Panels given to threads differ.
	fn many_tokens(
		&self,
		w: &TernaryMatrix,
		a: &QuantizedActivations,
		panels: Range<usize>,
		out: &Disjoint<'_, f32>,
	) {
		let mut codes = Codes::zeroed();
		let mut sums = vec![[0; PANEL_ROWS]; a.tokens.min(TOKEN_CHUNK)];
		for panel in panels {
			for chunk in (0..a.tokens).step_by(TOKEN_CHUNK) {
				let tokens = TOKEN_CHUNK.min(a.tokens - chunk);
				let sums = &mut sums[..tokens];
				sums.fill([0; PANEL_ROWS]);
				for block in 0..codes::blocks(w.cols()) {
					let steps = kernel!(self, unpack(w.panel(panel), w.cols(), block, &mut codes));
					let q = &a.q[chunk * a.stride + block * codes::BLOCK_COLS..];
					kernel!(self, multiply(&codes.0[..steps], q, a.stride, sums));
				}
				self.put_rows(w, a, panel, chunk, sums, out);
			}
		}
	}

	/// Writes the outputs of a panel's rows for tokens from `first` on, from sums of products of codes. Panels given to
	/// threads differ.
	pub(super) fn put_rows(
		&self,
		w: &TernaryMatrix,
		a: &QuantizedActivations,
		panel: usize,
		first: usize,
		sums: &[[i32; PANEL_ROWS]],
		out: &Disjoint<'_, f32>,
	) {
		let row = panel * PANEL_ROWS;
		let count = PANEL_ROWS.min(w.rows() - row);
		for (token, dots) in (first..).zip(sums) {
			// SAFETY: each panel is in one thread's range, so its rows are written by one thread.
			let out = unsafe { out.part(token * w.rows() + row, count) };
			let (sum, inv) = (a.sums[token], a.inv[token]);
			kernel!(self, rescale_rows(dots, sum, inv, w.scale(), out));
		}
	}
}

/// What tests of the ways to multiply share.
#[cfg(all(test, target_arch = "x86_64"))]
pub(super) mod tests {
	use super::*;

	/// Whether a way to multiply gives the bits of the specification, for a weight and an activation by their numbers.
	pub(in super::super) fn check(
		backend: &Backend,
		packing: Packing,
		(rows, cols, tokens): (usize, usize, usize),
		value: impl Fn(usize) -> (i8, f32),
		multiply: impl Fn(&Backend, &[Part<'_, '_>], &QuantizedActivations),
	) {
		let weights: Vec<i8> = (0..rows * cols).map(|i| value(i).0).collect();
		let x: Vec<f32> = (0..tokens * cols).map(|i| value(i).1).collect();
		let mut a = QuantizedActivations::new();
		backend.quantize(&x, cols, &mut a).unwrap();
		let w = TernaryMatrix::from_ternary(&weights, rows, cols, 0.5, packing).unwrap();
		let mut found = vec![f32::NAN; tokens * rows];
		let out = Disjoint::new(&mut found);
		let (w, out, panels) = (&w, &out, 0..w.panels());
		multiply(backend, &[Part { w, out, panels }], &a);
		for (token, found) in found.chunks_exact(rows).enumerate() {
			for (weights, found) in weights.chunks_exact(cols).zip(found) {
				let dot = scalar::ternary_dot(weights, a.q(token));
				let expected = scalar::rescale(dot, a.inv[token], w.scale());
				let isa = backend.isa();
				assert_eq!(found.to_bits(), expected.to_bits(), "{packing} {isa}");
			}
		}
	}

	/// Calls a check with weights and activations whose sums are the largest, the smallest, and in between.
	pub(in super::super) fn at_extremes(check: impl Fn(&dyn Fn(usize) -> (i8, f32))) {
		for weight in [-1, 1] {
			for x in [-1.0, 1.0] {
				check(&|_| (weight, x));
			}
			check(&|i| (if i.is_multiple_of(2) { weight } else { -weight }, 1.0));
		}
	}

	/// A weight and an activation that look random.
	pub(in super::super) fn random(i: usize) -> (i8, f32) {
		let n = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
		(n as i8 % 2, n as i16 as f32)
	}
}
