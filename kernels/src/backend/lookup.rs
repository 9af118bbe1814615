//! Matrix times matrix by table lookup, where that is faster than multiplying.
//!
//! Tables are of a few columns and sixteen tokens. Block of columns by block: unpack the block's weights of all
//! panels in a tile; for each sixteen tokens and each group of steps, fill the tables and let all panels look up. Sums of 16 bits are widened when the next block could make them overflow.

use super::{
	Backend,
	part::{Part, each_panel},
};
use crate::{
	Isa,
	quant::QuantizedActivations,
	scalar,
	ternary::{
		PANEL_ROWS,
		codes::{self, BLOCK_COLS, BLOCK_STEPS, Codes},
	},
	x86::avx2::lookup::{self, Columns, GROUP, LANES, Offsets, PAIRS, Sums, Tables},
};
use std::{cell::RefCell, ops::Range};

/// Runs of sixteen tokens for which weights are unpacked once.
const RUNS: usize = 4;
/// Panels of a tile: for them a table is filled once. Their sums and offsets, each at most 256 KiB, stay in the second-level cache.
const TILE_PANELS: usize = 32;
/// Groups of steps in a block.
const BLOCK_GROUPS: usize = BLOCK_STEPS / GROUP;

// The sums of a block fit: of its columns each adds at most 127.
const _: () = assert!(BLOCK_COLS * 127 <= i16::MAX as usize);

/// Offsets of the weights of a panel's block.
type PanelOffsets = [[Offsets; PAIRS]; BLOCK_GROUPS];

thread_local! {
	static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// What a thread needs for its panels.
struct Scratch {
	codes: Box<Codes>,
	tables: Box<Tables>,
	/// For each panel.
	offsets: Vec<PanelOffsets>,
	/// For each run of tokens, the values of a block.
	columns: Vec<[[Columns; GROUP]; BLOCK_GROUPS]>,
	/// For each run of tokens and each panel.
	sums: Vec<[Sums; PANEL_ROWS]>,
	wide: Vec<[[i32; LANES]; PANEL_ROWS]>,
}

impl Scratch {
	fn new() -> Self {
		Self {
			codes: Box::new(Codes::zeroed()),
			tables: Tables::new(),
			offsets: Vec::new(),
			columns: Vec::new(),
			sums: Vec::new(),
			wide: Vec::new(),
		}
	}

	fn make_room(&mut self, panels: usize, runs: usize) {
		let len = self.offsets.len().max(panels);
		self.offsets
			.resize(len, [[[0; PANEL_ROWS]; PAIRS]; BLOCK_GROUPS]);
		let len = self.columns.len().max(runs);
		self.columns
			.resize(len, [[[[0; 4]; LANES]; GROUP]; BLOCK_GROUPS]);
		let len = self.sums.len().max(panels * runs);
		self.sums.resize(len, [Sums([0; LANES]); PANEL_ROWS]);
		self.wide.resize(len, [[0; LANES]; PANEL_ROWS]);
	}
}

impl Backend {
	/// Matrices times matrix, for parts that differ between threads.
	pub(super) fn look_up(&self, parts: &[Part<'_, '_>], a: &QuantizedActivations) {
		assert_eq!(self.isa(), Isa::Avx2);
		let panels = each_panel(parts);
		SCRATCH.with_borrow_mut(|scratch| {
			for first in (0..a.tokens).step_by(RUNS * LANES) {
				let tokens = (RUNS * LANES).min(a.tokens - first);
				// Tiles of equal sizes: small ones use tables little.
				let tiles = panels.len().div_ceil(TILE_PANELS).max(1);
				for panels in panels.chunks(panels.len().div_ceil(tiles).max(1)) {
					scratch.make_room(panels.len(), tokens.div_ceil(LANES));
					// SAFETY: `Backend::new` checked that the CPU has the features of AVX2's level.
					unsafe { tile(scratch, panels, a, first, tokens) };
				}
			}
		});
	}
}

/// Some panels by some tokens from `first`.
#[target_feature(enable = "avx2,f16c")]
fn tile(
	scratch: &mut Scratch,
	panels: &[(&Part<'_, '_>, usize)],
	a: &QuantizedActivations,
	first: usize,
	tokens: usize,
) {
	let (runs, end) = (tokens.div_ceil(LANES), first + tokens);
	let sums = &mut scratch.sums[..runs * panels.len()];
	let wide = &mut scratch.wide[..runs * panels.len()];
	wide.as_flattened_mut().fill([0; LANES]);
	// The largest absolute value that a sum in 16 bits may have.
	let mut reached = 0;
	for block in 0..codes::blocks(a.cols) {
		let mut steps = 0;
		for ((part, panel), offsets) in panels.iter().zip(&mut scratch.offsets) {
			let (w, codes) = (part.w, &mut scratch.codes);
			steps = crate::x86::avx2::unpack(w.panel(*panel), w.cols(), block, codes);
			lookup::offsets(&codes.0[..steps], offsets.as_flattened_mut());
		}
		let groups = steps.div_ceil(GROUP);
		let of_runs = scratch.columns[..runs].iter_mut().enumerate();
		let adds = of_runs.map(|(run, columns)| {
			let first = first + run * LANES;
			transpose(a, first..end, block, columns.as_flattened_mut())
		});
		let adds = adds.max().unwrap_or(0);
		if reached + adds > i32::from(i16::MAX) {
			lookup::widen(sums.as_flattened_mut(), wide.as_flattened_mut());
			reached = 0;
		}
		reached += adds;
		let runs = sums.chunks_exact_mut(panels.len()).zip(&scratch.columns);
		for (sums, columns) in runs {
			for group in 0..groups {
				lookup::fill(&columns[group], &mut scratch.tables);
				for (sums, offsets) in sums.iter_mut().zip(&scratch.offsets) {
					lookup::look_up(&scratch.tables, &offsets[group], sums);
				}
			}
		}
	}
	lookup::widen(sums.as_flattened_mut(), wide.as_flattened_mut());
	for (run, wide) in wide.chunks_exact(panels.len()).enumerate() {
		let first = first + run * LANES;
		let tokens = first..(first + LANES).min(end);
		for ((part, panel), wide) in panels.iter().zip(wide) {
			let (w, row) = (part.w, panel * PANEL_ROWS);
			let count = PANEL_ROWS.min(w.rows() - row);
			for (lane, token) in tokens.clone().enumerate() {
				// SAFETY: each panel is in one thread's parts, so its rows are written by one thread.
				let out = unsafe { part.out.part(token * w.rows() + row, count) };
				for (out, wide) in out.iter_mut().zip(wide) {
					*out = scalar::rescale(wide[lane], a.inv[token], w.scale());
				}
			}
		}
	}
}

/// Puts a block of tokens' values in the order of tables, of those in `tokens` that there are in each of sixteen lanes,
/// and zeros elsewhere; returns the largest sum of absolute values of a token.
pub(super) fn transpose(
	a: &QuantizedActivations,
	tokens: Range<usize>,
	block: usize,
	columns: &mut [Columns],
) -> i32 {
	let start = block * BLOCK_COLS;
	let mut most = 0;
	for lane in 0..LANES {
		let token = tokens.start + lane;
		let q = if token < tokens.end {
			let q = a.padded(token);
			&q[start..(start + BLOCK_COLS).min(q.len())]
		} else {
			&[]
		};
		let steps = q.as_chunks::<4>().0;
		let (some, rest) = columns.split_at_mut(steps.len());
		for (columns, step) in some.iter_mut().zip(steps) {
			columns[lane] = *step;
		}
		for columns in rest {
			columns[lane] = [0; 4];
		}
		most = most.max(q.iter().map(|q| i32::from(q.unsigned_abs())).sum());
	}
	most
}
