//! One token by weights that are five in a byte.
//!
//! Blocks of columns come one after the other, so that their tables stay in the first-level cache while all
//! panels of a thread pass, four by four. Each thread builds its own tables: none waits for another that builds them,
//! and the weights that come first are on their way from memory meanwhile.

use super::{Backend, kernel, linear::Part};
use crate::{
	memory,
	pool::Disjoint,
	quant::QuantizedActivations,
	scalar,
	ternary::{
		PANEL_ROWS, Panel, TernaryMatrix,
		codes::{self, BLOCK_COLS},
		fives::{self, BLOCK_GROUPS, PANELS, PanelBlock, PanelGroups, TURN_COLS, TURNS, Table},
	},
};
use std::{cell::RefCell, iter::repeat};

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

thread_local! {
	static TABLES: RefCell<Tables> = const { RefCell::new(Tables { id: 0, built: 0, tables: Vec::new() }) };
}

/// A token's tables, as far as they have been built.
struct Tables {
	/// Of which activations: [`QuantizedActivations::id`].
	id: u64,
	/// The others are of earlier activations: clearing them would take a fifth of building them.
	built: usize,
	tables: Vec<Table>,
}

impl Backend {
	/// Matrices times vector, for parts that differ between threads.
	pub(super) fn one_token_fives(&self, parts: &[Part<'_, '_>], a: &QuantizedActivations) {
		TABLES.with_borrow_mut(|tables| {
			if tables.id != a.id {
				(tables.id, tables.built) = (a.id, 0);
				let len = tables.tables.len().max(fives::groups(a.cols));
				tables.tables.resize(len, Table([0; 256]));
			}
			self.one_token_by_tables(parts, a, tables);
		});
	}

	/// Builds tables of a block of columns, and asks for its weights of some panels.
	fn build_block(&self, q: &[i8], first: PanelBlock<'_>, tables: &mut [Table]) {
		let weights = first.groups().chunks(TURNS * first.together());
		let q = q.chunks(TURN_COLS).chain(repeat(&[][..]));
		for ((tables, q), weights) in tables.chunks_mut(TURNS).zip(q).zip(weights) {
			memory::prefetch_later(weights.as_flattened());
			kernel!(self, build_fives(q, tables));
		}
	}

	fn one_token_by_tables(
		&self,
		parts: &[Part<'_, '_>],
		a: &QuantizedActivations,
		tables: &mut Tables,
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
		let (groups, blocks) = (fives::groups(a.cols), codes::blocks(a.cols));
		for block in 0..blocks {
			let start = block * BLOCK_GROUPS;
			let end = groups.min(start + BLOCK_GROUPS);
			let of_block = &mut tables.tables[start..end];
			if tables.built == start {
				let q = &a.q(0)[block * BLOCK_COLS..];
				self.build_block(q, first.groups.block(block), of_block);
				tables.built = end;
			}
			let tables = &*of_block;
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
