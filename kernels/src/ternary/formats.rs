//! Published layouts of ternary tensors.
//!
//! Sources: `dequantize_row_i2_s` of microsoft/BitNet; `dequantize_row_tq1_0`, `_tq2_0` and
//! `_q2_0` of ggml-org/llama.cpp; `unpack_weights` of huggingface/transformers.

use super::{COLS_MULTIPLE, PackError, Packing, TernaryMatrix, checked_count, expect_length};
use crate::math::f16_to_f32;

/// Bytes after the codes of an I2_S tensor: the scale and padding.
const I2_S_TRAILER: usize = 32;
/// Weights in a block of I2_S, and its bytes.
const I2_S_BLOCK: (usize, usize) = (128, 32);
/// Weights in a block of TQ1_0 and TQ2_0.
const TQ_BLOCK: usize = 256;

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
	pub fn from_i2_s(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		packing: Packing,
	) -> Result<Self, PackError> {
		let count = checked_count(rows, cols)?;
		if !count.is_multiple_of(I2_S_BLOCK.0) {
			return Err(PackError::Shape { rows, cols });
		}
		expect_length(count / 4 + I2_S_TRAILER, bytes.len())?;
		let (codes, trailer) = bytes.split_at(count / 4);
		let scale = f32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]);
		Self::pack(rows, cols, scale, packing, |row, out| {
			// A run of 32 columns lies in one block, at one bit position.
			for (run, out) in out
				.as_chunks_mut::<COLS_MULTIPLE>()
				.0
				.iter_mut()
				.enumerate()
			{
				let element = row * cols + run * COLS_MULTIPLE;
				let source = &codes[element / I2_S_BLOCK.0 * I2_S_BLOCK.1..][..I2_S_BLOCK.1];
				let shift = 6 - 2 * (element % I2_S_BLOCK.0 / COLS_MULTIPLE);
				for (out, byte) in out.iter_mut().zip(source) {
					*out = byte >> shift & 3;
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
	/// length differs, a code is 3, a scale is negative or not finite, or blocks that are not all
	/// zeros have different scales.
	pub fn from_tq2_0(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		packing: Packing,
	) -> Result<Self, PackError> {
		const BYTES: usize = 66;
		let blocks = tensor_blocks::<BYTES>(bytes, rows, cols, TQ_BLOCK)?;
		let scale = common_scale(blocks, |b| [b[64], b[65]])?;
		Self::pack(rows, cols, scale, packing, |row, out| {
			let blocks = &blocks[row * (cols / TQ_BLOCK)..];
			for (out, block) in out.as_chunks_mut::<TQ_BLOCK>().0.iter_mut().zip(blocks) {
				for (i, out) in out.iter_mut().enumerate() {
					*out = block[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
				}
				zero_when_unscaled(out, [block[64], block[65]]);
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
	pub fn from_tq1_0(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		packing: Packing,
	) -> Result<Self, PackError> {
		const BYTES: usize = 54;
		let blocks = tensor_blocks::<BYTES>(bytes, rows, cols, TQ_BLOCK)?;
		let scale = common_scale(blocks, |b| [b[52], b[53]])?;
		// First column, first byte, bytes.
		const PARTS: [(usize, usize, usize); 3] = [(0, 0, 32), (160, 32, 16), (240, 48, 4)];
		Self::pack(rows, cols, scale, packing, |row, out| {
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
				zero_when_unscaled(out, [block[52], block[53]]);
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
	pub fn from_q2_0(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		block: Q2Block,
		packing: Packing,
	) -> Result<Self, PackError> {
		match block {
			Q2Block::B64 => Self::from_q2_0_blocks::<18>(bytes, rows, cols, 64, packing),
			Q2Block::B128 => Self::from_q2_0_blocks::<34>(bytes, rows, cols, 128, packing),
		}
	}

	fn from_q2_0_blocks<const BYTES: usize>(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		weights: usize,
		packing: Packing,
	) -> Result<Self, PackError> {
		let blocks = tensor_blocks::<BYTES>(bytes, rows, cols, weights)?;
		let scale = common_scale(blocks, |b| [b[0], b[1]])?;
		Self::pack(rows, cols, scale, packing, |row, out| {
			let blocks = &blocks[row * (cols / weights)..];
			for (out, block) in out.chunks_exact_mut(weights).zip(blocks) {
				for (i, out) in out.iter_mut().enumerate() {
					*out = block[2 + i / 4] >> (i % 4 * 2) & 3;
				}
				zero_when_unscaled(out, [block[0], block[1]]);
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
	pub fn from_hf_packed(
		bytes: &[u8],
		rows: usize,
		cols: usize,
		scale: f32,
		packing: Packing,
	) -> Result<Self, PackError> {
		let count = checked_count(rows, cols)?;
		if !rows.is_multiple_of(4) {
			return Err(PackError::Shape { rows, cols });
		}
		expect_length(count / 4, bytes.len())?;
		Self::pack(rows, cols, scale, packing, |row, out| {
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

/// The scale of all blocks. A block with scale zero stands for zeros; 1 when all are such.
fn common_scale<const BYTES: usize>(
	blocks: &[[u8; BYTES]],
	scale: impl Fn(&[u8; BYTES]) -> [u8; 2],
) -> Result<f32, PackError> {
	let mut common = None;
	for block in blocks {
		let scale = f16_to_f32(u16::from_le_bytes(scale(block)));
		if !(scale.is_finite() && scale >= 0.0) {
			return Err(PackError::Scale(scale));
		}
		match common {
			_ if scale == 0.0 => (),
			None => common = Some(scale),
			Some(first) if first != scale => {
				return Err(PackError::Scales {
					first,
					other: scale,
				});
			}
			Some(_) => (),
		}
	}
	Ok(common.unwrap_or(1.0))
}

/// Makes the weights of a block zero when its scale is.
fn zero_when_unscaled(codes: &mut [u8], scale: [u8; 2]) {
	if f16_to_f32(u16::from_le_bytes(scale)) == 0.0 {
		codes.fill(1);
	}
}
