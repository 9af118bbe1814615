//! Two bits for a weight.
//!
//! Sixteen rows by sixteen columns are a block of 64 bytes: byte `4 * row + j` holds the codes of
//! columns `j`, `j + 4`, `j + 8` and `j + 12`, lowest bits first. So bits `2p..2p + 2` of a block
//! are, for each row, the four consecutive columns `4p..4p + 4`, one row per 32-bit lane: a
//! dot-product instruction needs one broadcast of four activations and no sum across lanes.
//! Sixteen rows are a run of blocks, one after the other. Codes are the weight plus one.

use super::PANEL_ROWS;

/// Rows in a block.
pub(crate) const BLOCK_ROWS: usize = 16;
/// Columns in a block.
pub(crate) const BLOCK_COLS: usize = 16;

/// Sixteen rows by sixteen columns.
pub(crate) type Block = [u8; BLOCK_ROWS * BLOCK_COLS / 4];

/// Bytes of a matrix.
pub(super) fn bytes(rows: usize, cols: usize) -> usize {
	rows.div_ceil(BLOCK_ROWS) * (cols / BLOCK_COLS) * size_of::<Block>()
}

/// Stores the rows of a panel, `cols` codes each, into zeros.
pub(super) fn put(bytes: &mut [u8], codes: &[u8], cols: usize) {
	let blocks: &mut [Block] = bytes.as_chunks_mut().0;
	let runs = blocks.chunks_exact_mut(cols / BLOCK_COLS);
	for (blocks, codes) in runs.zip(codes.chunks(BLOCK_ROWS * cols)) {
		for (row, codes) in codes.chunks_exact(cols).enumerate() {
			let words = codes.as_chunks::<4>().0.as_chunks::<4>().0;
			for (block, words) in blocks.iter_mut().zip(words) {
				// Four codes in four bytes: shifts do not carry from one to the next.
				let [a, b, c, d] = words.map(u32::from_le_bytes);
				let word = a | b << 2 | c << 4 | d << 6;
				block.as_chunks_mut().0[row] = word.to_le_bytes();
			}
		}
	}
}

/// Reads the weights of a row.
pub(super) fn row(bytes: &[u8], row: usize, out: &mut [i8]) {
	let steps = out.len() / BLOCK_COLS;
	let blocks: &[Block] = &bytes.as_chunks().0[row / BLOCK_ROWS * steps..][..steps];
	let at = row % BLOCK_ROWS * 4;
	for (block, out) in blocks.iter().zip(out.as_chunks_mut::<BLOCK_COLS>().0) {
		for (i, out) in out.iter_mut().enumerate() {
			*out = (block[at + i % 4] >> (i / 4 * 2) & 3) as i8 - 1;
		}
	}
}

/// The blocks of a panel: up to four runs.
pub(super) fn panel(bytes: &[u8], cols: usize, panel: usize) -> &[Block] {
	let blocks: &[Block] = bytes.as_chunks().0;
	let of_panel = PANEL_ROWS / BLOCK_ROWS * (cols / BLOCK_COLS);
	let start = panel * of_panel;
	&blocks[start..(start + of_panel).min(blocks.len())]
}
