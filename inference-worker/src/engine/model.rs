//! Models in memory: weights, vocabulary, template and identity of one file.

use super::{
	config::{ConfigError, ModelConfig},
	gguf::{Gguf, GgufError, TensorInfo, TensorType},
	identity,
	template::{ChatTemplate, TemplateError},
	tokenizer::{Tokenizer, TokenizerError},
};
use aria_kernels::{Packing, RopeTable, TernaryMatrix, math};
use aria_primitives::{ModelId, provenance::OperationCount};
use std::{
	collections::HashSet,
	path::{Path, PathBuf},
};

/// Why a model can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
	/// The file can't be read.
	#[error("can't read {path}: {source}")]
	Io {
		/// Which file.
		path: PathBuf,
		/// Why.
		source: std::io::Error,
	},
	/// The container is damaged or of another format.
	#[error(transparent)]
	Gguf(#[from] GgufError),
	/// The model is of another kind.
	#[error(transparent)]
	Config(#[from] ConfigError),
	/// The vocabulary is damaged or of another kind.
	#[error(transparent)]
	Tokenizer(#[from] TokenizerError),
	/// The chat template is damaged.
	#[error(transparent)]
	Template(#[from] TemplateError),
	/// A tensor that must be there.
	#[error("tensor {0:?} is missing")]
	MissingTensor(String),
	/// A tensor that this architecture does not have.
	#[error(
		"tensor {0:?} is not part of the architecture: the model needs something this engine does not do"
	)]
	ExtraTensor(String),
	/// A tensor of another shape or type than its place needs.
	#[error("tensor {name:?} is {found}, expected {expected}")]
	Tensor {
		/// Which.
		name: String,
		/// What it is.
		found: String,
		/// What its place needs.
		expected: String,
	},
	/// A weight that is not a finite number, or ternary codes that do not exist.
	#[error("tensor {0:?} holds values that are not weights: the file is damaged")]
	Values(String),
}

/// Rows of floats, as stored.
pub enum Rows {
	/// binary16.
	F16(Vec<u16>),
	/// binary32.
	F32(Vec<f32>),
}

impl Rows {
	/// Copies a row of `out.len()` elements.
	pub fn row(&self, row: usize, out: &mut [f32]) {
		let range = row * out.len()..(row + 1) * out.len();
		match self {
			Self::F16(values) => {
				for (out, value) in out.iter_mut().zip(&values[range]) {
					*out = math::f16_to_f32(*value);
				}
			}
			Self::F32(values) => out.copy_from_slice(&values[range]),
		}
	}

	fn is_finite(&self) -> bool {
		match self {
			Self::F16(values) => values.iter().all(|value| value & 0x7c00 != 0x7c00),
			Self::F32(values) => values.iter().all(|value| value.is_finite()),
		}
	}
}

/// Weights of one block.
pub struct Block {
	/// Norm before attention.
	pub attn_norm: Vec<f32>,
	/// Query projection.
	pub attn_q: TernaryMatrix,
	/// Key projection.
	pub attn_k: TernaryMatrix,
	/// Value projection.
	pub attn_v: TernaryMatrix,
	/// Norm of the heads' outputs.
	pub attn_sub_norm: Vec<f32>,
	/// Output projection.
	pub attn_output: TernaryMatrix,
	/// Norm before the feed-forward layer.
	pub ffn_norm: Vec<f32>,
	/// Gate projection.
	pub ffn_gate: TernaryMatrix,
	/// Up projection.
	pub ffn_up: TernaryMatrix,
	/// Norm of the gated values.
	pub ffn_sub_norm: Vec<f32>,
	/// Down projection.
	pub ffn_down: TernaryMatrix,
}

/// A model ready to run.
pub struct Model {
	/// Shape and constants.
	pub config: ModelConfig,
	/// Vocabulary.
	pub tokenizer: Tokenizer,
	/// Conversation format.
	pub template: ChatTemplate,
	/// Embedding, one row per token.
	pub embedding: Rows,
	/// Head, one row per token; the embedding itself when absent.
	pub head: Option<Rows>,
	/// Blocks in order.
	pub blocks: Vec<Block>,
	/// Norm before the head.
	pub output_norm: Vec<f32>,
	/// Rotary angles of all positions.
	pub rope: RopeTable,
	/// Name in the file, or the file's.
	pub name: String,
	/// Licence in the file.
	pub licence: Option<String>,
	/// Root of everything above.
	pub id: ModelId,
	/// Canonical size, bytes.
	pub bytes: u64,
}

/// Reads tensors of one file and remembers which were used.
struct Loader<'a> {
	gguf: &'a Gguf,
	bytes: &'a [u8],
	packing: Packing,
	used: HashSet<String>,
}

impl<'a> Loader<'a> {
	fn find(
		&mut self,
		name: &str,
		dims: &[usize],
	) -> Result<(&'a TensorInfo, &'a [u8]), ModelError> {
		let info = self
			.gguf
			.tensors
			.get(name)
			.ok_or_else(|| ModelError::MissingTensor(name.to_owned()))?;
		self.used.insert(name.to_owned());
		let same = info.dims.len() == dims.len()
			&& info.dims.iter().zip(dims).all(|(a, b)| *a == *b as u64);
		if !same {
			return Err(ModelError::Tensor {
				name: name.to_owned(),
				found: format!("of shape {:?}", info.dims),
				expected: format!("{dims:?}"),
			});
		}
		Ok((info, self.gguf.data(self.bytes, info)))
	}

	fn wrong_type(info: &TensorInfo, expected: &str) -> ModelError {
		ModelError::Tensor {
			name: info.name.clone(),
			found: format!("stored as {}", info.kind),
			expected: expected.to_owned(),
		}
	}

	fn rows(&mut self, name: &str, dims: &[usize]) -> Result<Rows, ModelError> {
		let (info, data) = self.find(name, dims)?;
		let rows = match info.kind {
			TensorType::F16 => {
				let (values, _) = data.as_chunks::<2>();
				Rows::F16(
					values
						.iter()
						.map(|bytes| u16::from_le_bytes(*bytes))
						.collect(),
				)
			}
			TensorType::F32 => {
				let (values, _) = data.as_chunks::<4>();
				Rows::F32(
					values
						.iter()
						.map(|bytes| f32::from_le_bytes(*bytes))
						.collect(),
				)
			}
			TensorType::I2S => return Err(Self::wrong_type(info, "F16 or F32")),
		};
		if !rows.is_finite() {
			return Err(ModelError::Values(name.to_owned()));
		}
		Ok(rows)
	}

	fn norm(&mut self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
		Ok(match self.rows(name, &[len])? {
			Rows::F32(values) => values,
			Rows::F16(values) => values.into_iter().map(math::f16_to_f32).collect(),
		})
	}

	fn ternary(
		&mut self,
		name: &str,
		cols: usize,
		rows: usize,
	) -> Result<TernaryMatrix, ModelError> {
		let (info, data) = self.find(name, &[cols, rows])?;
		if info.kind != TensorType::I2S {
			return Err(Self::wrong_type(info, "I2_S"));
		}
		TernaryMatrix::from_i2_s(data, rows, cols, self.packing)
			.map_err(|_| ModelError::Values(name.to_owned()))
	}
}

impl Model {
	/// Loads a file, packs its ternary weights and computes the model's identity.
	pub fn open(path: &Path, packing: Packing) -> Result<Self, ModelError> {
		let io = |source| ModelError::Io {
			path: path.to_owned(),
			source,
		};
		let file = std::fs::File::open(path).map_err(io)?;
		// SAFETY: the map is read-only and lives only in this function, which copies what it keeps. A program that
		// shortens the file meanwhile makes this process fail with SIGBUS, as for every program that maps files.
		let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
		let stem = path
			.file_stem()
			.map(|stem| stem.to_string_lossy().into_owned());
		Self::from_bytes(&map, &stem.unwrap_or_default(), packing)
	}

	/// Loads the bytes of a file; `name` is used when the file has none.
	pub fn from_bytes(bytes: &[u8], name: &str, packing: Packing) -> Result<Self, ModelError> {
		let gguf = Gguf::parse(bytes)?;
		let config = ModelConfig::from_gguf(&gguf)?;
		let tokenizer = Tokenizer::from_gguf(&gguf)?;
		let markup = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
		let eos = gguf.int("tokenizer.ggml.eos_token_id").map(|id| id as u32);
		let template = ChatTemplate::new(
			gguf.text("tokenizer.chat_template"),
			markup(tokenizer.bos()),
			markup(eos),
		)?;
		let mut loader = Loader {
			gguf: &gguf,
			bytes,
			packing,
			used: HashSet::new(),
		};
		let (hidden, ffn, vocab) = (config.hidden, config.ffn, config.vocab);
		let (query, kv) = (config.query_width(), config.kv_width());
		let embedding = loader.rows("token_embd.weight", &[hidden, vocab])?;
		let head = match gguf.tensors.contains_key("output.weight") {
			true => Some(loader.rows("output.weight", &[hidden, vocab])?),
			false => None,
		};
		let output_norm = loader.norm("output_norm.weight", hidden)?;
		let mut blocks = Vec::new();
		for layer in 0..config.layers {
			let name = |part: &str| format!("blk.{layer}.{part}.weight");
			blocks.push(Block {
				attn_norm: loader.norm(&name("attn_norm"), hidden)?,
				attn_q: loader.ternary(&name("attn_q"), hidden, query)?,
				attn_k: loader.ternary(&name("attn_k"), hidden, kv)?,
				attn_v: loader.ternary(&name("attn_v"), hidden, kv)?,
				attn_sub_norm: loader.norm(&name("attn_sub_norm"), query)?,
				attn_output: loader.ternary(&name("attn_output"), query, hidden)?,
				ffn_norm: loader.norm(&name("ffn_norm"), hidden)?,
				ffn_gate: loader.ternary(&name("ffn_gate"), hidden, ffn)?,
				ffn_up: loader.ternary(&name("ffn_up"), hidden, ffn)?,
				ffn_sub_norm: loader.norm(&name("ffn_sub_norm"), ffn)?,
				ffn_down: loader.ternary(&name("ffn_down"), ffn, hidden)?,
			});
		}
		if let Some(extra) = gguf
			.tensors
			.keys()
			.find(|name| !loader.used.contains(*name))
		{
			return Err(ModelError::ExtraTensor(extra.clone()));
		}
		let mut model = Self {
			rope: RopeTable::new(config.rope_theta, config.head_dim, config.context),
			name: gguf.text("general.name").unwrap_or(name).to_owned(),
			licence: gguf.text("general.license").map(str::to_owned),
			config,
			tokenizer,
			template,
			embedding,
			head,
			blocks,
			output_norm,
			id: ModelId::zero(),
			bytes: 0,
		};
		let identity = identity::of(&model);
		model.id = identity.id;
		model.bytes = identity.bytes;
		// A head that repeats the embedding is the same model as one without.
		if identity.tied {
			model.head = None;
		}
		Ok(model)
	}

	/// Multiply-accumulates of an answer.
	pub fn operations(&self) -> OperationCount {
		self.config.operations()
	}
}
