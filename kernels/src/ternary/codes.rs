//! Weights unpacked to a byte each, for many tokens.

use super::{PANEL_ROWS, Panel, dense, two_bit};
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
