//! Ternary weight matrices, packed once for the way that kernels read them.
//!
//! Rows form panels of 64, whatever the packing: a panel is what one thread computes whole.
//! [`Packing`] says how the weights of a panel are stored; `codes` is the form to which all are
//! unpacked when many tokens share the weights.

use crate::{math::f16_to_f32, memory::Memory};
use std::fmt;

pub(crate) mod codes;
pub(crate) mod dense;
pub(crate) mod fives;
mod formats;
mod pack;
pub(crate) mod two_bit;
pub(crate) mod unpack;

pub use formats::{I2Block, Q2Block};
pub use pack::{Observer, PackOptions, RowOrder};

/// Rows in a panel.
pub(crate) const PANEL_ROWS: usize = 64;
/// Largest number of columns, so that every 32-bit sum of every kernel is exact.
pub const MAX_COLS: usize = 1 << 17;
/// Columns are a multiple of this.
const COLS_MULTIPLE: usize = 32;

/// How weights are stored in memory. Results do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Packing {
	/// Two bits for a weight: least arithmetic.
	TwoBit,
	/// Five bits for three weights, 1.67 bits each: less memory.
	Dense,
	/// Five weights in a byte, 1.6 bits each: least memory, where bytes can be permuted across registers.
	Fives,
}

impl fmt::Display for Packing {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::TwoBit => "two-bit",
			Self::Dense => "dense",
			Self::Fives => "fives",
		})
	}
}

/// A matrix with elements in {-1, 0, 1}, and one positive scale or one for each block of columns of a
/// row.
#[derive(Debug)]
pub struct TernaryMatrix {
	rows: usize,
	cols: usize,
	scale: f32,
	packing: Packing,
	memory: Memory,
	/// What the decode kernel adds to each row, see [`dense`] and [`fives`]. Padded to whole panels; none for two bits.
	corrections: Vec<i32>,
	/// When there is not one scale for all.
	blocks: Option<BlockScales>,
}

/// Scales of blocks of columns.
#[derive(Debug)]
pub(crate) struct BlockScales {
	/// Columns in a block.
	pub(crate) block: usize,
	/// Half-precision bits: for each run of sixteen rows its blocks, for each block its rows, padded to
	/// whole panels.
	scales: Vec<[u16; two_bit::BLOCK_ROWS]>,
	/// Blocks in a row.
	count: usize,
}

impl BlockScales {
	fn new(rows: usize, cols: usize, block: usize, scale: impl Fn(usize, usize) -> u16) -> Self {
		let count = cols / block;
		let runs = rows.next_multiple_of(PANEL_ROWS) / two_bit::BLOCK_ROWS;
		let mut scales = vec![[0; two_bit::BLOCK_ROWS]; runs * count];
		for (run, scales) in scales.chunks_exact_mut(count).enumerate() {
			for (block, scales) in scales.iter_mut().enumerate() {
				for (row, bits) in (run * two_bit::BLOCK_ROWS..rows).zip(scales) {
					*bits = scale(row, block);
				}
			}
		}
		Self {
			block,
			scales,
			count,
		}
	}

	/// The scales of sixteen rows, block by block.
	pub(crate) fn run(&self, run: usize) -> &[[u16; two_bit::BLOCK_ROWS]] {
		&self.scales[run * self.count..][..self.count]
	}
}

/// Why weights were refused.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PackError {
	/// The shape is empty, too wide or not a multiple of what the format needs.
	Shape {
		/// Number of rows requested.
		rows: usize,
		/// Number of columns requested.
		cols: usize,
	},
	/// The input has another length than the shape says.
	Length {
		/// Bytes or values that the shape needs.
		expected: usize,
		/// Bytes or values given.
		found: usize,
	},
	/// An element is not -1, 0 or 1.
	Value {
		/// Row of the first such element found.
		row: usize,
		/// Column of the first such element found.
		col: usize,
	},
	/// The scale is not finite and positive.
	Scale(f32),
	/// The system has no memory for the packed weights.
	Memory {
		/// Bytes requested.
		bytes: usize,
	},
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
			Self::Memory { bytes } => write!(f, "no memory for {bytes} bytes of weights"),
		}
	}
}

impl std::error::Error for PackError {}

impl TernaryMatrix {
	/// Packs `rows * cols` values in {-1, 0, 1}, row by row.
	///
	/// # Errors
	///
	/// [`PackError`] when the shape is empty, `cols` is not a multiple of 32 or above
	/// [`MAX_COLS`], the length differs, a value is not ternary, the scale is not finite and positive,
	/// or `rows` are not whole heads of the row order.
	pub fn from_ternary<'a>(
		values: &[i8],
		rows: usize,
		cols: usize,
		scale: f32,
		options: impl Into<PackOptions<'a>>,
	) -> Result<Self, PackError> {
		expect_length(checked_count(rows, cols)?, values.len())?;
		Self::from_codes(rows, cols, scale, options, |row, codes| {
			for (code, value) in codes.iter_mut().zip(&values[row * cols..]) {
				*code = value.wrapping_add(1) as u8;
			}
		})
	}

	/// Number of rows: outputs of the layer.
	pub fn rows(&self) -> usize {
		self.rows
	}

	/// Number of columns: inputs of the layer.
	pub fn cols(&self) -> usize {
		self.cols
	}

	/// The factor that every element stands for; 1 when each block has its own.
	pub fn scale(&self) -> f32 {
		self.scale
	}

	/// Multiplies the scale, which files may have in two parts.
	///
	/// # Errors
	///
	/// [`PackError::Scale`] when the product is not finite and positive, or there is not one scale.
	pub fn rescale(&mut self, factor: f32) -> Result<(), PackError> {
		let scale = self.scale * factor;
		if !(scale.is_finite() && scale > 0.0) || self.blocks.is_some() {
			return Err(PackError::Scale(scale));
		}
		self.scale = scale;
		Ok(())
	}

	/// Columns that share a scale, when not all elements do.
	pub fn block(&self) -> Option<usize> {
		self.blocks.as_ref().map(|blocks| blocks.block)
	}

	/// The factor that elements of a row in a block of columns stand for.
	///
	/// # Panics
	///
	/// If there is no such row or block; a matrix with one scale has one block.
	pub fn block_scale(&self, row: usize, block: usize) -> f32 {
		assert!(row < self.rows, "row {row} of {}", self.rows);
		match &self.blocks {
			Some(blocks) => {
				let run = blocks.run(row / two_bit::BLOCK_ROWS);
				f16_to_f32(run[block][row % two_bit::BLOCK_ROWS])
			}
			None => {
				assert!(block == 0, "block {block} of 1");
				self.scale
			}
		}
	}

	/// The scales of blocks of columns, if there are such.
	pub(crate) fn blocks(&self) -> Option<&BlockScales> {
		self.blocks.as_ref()
	}

	/// How the weights are stored.
	pub fn packing(&self) -> Packing {
		self.packing
	}

	/// Bytes of packed weights in memory, the padding of the last panel included.
	pub fn packed_bytes(&self) -> usize {
		let scales = self
			.blocks
			.as_ref()
			.map_or(0, |b| size_of_val(b.scales.as_slice()));
		self.memory.bytes().len() + size_of_val(self.corrections.as_slice()) + scales
	}

	/// The elements of one row, each -1, 0 or 1.
	///
	/// # Panics
	///
	/// If `row` is not below [`rows`](Self::rows).
	pub fn row(&self, row: usize) -> Vec<i8> {
		assert!(row < self.rows, "row {row} of {}", self.rows);
		let mut out = vec![0; self.cols];
		match self.packing {
			Packing::TwoBit => two_bit::row(self.memory.bytes(), row, &mut out),
			Packing::Dense => dense::row(self.memory.bytes(), row, &mut out),
			Packing::Fives => fives::row(self.memory.bytes(), self.rows, row, &mut out),
		}
		out
	}

	/// Panels of 64 rows, the last one perhaps not full.
	pub(crate) fn panels(&self) -> usize {
		self.rows.div_ceil(PANEL_ROWS)
	}

	/// Packed weights and corrections of one panel.
	pub(crate) fn panel(&self, panel: usize) -> Panel<'_> {
		match self.packing {
			Packing::TwoBit => Panel::TwoBit(two_bit::panel(self.memory.bytes(), self.cols, panel)),
			Packing::Dense => Panel::Dense(
				dense::panel(self.memory.bytes(), self.cols, panel),
				&self.corrections.as_chunks().0[panel],
			),
			Packing::Fives => Panel::Fives(
				fives::panel(self.memory.bytes(), self.rows, self.cols, panel),
				&self.corrections.as_chunks().0[panel],
			),
		}
	}
}

/// The packed weights of up to 64 rows.
#[derive(Clone, Copy)]
pub(crate) enum Panel<'a> {
	/// Up to four runs of `cols / 16` blocks, sixteen rows each.
	TwoBit(&'a [two_bit::Block]),
	/// Groups of 24 columns, and what to add to each row.
	Dense(&'a [dense::Group], &'a [i32; PANEL_ROWS]),
	/// Groups of five columns, and what to add to each row.
	Fives(fives::PanelGroups<'a>, &'a [i32; PANEL_ROWS]),
}

/// `rows * cols` for an acceptable shape.
fn checked_count(rows: usize, cols: usize) -> Result<usize, PackError> {
	let error = PackError::Shape { rows, cols };
	if rows == 0 || cols == 0 || cols > MAX_COLS || !cols.is_multiple_of(COLS_MULTIPLE) {
		return Err(error);
	}
	// Room for the padding to whole panels and groups too.
	rows.checked_add(PANEL_ROWS)
		.and_then(|r| r.checked_mul(2 * cols))
		.ok_or(error)?;
	Ok(rows * cols)
}

fn expect_length(expected: usize, found: usize) -> Result<(), PackError> {
	if expected == found {
		Ok(())
	} else {
		Err(PackError::Length { expected, found })
	}
}
