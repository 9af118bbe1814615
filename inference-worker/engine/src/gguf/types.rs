//! How tensors are stored.

use aria_kernels::{I2Block, Q2Block};
use std::fmt;

/// How a tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorType {
	/// binary32.
	F32,
	/// binary16.
	F16,
	/// The upper half of binary32.
	Bf16,
	/// 32 integers of eight bits and a scale.
	Q8_0,
	/// 256 integers of six bits with scales for sixteen.
	Q6K,
	/// Ternary codes of bitnet.cpp and one scale.
	I2S(I2Block),
	/// 256 ternary weights, five to a byte, and a scale.
	Tq1_0,
	/// 256 ternary weights, four to a byte, and a scale.
	Tq2_0,
	/// 64 or 128 weights, four to a byte, and a scale.
	Q2_0(Q2Block),
	/// Ternary codes of Hugging Face transformers, four rows to a byte; the scale stands elsewhere.
	HfPacked,
}

impl TensorType {
	/// Elements in a block, and its bytes.
	fn block(self) -> (u64, u64) {
		match self {
			Self::F32 => (1, 4),
			Self::F16 | Self::Bf16 => (1, 2),
			Self::Q8_0 => (32, 34),
			Self::Q6K => (256, 210),
			Self::I2S(I2Block::B128) => (128, 32),
			Self::I2S(I2Block::B64) => (64, 16),
			Self::Tq1_0 => (256, 54),
			Self::Tq2_0 => (256, 66),
			Self::Q2_0(Q2Block::B64) => (64, 18),
			Self::Q2_0(Q2Block::B128) => (128, 34),
			Self::HfPacked => (4, 1),
		}
	}

	/// Bytes of a number of elements; none if they are not whole blocks.
	pub fn bytes(self, elements: u64) -> Option<u64> {
		let (block, bytes) = self.block();
		// Codes of bitnet.cpp are followed by the scale and padding.
		let trailer = if matches!(self, Self::I2S(_)) { 32 } else { 0 };
		elements
			.is_multiple_of(block)
			.then(|| (elements / block).checked_mul(bytes)?.checked_add(trailer))
			.flatten()
	}

	/// Whether weights are -1, 0 or 1 times a scale.
	pub fn is_ternary(self) -> bool {
		matches!(
			self,
			Self::I2S(_) | Self::Tq1_0 | Self::Tq2_0 | Self::Q2_0(_) | Self::HfPacked
		)
	}
}

impl fmt::Display for TensorType {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::F32 => "F32",
			Self::F16 => "F16",
			Self::Bf16 => "BF16",
			Self::Q8_0 => "Q8_0",
			Self::Q6K => "Q6_K",
			Self::I2S(I2Block::B128) => "I2_S",
			Self::I2S(I2Block::B64) => "I2_S of 64",
			Self::Tq1_0 => "TQ1_0",
			Self::Tq2_0 => "TQ2_0",
			Self::Q2_0(Q2Block::B64) => "Q2_0 of 64",
			Self::Q2_0(Q2Block::B128) => "Q2_0 of 128",
			Self::HfPacked => "packed BitLinear",
		})
	}
}

/// What a type number of a GGUF file stands for.
pub(super) enum Kind {
	/// A type that is read.
	Known(TensorType),
	/// Q2_0, with blocks of 64 or of 128 weights: the distance to the next tensor tells.
	Q2,
	/// A type that is not, and why.
	Unsupported(&'static str),
}

/// The type of a number.
///
/// Numbers 36 and 38 to 41 mean different things to bitnet.cpp and to llama.cpp; of both, only I2_S is read, and its
/// length is checked like any other.
pub(super) fn kind(id: u32, i2_block: I2Block) -> Kind {
	match id {
		0 => Kind::Known(TensorType::F32),
		1 => Kind::Known(TensorType::F16),
		8 => Kind::Known(TensorType::Q8_0),
		14 => Kind::Known(TensorType::Q6K),
		30 => Kind::Known(TensorType::Bf16),
		34 => Kind::Known(TensorType::Tq1_0),
		35 => Kind::Known(TensorType::Tq2_0),
		36 => Kind::Known(TensorType::I2S(i2_block)),
		42 => Kind::Q2,
		142 => Kind::Known(TensorType::Q2_0(Q2Block::B128)),
		2..=7 | 10..=13 | 15..=23 | 29 => Kind::Unsupported("a quantisation that is not ternary"),
		37 => Kind::Unsupported("I8_S"),
		38 => Kind::Unsupported(
			"TL1: tiles made for one machine, which the file does not describe; get the I2_S file of this model",
		),
		39 => Kind::Unsupported(
			"TL2 (tiles made for one machine, which the file does not describe) or MXFP4; get the I2_S file of this model",
		),
		40 => Kind::Unsupported("NVFP4 or an early Q1_0"),
		41 => Kind::Unsupported("Q1_0, which is binary and not ternary"),
		143 => Kind::Unsupported("PTQ1_0; get the Q2_0 file of this model"),
		_ => Kind::Unsupported("an unknown type"),
	}
}
