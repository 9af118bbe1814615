//! Weights unpacked to a byte each, for many tokens.

use super::{PANEL_ROWS, Panel, dense, fives, two_bit};
#[cfg(target_arch = "x86_64")]
use crate::memory;
use core::ops::Range;

/// Columns unpacked at a time: whole groups of the dense packing and whole blocks of the two-bit
/// one. A block of codes fits the first-level cache beside the activations of some tokens, and a
/// sum over it of products of a code in 0..=2 and a value in -127..=127 fits 16 bits, two to a lane.
pub(crate) const BLOCK_COLS: usize = 240;
/// Steps of four columns.
pub(crate) const BLOCK_STEPS: usize = BLOCK_COLS / 4;

const _: () = assert!(BLOCK_COLS.is_multiple_of(dense::GROUP_COLS));
const _: () = assert!(BLOCK_COLS.is_multiple_of(two_bit::BLOCK_COLS));
const _: () = assert!(BLOCK_STEPS as i64 * 2 * 2 * 127 <= i16::MAX as i64);

/// Four columns of a panel: for each row its codes, the weights plus one.
pub(crate) type Step = [[u8; 4]; PANEL_ROWS];

/// 64 rows by 240 columns, steps of four columns one after the other.
#[repr(C, align(64))]
pub(crate) struct Codes(pub(crate) [Step; BLOCK_STEPS]);

impl Codes {
	pub(crate) const fn zeroed() -> Self {
		Self([[[0; 4]; PANEL_ROWS]; BLOCK_STEPS])
	}
}

/// Blocks of columns in a panel.
pub(crate) fn blocks(cols: usize) -> usize {
	cols.div_ceil(BLOCK_COLS)
}

/// Columns `first..first + N` of rows of `stride` codes each, `N` a multiple of eight: side by side, so that rows
/// are the lanes of what follows. Rows that a panel does not have are zeros, codes of 1.
pub(super) fn columns<const N: usize>(
	codes: &[u8],
	stride: usize,
	first: usize,
) -> [[u8; PANEL_ROWS]; N] {
	let mut columns = [[1; PANEL_ROWS]; N];
	for (eight, codes) in codes.chunks(8 * stride).enumerate() {
		for (part, columns) in columns.as_chunks_mut::<8>().0.iter_mut().enumerate() {
			let mut words = [u64::from_le_bytes([1; 8]); 8];
			for (word, codes) in words.iter_mut().zip(codes.chunks_exact(stride)) {
				*word = u64::from_le_bytes(codes[first..].as_chunks().0[part]);
			}
			for (column, word) in columns.iter_mut().zip(transpose(words)) {
				column.as_chunks_mut().0[eight] = word.to_le_bytes();
			}
		}
	}
	columns
}

/// Turns eight rows of eight bytes into columns: halves of the square change places, then quarters, then bytes.
fn transpose(mut rows: [u64; 8]) -> [u64; 8] {
	for (distance, mask) in [
		(4, 0x0000_0000_ffff_ffff),
		(2, 0x0000_ffff_0000_ffff),
		(1, 0x00ff_00ff_00ff_00ff_u64),
	] {
		for i in (0..8).filter(|i| i & distance == 0) {
			let change = (rows[i] >> (8 * distance) ^ rows[i + distance]) & mask;
			rows[i] ^= change << (8 * distance);
			rows[i + distance] ^= change;
		}
	}
	rows
}

/// Unpacks block number `block` of a panel with `cols` columns; returns its steps.
///
/// Rows that the panel does not have keep what `codes` held.
#[inline(always)]
pub(crate) fn unpack(panel: Panel<'_>, cols: usize, block: usize, codes: &mut Codes) -> usize {
	match panel {
		Panel::TwoBit(blocks) => {
			let per_run = cols / two_bit::BLOCK_COLS;
			let first = block * (BLOCK_COLS / two_bit::BLOCK_COLS);
			let count = (BLOCK_COLS / two_bit::BLOCK_COLS).min(per_run - first);
			unpack_two_bit(blocks, per_run, first..first + count, codes)
		}
		Panel::Dense(groups, _) => {
			let first = block * (BLOCK_COLS / dense::GROUP_COLS);
			let count = (BLOCK_COLS / dense::GROUP_COLS).min(groups.len() - first);
			dense::unpack(&groups[first..][..count], codes);
			count * (dense::GROUP_COLS / 4)
		}
		Panel::Fives(panel, _) => {
			let panel = panel.block(block);
			let cols = BLOCK_COLS.min(cols - block * BLOCK_COLS);
			fives::unpack(panel, cols, codes);
			cols / 4
		}
	}
}

/// Asks for what [`unpack`] will read.
#[cfg(target_arch = "x86_64")]
pub(crate) fn prefetch(panel: Panel<'_>, cols: usize, block: usize) {
	let part = |part_cols: usize, len: usize| {
		let count = BLOCK_COLS / part_cols;
		block * count..len.min((block + 1) * count)
	};
	match panel {
		Panel::TwoBit(blocks) => {
			let runs = blocks.chunks_exact(cols / two_bit::BLOCK_COLS);
			runs.for_each(|run| {
				memory::prefetch(run[part(two_bit::BLOCK_COLS, run.len())].as_flattened())
			});
		}
		Panel::Dense(groups, _) => {
			memory::prefetch(groups[part(dense::GROUP_COLS, groups.len())].as_flattened())
		}
		Panel::Fives(panel, _) => panel
			.block(block)
			.each()
			.for_each(|group| memory::prefetch(group)),
	}
}

/// Unpacks some blocks of each run of a two-bit panel with `per_run` blocks; returns their steps.
#[inline(always)]
pub(crate) fn unpack_two_bit(
	blocks: &[two_bit::Block],
	per_run: usize,
	columns: Range<usize>,
	codes: &mut Codes,
) -> usize {
	let count = columns.len();
	for (run, blocks) in blocks.chunks_exact(per_run).enumerate() {
		let steps = codes.0.as_chunks_mut::<4>().0;
		for (block, steps) in blocks[columns.clone()].iter().zip(steps) {
			for (p, step) in steps.iter_mut().enumerate() {
				let rows = &mut step[run * two_bit::BLOCK_ROWS..][..two_bit::BLOCK_ROWS];
				for (code, byte) in rows.as_flattened_mut().iter_mut().zip(block) {
					*code = byte >> (2 * p) & 3;
				}
			}
		}
	}
	4 * count
}
