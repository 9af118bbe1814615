//! Ternary weight matrices: two bits per weight, laid out for SIMD.
//!
//! Sixteen rows form a panel, sixteen columns a step. One `Block` of 64 bytes holds one step of
//! one panel: byte `4 * row + j` holds the codes of columns `j`, `j + 4`, `j + 8` and `j + 12` of
//! the step, lowest bits first. So bits `2i..2i + 2` of a block are, for each row, the four
//! consecutive columns `4i..4i + 4`, one row per 32-bit lane: a dot-product instruction needs one
//! broadcast of four activations and no sum across lanes. Codes are the weight plus one.

use alloc::{vec, vec::Vec};
use core::fmt;

/// Rows in a panel.
pub const PANEL_ROWS: usize = 16;
/// Columns in a step.
pub const STEP_COLS: usize = 16;
/// Largest number of columns, so that every 32-bit sum of every kernel is exact.
pub const MAX_COLS: usize = 1 << 17;

/// Bytes after the codes of an I2_S tensor: the scale and padding.
const I2_S_TRAILER: usize = 32;
/// Weights in a block of I2_S, and its bytes.
const I2_S_BLOCK: (usize, usize) = (128, 32);
/// Columns are a multiple of this.
const COLS_MULTIPLE: usize = 32;

/// One step of one panel: 16 rows by 16 columns.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Block(pub(crate) [u8; 64]);

const _: () = assert!(size_of::<Block>() == PANEL_ROWS * STEP_COLS / 4);

/// A matrix with elements in {-1, 0, 1} and one positive scale.
#[derive(Clone)]
pub struct TernaryMatrix {
	rows: usize,
	cols: usize,
	scale: f32,
	/// Panel-major, then step.
	blocks: Vec<Block>,
}

/// Why weights were refused.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PackError {
	/// The shape is empty, too wide or not a multiple of what the format needs.
	Shape {
		/// Number of rows asked for.
		rows: usize,
		/// Number of columns asked for.
		cols: usize,
	},
	/// The input has another length than the shape says.
	Length {
		/// Bytes or values that the shape needs.
		expected: usize,
		/// Bytes or values given.
		found: usize,
	},
	/// An element is not -1, 0 or 1 (in I2_S: its code is 3).
	Value {
		/// Row of the first such element found.
		row: usize,
		/// Column of the first such element found.
		col: usize,
	},
	/// The scale is not finite and positive.
	Scale(f32),
}

impl fmt::Display for PackError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Shape { rows, cols } => write!(f, "unsupported matrix shape {rows}x{cols}"),
			Self::Length { expected, found } => {
				write!(f, "matrix data has length {found}, expected {expected}")
			}
			Self::Value { row, col } => {
				write!(f, "element at row {row}, column {col} is not -1, 0 or 1")
			}
			Self::Scale(scale) => write!(f, "scale {scale} is not finite and positive"),
		}
	}
}

impl core::error::Error for PackError {}

impl fmt::Debug for TernaryMatrix {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.debug_struct("TernaryMatrix")
			.field("rows", &self.rows)
			.field("cols", &self.cols)
			.field("scale", &self.scale)
			.finish_non_exhaustive()
	}
}

impl TernaryMatrix {
	/// Reads a tensor in the I2_S layout of bitnet.cpp (GGUF type 36, 128 weights in 32 bytes).
	///
	/// `bytes` is the whole tensor: `rows * cols / 4` bytes of codes, a little-endian `f32` scale,
	/// and 28 bytes that are not read. Within a block, byte `p` holds the codes of elements `p`,
	/// `p + 32`, `p + 64` and `p + 96`, highest bits first; code 0 is -1, 1 is 0 and 2 is +1.
	///
	/// # Errors
	///
	/// [`PackError`] when the shape is empty, `cols` is not a multiple of 32 or above
	/// [`MAX_COLS`], `rows * cols` is not a multiple of 128, the length differs, a code is 3, or
	/// the scale is not finite and positive.
	pub fn from_i2_s(bytes: &[u8], rows: usize, cols: usize) -> Result<Self, PackError> {
		let count = checked_count(rows, cols)?;
		if !count.is_multiple_of(I2_S_BLOCK.0) {
			return Err(PackError::Shape { rows, cols });
		}
		let expected = count / 4 + I2_S_TRAILER;
		if bytes.len() != expected {
			return Err(PackError::Length {
				expected,
				found: bytes.len(),
			});
		}
		let (codes, trailer) = bytes.split_at(count / 4);
		let scale = f32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]);
		let mut matrix = Self::zeroed(rows, cols, scale)?;
		for row in 0..rows {
			// A run of 32 columns lies in one block, at one bit position.
			for run in 0..cols / COLS_MULTIPLE {
				let element = row * cols + run * COLS_MULTIPLE;
				let block = element / I2_S_BLOCK.0;
				let shift = 6 - 2 * ((element % I2_S_BLOCK.0) / 32);
				let source = &codes[block * I2_S_BLOCK.1..][..I2_S_BLOCK.1];
				let mut words = [0_u32; 8];
				let mut bad = 0;
				for (word, four) in words.iter_mut().zip(source.as_chunks::<4>().0) {
					*word = (u32::from_le_bytes(*four) >> shift) & 0x0303_0303;
					bad |= *word & (*word >> 1) & 0x0101_0101;
				}
				if bad != 0 {
					let code = |i: usize| (source[i] >> shift) & 3;
					let offset = (0..COLS_MULTIPLE).position(|i| code(i) == 3).unwrap_or(0);
					return Err(PackError::Value {
						row,
						col: run * COLS_MULTIPLE + offset,
					});
				}
				matrix.put(row, 2 * run, [words[0], words[1], words[2], words[3]]);
				matrix.put(row, 2 * run + 1, [words[4], words[5], words[6], words[7]]);
			}
		}
		Ok(matrix)
	}

	/// Packs `rows * cols` values in {-1, 0, 1}, row by row.
	///
	/// # Errors
	///
	/// [`PackError`] when the shape is empty, `cols` is not a multiple of 32 or above
	/// [`MAX_COLS`], the length differs, a value is not ternary, or the scale is not finite and
	/// positive.
	pub fn from_ternary(
		values: &[i8],
		rows: usize,
		cols: usize,
		scale: f32,
	) -> Result<Self, PackError> {
		let expected = checked_count(rows, cols)?;
		if values.len() != expected {
			return Err(PackError::Length {
				expected,
				found: values.len(),
			});
		}
		let mut matrix = Self::zeroed(rows, cols, scale)?;
		if let Some(i) = values.iter().position(|v| !(-1..=1).contains(v)) {
			return Err(PackError::Value {
				row: i / cols,
				col: i % cols,
			});
		}
		for (row, line) in values.chunks_exact(cols).enumerate() {
			for (step, sixteen) in line.as_chunks::<STEP_COLS>().0.iter().enumerate() {
				let mut words = [0; 4];
				for (word, four) in words.iter_mut().zip(sixteen.as_chunks::<4>().0) {
					*word = u32::from_le_bytes(four.map(|v| (v + 1) as u8));
				}
				matrix.put(row, step, words);
			}
		}
		Ok(matrix)
	}

	/// A matrix of the given shape whose codes are all zero (weight -1), rows padded to a panel.
	fn zeroed(rows: usize, cols: usize, scale: f32) -> Result<Self, PackError> {
		if !(scale.is_finite() && scale > 0.0) {
			return Err(PackError::Scale(scale));
		}
		let blocks = vec![Block([0; 64]); rows.div_ceil(PANEL_ROWS) * (cols / STEP_COLS)];
		Ok(Self {
			rows,
			cols,
			scale,
			blocks,
		})
	}

	/// Stores the sixteen codes of one row and step, one code per byte of `words`.
	#[inline(always)]
	fn put(&mut self, row: usize, step: usize, words: [u32; 4]) {
		let packed = words[0] | words[1] << 2 | words[2] << 4 | words[3] << 6;
		let panel = row / PANEL_ROWS * (self.cols / STEP_COLS);
		let at = row % PANEL_ROWS * 4;
		self.blocks[panel + step].0[at..at + 4].copy_from_slice(&packed.to_le_bytes());
	}

	/// Number of rows: outputs of the layer.
	pub fn rows(&self) -> usize {
		self.rows
	}

	/// Number of columns: inputs of the layer.
	pub fn cols(&self) -> usize {
		self.cols
	}

	/// The factor that every element stands for.
	pub fn scale(&self) -> f32 {
		self.scale
	}

	/// Bytes of packed weights in memory, the padding of the last panel included.
	pub fn packed_bytes(&self) -> usize {
		size_of_val(self.blocks.as_slice())
	}

	/// The elements of one row, each -1, 0 or 1.
	///
	/// # Panics
	///
	/// If `row` is not below [`rows`](Self::rows).
	pub fn row(&self, row: usize) -> Vec<i8> {
		assert!(row < self.rows, "row {row} of {}", self.rows);
		let mut out = vec![0; self.cols];
		unpack(self.panel(row / PANEL_ROWS), row % PANEL_ROWS, &mut out);
		out
	}

	/// The blocks of sixteen rows, `cols / 16` of them.
	pub(crate) fn panel(&self, panel: usize) -> &[Block] {
		let steps = self.cols / STEP_COLS;
		&self.blocks[panel * steps..][..steps]
	}
}

/// The weights of one row of a panel, sixteen for each block.
pub(crate) fn unpack(blocks: &[Block], row: usize, out: &mut [i8]) {
	for (block, out) in blocks.iter().zip(out.as_chunks_mut::<STEP_COLS>().0) {
		let at = 4 * row;
		let packed = [
			block.0[at],
			block.0[at + 1],
			block.0[at + 2],
			block.0[at + 3],
		];
		let packed = u32::from_le_bytes(packed);
		for (i, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
			let codes = (packed >> (2 * i)) & 0x0303_0303;
			*out = codes.to_le_bytes().map(|code| code as i8 - 1);
		}
	}
}

/// `rows * cols` for an acceptable shape.
fn checked_count(rows: usize, cols: usize) -> Result<usize, PackError> {
	let error = PackError::Shape { rows, cols };
	if rows == 0 || cols == 0 || cols > MAX_COLS || !cols.is_multiple_of(COLS_MULTIPLE) {
		return Err(error);
	}
	// Room for the padding to whole panels too.
	rows.checked_add(PANEL_ROWS)
		.and_then(|r| r.checked_mul(cols))
		.ok_or(error)?;
	Ok(rows * cols)
}
