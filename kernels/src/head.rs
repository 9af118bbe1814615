//! The head in eight bits, and what lets half of them decide which tokens are best.
//!
//! [`scalar::quantize_head_row`] makes integers in -120..=120 of a row. They are stored in two
//! planes of four bits: with a dither `u` in 0..=15 of the column, `n + 120 + u = 16 h + m`. The
//! dot product with activations `q` is then
//! `Σ n q = 16 Σ h q + Σ m q - 120 Σ q - Σ u q`, of which a first pass over all rows takes the plane
//! `h`: half of the bytes.
//!
//! What it leaves open is `Σ m q`. For a uniform `u`, `m` is uniform whatever the weights, so that
//! `m - 7.5 = ½ Σ ±2^k` for k in 0..4 with independent signs, which is sub-Gaussian with variance
//! 21.25: `P(|Σ (m - 7.5) q| > t) <= 2 exp(-t² / (42.5 Σ q²))`. `remainder` takes `t` such that
//! the bound fails for some row with a probability below 2^-64. That holds for activations that do
//! not depend on the dither, so it has to be secret: from `m` one can make activations that mislead
//! the first pass. It changes no logit, hence need not be the same on another machine.

use crate::{
	math,
	memory::Memory,
	scalar::{self, HEAD_LIMIT},
};
use rayon::prelude::*;
use std::{error, fmt};

/// Rows in a block of the first plane.
pub(crate) const BLOCK_ROWS: usize = 16;
/// Columns in a block of the first plane: byte `4 * row + j` holds columns `j`, in its low half, and
/// `j + 4`.
pub(crate) const BLOCK_COLS: usize = 8;
/// Sixteen rows by eight columns of the first plane.
pub(crate) type Block = [u8; BLOCK_ROWS * BLOCK_COLS / 2];
/// Columns in a part of the second plane: byte `i` of 32 holds columns `i`, in its low half, and
/// `i + 32`.
pub(crate) const PART_COLS: usize = 64;
/// 64 columns of a row of the second plane.
pub(crate) type Part = [u8; PART_COLS / 2];

/// Largest number of columns.
pub const MAX_COLS: usize = 1 << 16;
/// Largest dither.
pub const MAX_DITHER: u8 = 15;

// Offset integers fit eight bits.
const _: () = assert!(2 * HEAD_LIMIT as i32 + MAX_DITHER as i32 <= 255);
// The exact product fits 32 bits, with a bound of the second plane instead of its value too; the
// four terms may wrap around on the way.
const _: () = assert!(MAX_COLS as i64 * (HEAD_LIMIT as i64 + 15) * 127 <= i32::MAX as i64);

/// A head: one row for each token of the vocabulary.
#[derive(Debug)]
pub struct HeadMatrix {
	rows: usize,
	cols: usize,
	/// By column, padded as the planes.
	dither: Vec<i8>,
	/// By row, padded to whole blocks.
	scales: Vec<f32>,
	high: Memory,
	low: Memory,
}

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
	/// The shape is empty or too wide, or there are more rows than ids.
	Shape {
		/// Number of rows requested.
		rows: usize,
		/// Number of columns requested.
		cols: usize,
	},
	/// Not one dither for each column, each at most 15.
	Dither,
	/// A row has an infinity or a NaN.
	NonFinite {
		/// The first such row.
		row: usize,
	},
	/// The system has no memory for it.
	Memory,
}

impl fmt::Display for HeadError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Shape { rows, cols } => write!(f, "unsupported head shape {rows}x{cols}"),
			Self::Dither => f.write_str("the dither is not one value in 0..=15 for each column"),
			Self::NonFinite { row } => write!(f, "row {row} of the head is not finite"),
			Self::Memory => f.write_str("no memory for the head"),
		}
	}
}

impl error::Error for HeadError {}

impl HeadMatrix {
	/// Quantises `rows` rows of `cols` values, which `fill` writes: each row once, on several threads in
	/// any order.
	///
	/// `dither` has one value in 0..=15 for each column, drawn uniformly by a generator that nobody
	/// else can predict. It has no effect on logits; the first pass's bounds rest on it.
	///
	/// # Errors
	///
	/// [`HeadError`] when the shape is empty, `cols` is above [`MAX_COLS`], the dither does not fit, or
	/// a row is not finite.
	pub fn new(
		rows: usize,
		cols: usize,
		dither: &[u8],
		fill: impl Fn(usize, &mut [f32]) + Sync,
	) -> Result<Self, HeadError> {
		if rows == 0 || u32::try_from(rows).is_err() || cols == 0 || cols > MAX_COLS {
			return Err(HeadError::Shape { rows, cols });
		}
		if dither.len() != cols || dither.iter().any(|u| *u > MAX_DITHER) {
			return Err(HeadError::Dither);
		}
		let padded = cols.next_multiple_of(PART_COLS);
		let blocks = rows.div_ceil(BLOCK_ROWS) * (padded / BLOCK_COLS);
		let memory = |bytes| Memory::zeroed(bytes).ok_or(HeadError::Memory);
		let mut head = Self {
			rows,
			cols,
			dither: vec![0; padded],
			scales: vec![0.0; rows.next_multiple_of(BLOCK_ROWS)],
			high: memory(blocks * size_of::<Block>())?,
			low: memory(rows * (padded / PART_COLS) * size_of::<Part>())?,
		};
		for (to, from) in head.dither.iter_mut().zip(dither) {
			*to = *from as i8;
		}
		let dither = head.dither.as_slice();
		let runs = (head.high.bytes_mut()).par_chunks_mut(BLOCK_ROWS * padded / 2);
		let rests = (head.low.bytes_mut()).par_chunks_mut(BLOCK_ROWS * padded / 2);
		let scales = head.scales.par_chunks_mut(BLOCK_ROWS);
		let failed = runs
			.zip(rests)
			.zip(scales)
			.enumerate()
			.map_init(
				|| (vec![0.0; cols], vec![0; padded], vec![0; padded]),
				|(values, n, offsets), (run, ((high, low), scales))| {
					let low = low.chunks_exact_mut(padded / 2);
					for (at, (low, scale)) in low.zip(scales).enumerate() {
						let row = run * BLOCK_ROWS + at;
						fill(row, values);
						match scalar::quantize_head_row(values, &mut n[..cols]) {
							Some(of_row) => *scale = of_row,
							None => return Some(row),
						}
						for (offset, (n, dither)) in offsets.iter_mut().zip(n.iter().zip(dither)) {
							*offset = n.wrapping_add(HEAD_LIMIT).wrapping_add(*dither) as u8;
						}
						put(at, offsets, high, low);
					}
					None
				},
			)
			.find_map_first(|row| row);
		match failed {
			Some(row) => Err(HeadError::NonFinite { row }),
			None => Ok(head),
		}
	}

	/// Number of rows: the vocabulary.
	pub fn rows(&self) -> usize {
		self.rows
	}

	/// Number of columns: the hidden size.
	pub fn cols(&self) -> usize {
		self.cols
	}

	/// Bytes in memory.
	pub fn packed_bytes(&self) -> usize {
		self.high.bytes().len() + self.low.bytes().len() + size_of_val(self.scales.as_slice())
	}

	/// What the integers of a row stand for.
	///
	/// # Panics
	///
	/// If `row` is not below [`rows`](Self::rows).
	pub fn scale(&self, row: usize) -> f32 {
		self.scales[..self.rows][row]
	}

	/// The integers of a row, each in -120..=120.
	///
	/// # Panics
	///
	/// If `row` is not below [`rows`](Self::rows).
	pub fn row(&self, row: usize) -> Vec<i8> {
		assert!(row < self.rows, "row {row} of {}", self.rows);
		let (run, parts) = (self.run(row / BLOCK_ROWS), self.parts(row));
		let value = |column: usize| {
			let byte = run[column / BLOCK_COLS][row % BLOCK_ROWS * 4 + column % 4];
			let high = i32::from(byte >> (column % BLOCK_COLS / 4 * 4) & 15);
			let byte = parts[column / PART_COLS][column % 32];
			let low = i32::from(byte >> (column % PART_COLS / 32 * 4) & 15);
			(16 * high + low - i32::from(HEAD_LIMIT) - i32::from(self.dither[column])) as i8
		};
		(0..self.cols).map(value).collect()
	}

	/// The first plane of sixteen rows.
	pub(crate) fn run(&self, run: usize) -> &[Block] {
		let per_run = self.dither.len() / BLOCK_COLS;
		&self.high.bytes().as_chunks().0[run * per_run..][..per_run]
	}

	/// The second plane of a row.
	pub(crate) fn parts(&self, row: usize) -> &[Part] {
		let parts = self.dither.len() / PART_COLS;
		&self.low.bytes().as_chunks().0[row * parts..][..parts]
	}

	/// Columns of the planes: zeros are added to activations up to them.
	pub(crate) fn padded_cols(&self) -> usize {
		self.dither.len()
	}

	/// Scales of the rows of a run.
	pub(crate) fn scales(&self, run: usize) -> &[f32] {
		&self.scales[run * BLOCK_ROWS..][..BLOCK_ROWS]
	}

	/// What is subtracted from the planes' products: `120 Σ q + Σ u q`, modulo 2^32.
	pub(crate) fn offset(&self, q: &[i8], sum: i32) -> i32 {
		let dither = scalar::ternary_dot(&self.dither, q);
		sum.wrapping_mul(i32::from(HEAD_LIMIT)).wrapping_add(dither)
	}
}

/// Stores row `at` of a run in both planes: `offsets` are its integers plus 120 and the dither.
fn put(at: usize, offsets: &[u8], high: &mut [u8], low: &mut [u8]) {
	let blocks: &mut [Block] = high.as_chunks_mut().0;
	for (block, offsets) in blocks.iter_mut().zip(offsets.as_chunks::<BLOCK_COLS>().0) {
		for (j, byte) in block[4 * at..][..4].iter_mut().enumerate() {
			*byte = offsets[j] >> 4 | offsets[j + 4] & 0xf0;
		}
	}
	let parts: &mut [Part] = low.as_chunks_mut().0;
	for (part, offsets) in parts.iter_mut().zip(offsets.as_chunks::<PART_COLS>().0) {
		let (first, second) = offsets.split_at(PART_COLS / 2);
		for (byte, (first, second)) in part.iter_mut().zip(first.iter().zip(second)) {
			*byte = first & 15 | second << 4;
		}
	}
}

/// Bounds of `Σ m q` for every one of `rows` rows, but for a probability below 2^-64.
pub(crate) fn remainder(q: &[i8], rows: usize) -> (i32, i32) {
	let (mut squares, mut negative, mut positive) = (0_i64, 0_i64, 0_i64);
	for q in q {
		let q = i64::from(*q);
		squares += q * q;
		negative += q.min(0);
		positive += q.max(0);
	}
	// 2 N exp(-t² / (42.5 Σ q²)) = 2^-64.
	let logarithm = 65.0 * core::f64::consts::LN_2 + math::ln_f64(rows as f64);
	let t = (42.5 * logarithm * squares as f64).sqrt();
	let middle = 7.5 * (negative + positive) as f64;
	// One more on each side for the roundings above.
	let lower = (middle - t).floor() as i64 - 1;
	let upper = (middle + t).ceil() as i64 + 1;
	// And never beyond what fifteen times each value gives.
	let lower = lower.max(15 * negative);
	let upper = upper.min(15 * positive);
	(lower as i32, upper as i32)
}

/// A token and its logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
	/// Row of the head.
	pub id: u32,
	/// Its logit.
	pub logit: f32,
}

impl Candidate {
	/// Larger logits first, then lower ids.
	pub(crate) fn order(&self, other: &Self) -> core::cmp::Ordering {
		other
			.logit
			.total_cmp(&self.logit)
			.then(self.id.cmp(&other.id))
	}
}
