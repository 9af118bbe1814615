//! Published layouts of ternary tensors.
//!
//! Sources: `dequantize_row_i2_s` of microsoft/BitNet; `dequantize_row_tq1_0`, `_tq2_0` and
//! `_q2_0` of ggml-org/llama.cpp; `unpack_weights` of huggingface/transformers.

use super::{PackError, PackOptions, TernaryMatrix, checked_count, expect_length};

/// Bytes after the codes of an I2_S tensor: the scale and padding.
const I2_S_TRAILER: usize = 32;
/// Weights in a block of TQ1_0 and TQ2_0.
const TQ_BLOCK: usize = 256;

/// Weights in a block of I2_S, which files do not say: 128 in all that Microsoft published, 64 in
/// those quantised on ARM by bitnet.cpp since November 2025.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum I2Block {
	/// 16 bytes; codes of a byte are 16 elements apart.
	B64,
	/// 32 bytes; codes of a byte are 32 elements apart.
	B128,
}

/// Weights in a block of Q2_0, which files do not say: 64 in llama.cpp, 128 in older files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Q2Block {
	/// 18 bytes.
	B64,
	/// 34 bytes.
	B128,
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
	/// [`MAX_COLS`](super::MAX_COLS), `rows * cols` is not a multiple of 128, the length differs, a
	/// code is 3, or the scale is not finite and positive.
	pub fn from_i2_s<'a>(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		options: impl Into<PackOptions<'a>>,
	) -> Result<Self, PackError> {
		Self::from_i2_s_blocks(bytes, rows, cols, I2Block::B128, options)
	}

	/// As [`from_i2_s`](Self::from_i2_s) with blocks of 64 or 128 elements: byte `p` holds the codes
	/// of elements `p`, `p + n`, `p + 2n` and `p + 3n`, where `n` is a quarter of the block.
	///
	/// # Errors
	///
	/// As [`from_i2_s`](Self::from_i2_s); with [`I2Block::B64`], `rows * cols` needs to be a multiple
	/// of 64 only.
	pub fn from_i2_s_blocks<'a>(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		block: I2Block,
		options: impl Into<PackOptions<'a>>,
	) -> Result<Self, PackError> {
		match block {
			I2Block::B64 => Self::from_i2_s_runs::<16>(bytes, rows, cols, options.into()),
			I2Block::B128 => Self::from_i2_s_runs::<32>(bytes, rows, cols, options.into()),
		}
	}

	fn from_i2_s_runs<const RUN: usize>(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		options: PackOptions<'_>,
	) -> Result<Self, PackError> {
		let count = checked_count(rows, cols)?;
		if !count.is_multiple_of(4 * RUN) {
			return Err(PackError::Shape { rows, cols });
		}
		expect_length(count / 4 + I2_S_TRAILER, bytes.len())?;
		let (codes, trailer) = bytes.split_at(count / 4);
		let scale = f32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]);
		let blocks: &[[u8; RUN]] = codes.as_chunks().0;
		Self::from_codes(rows, cols, scale, options, |row, out| {
			// A run of columns lies in one block, at one bit position.
			for (run, out) in out.as_chunks_mut::<RUN>().0.iter_mut().enumerate() {
				let run = row * cols / RUN + run;
				let bytes = out.iter_mut().zip(&blocks[run / 4]);
				// Shifts by constants are faster.
				match run % 4 {
					0 => bytes.for_each(|(out, byte)| *out = byte >> 6),
					1 => bytes.for_each(|(out, byte)| *out = byte >> 4 & 3),
					2 => bytes.for_each(|(out, byte)| *out = byte >> 2 & 3),
					_ => bytes.for_each(|(out, byte)| *out = byte & 3),
				}
			}
		})
	}

	/// Reads a tensor in the TQ2_0 layout of llama.cpp (GGUF type 35, 256 weights in 66 bytes).
	///
	/// A block is 64 bytes and a half-precision scale; byte `32 j + m` holds weights
	/// `128 j + m + 32 n` at bits `2n`, for `n` in 0..4. Codes are the weight plus one.
	///
	/// # Errors
	///
	/// [`PackError`] when the shape is empty or too wide, `cols` is not a multiple of 256, the
	/// length differs, a code is 3 in a block whose scale is not 0, or a scale is negative or not
	/// finite.
	pub fn from_tq2_0<'a>(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		options: impl Into<PackOptions<'a>>,
	) -> Result<Self, PackError> {
		const BYTES: usize = 66;
		let blocks = tensor_blocks::<BYTES>(bytes, rows, cols, TQ_BLOCK)?;
		let scales = scales(blocks, 64);
		Self::from_block_codes(rows, cols, TQ_BLOCK, scales, options, |row, out| {
			let blocks = &blocks[row * (cols / TQ_BLOCK)..];
			for (out, block) in out.as_chunks_mut::<TQ_BLOCK>().0.iter_mut().zip(blocks) {
				for (i, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
					for (out, byte) in out.iter_mut().zip(&block[i / 4 * 32..]) {
						*out = byte >> (i % 4 * 2) & 3;
					}
				}
			}
		})
	}

	/// Reads a tensor in the TQ1_0 layout of llama.cpp (GGUF type 34, 256 weights in 54 bytes).
	///
	/// A block is 48 bytes with five weights each, 4 bytes with four weights each and a
	/// half-precision scale. Five weights make a fraction in base three, most significant first,
	/// rounded up to a byte; weights of a byte are 32, 16 or 4 columns apart.
	///
	/// # Errors
	///
	/// As [`from_tq2_0`](Self::from_tq2_0).
	pub fn from_tq1_0<'a>(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		options: impl Into<PackOptions<'a>>,
	) -> Result<Self, PackError> {
		const BYTES: usize = 54;
		let blocks = tensor_blocks::<BYTES>(bytes, rows, cols, TQ_BLOCK)?;
		let scales = scales(blocks, 52);
		// First column, first byte, bytes.
		const PARTS: [(usize, usize, usize); 3] = [(0, 0, 32), (160, 32, 16), (240, 48, 4)];
		Self::from_block_codes(rows, cols, TQ_BLOCK, scales, options, |row, out| {
			let blocks = &blocks[row * (cols / TQ_BLOCK)..];
			for (out, block) in out.as_chunks_mut::<TQ_BLOCK>().0.iter_mut().zip(blocks) {
				for (part, (column, byte, count)) in PARTS.into_iter().enumerate() {
					let digits = if part == 2 { 4 } else { 5 };
					let mut fractions = [0; 32];
					fractions[..count].copy_from_slice(&block[byte..][..count]);
					for digit in 0..digits {
						let out = &mut out[column + digit * count..][..count];
						for (out, fraction) in out.iter_mut().zip(&mut fractions) {
							let three = u16::from(*fraction) * 3;
							*out = (three >> 8) as u8;
							*fraction = three as u8;
						}
					}
				}
			}
		})
	}

	/// Reads a tensor in the Q2_0 layout (GGUF type 42): a half-precision scale and two bits for
	/// each weight, four consecutive weights in a byte, lowest bits first. Codes are the weight
	/// plus one.
	///
	/// # Errors
	///
	/// As [`from_tq2_0`](Self::from_tq2_0), with `cols` a multiple of the block.
	pub fn from_q2_0<'a>(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		block: Q2Block,
		options: impl Into<PackOptions<'a>>,
	) -> Result<Self, PackError> {
		match block {
			Q2Block::B64 => Self::from_q2_0_blocks::<18>(bytes, rows, cols, 64, options),
			Q2Block::B128 => Self::from_q2_0_blocks::<34>(bytes, rows, cols, 128, options),
		}
	}

	fn from_q2_0_blocks<'a, const BYTES: usize>(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		weights: usize,
		options: impl Into<PackOptions<'a>>,
	) -> Result<Self, PackError> {
		let blocks = tensor_blocks::<BYTES>(bytes, rows, cols, weights)?;
		let scales = scales(blocks, 0);
		Self::from_block_codes(rows, cols, weights, scales, options, |row, out| {
			let blocks = &blocks[row * (cols / weights)..];
			for (out, block) in out.chunks_exact_mut(weights).zip(blocks) {
				for (four, byte) in out.as_chunks_mut().0.iter_mut().zip(&block[2..]) {
					*four = [byte & 3, byte >> 2 & 3, byte >> 4 & 3, byte >> 6];
				}
			}
		})
	}

	/// Reads a packed `BitLinear` weight of Hugging Face transformers: `[rows / 4, cols]` bytes,
	/// bits `2i..2i + 2` of byte `(r, c)` the code of row `r + i rows / 4`.
	///
	/// `scale` is the factor that elements stand for: the caller knows whether the file's
	/// `weight_scale` is that or its inverse.
	///
	/// # Errors
	///
	/// [`PackError`] when the shape is empty, `cols` is not a multiple of 32 or too large, `rows`
	/// is not a multiple of 4, the length differs, a code is 3, or the scale is not finite and
	/// positive.
	pub fn from_hf_packed<'a>(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		scale: f32,
		options: impl Into<PackOptions<'a>>,
	) -> Result<Self, PackError> {
		let count = checked_count(rows, cols)?;
		if !rows.is_multiple_of(4) {
			return Err(PackError::Shape { rows, cols });
		}
		expect_length(count / 4, bytes.len())?;
		Self::from_codes(rows, cols, scale, options, |row, out| {
			let (i, r) = (row / (rows / 4), row % (rows / 4));
			for (out, byte) in out.iter_mut().zip(&bytes[r * cols..]) {
				*out = byte >> (2 * i) & 3;
			}
		})
	}
}

/// The blocks of a tensor, `cols / weights` for each row.
fn tensor_blocks<const BYTES: usize>(
	bytes: &[u8],
	rows: usize,
	cols: usize,
	weights: usize,
) -> Result<&[[u8; BYTES]], PackError> {
	let count = checked_count(rows, cols)?;
	if !cols.is_multiple_of(weights) {
		return Err(PackError::Shape { rows, cols });
	}
	expect_length(count / weights * BYTES, bytes.len())?;
	Ok(bytes.as_chunks().0)
}

/// The scales of blocks, as half-precision bits that stand at byte `at` of each.
fn scales<const BYTES: usize>(blocks: &[[u8; BYTES]], at: usize) -> Vec<u16> {
	let bits = |block: &[u8; BYTES]| u16::from_le_bytes([block[at], block[at + 1]]);
	blocks.iter().map(bits).collect()
}
