//! Linear layers whose weights have a scale for each block of columns.
//!
//! The integer sums of a block are those of the two-bit packing; after each block they become
//! floats and are added to the totals, row by row in the lanes, in the order of the blocks.

use super::{Backend, kernel, part::Part, whole_rows};
use crate::{
	pool::Disjoint,
	quant::{NonFinite, QuantizedActivations},
	ternary::{
		PANEL_ROWS, Panel,
		codes::Codes,
		two_bit::{BLOCK_COLS, BLOCK_ROWS},
	},
};
use std::ops::Range;

/// Tokens whose totals are kept while a panel is unpacked block by block.
const TOKEN_CHUNK: usize = 64;
/// Columns unpacked at a time, or a block if it has fewer.
const UNPACK_COLS: usize = 128;
const _: () = assert!(UNPACK_COLS <= crate::ternary::codes::BLOCK_COLS);

impl Backend {
	/// Quantises `x`, rows of `cols` activations, one row per token, with a factor for each `block`
	/// columns: for matrices of which [`TernaryMatrix::block`](crate::TernaryMatrix::block) says so.
	///
	/// # Errors
	///
	/// [`NonFinite`] names the first infinity or NaN; `out` then holds no tokens.
	///
	/// # Panics
	///
	/// If `cols` is 0, `x` is not whole rows, or `cols` not whole blocks.
	pub fn quantize_blocks(
		&self,
		x: &[f32],
		cols: usize,
		block: usize,
		out: &mut QuantizedActivations,
	) -> Result<(), NonFinite> {
		let tokens = whole_rows(x.len(), cols);
		let blocks = whole_rows(cols, block);
		out.resize(tokens, cols, block);
		let stride = out.stride;
		let q = Disjoint::new(&mut out.q);
		let inv = Disjoint::new(&mut out.inv);
		let sums = Disjoint::new(&mut out.sums);
		self.split(tokens, x.len(), |range| {
			for token in range {
				// SAFETY: each token is in one range, and has its own part of each buffer.
				let (q, inv, sums) = unsafe {
					(
						q.part(token * stride, cols),
						inv.part(token * blocks, blocks),
						sums.part(token * blocks, blocks),
					)
				};
				let x = x[token * cols..][..cols].chunks_exact(block);
				let x = x.zip(q.chunks_exact_mut(block));
				for ((x, q), (inv, sum)) in x.zip(inv.iter_mut().zip(sums)) {
					// A zero scale marks a bad block: a good one is always positive.
					(*inv, *sum) = kernel!(self, quantize_row(x, q)).unwrap_or((0.0, 0));
				}
			}
		});
		if out.inv.contains(&0.0) {
			out.clear();
			let index = x.iter().position(|x| !x.is_finite()).unwrap_or(0);
			return Err(NonFinite { index });
		}
		Ok(())
	}

	/// Some panels of a matrix with block scales, for parts that differ between threads.
	pub(super) fn linear_blocks(&self, part: &Part<'_, '_>, a: &QuantizedActivations) {
		let w = part.w;
		let Some(scales) = w.blocks() else {
			unreachable!("`way` chose by the scales");
		};
		let tokens = TOKEN_CHUNK.min(a.tokens);
		let mut work = Work {
			codes: Codes::zeroed(),
			sums: vec![[0; PANEL_ROWS]; tokens],
			totals: vec![[0.0; PANEL_ROWS]; tokens],
		};
		for panel in part.panels.clone() {
			let Panel::TwoBit(blocks) = w.panel(panel) else {
				unreachable!("weights with block scales are packed in two bits");
			};
			let panel = BlockPanel {
				blocks,
				runs: std::array::from_fn(|run| {
					scales.run(panel * (PANEL_ROWS / BLOCK_ROWS) + run)
				}),
				block: scales.block,
				first: panel * PANEL_ROWS,
			};
			for chunk in (0..a.tokens).step_by(TOKEN_CHUNK) {
				let tokens = chunk..a.tokens.min(chunk + TOKEN_CHUNK);
				let totals = &mut work.totals[..tokens.len()];
				totals.fill([0.0; PANEL_ROWS]);
				if let [totals] = totals {
					self.block_panel_one(&panel, a, tokens.start, totals);
				} else {
					self.block_panel_many(&panel, a, tokens.clone(), &mut work);
				}
				let count = PANEL_ROWS.min(w.rows() - panel.first);
				for (token, totals) in tokens.zip(&work.totals) {
					// SAFETY: each panel is in one thread's range, so its rows are written by one
					// thread.
					let out = unsafe { part.out.part(token * w.rows() + panel.first, count) };
					out.copy_from_slice(&totals[..count]);
				}
			}
		}
	}

	/// One token, without unpacking.
	fn block_panel_one(
		&self,
		panel: &BlockPanel<'_>,
		a: &QuantizedActivations,
		token: usize,
		totals: &mut [f32; PANEL_ROWS],
	) {
		let runs = panel.blocks.chunks_exact(a.cols / BLOCK_COLS);
		let (totals, _) = totals.as_chunks_mut::<BLOCK_ROWS>();
		let (q, (inv, sums)) = (a.q(token), a.of_blocks(token));
		for ((run, scales), totals) in runs.zip(panel.runs).zip(totals) {
			kernel!(self, two_bit_blocks_dots(run, q, sums, inv, scales, totals));
		}
	}

	/// Some tokens at once.
	fn block_panel_many(
		&self,
		panel: &BlockPanel<'_>,
		a: &QuantizedActivations,
		tokens: Range<usize>,
		work: &mut Work,
	) {
		let sums = &mut work.sums[..tokens.len()];
		for index in 0..a.blocks() {
			sums.fill([0; PANEL_ROWS]);
			let columns = index * panel.block..(index + 1) * panel.block;
			for start in columns.clone().step_by(UNPACK_COLS) {
				let now = start / BLOCK_COLS..columns.end.min(start + UNPACK_COLS) / BLOCK_COLS;
				let (per_run, codes) = (a.cols / BLOCK_COLS, &mut work.codes);
				let steps = kernel!(self, unpack_two_bit(panel.blocks, per_run, now, codes));
				let q = &a.q[tokens.start * a.stride + start..];
				kernel!(self, multiply(&codes.0[..steps], q, a.stride, sums));
			}
			let mut scales = [0.0; PANEL_ROWS];
			for (scales, run) in scales
				.as_chunks_mut::<BLOCK_ROWS>()
				.0
				.iter_mut()
				.zip(panel.runs)
			{
				kernel!(self, widen_f16(&run[index], scales));
			}
			let totals = work.totals.iter_mut().zip(&*sums);
			for (token, (totals, sums)) in tokens.clone().zip(totals) {
				let (inv, q_sums) = a.of_blocks(token);
				kernel!(
					self,
					add_block(sums, q_sums[index], inv[index], &scales, totals)
				);
			}
		}
	}
}

/// A panel and its scales.
struct BlockPanel<'a> {
	blocks: &'a [crate::ternary::two_bit::Block],
	/// For each run of sixteen rows, its scales block by block.
	runs: [&'a [[u16; BLOCK_ROWS]]; PANEL_ROWS / BLOCK_ROWS],
	/// Columns that share a scale.
	block: usize,
	/// Number of its first row.
	first: usize,
}

/// Intermediate results of a thread.
struct Work {
	codes: Codes,
	sums: Vec<[i32; PANEL_ROWS]>,
	totals: Vec<[f32; PANEL_ROWS]>,
}
