//! Unpacks weights to a byte each, whatever their packing.

use super::{
	Panel,
	codes::{BLOCK_COLS, Codes},
	dense, fives, two_bit,
};
#[cfg(target_arch = "x86_64")]
use crate::memory;
use core::ops::Range;

// What is unpacked at a time is whole in every packing.
const _: () = assert!(BLOCK_COLS.is_multiple_of(dense::GROUP_COLS));
const _: () = assert!(BLOCK_COLS.is_multiple_of(two_bit::BLOCK_COLS));

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

/// Prefetches what [`unpack`] will read.
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
