//! Heads of safetensors files.

use super::ModelError;
use crate::{gguf::TensorType, tokenizer::excerpt};
use safetensors::{Dtype, tensor::Metadata};
use std::{fs::File, io::Read, path::Path};

/// Longest head, bytes.
const MAX_HEAD: u64 = 64 << 20;

/// A tensor of a file.
pub(super) struct Entry {
	/// Its name.
	pub(super) name: String,
	/// Its shape.
	pub(super) shape: Vec<u64>,
	/// How it is stored.
	pub(super) kind: TensorType,
	/// First byte in the file.
	pub(super) start: u64,
	/// Number of bytes.
	pub(super) len: u64,
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> ModelError {
	ModelError::Damaged {
		path: path.to_owned(),
		reason: excerpt(reason),
	}
}

/// Reads and checks the head of a file: tensors fill it without gaps.
///
/// # Errors
///
/// [`ModelError`] if the file can't be read, is damaged or incomplete, or has types that no model of ours has.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, ModelError> {
	let io = |error| ModelError::Io {
		path: path.to_owned(),
		error,
	};
	let mut file = File::open(path).map_err(io)?;
	let total = file.metadata().map_err(io)?.len();
	if total < 8 {
		return Err(damaged(
			path,
			"it ends inside its head: the download is incomplete",
		));
	}
	let mut length = [0; 8];
	file.read_exact(&mut length).map_err(io)?;
	let head = u64::from_le_bytes(length);
	if head > MAX_HEAD || head.saturating_add(8) > total {
		return Err(damaged(path, format!("its head would take {head} bytes")));
	}
	let mut bytes = Vec::new();
	file.take(head).read_to_end(&mut bytes).map_err(io)?;
	// This checks that tensors have the lengths that their shapes say and follow each other without gaps.
	let metadata: Metadata =
		serde_json::from_slice(&bytes).map_err(|error| damaged(path, error))?;
	let data = 8 + head;
	if metadata.data_len() as u64 != total - data {
		let reason = "the tensors do not fill it: the download is incomplete";
		return Err(damaged(path, reason));
	}
	let mut entries = Vec::new();
	for (name, info) in metadata.tensors() {
		let kind = match info.dtype {
			Dtype::F32 => TensorType::F32,
			Dtype::F16 => TensorType::F16,
			Dtype::BF16 => TensorType::Bf16,
			Dtype::U8 => TensorType::HfPacked,
			other => {
				return Err(ModelError::Tensor {
					name: excerpt(name),
					found: format!("{other:?}"),
					expected: "F32, F16, BF16 or U8".to_owned(),
				});
			}
		};
		entries.push(Entry {
			name,
			shape: info.shape.iter().map(|dim| *dim as u64).collect(),
			kind,
			start: data + info.data_offsets.0 as u64,
			len: (info.data_offsets.1 - info.data_offsets.0) as u64,
		});
	}
	Ok(entries)
}
