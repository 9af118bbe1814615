//! One token by weights that are five in a byte.
//!
//! Blocks of columns come one after the other, so that their tables stay in the first-level cache while all
//! panels of a thread pass, four by four.

use super::{Backend, kernel, linear::Part};
use crate::{
	pool::Disjoint,
	quant::QuantizedActivations,
	scalar,
	ternary::{
		PANEL_ROWS, Panel, TernaryMatrix, codes,
		fives::{self, BLOCK_GROUPS, PANELS, PanelGroups, Table},
	},
};

/// Panels that make a part of the work, if there are so many: fewer would use tables little.
pub(super) const PART_PANELS: usize = 16;

/// Panels that stand together, or those of them that are a thread's.
struct Piece<'a, 'b> {
	w: &'a TernaryMatrix,
	out: &'a Disjoint<'b, f32>,
	/// The first panel, and how many.
	first: usize,
	count: usize,
	groups: PanelGroups<'a>,
	corrections: [&'a [i32; PANEL_ROWS]; PANELS],
}

impl Backend {
	/// Tables for weights that are five in a byte and the first token.
	pub(super) fn build_fives(&self, a: &QuantizedActivations, tables: &mut Vec<Table>) {
		tables.resize(fives::groups(a.cols), Table([0; 256]));
		kernel!(self, build_fives(a.q(0), tables));
	}

	/// Matrices times vector, for parts that differ between threads.
	pub(super) fn one_token_fives(
		&self,
		parts: &[Part<'_, '_>],
		a: &QuantizedActivations,
		tables: &[Table],
	) {
		let pieces: Vec<Piece<'_, '_>> = parts.iter().flat_map(pieces).collect();
		let Some(first) = pieces.first() else {
			return;
		};
		let mut sums = vec![[[0; PANEL_ROWS]; PANELS]; pieces.len()];
		for (piece, sums) in pieces.iter().zip(&mut sums) {
			for (corrections, sums) in piece.corrections.iter().zip(sums) {
				*sums = **corrections;
			}
		}
		let blocks = codes::blocks(a.cols);
		for block in 0..blocks {
			let start = block * BLOCK_GROUPS;
			let tables = &tables[start..tables.len().min(start + BLOCK_GROUPS)];
			for (i, (piece, sums)) in pieces.iter().zip(&mut sums).enumerate() {
				let groups = piece.groups.block(block);
				let next = match pieces.get(i + 1) {
					Some(next) => next.groups.block(block),
					None if block + 1 < blocks => first.groups.block(block + 1),
					None => groups,
				};
				let sums = &mut sums[..piece.count];
				kernel!(self, fives_dots(groups, tables, next, sums));
			}
		}
		for (piece, sums) in pieces.iter().zip(&sums) {
			let row = piece.first * PANEL_ROWS;
			let count = (piece.count * PANEL_ROWS).min(piece.w.rows() - row);
			// SAFETY: each panel is in one thread's parts, so its rows are written by one thread.
			let out = unsafe { piece.out.part(row, count) };
			for (out, sum) in out.iter_mut().zip(sums.as_flattened()) {
				*out = scalar::rescale(*sum, a.inv[0], piece.w.scale());
			}
		}
	}
}

/// A part's panels as far as they stand together.
fn pieces<'a, 'b>(part: &'a Part<'a, 'b>) -> impl Iterator<Item = Piece<'a, 'b>> {
	let panels = part.panels.clone();
	let fours = panels.start / PANELS..panels.end.div_ceil(PANELS);
	fours.filter_map(move |four| {
		let first = panels.start.max(four * PANELS);
		let count = panels.end.min((four + 1) * PANELS) - first;
		let Panel::Fives(groups, corrections) = part.w.panel(first) else {
			return None;
		};
		let mut all = [corrections; PANELS];
		for (panel, corrections) in (first..first + count).zip(&mut all) {
			if let Panel::Fives(_, own) = part.w.panel(panel) {
				*corrections = own;
			}
		}
		Some(Piece {
			w: part.w,
			out: part.out,
			first,
			count,
			groups,
			corrections: all,
		})
	})
}
