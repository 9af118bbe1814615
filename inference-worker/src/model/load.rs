//! Reading a model from its file.

use super::{
	Block, Embedding, Head, Linear, Model,
	config::{ConfigError, ModelConfig},
	gguf::{Gguf, GgufError, TensorInfo, TensorType},
	identity,
	template::{ChatTemplate, TemplateError},
};
use crate::tokenizer::{Tokenizer, TokenizerError};
use aria_kernels::{HeadMatrix, Packing, RopeTable, TernaryMatrix, math};
use aria_primitives::ModelId;
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
	/// The head can't be used.
	#[error("the head can't be used: {0}")]
	Head(String),
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

	/// Numbers, rounded to binary16.
	fn halves(&mut self, name: &str, dims: &[usize]) -> Result<Vec<u16>, ModelError> {
		let (info, data) = self.find(name, dims)?;
		let rows: Vec<u16> = match info.kind {
			TensorType::F16 => {
				let (values, _) = data.as_chunks::<2>();
				values.iter().copied().map(u16::from_le_bytes).collect()
			}
			TensorType::F32 => {
				let (values, _) = data.as_chunks::<4>();
				let half = |bytes| math::f32_to_f16(f32::from_le_bytes(bytes));
				values.iter().copied().map(half).collect()
			}
			TensorType::I2S => return Err(Self::wrong_type(info, "F16 or F32")),
		};
		if rows.iter().any(|value| value & 0x7c00 == 0x7c00) {
			return Err(ModelError::Values(name.to_owned()));
		}
		Ok(rows)
	}

	fn norm(&mut self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
		let (info, data) = self.find(name, &[len])?;
		let values: Vec<f32> = match info.kind {
			TensorType::F32 => {
				let (values, _) = data.as_chunks::<4>();
				values.iter().copied().map(f32::from_le_bytes).collect()
			}
			_ => self
				.halves(name, &[len])?
				.into_iter()
				.map(math::f16_to_f32)
				.collect(),
		};
		if values.iter().any(|value| !value.is_finite()) {
			return Err(ModelError::Values(name.to_owned()));
		}
		Ok(values)
	}

	fn ternary(&mut self, name: &str, cols: usize, rows: usize) -> Result<Linear, ModelError> {
		let (info, data) = self.find(name, &[cols, rows])?;
		if info.kind != TensorType::I2S {
			return Err(Self::wrong_type(info, "I2_S"));
		}
		let weight = TernaryMatrix::from_i2_s(data, rows, cols, self.packing)
			.map_err(|_| ModelError::Values(name.to_owned()))?;
		Ok(Linear { weight, norm: None })
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
		let rows = loader.halves("token_embd.weight", &[hidden, vocab])?;
		let own = match gguf.tensors.contains_key("output.weight") {
			true => Some(loader.halves("output.weight", &[hidden, vocab])?),
			false => None,
		};
		// A head that repeats the embedding is the same model as one without.
		let own = own.filter(|own| *own != rows);
		let tied = own.is_none();
		let head = quantize_head(own.as_deref().unwrap_or(&rows), vocab, hidden)?;
		let embedding = Embedding { rows };
		let output_norm = loader.norm("output_norm.weight", hidden)?;
		let mut blocks = Vec::new();
		for layer in 0..config.layers {
			let name = |part: &str| format!("blk.{layer}.{part}.weight");
			let mut block = Block {
				attn_norm: loader.norm(&name("attn_norm"), hidden)?,
				attn_q: loader.ternary(&name("attn_q"), hidden, query)?,
				attn_k: loader.ternary(&name("attn_k"), hidden, kv)?,
				attn_v: loader.ternary(&name("attn_v"), hidden, kv)?,
				q_norm: None,
				k_norm: None,
				attn_output: loader.ternary(&name("attn_output"), query, hidden)?,
				ffn_norm: loader.norm(&name("ffn_norm"), hidden)?,
				ffn_gate: loader.ternary(&name("ffn_gate"), hidden, ffn)?,
				ffn_up: loader.ternary(&name("ffn_up"), hidden, ffn)?,
				ffn_down: loader.ternary(&name("ffn_down"), ffn, hidden)?,
			};
			block.attn_output.norm = Some(loader.norm(&name("attn_sub_norm"), query)?);
			block.ffn_down.norm = Some(loader.norm(&name("ffn_sub_norm"), ffn)?);
			blocks.push(block);
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
			head: Some(Head::Int8(head)),
			tied,
			blocks,
			output_norm,
			id: ModelId::zero(),
			bytes: 0,
			grammars: Default::default(),
		};
		let identity = identity::of(&model);
		model.id = identity.id;
		model.bytes = identity.bytes;
		Ok(model)
	}
}

/// The head in eight bits, from rows in binary16.
fn quantize_head(rows: &[u16], vocab: usize, hidden: usize) -> Result<HeadMatrix, ModelError> {
	// Secret, and of no effect on logits: see `aria_kernels::head`.
	let dither: Vec<u8> = (0..hidden).map(|_| rand::random::<u8>() & 15).collect();
	let widen = |row: usize, out: &mut [f32]| {
		for (out, half) in out.iter_mut().zip(&rows[row * hidden..][..hidden]) {
			*out = math::f16_to_f32(*half);
		}
	};
	HeadMatrix::new(vocab, hidden, &dither, widen)
		.map_err(|error| ModelError::Head(error.to_string()))
}
