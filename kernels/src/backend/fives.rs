//! One token, or few, by weights that are five in a byte.
//!
//! Blocks of columns come one after the other, so that the tables of a token, or two, stay in the first-level cache while
//! all panels of a thread pass, four by four. Each thread builds its own tables: none waits for another that builds them,
//! and the weights that come first are on their way from memory meanwhile.

use super::{Backend, kernel, part::Part};
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

/// Tables of tokens, as far as they have been built: block by block, for each token one after the other.
struct Tables {
	/// Of which activations: [`QuantizedActivations::id`].
	id: u64,
	/// The others are of earlier activations: clearing them would take a fifth of building them.
	built: usize,
	tables: Vec<Table>,
}

impl Backend {
	/// Matrices times few vectors, for parts that differ between threads.
	pub(super) fn each_token_fives(&self, parts: &[Part<'_, '_>], a: &QuantizedActivations) {
		TABLES.with_borrow_mut(|tables| {
			if tables.id != a.id {
				(tables.id, tables.built) = (a.id, 0);
				let len = tables.tables.len().max(a.tokens * fives::groups(a.cols));
				tables.tables.resize(len, Table([0; 256]));
			}
			self.each_token_by_tables(parts, a, tables);
		});
	}

	/// Builds a token's tables of a block of columns, and prefetches the weights that meet them first.
	fn build_block(&self, q: &[i8], first: Option<PanelBlock<'_>>, tables: &mut [Table]) {
		let weights = first
			.iter()
			.flat_map(|first| first.groups().chunks(TURNS * first.together()));
		let weights = weights.chain(repeat(&[][..]));
		let q = q.chunks(TURN_COLS).chain(repeat(&[][..]));
		for ((tables, q), weights) in tables.chunks_mut(TURNS).zip(q).zip(weights) {
			memory::prefetch_later(weights.as_flattened());
			kernel!(self, build_fives(q, tables));
		}
	}

	fn each_token_by_tables(
		&self,
		parts: &[Part<'_, '_>],
		a: &QuantizedActivations,
		tables: &mut Tables,
	) {
		let pieces: Vec<Piece<'_, '_>> = parts.iter().flat_map(pieces).collect();
		let Some(first) = pieces.first() else {
			return;
		};
		// For each piece its tokens.
		let mut sums = vec![[[0; PANEL_ROWS]; PANELS]; pieces.len() * a.tokens];
		for (piece, sums) in pieces.iter().zip(sums.chunks_exact_mut(a.tokens)) {
			for (corrections, panel) in piece.corrections.iter().zip(0..) {
				sums.iter_mut().for_each(|sums| sums[panel] = **corrections);
			}
		}
		let (groups, blocks) = (fives::groups(a.cols), codes::blocks(a.cols));
		for block in 0..blocks {
			let start = block * BLOCK_GROUPS;
			let end = groups.min(start + BLOCK_GROUPS);
			let of_block = &mut tables.tables[start * a.tokens..end * a.tokens];
			if tables.built == start {
				for (token, tables) in of_block.chunks_exact_mut(end - start).enumerate() {
					let q = &a.q(token)[block * BLOCK_COLS..];
					let weights = (token == 0).then(|| first.groups.block(block));
					self.build_block(q, weights, tables);
				}
				tables.built = end;
			}
			let of_tokens: Vec<&[Table]> = of_block.chunks_exact(end - start).collect();
			for (pair, tables) in of_tokens.chunks(2).enumerate() {
				let sums = sums.chunks_exact_mut(a.tokens);
				for (i, (piece, sums)) in pieces.iter().zip(sums).enumerate() {
					let groups = piece.groups.block(block);
					let next = match pieces.get(i + 1) {
						Some(next) => next.groups.block(block),
						None if block + 1 < blocks => first.groups.block(block + 1),
						None => groups,
					};
					let sums = &mut sums[2 * pair..][..tables.len()];
					kernel!(self, fives_dots(groups, piece.count, tables, next, sums));
				}
			}
		}
		for (piece, sums) in pieces.iter().zip(sums.chunks_exact(a.tokens)) {
			let row = piece.first * PANEL_ROWS;
			let rows = piece.w.rows();
			let count = (piece.count * PANEL_ROWS).min(rows - row);
			for (token, sums) in sums.iter().enumerate() {
				// SAFETY: each panel is in one thread's parts, so its rows are written by one thread.
				let out = unsafe { piece.out.part(token * rows + row, count) };
				for (out, sum) in out.iter_mut().zip(sums.as_flattened()) {
					*out = scalar::rescale(*sum, a.inv[token], piece.w.scale());
				}
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
