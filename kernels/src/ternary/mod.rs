//! Ternary weight matrices, packed once for the way that kernels read them.
//!
//! Rows form panels of 64, whatever the packing: a panel is what one thread computes whole.
//! [`Packing`] says how the weights of a panel are stored; `codes` is the form to which both are
//! unpacked when many tokens share the weights.

use crate::memory::Memory;
use std::fmt;

pub(crate) mod codes;
pub(crate) mod dense;
mod formats;
pub(crate) mod two_bit;

pub use formats::Q2Block;

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
	/// Five bits for three weights, 1.67 bits each: least memory.
	Dense,
}

impl fmt::Display for Packing {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::TwoBit => "two-bit",
			Self::Dense => "dense",
		})
	}
}

/// A matrix with elements in {-1, 0, 1} and one positive scale.
#[derive(Debug)]
pub struct TernaryMatrix {
	rows: usize,
	cols: usize,
	scale: f32,
	packing: Packing,
	memory: Memory,
	/// Dense only: what the decode kernel adds to each row, see [`dense`]. Padded to whole panels.
	corrections: Vec<i32>,
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
	/// An element is not -1, 0 or 1.
	Value {
		/// Row of the first such element found.
		row: usize,
		/// Column of the first such element found.
		col: usize,
	},
	/// The scale is not finite and positive.
	Scale(f32),
	/// Blocks of one matrix have different scales.
	Scales {
		/// The first scale that is not zero.
		first: f32,
		/// Another one.
		other: f32,
	},
	/// The system has no memory for the packed weights.
	Memory {
		/// Bytes asked for.
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
			Self::Scales { first, other } => {
				write!(f, "blocks with different scales, {first} and {other}")
			}
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
	/// [`MAX_COLS`], the length differs, a value is not ternary, or the scale is not finite and
	/// positive.
	pub fn from_ternary(
		values: &[i8],
		rows: usize,
		cols: usize,
		scale: f32,
		packing: Packing,
	) -> Result<Self, PackError> {
		expect_length(checked_count(rows, cols)?, values.len())?;
		Self::pack(rows, cols, scale, packing, |row, codes| {
			for (code, value) in codes.iter_mut().zip(&values[row * cols..]) {
				*code = value.wrapping_add(1) as u8;
			}
		})
	}

	/// Packs rows of codes (weight plus one) that `fill` writes, each row once, in order.
	fn pack(
		rows: usize,
		cols: usize,
		scale: f32,
		packing: Packing,
		mut fill: impl FnMut(usize, &mut [u8]),
	) -> Result<Self, PackError> {
		checked_count(rows, cols)?;
		if !(scale.is_finite() && scale > 0.0) {
			return Err(PackError::Scale(scale));
		}
		let (bytes, padded) = match packing {
			Packing::TwoBit => (two_bit::bytes(rows, cols), cols),
			Packing::Dense => (dense::bytes(rows, cols), dense::padded_cols(cols)),
		};
		let mut memory = Memory::zeroed(bytes).ok_or(PackError::Memory { bytes })?;
		let mut corrections = Vec::new();
		let mut codes = vec![1; padded];
		for row in 0..rows {
			fill(row, &mut codes[..cols]);
			if codes.iter().fold(0, |m, code| (*code).max(m)) > 2 {
				let col = codes.iter().position(|code| *code > 2).unwrap_or(0);
				return Err(PackError::Value { row, col });
			}
			match packing {
				Packing::TwoBit => two_bit::put(memory.bytes_mut(), row, &codes),
				Packing::Dense => corrections.push(dense::put(memory.bytes_mut(), row, &codes)),
			}
		}
		if packing == Packing::Dense {
			corrections.resize(rows.next_multiple_of(PANEL_ROWS), 0);
		}
		Ok(Self {
			rows,
			cols,
			scale,
			packing,
			memory,
			corrections,
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

	/// The factor that every element stands for.
	pub fn scale(&self) -> f32 {
		self.scale
	}

	/// How the weights are stored.
	pub fn packing(&self) -> Packing {
		self.packing
	}

	/// Bytes of packed weights in memory, the padding of the last panel included.
	pub fn packed_bytes(&self) -> usize {
		self.memory.bytes().len() + size_of_val(self.corrections.as_slice())
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
