//! The files of a model: where each tensor lies, under one name whatever the format, and how to read it.

use super::error::ModelError;
use crate::gguf::TensorType;
use aria_kernels::math;
use rayon::prelude::*;
use std::{
	collections::HashMap,
	fs::File,
	io::{Read, Seek, SeekFrom},
	ops::Range,
	path::PathBuf,
};

/// Bytes of a file that a thread reads at a time.
const PIECE: usize = 1 << 20;

/// Bytes of tensors.
pub(super) enum Data<'a> {
	/// A file, opened for each reading: it may be larger than memory, and changes only make reading fail.
	File(PathBuf),
	/// Memory.
	Bytes(&'a [u8]),
}

/// What the scale beside a tensor does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
	/// The tensor has its own.
	Own,
	/// It multiplies.
	Times(f32),
	/// Weights are master weights, to be quantised.
	Master,
}

/// Where a tensor lies and how it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
	/// Which of the files.
	pub(super) file: usize,
	/// First byte.
	pub(super) start: u64,
	/// Number of bytes.
	pub(super) len: u64,
	/// Rows: outputs of a layer; 1 for a vector.
	pub(super) rows: u64,
	/// Columns.
	pub(super) cols: u64,
	/// How elements are stored.
	pub(super) kind: TensorType,
	/// What else makes up its scale.
	pub(super) scale: Scale,
}

/// A tensor that is stored in a way that it can't be.
pub(super) fn wrong_type(name: &str, tensor: &Stored, expected: &str) -> ModelError {
	ModelError::Tensor {
		name: name.to_owned(),
		found: format!("stored as {}", tensor.kind),
		expected: expected.to_owned(),
	}
}

/// Files and the tensors in them, under the names that GGUF has for them, without `.weight`.
pub(super) struct Checkpoint<'a> {
	/// The files.
	pub(super) files: Vec<Data<'a>>,
	/// Tensors by name.
	pub(super) tensors: HashMap<String, Stored>,
}

impl Checkpoint<'_> {
	/// Reads a part of a tensor's bytes into a buffer, which then has no others.
	pub(super) fn read_into(
		&self,
		tensor: &Stored,
		part: Range<u64>,
		buffer: &mut Vec<u8>,
	) -> Result<(), ModelError> {
		let (start, len) = (tensor.start + part.start, part.end - part.start);
		buffer.resize(len as usize, 0);
		match self.files.get(tensor.file) {
			Some(Data::Bytes(bytes)) => {
				let range = start as usize..(start + len) as usize;
				buffer.copy_from_slice(bytes.get(range).ok_or(ModelError::Short)?);
			}
			Some(Data::File(path)) => {
				let io = |error| ModelError::Io {
					path: path.clone(),
					error,
				};
				// One thread alone would copy from the page cache while the others wait.
				let pieces = buffer.par_chunks_mut(PIECE).enumerate();
				pieces.try_for_each(|(piece, bytes)| {
					let mut file = File::open(path).map_err(io)?;
					let start = start + (piece * PIECE) as u64;
					file.seek(SeekFrom::Start(start)).map_err(io)?;
					file.read_exact(bytes).map_err(io)
				})?;
			}
			None => return Err(ModelError::Short),
		}
		Ok(())
	}

	/// All bytes of a tensor.
	pub(super) fn read(&self, tensor: &Stored) -> Result<Vec<u8>, ModelError> {
		let mut bytes = Vec::new();
		self.read_into(tensor, 0..tensor.len, &mut bytes)?;
		Ok(bytes)
	}
}

/// The elements in some bytes, as binary32, exactly. Sources: `dequantize_row_q8_0` and `_q6_K` of ggml-org/llama.cpp.
///
/// False if the type has no numbers of its own.
pub(super) fn widen(kind: TensorType, bytes: &[u8], out: &mut [f32]) -> bool {
	let half =
		|bytes: &[u8], at: usize| math::f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
	match kind {
		TensorType::F32 => {
			for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
				*out = f32::from_le_bytes(*bytes);
			}
		}
		TensorType::F16 => {
			for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
				*out = math::f16_to_f32(u16::from_le_bytes(*bytes));
			}
		}
		TensorType::Bf16 => {
			for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
				*out = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
			}
		}
		TensorType::Q8_0 => {
			for (out, block) in out
				.as_chunks_mut::<32>()
				.0
				.iter_mut()
				.zip(bytes.as_chunks::<34>().0)
			{
				let scale = half(block, 0);
				for (out, byte) in out.iter_mut().zip(&block[2..]) {
					*out = f32::from(*byte as i8) * scale;
				}
			}
		}
		TensorType::Q6K => {
			for (out, block) in out
				.as_chunks_mut::<256>()
				.0
				.iter_mut()
				.zip(bytes.as_chunks::<210>().0)
			{
				q6_k(block, half(block, 208), out);
			}
		}
		_ => return false,
	}
	true
}

/// A block of Q6_K: 128 bytes of lower four bits, 64 of upper two, sixteen scales, and one for all.
fn q6_k(block: &[u8; 210], scale: f32, out: &mut [f32; 256]) {
	let (low, rest) = block.split_at(128);
	let (high, scales) = rest.split_at(64);
	for (part, out) in out.as_chunks_mut::<128>().0.iter_mut().enumerate() {
		for (i, out) in out.iter_mut().enumerate() {
			// Four runs of 32 weights share the bytes: two the lower bits, all the upper ones.
			let (run, at) = (i / 32, i % 32);
			let low = low[64 * part + run % 2 * 32 + at] >> (run / 2 * 4) & 15;
			let high = high[32 * part + at] >> (2 * run) & 3;
			let value = i32::from(low | high << 4) - 32;
			let own = f32::from(scales[8 * part + i / 16] as i8);
			*out = scale * own * value as f32;
		}
	}
}
