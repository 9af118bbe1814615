//! Sixteen tokens, or few less, by weights that are five in a byte: by table lookup, so that nothing is unpacked.
//!
//! For each three groups of columns: fill three tables, and let all panels of a thread look up. Sums of 16 bits are
//! widened when the next block of columns could make them overflow.

use super::{
	Backend,
	lookup::transpose,
	part::{Part, each_panel},
	way::FIVES_TABLES_TOKENS,
};
use crate::{
	Isa,
	memory::prefetch_line,
	quant::QuantizedActivations,
	ternary::{
		PANEL_ROWS, Panel,
		codes::BLOCK_COLS,
		fives::{self, BLOCK_GROUPS, GROUP_COLS, Group, PanelBlock, PanelGroups, TURNS},
	},
	x86::{
		avx2::lookup::Columns,
		avx512vbmi::fives_many::{self, LANES, Lanes, NO_LANES, TOGETHER, Tables},
	},
};
use std::{array, cell::RefCell};

/// Panels of a tile: for them tables are filled once. Their sums of 16 bits, 2 KiB each, stay in the second-level cache.
const TILE_PANELS: usize = 128;

const _: () = assert!(BLOCK_GROUPS.is_multiple_of(TOGETHER));
const _: () = assert!(*FIVES_TABLES_TOKENS.end() == LANES);
// The sums of a block fit 16 bits.
const _: () = assert!(BLOCK_COLS * 127 <= i16::MAX as usize);

thread_local! {
	static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// The values of a block's turns of twenty columns, zeros where there are none.
type BlockColumns = [[Columns; GROUP_COLS]; BLOCK_GROUPS / TURNS];

/// What a thread needs for its panels.
struct Scratch {
	tables: Box<Tables>,
	columns: Box<BlockColumns>,
	/// For each panel. All zeros before and after.
	found: Vec<[Lanes; PANEL_ROWS]>,
	/// For each panel.
	sums: Vec<[[i32; PANEL_ROWS]; LANES]>,
}

impl Scratch {
	fn new() -> Self {
		Self {
			tables: Tables::new(),
			columns: Box::new([[[[0; 4]; LANES]; GROUP_COLS]; BLOCK_GROUPS / TURNS]),
			found: Vec::new(),
			sums: Vec::new(),
		}
	}

	/// Makes room for `panels` panels. Their sums start at those of the values: they are of codes, weights plus one.
	fn start(&mut self, panels: usize, values: &[i32]) {
		let len = self.found.len().max(panels);
		self.found.resize(len, [NO_LANES; PANEL_ROWS]);
		self.sums.resize(len, [[0; PANEL_ROWS]; LANES]);
		for sums in &mut self.sums[..panels] {
			let tokens = sums.iter_mut().zip(values);
			tokens.for_each(|(sums, values)| *sums = [*values; PANEL_ROWS]);
		}
	}

	/// Adds what was looked up, in 16 bits, to the sums of 32.
	#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c,bmi2")]
	fn fold(&mut self, panels: usize) {
		for (found, sums) in self.found[..panels].iter_mut().zip(&mut self.sums) {
			fives_many::fold(found, sums);
		}
	}
}

/// A panel of a part and its weights.
struct Piece<'a, 'b> {
	part: &'a Part<'a, 'b>,
	panel: usize,
	groups: PanelGroups<'a>,
}

impl Backend {
	/// Matrices times matrix, for parts that differ between threads and are five in a byte; at most [`LANES`] tokens.
	pub(super) fn look_up_fives(&self, parts: &[Part<'_, '_>], a: &QuantizedActivations) {
		assert!(self.isa() == Isa::Avx512Vbmi && a.tokens <= LANES);
		let pieces = each_panel(parts).into_iter().map(|(part, panel)| {
			let Panel::Fives(groups, _) = part.w.panel(panel) else {
				unreachable!("`way` chose by the packing")
			};
			Piece {
				part,
				panel,
				groups,
			}
		});
		let pieces: Vec<Piece<'_, '_>> = pieces.collect();
		// Tiles of equal sizes: small ones use tables little.
		let tiles = pieces.len().div_ceil(TILE_PANELS).max(1);
		SCRATCH.with_borrow_mut(|scratch| {
			for pieces in pieces.chunks(pieces.len().div_ceil(tiles).max(1)) {
				scratch.start(pieces.len(), &a.sums);
				// SAFETY: `Backend::new` checked that the CPU has the features of the level, as asserted above.
				unsafe { look_up(scratch, pieces, a) };
				for (piece, sums) in pieces.iter().zip(&scratch.sums) {
					let (part, sums) = (piece.part, &sums[..a.tokens]);
					self.put_rows(part, a, piece.panel, 0, sums);
				}
			}
		});
	}
}

/// Some panels by all tokens.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,f16c,bmi2")]
fn look_up(scratch: &mut Scratch, pieces: &[Piece<'_, '_>], a: &QuantizedActivations) {
	let all = fives::groups(a.cols);
	// The largest absolute value that a sum of 16 bits may have.
	let mut reached = 0;
	for block in 0..all.div_ceil(BLOCK_GROUPS) {
		let columns = scratch.columns.as_flattened_mut();
		let adds = transpose(a, 0..a.tokens, block, columns);
		if reached + adds > i32::from(i16::MAX) {
			scratch.fold(pieces.len());
			reached = 0;
		}
		reached += adds;
		let groups = BLOCK_GROUPS.min(all - block * BLOCK_GROUPS);
		let blocks: Vec<_> = pieces
			.iter()
			.map(|piece| piece.groups.block(block))
			.collect();
		for first in (0..groups).step_by(TOGETHER) {
			for (at, group) in (first..first + TOGETHER).enumerate() {
				if group < groups {
					let turn = &scratch.columns[group / TURNS];
					fives_many::fill(turn, group % TURNS, &mut scratch.tables, at);
				} else {
					scratch.tables.clear(at);
				}
			}
			for (i, (block, found)) in blocks.iter().zip(&mut scratch.found).enumerate() {
				// The next groups are prefetched from memory, and again shortly before they are needed: the CPU may drop
				// a prefetch.
				let later = three(block, first + TOGETHER, groups);
				later
					.iter()
					.for_each(|group| prefetch_line::<false>(group.as_ptr()));
				let soon = three(blocks.get(i + 2).unwrap_or(block), first, groups);
				soon.iter()
					.for_each(|group| prefetch_line::<true>(group.as_ptr()));
				let three = three(block, first, groups);
				fives_many::look_up(&scratch.tables, three, found);
			}
		}
	}
	scratch.fold(pieces.len());
}

/// The groups from `first` on, of `groups`: behind the last one, any will do.
fn three<'a>(block: &PanelBlock<'a>, first: usize, groups: usize) -> [&'a Group; TOGETHER] {
	array::from_fn(|at| block.group((first + at).min(groups - 1)))
}

#[cfg(test)]
mod tests {
	use super::{
		super::linear::tests::{at_extremes, check, random},
		*,
	};
	use crate::ternary::Packing;

	/// Also for fewer panels and tokens than tables pay for.
	fn check_lookups(shape: (usize, usize, usize), value: impl Fn(usize) -> (i8, f32)) {
		if !Isa::Avx512Vbmi.is_supported() {
			println!("skipped: this CPU does not support {}", Isa::Avx512Vbmi);
			return;
		}
		let backend = Backend::new(Isa::Avx512Vbmi, 1);
		check(
			&backend,
			Packing::Fives,
			shape,
			value,
			Backend::look_up_fives,
		);
	}

	#[test]
	fn lookups_give_the_bits_of_the_specification() {
		// One token to sixteen, several tiles of panels, panels that stand together and are fewer than four, and all
		// kinds of last columns: blocks of 8 to 48 groups, padded and not.
		for shape in [
			(64, 32, 1),
			(70, 256, 9),
			(130, 480, 16),
			(65, 192, 15),
			(300, 736, 13),
			(9_000, 288, 14),
			(200, 6_912, 16),
			(64, 320, 3),
		] {
			check_lookups(shape, random);
		}
	}

	#[test]
	fn lookups_do_not_overflow() {
		at_extremes(|value| check_lookups((66, 992, 9), value));
	}
}
