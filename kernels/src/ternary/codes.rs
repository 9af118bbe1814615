//! Weights unpacked to a byte each, for many tokens.

use super::PANEL_ROWS;

/// Columns unpacked at a time: whole groups of the dense packing and whole blocks of the two-bit
/// one. A block of codes fits the first-level cache beside the activations of some tokens, and a
/// sum over it of products of a code in 0..=2 and a value in -127..=127 fits 16 bits, two to a lane.
pub(crate) const BLOCK_COLS: usize = 240;
/// Steps of four columns.
pub(crate) const BLOCK_STEPS: usize = BLOCK_COLS / 4;

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
