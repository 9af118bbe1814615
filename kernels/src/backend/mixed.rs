//! Matrix times matrix with AVX-512, some tokens by dot products and some by table lookup, where that is faster
//! than dot products alone: on Zen 4, but not where permutations and dot products share their units. A short measurement
//! tells; results are the same.
//!
//! Tokens form tiles. Block of columns by block: fill the tables of each tile's last tokens; for each panel unpack the
//! block's weights, and multiply them by all tiles.

use super::{
	Backend, kernel,
	part::{Part, each_panel},
	way::MIXED_TOKENS,
};
use crate::{
	Isa,
	quant::QuantizedActivations,
	ternary::{
		PANEL_ROWS,
		codes::{self, BLOCK_COLS, Codes},
		unpack,
	},
	x86::avx512::{
		self,
		mixed::{
			self, BlockLanes, LOOKED_UP, NO_LANES, NO_TABLES, STEPS, TILE_TOKENS, Tables, Tile,
		},
	},
};
use std::{cell::RefCell, hint::black_box, ops::Range, sync::OnceLock, time::Instant};

/// How much faster lookups have to be in the measurement, to pay for the tables as well.
const GAIN: f64 = 1.15;
/// Tokens by which weights are multiplied once they are unpacked.
const TOKEN_CHUNK: usize = 20 * TILE_TOKENS;
/// Panels for which tables are filled once: their sums, 700 KiB, and the tables, 200 KiB, fit a second-level cache of 1 MiB.
const TILE_PANELS: usize = 20;

thread_local! {
	static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// What a thread needs for its panels.
struct Scratch {
	codes: Box<Codes>,
	lanes: Box<BlockLanes>,
	/// The tokens' values in the block, and zeros.
	q: Vec<[i8; BLOCK_COLS]>,
	tiles: Vec<Tile>,
	/// For each tile.
	tables: Vec<[Tables; LOOKED_UP]>,
	/// For each panel and each token.
	sums: Vec<[i32; PANEL_ROWS]>,
}

impl Scratch {
	fn new() -> Self {
		Self {
			codes: Box::new(Codes::zeroed()),
			lanes: Box::new(NO_LANES),
			q: Vec::new(),
			tiles: Vec::new(),
			tables: Vec::new(),
			sums: Vec::new(),
		}
	}
}

/// Tiles of some tokens, as equal as they can be.
fn tiles(tokens: usize) -> impl Iterator<Item = Tile> {
	let count = tokens.div_ceil(TILE_TOKENS);
	let start = move |tile: usize| tile * tokens / count;
	(0..count).map(move |tile| Tile {
		first: start(tile),
		count: start(tile + 1) - start(tile),
		values: [0; LOOKED_UP],
	})
}

/// Whether this CPU is faster with lookups than without, for 42 tokens: some tenths of a millisecond, once.
pub(super) fn lookups_pay() -> bool {
	static PAY: OnceLock<bool> = OnceLock::new();
	*PAY.get_or_init(|| {
		const TOKENS: usize = 6 * TILE_TOKENS;
		let (codes, lanes) = (Box::new(Codes::zeroed()), Box::new(NO_LANES));
		let q = vec![[1; BLOCK_COLS]; TOKENS];
		let tiles: Vec<Tile> = tiles(TOKENS).collect();
		let tables = vec![[NO_TABLES; LOOKED_UP]; tiles.len()];
		let mut sums = vec![[0; PANEL_ROWS]; TOKENS];
		// The fastest of some times is the one that nothing came between.
		let mut time = |work: &dyn Fn(&mut [[i32; PANEL_ROWS]])| {
			let once = |_| {
				let start = Instant::now();
				work(black_box(&mut sums));
				start.elapsed().as_secs_f64()
			};
			(0..20).map(once).fold(f64::INFINITY, f64::min)
		};
		// SAFETY: only called for levels whose features `Backend::new` checked.
		let with = time(&|sums| unsafe {
			mixed::multiply(&codes.0, &lanes, &q, &tiles, &tables, sums);
		});
		// SAFETY: as above.
		let without = time(&|sums| unsafe {
			avx512::multiply(&codes.0, q.as_flattened(), BLOCK_COLS, sums);
		});
		without > GAIN * with
	})
}

impl Backend {
	/// Matrices times matrix, for parts that differ between threads; at least [`MIXED_TOKENS`] tokens.
	pub(super) fn mix(&self, parts: &[Part<'_, '_>], a: &QuantizedActivations) {
		assert!(matches!(self.isa(), Isa::Avx512 | Isa::Avx512Vbmi));
		assert!(a.tokens >= MIXED_TOKENS, "tiles would be too small");
		let panels = each_panel(parts);
		let chunks = a.tokens.div_ceil(TOKEN_CHUNK);
		let tiles = panels.len().div_ceil(TILE_PANELS).max(1);
		SCRATCH.with_borrow_mut(|scratch| {
			for chunk in 0..chunks {
				let tokens = chunk * a.tokens / chunks..(chunk + 1) * a.tokens / chunks;
				// Tiles of equal sizes: small ones use tables little.
				for panels in panels.chunks(panels.len().div_ceil(tiles).max(1)) {
					self.mix_tile(scratch, panels, a, tokens.clone());
				}
			}
		});
	}

	/// Some panels by some tokens.
	fn mix_tile(
		&self,
		scratch: &mut Scratch,
		panels: &[(&Part<'_, '_>, usize)],
		a: &QuantizedActivations,
		tokens: Range<usize>,
	) {
		let Scratch {
			codes,
			lanes,
			q,
			tiles,
			tables,
			sums,
		} = scratch;
		tiles.clear();
		tiles.extend(self::tiles(tokens.len()));
		q.resize(q.len().max(tokens.len()), [0; BLOCK_COLS]);
		tables.resize(tables.len().max(tiles.len()), [NO_TABLES; LOOKED_UP]);
		sums.clear();
		sums.resize(panels.len() * tokens.len(), [0; PANEL_ROWS]);
		let blocks = codes::blocks(a.cols);
		for block in 0..blocks {
			let first = block * BLOCK_COLS;
			let cols = BLOCK_COLS.min(a.cols - first).next_multiple_of(4 * STEPS);
			// With the zeros behind the last column, and side by side: in their rows they are too far from each other.
			for (q, token) in q.iter_mut().zip(tokens.clone()) {
				q[..cols].copy_from_slice(&a.padded(token)[first..][..cols]);
			}
			for (tile, tables) in tiles.iter_mut().zip(&mut *tables) {
				let last = tile.first + tile.count - LOOKED_UP..;
				for (token, (tables, values)) in last.zip(tables.iter_mut().zip(&mut tile.values)) {
					// SAFETY: `Backend::new` checked that the CPU has the features of the level.
					*values = unsafe { mixed::fill(&q[token][..cols], tables) };
				}
			}
			let sums = sums.chunks_exact_mut(tokens.len());
			for (i, ((part, panel), sums)) in panels.iter().zip(sums).enumerate() {
				let unpacked = kernel!(
					self,
					unpack(part.w.panel(*panel), a.cols, block, &mut *codes)
				);
				// Some packings have zeros behind the last column, others have less than is read here.
				let steps = &mut codes.0[..cols / 4];
				steps[unpacked.min(cols / 4)..]
					.as_flattened_mut()
					.fill([0; 4]);
				// SAFETY: as above.
				unsafe { mixed::lanes(steps, lanes) };
				let (most, last) = tiles.split_at(tiles.len() - 1);
				// SAFETY: as above.
				unsafe { mixed::multiply(steps, lanes, q, most, tables, sums) };
				// Prefetched earlier, it would be evicted from the first-level cache before it is needed.
				let next = panels.get(i + 1).map(|next| (next, block));
				let next = next.or((block + 1 < blocks).then_some((&panels[0], block + 1)));
				if let Some(((part, panel), block)) = next {
					unpack::prefetch(part.w.panel(*panel), a.cols, block);
				}
				// SAFETY: as above.
				unsafe { mixed::multiply(steps, lanes, q, last, &tables[most.len()..], sums) };
			}
		}
		for ((part, panel), sums) in panels.iter().zip(sums.chunks_exact(tokens.len())) {
			self.put_rows(part, a, *panel, tokens.start, sums);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::{
		super::linear::tests::{at_extremes, check, random},
		*,
	};
	use crate::ternary::Packing;

	/// Also where this CPU would not choose lookups.
	fn check_mixed(shape: (usize, usize, usize), value: impl Fn(usize) -> (i8, f32)) {
		for isa in [Isa::Avx512, Isa::Avx512Vbmi] {
			if !isa.is_supported() {
				println!("skipped: this CPU does not support {isa}");
				continue;
			}
			let backend = Backend::new(isa, 1);
			for packing in [Packing::TwoBit, Packing::Dense, Packing::Fives] {
				check(&backend, packing, shape, &value, Backend::mix);
			}
		}
	}

	#[test]
	fn lookups_give_the_bits_of_the_specification() {
		// Tiles of four to seven tokens, several chunks of tokens and tiles of panels, and all kinds of last columns.
		for shape in [
			(64, 32, 8),
			(70, 256, 9),
			(130, 480, 13),
			(65, 512, 15),
			(300, 736, 20),
			(1_400, 288, 14),
			(64, 320, TOKEN_CHUNK + 1),
		] {
			check_mixed(shape, random);
		}
	}

	#[test]
	fn lookups_do_not_overflow() {
		at_extremes(|value| check_mixed((66, 992, 9), value));
	}

	#[test]
	fn tiles_are_of_all_tokens_and_never_small() {
		for tokens in MIXED_TOKENS..=TOKEN_CHUNK {
			let mut next = 0;
			for tile in tiles(tokens) {
				assert_eq!(tile.first, next);
				assert!((LOOKED_UP + 2..=TILE_TOKENS).contains(&tile.count));
				next += tile.count;
			}
			assert_eq!(next, tokens);
		}
	}
}
