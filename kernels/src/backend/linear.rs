//! Quantised activations and linear layers.

use super::{
	Backend, kernel,
	part::{Part, parts},
	way::Way,
};
use crate::{
	pool::Disjoint,
	quant::{NonFinite, QuantizedActivations},
	scalar,
	ternary::{
		PANEL_ROWS, Packing, Panel, TernaryMatrix,
		codes::{self, Codes},
		dense, two_bit,
	},
};

/// Tokens whose sums are kept while the weights of a panel are unpacked block by block: with them,
/// the quantised values of as many tokens stay in the second-level cache.
const TOKEN_CHUNK: usize = 128;

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
		let dense = self.packing() == Packing::Dense;
		if dense && self.way(Packing::Dense, out.tokens, 1, true) == Way::EachToken {
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
		let (mut work, mut grain, mut by_tables) = (0, 1, false);
		let mut matrices = Vec::with_capacity(layers.len());
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
			// As if there were panels enough: how many a thread gets follows from the grain.
			let way = self.way(w.packing(), tokens, usize::MAX, true);
			grain = grain.max(way.grain());
			by_tables |= way == Way::EachToken && w.packing() == Packing::Dense;
			matrices.push((*w, Disjoint::new(out)));
		}
		let mut own = Vec::new();
		let tables = if by_tables && a.tables.is_empty() {
			self.build_tables(a, &mut own);
			&own
		} else {
			&a.tables
		};
		let panels: usize = matrices.iter().map(|(w, _)| w.panels()).sum();
		self.split_by(grain, panels, work, |range| {
			let parts = parts(&matrices, range);
			for parts in parts.chunk_by(Part::is_like) {
				self.multiply_parts(parts, a, tables);
			}
		});
	}

	/// Matrices of one packing and kind of scales times all tokens, for parts that differ between threads; `tables` are
	/// those of dense weights, where tokens look them up one after the other.
	fn multiply_parts(
		&self,
		parts: &[Part<'_, '_>],
		a: &QuantizedActivations,
		tables: &[dense::Table],
	) {
		let first = &parts[0];
		let panels = parts.iter().map(|part| part.panels.len()).sum();
		match self.way(first.w.packing(), a.tokens, panels, first.has_one_scale()) {
			Way::EachToken => parts
				.iter()
				.for_each(|part| self.each_token(part, a, tables)),
			Way::EachFives => self.each_token_fives(parts, a),
			#[cfg(target_arch = "x86_64")]
			Way::Tables => self.look_up(parts, a),
			#[cfg(target_arch = "x86_64")]
			Way::FivesTables => self.look_up_fives(parts, a),
			#[cfg(target_arch = "x86_64")]
			Way::Mixed => self.mix(parts, a),
			#[cfg(not(target_arch = "x86_64"))]
			Way::Tables | Way::FivesTables | Way::Mixed => {
				unreachable!("chosen for levels of x86-64 alone")
			}
			Way::Blocks => parts.iter().for_each(|part| self.linear_blocks(part, a)),
			Way::Unpacked => parts.iter().for_each(|part| self.unpacked(part, a)),
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

	/// Matrix times few vectors, one after the other while a panel is in a cache, for parts that differ between threads.
	fn each_token(&self, part: &Part<'_, '_>, a: &QuantizedActivations, tables: &[dense::Table]) {
		let (w, panels) = (part.w, part.panels.clone());
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
				let out = unsafe { part.out.part(token * w.rows() + first, count) };
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

	/// Matrix times matrix, for parts that differ between threads.
	fn unpacked(&self, part: &Part<'_, '_>, a: &QuantizedActivations) {
		let w = part.w;
		let mut codes = Codes::zeroed();
		let mut sums = vec![[0; PANEL_ROWS]; a.tokens.min(TOKEN_CHUNK)];
		for panel in part.panels.clone() {
			for chunk in (0..a.tokens).step_by(TOKEN_CHUNK) {
				let tokens = TOKEN_CHUNK.min(a.tokens - chunk);
				let sums = &mut sums[..tokens];
				sums.fill([0; PANEL_ROWS]);
				for block in 0..codes::blocks(w.cols()) {
					let steps = kernel!(self, unpack(w.panel(panel), w.cols(), block, &mut codes));
					let q = &a.q[chunk * a.stride + block * codes::BLOCK_COLS..];
					kernel!(self, multiply(&codes.0[..steps], q, a.stride, sums));
				}
				self.put_rows(part, a, panel, chunk, sums);
			}
		}
	}

	/// Writes the outputs of a panel's rows for tokens from `first` on, from sums of products of codes. The panel is of the
	/// part, and parts differ between threads.
	pub(super) fn put_rows(
		&self,
		part: &Part<'_, '_>,
		a: &QuantizedActivations,
		panel: usize,
		first: usize,
		sums: &[[i32; PANEL_ROWS]],
	) {
		let w = part.w;
		let row = panel * PANEL_ROWS;
		let count = PANEL_ROWS.min(w.rows() - row);
		for (token, dots) in (first..).zip(sums) {
			// SAFETY: each panel is in one thread's range, so its rows are written by one thread.
			let out = unsafe { part.out.part(token * w.rows() + row, count) };
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
