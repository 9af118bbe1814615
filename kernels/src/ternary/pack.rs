//! Packing: rows of codes become panels, on all threads.

use super::{
	BlockScales, PANEL_ROWS, PackError, Packing, TernaryMatrix, checked_count, dense,
	expect_length, fives, two_bit,
};
use crate::{math::f16_to_f32, memory::Memory};
use rayon::prelude::*;

/// In which order the rows of a matrix are taken from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RowOrder {
	/// As they are.
	#[default]
	AsStored,
	/// Of each head, rows `2d` and `2d + 1` become rows `d` and `d + head_dim / 2`. This undoes what
	/// the converter of llama.cpp does to queries and keys of the architecture `llama`, so that pairs
	/// of the rotary embedding are those of [`RopePairing::Neox`](crate::RopePairing).
	FromPairs {
		/// Rows of a head, an even number.
		head_dim: usize,
	},
}

impl RowOrder {
	/// The row of the file that becomes row `row`.
	fn source(self, row: usize) -> usize {
		match self {
			Self::AsStored => row,
			Self::FromPairs { head_dim } => {
				let (at, half) = (row % head_dim, head_dim / 2);
				row - at + at % half * 2 + at / half
			}
		}
	}

	/// Whether a matrix of `rows` rows is made of whole heads.
	fn fits(self, rows: usize) -> bool {
		match self {
			Self::AsStored => true,
			Self::FromPairs { head_dim } => {
				head_dim > 0 && head_dim.is_multiple_of(2) && rows.is_multiple_of(head_dim)
			}
		}
	}
}

/// Sees the codes (weight plus one) of all rows of a matrix that is packed, some rows at a time: the number
/// of the first in the matrix, and the rows; on several threads, in any order.
pub type Observer<'a> = &'a (dyn Fn(usize, &[&[u8]]) + Sync);

/// How a matrix is packed. A [`Packing`] stands for itself, with rows as stored.
#[derive(Clone, Copy)]
pub struct PackOptions<'a> {
	/// How weights are stored. Those with a scale for each block are always [`Packing::TwoBit`].
	pub packing: Packing,
	/// The order of rows.
	pub order: RowOrder,
	/// Who sees the rows: to hash them, for one.
	pub observer: Option<Observer<'a>>,
}

impl From<Packing> for PackOptions<'_> {
	fn from(packing: Packing) -> Self {
		Self {
			packing,
			order: RowOrder::AsStored,
			observer: None,
		}
	}
}

/// What the elements of a matrix stand for.
pub(super) enum Scale {
	/// One factor for all.
	One(f32),
	/// The columns in a block, and a factor for each block of a row, row by row as in the file.
	Blocks(usize, Vec<u16>),
}

impl TernaryMatrix {
	/// Packs rows of codes (the weight plus one) that `fill` writes.
	///
	/// `fill` is called once for each row, with its number in the file, on several threads in any
	/// order.
	///
	/// # Errors
	///
	/// [`PackError`] when the shape is empty, `cols` is not a multiple of 32 or above
	/// [`MAX_COLS`](super::MAX_COLS), `rows` are not whole heads of the row order, a code is above 2,
	/// or the scale is not finite and positive.
	pub fn from_codes<'a>(
		rows: usize,
		cols: usize,
		scale: f32,
		options: impl Into<PackOptions<'a>>,
		fill: impl Fn(usize, &mut [u8]) + Sync,
	) -> Result<Self, PackError> {
		Self::pack(rows, cols, Scale::One(scale), options.into(), fill)
	}

	/// As [`from_codes`](Self::from_codes) with a scale for each `block` columns of a row.
	///
	/// `scales` are half-precision bits, `cols / block` for each row of the file. Weights of blocks with
	/// the scale 0 are zeros, whatever `fill` writes. If all others have one scale, the matrix has one.
	///
	/// # Errors
	///
	/// As [`from_codes`](Self::from_codes), and when `block` is not a multiple of 32 that divides
	/// `cols`, or there are not as many scales as blocks.
	pub fn from_block_codes<'a>(
		rows: usize,
		cols: usize,
		block: usize,
		scales: Vec<u16>,
		options: impl Into<PackOptions<'a>>,
		fill: impl Fn(usize, &mut [u8]) + Sync,
	) -> Result<Self, PackError> {
		let count = checked_count(rows, cols)?;
		if block == 0 || !block.is_multiple_of(super::COLS_MULTIPLE) || !cols.is_multiple_of(block)
		{
			return Err(PackError::Shape { rows, cols });
		}
		expect_length(count / block, scales.len())?;
		let mut common = None;
		let mut differ = false;
		for bits in &scales {
			let scale = f16_to_f32(*bits);
			if !(scale.is_finite() && scale >= 0.0) {
				return Err(PackError::Scale(scale));
			}
			if scale != 0.0 {
				differ |= *common.get_or_insert(scale) != scale;
			}
		}
		let zeros: Vec<bool> = scales.iter().map(|bits| bits & 0x7fff == 0).collect();
		let scale = if differ {
			Scale::Blocks(block, scales)
		} else {
			Scale::One(common.unwrap_or(1.0))
		};
		Self::pack(rows, cols, scale, options.into(), |row, codes| {
			fill(row, codes);
			let zeros = &zeros[row * (cols / block)..];
			for (codes, zero) in codes.chunks_exact_mut(block).zip(zeros) {
				if *zero {
					codes.fill(1);
				}
			}
		})
	}

	pub(super) fn pack(
		rows: usize,
		cols: usize,
		scale: Scale,
		options: PackOptions<'_>,
		fill: impl Fn(usize, &mut [u8]) + Sync,
	) -> Result<Self, PackError> {
		checked_count(rows, cols)?;
		let order = options.order;
		if !order.fits(rows) {
			return Err(PackError::Shape { rows, cols });
		}
		let (packing, scale, blocks) = match scale {
			Scale::One(scale) => (options.packing, scale, None),
			Scale::Blocks(block, scales) => {
				let scales = BlockScales::new(rows, cols, block, |row, block_index| {
					scales[order.source(row) * (cols / block) + block_index]
				});
				(Packing::TwoBit, 1.0, Some(scales))
			}
		};
		if !(scale.is_finite() && scale > 0.0) {
			return Err(PackError::Scale(scale));
		}
		let (bytes, panel_bytes, padded) = match packing {
			Packing::TwoBit => (two_bit::bytes(rows, cols), PANEL_ROWS * cols / 4, cols),
			Packing::Dense => {
				let padded = dense::padded_cols(cols);
				(
					dense::bytes(rows, cols),
					dense::bytes(PANEL_ROWS, cols),
					padded,
				)
			}
			Packing::Fives => {
				let padded = fives::padded_cols(cols);
				(
					fives::bytes(rows, cols),
					fives::bytes(PANEL_ROWS, cols),
					padded,
				)
			}
		};
		let mut memory = Memory::zeroed(bytes).ok_or(PackError::Memory { bytes })?;
		let mut corrections = vec![0; rows.next_multiple_of(PANEL_ROWS)];
		// Rows that are packed together, and where their bytes go.
		let (together, parts): (usize, Vec<Vec<&mut [u8]>>) = match packing {
			Packing::Fives => {
				let fours = fives::split(memory.bytes_mut(), rows, cols);
				(fives::PANELS * PANEL_ROWS, fours)
			}
			Packing::TwoBit | Packing::Dense => {
				let panels = memory.bytes_mut().chunks_mut(panel_bytes);
				(PANEL_ROWS, panels.map(|panel| vec![panel]).collect())
			}
		};
		let corrections_of = corrections.par_chunks_mut(together);
		let parts = parts.into_par_iter().zip(corrections_of).enumerate();
		let error = parts
			.map_init(
				Vec::new,
				|codes: &mut Vec<u8>, (part, (mut parts, corrections))| {
					let first = part * together;
					let count = together.min(rows - first);
					// Padding is zeros: codes of 1.
					codes.resize(together * padded, 1);
					let codes = &mut codes[..count * padded];
					for (own, codes) in (first..).zip(codes.chunks_exact_mut(padded)) {
						let codes = &mut codes[..cols];
						let row = order.source(own);
						fill(row, codes);
						if codes.iter().fold(0, |m, code| (*code).max(m)) > 2 {
							let col = codes.iter().position(|code| *code > 2).unwrap_or(0);
							return Some(PackError::Value { row, col });
						}
					}
					if let Some(observer) = options.observer {
						let rows: Vec<&[u8]> = (codes.chunks_exact(padded))
							.map(|codes| &codes[..cols])
							.collect();
						observer(first, &rows);
					}
					match packing {
						Packing::TwoBit => two_bit::put(parts[0], codes, cols),
						Packing::Dense => dense::put(parts[0], codes, padded, corrections),
						Packing::Fives => fives::put(&mut parts, codes, padded, corrections),
					}
					None
				},
			)
			.find_map_first(|error| error);
		if let Some(error) = error {
			return Err(error);
		}
		if packing == Packing::TwoBit {
			corrections = Vec::new();
		}
		Ok(Self {
			rows,
			cols,
			scale,
			packing,
			memory,
			corrections,
			blocks,
		})
	}
}
