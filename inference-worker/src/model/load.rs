//! Reading a model from its files.

use super::{
	Block, Embedding, Head, Linear, Model,
	checkpoint::{Checkpoint, Data, Scale, Stored, widen},
	config::{ConfigError, Family, HfConfig, ModelConfig, rope_table},
	gguf::{Gguf, GgufError, TensorType},
	huggingface,
	identity::{Leaves, Manifest},
	template::{self, ChatTemplate, TemplateError},
};
use crate::tokenizer::{Tokenizer, TokenizerError};
use aria_kernels::{
	HeadMatrix, I2Block, PackError, PackOptions, Packing, RowOrder, TernaryMatrix, math,
};
use rayon::prelude::*;
use std::{
	collections::{HashMap, HashSet},
	fs::File,
	io::BufReader,
	path::{Path, PathBuf},
};

/// Why a model can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
	/// A file can't be read.
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
	/// A file is damaged.
	#[error("{path} is damaged: {reason}")]
	Damaged {
		/// Which file.
		path: PathBuf,
		/// What is wrong.
		reason: String,
	},
	/// A tensor outside its file.
	#[error("a tensor reaches past the end of its file: the download is incomplete")]
	Short,
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
	/// Ternary weights that can't be packed.
	#[error("tensor {name:?}: {error}")]
	Pack {
		/// Which.
		name: String,
		/// Why.
		error: PackError,
	},
	/// The head can't be used.
	#[error("the head can't be used: {0}")]
	Head(String),
}

/// How a model is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
	/// How ternary weights lie in memory.
	pub packing: Packing,
	/// The blocks of I2_S tensors, which files do not say.
	pub i2_block: I2Block,
}

impl From<Packing> for LoadOptions {
	fn from(packing: Packing) -> Self {
		Self {
			packing,
			i2_block: I2Block::B128,
		}
	}
}

/// Bytes of a tensor that are read together when it is not read whole.
const CHUNK: u64 = 8 << 20;

/// What a folder or file says beside its weights.
struct Extras {
	tokenizer: Tokenizer,
	template: ChatTemplate,
	name: String,
	licence: Option<String>,
}

/// Reads tensors and remembers which were used.
struct Loader<'a> {
	checkpoint: &'a Checkpoint<'a>,
	packing: Packing,
	/// Order of the rows of queries and keys.
	pairs: RowOrder,
	used: HashSet<String>,
	manifest: Manifest,
}

impl Loader<'_> {
	fn has(&self, name: &str) -> bool {
		self.checkpoint.tensors.contains_key(name)
	}

	fn find(&mut self, name: &str, rows: usize, cols: usize) -> Result<Stored, ModelError> {
		let tensor = self
			.checkpoint
			.tensors
			.get(name)
			.ok_or_else(|| ModelError::MissingTensor(name.to_owned()))?;
		self.used.insert(name.to_owned());
		if (tensor.rows, tensor.cols) != (rows as u64, cols as u64) {
			return Err(ModelError::Tensor {
				name: name.to_owned(),
				found: format!("{} x {}", tensor.rows, tensor.cols),
				expected: format!("{rows} x {cols}"),
			});
		}
		Ok(tensor.clone())
	}

	/// A norm.
	fn norm(&mut self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
		let tensor = self.find(name, 1, len)?;
		let mut values = vec![0.0; len];
		let bytes = self.checkpoint.read(&tensor, 0..tensor.len)?;
		if !widen(tensor.kind, &bytes, &mut values) {
			return Err(wrong_type(name, &tensor, "F32, F16 or BF16"));
		}
		if values.iter().any(|value| !value.is_finite()) {
			return Err(ModelError::Values(name.to_owned()));
		}
		self.manifest.norm(name, &values);
		Ok(values)
	}

	fn optional_norm(&mut self, name: &str, len: usize) -> Result<Option<Vec<f32>>, ModelError> {
		self.has(name).then(|| self.norm(name, len)).transpose()
	}

	/// Rows rounded to binary16, and their hashes if `hashed`.
	fn halves(
		&mut self,
		name: &str,
		rows: usize,
		cols: usize,
		hashed: bool,
	) -> Result<Vec<u16>, ModelError> {
		let tensor = self.find(name, rows, cols)?;
		let row_bytes = tensor.len / rows as u64;
		if tensor.kind.is_ternary() {
			return self.ternary_halves(name, rows, cols, hashed);
		}
		if row_bytes * rows as u64 != tensor.len {
			return Err(wrong_type(name, &tensor, "whole rows of blocks"));
		}
		let leaves = Leaves::new(rows);
		let each = (CHUNK / row_bytes).max(1) as usize;
		let mut halves = vec![0u16; rows * cols];
		halves
			.par_chunks_mut(each * cols)
			.enumerate()
			.try_for_each(|(chunk, halves)| {
				let first = (chunk * each) as u64 * row_bytes;
				let len = (halves.len() / cols) as u64 * row_bytes;
				let bytes = self.checkpoint.read(&tensor, first..first + len)?;
				if tensor.kind == TensorType::F16 {
					for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks().0) {
						*half = u16::from_le_bytes(*bytes);
					}
				} else {
					let mut wide = vec![0.0; cols];
					let rows = halves
						.chunks_exact_mut(cols)
						.zip(bytes.chunks_exact(row_bytes as usize));
					for (halves, bytes) in rows {
						if !widen(tensor.kind, bytes, &mut wide) {
							return Err(wrong_type(name, &tensor, "F16, BF16, F32, Q8_0 or Q6_K"));
						}
						for (half, value) in halves.iter_mut().zip(&wide) {
							*half = math::f32_to_f16(*value);
						}
					}
				}
				if halves.iter().any(|half| half & 0x7c00 == 0x7c00) {
					return Err(ModelError::Values(name.to_owned()));
				}
				if hashed {
					leaves.halves(chunk * each, halves, cols);
				}
				Ok(())
			})?;
		if hashed {
			self.manifest.rows(name, cols, 2 * cols, leaves);
		}
		Ok(halves)
	}

	/// As [`halves`](Self::halves) for rows that are published as ternary weights.
	fn ternary_halves(
		&mut self,
		name: &str,
		rows: usize,
		cols: usize,
		hashed: bool,
	) -> Result<Vec<u16>, ModelError> {
		let (matrix, _) = self.ternary(name, rows, cols, RowOrder::AsStored)?;
		let block = matrix.block().unwrap_or(cols);
		let leaves = Leaves::new(rows);
		let mut halves = vec![0u16; rows * cols];
		halves
			.par_chunks_mut(cols)
			.enumerate()
			.for_each(|(row, halves)| {
				for (index, (half, weight)) in halves.iter_mut().zip(matrix.row(row)).enumerate() {
					let value = f32::from(weight) * matrix.block_scale(row, index / block);
					*half = math::f32_to_f16(value);
				}
				if hashed {
					leaves.halves(row, halves, cols);
				}
			});
		if hashed {
			self.manifest.rows(name, cols, 2 * cols, leaves);
		}
		Ok(halves)
	}

	/// A ternary matrix and the hashes of its rows.
	fn ternary(
		&mut self,
		name: &str,
		rows: usize,
		cols: usize,
		order: RowOrder,
	) -> Result<(TernaryMatrix, Leaves), ModelError> {
		let tensor = self.find(name, rows, cols)?;
		let bytes = self.checkpoint.read(&tensor, 0..tensor.len)?;
		let leaves = Leaves::new(rows);
		let observer = |row: usize, codes: &[u8]| leaves.codes(row, codes);
		let options = PackOptions {
			packing: self.packing,
			order,
			observer: Some(&observer),
		};
		let pack = |error| ModelError::Pack {
			name: name.to_owned(),
			error,
		};
		let matrix = match (tensor.kind, tensor.scale) {
			(TensorType::I2S(block), _) => {
				TernaryMatrix::from_i2_s_blocks(&bytes, rows, cols, block, options)
			}
			(TensorType::Tq1_0, _) => TernaryMatrix::from_tq1_0(&bytes, rows, cols, options),
			(TensorType::Tq2_0, _) => TernaryMatrix::from_tq2_0(&bytes, rows, cols, options),
			(TensorType::Q2_0(block), _) => {
				TernaryMatrix::from_q2_0(&bytes, rows, cols, block, options)
			}
			(TensorType::HfPacked, Scale::Times(scale)) => {
				TernaryMatrix::from_hf_packed(&bytes, rows, cols, scale, options)
			}
			(TensorType::HfPacked, _) => {
				return Err(ModelError::MissingTensor(format!("{name}.weight_scale")));
			}
			(kind, Scale::Master) => {
				let mut values = vec![0.0; rows * cols];
				if !widen(kind, &bytes, &mut values) {
					return Err(wrong_type(name, &tensor, "BF16, F16 or F32"));
				}
				quantize(&values, rows, cols, options)
					.ok_or_else(|| ModelError::Values(name.to_owned()))?
			}
			_ => {
				return Err(wrong_type(
					name,
					&tensor,
					"ternary: I2_S, TQ1_0, TQ2_0 or Q2_0",
				));
			}
		};
		let mut matrix = matrix.map_err(pack)?;
		if let (true, Scale::Times(factor)) = (tensor.kind != TensorType::HfPacked, tensor.scale) {
			matrix.rescale(factor).map_err(pack)?;
		}
		Ok((matrix, leaves))
	}

	fn linear(
		&mut self,
		name: &str,
		rows: usize,
		cols: usize,
		order: RowOrder,
	) -> Result<Linear, ModelError> {
		let (weight, leaves) = self.ternary(name, rows, cols, order)?;
		self.manifest.rows(name, cols, cols.div_ceil(4), leaves);
		self.manifest.scales(name, &weight);
		let norm = self.optional_norm(&format!("{name}_norm_in"), cols)?;
		Ok(Linear { weight, norm })
	}

	fn block(&mut self, config: &ModelConfig, layer: usize) -> Result<Block, ModelError> {
		let (hidden, ffn) = (config.hidden, config.ffn);
		let (query, kv) = (config.query_width(), config.kv_width());
		let name = |part: &str| format!("blk.{layer}.{part}");
		let (pairs, plain) = (self.pairs, RowOrder::AsStored);
		let mut block = Block {
			attn_norm: self.norm(&name("attn_norm"), hidden)?,
			attn_q: self.linear(&name("attn_q"), query, hidden, pairs)?,
			attn_k: self.linear(&name("attn_k"), kv, hidden, pairs)?,
			attn_v: self.linear(&name("attn_v"), kv, hidden, plain)?,
			q_norm: None,
			k_norm: None,
			attn_output: self.linear(&name("attn_output"), hidden, query, plain)?,
			ffn_norm: self.norm(&name("ffn_norm"), hidden)?,
			ffn_gate: self.linear(&name("ffn_gate"), ffn, hidden, plain)?,
			ffn_up: self.linear(&name("ffn_up"), ffn, hidden, plain)?,
			ffn_down: self.linear(&name("ffn_down"), hidden, ffn, plain)?,
		};
		match config.family {
			Family::BitNet => {
				block.attn_output.norm = Some(self.norm(&name("attn_sub_norm"), query)?);
				block.ffn_down.norm = Some(self.norm(&name("ffn_sub_norm"), ffn)?);
			}
			Family::Llama => {}
			Family::Qwen3 => {
				block.q_norm = Some(self.norm(&name("attn_q_norm"), config.head_dim)?);
				block.k_norm = Some(self.norm(&name("attn_k_norm"), config.head_dim)?);
			}
		}
		Ok(block)
	}

	/// The head: one of its own, the embedding, or none in a model that only embeds.
	fn head(
		&mut self,
		config: &ModelConfig,
		embedding: &[u16],
		only_embeds: bool,
	) -> Result<(Option<Head>, bool), ModelError> {
		let (vocab, hidden) = (config.vocab, config.hidden);
		let ternary = |loader: &Self, name: &str| {
			loader
				.checkpoint
				.tensors
				.get(name)
				.is_some_and(|tensor| tensor.kind.is_ternary())
		};
		if only_embeds {
			return Ok((None, false));
		}
		let tied = !self.has("output");
		let name = if tied { "token_embd" } else { "output" };
		if ternary(self, name) {
			let (head, leaves) = self.ternary(name, vocab, hidden, RowOrder::AsStored)?;
			if !tied {
				self.manifest.rows(name, hidden, hidden.div_ceil(4), leaves);
				self.manifest.scales(name, &head);
			}
			return Ok((Some(Head::Ternary(head)), tied));
		}
		if tied {
			return Ok((
				Some(Head::Int8(quantize_head(embedding, vocab, hidden)?)),
				true,
			));
		}
		let rows = self.halves("output", vocab, hidden, false)?;
		// A head that repeats the embedding is the same model as one without.
		let tied = rows == embedding;
		let head = quantize_head(&rows, vocab, hidden)?;
		if !tied {
			self.manifest.head("output", &head);
		}
		Ok((Some(Head::Int8(head)), tied))
	}
}

fn wrong_type(name: &str, tensor: &Stored, expected: &str) -> ModelError {
	ModelError::Tensor {
		name: name.to_owned(),
		found: format!("stored as {}", tensor.kind),
		expected: expected.to_owned(),
	}
}

/// Master weights to ternary ones: see docs/numerics.md, "Weights". None if one is not finite.
fn quantize(
	values: &[f32],
	rows: usize,
	cols: usize,
	options: PackOptions<'_>,
) -> Option<Result<TernaryMatrix, PackError>> {
	let sum: f64 = values.iter().map(|value| f64::from(value.abs())).sum();
	if !sum.is_finite() {
		return None;
	}
	let mean = ((sum / values.len() as f64) as f32).max(1e-5);
	let inverse = 1.0 / mean;
	Some(TernaryMatrix::from_codes(
		rows,
		cols,
		1.0 / inverse,
		options,
		|row, codes| {
			for (code, value) in codes.iter_mut().zip(&values[row * cols..]) {
				// Limited first: what is far outside would not round.
				let value = (value * inverse).clamp(-1.0, 1.0);
				*code = (math::round_half_even(value) + 1.0) as u8;
			}
		},
	))
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

/// Names of the files of a model that is split: `…-00001-of-000NN.gguf`.
fn split_files(path: &Path, count: u64) -> Option<Vec<PathBuf>> {
	let stem = path
		.file_name()?
		.to_str()?
		.strip_suffix(&format!("-00001-of-{count:05}.gguf"))?;
	let name = |number| path.with_file_name(format!("{stem}-{number:05}-of-{count:05}.gguf"));
	(count <= 99_999).then(|| (1..=count).map(name).collect())
}

/// Adds the tensors of a container to a checkpoint.
fn add_tensors(
	checkpoint: &mut Checkpoint<'_>,
	scales: &mut HashMap<String, Stored>,
	gguf: &Gguf,
	data: usize,
) -> Result<(), ModelError> {
	for info in gguf.tensors.values() {
		let (rows, cols) = match info.dims[..] {
			[cols] => (1, cols),
			[cols, rows] => (rows, cols),
			_ => return Err(ModelError::ExtraTensor(info.name.clone())),
		};
		let stored = Stored {
			file: data,
			start: info.start,
			len: info.len,
			rows,
			cols,
			kind: info.kind,
			scale: Scale::Own,
		};
		let old = if let Some(name) = info.name.strip_suffix(".weight") {
			checkpoint.tensors.insert(name.to_owned(), stored)
		} else if let Some(name) = info.name.strip_suffix(".scale") {
			scales.insert(name.to_owned(), stored)
		} else {
			return Err(ModelError::ExtraTensor(info.name.clone()));
		};
		if old.is_some() {
			return Err(GgufError::Duplicate(info.name.clone()).into());
		}
	}
	Ok(())
}

/// Gives tensors the factors that stand beside them.
fn apply_scales(
	checkpoint: &mut Checkpoint<'_>,
	scales: HashMap<String, Stored>,
) -> Result<(), ModelError> {
	for (name, scale) in scales {
		let mut value = [0.0];
		let bytes = checkpoint.read(&scale, 0..scale.len)?;
		if (scale.rows, scale.cols) != (1, 1) || !widen(scale.kind, &bytes, &mut value) {
			return Err(ModelError::Values(format!("{name}.scale")));
		}
		let tensor = checkpoint.tensors.get_mut(&name);
		let tensor = tensor.ok_or_else(|| ModelError::MissingTensor(name.clone()))?;
		tensor.scale = Scale::Times(value[0]);
	}
	Ok(())
}

/// Opens a container.
pub(crate) fn open_gguf(path: &Path, i2_block: I2Block) -> Result<Gguf, ModelError> {
	let io = |source| ModelError::Io {
		path: path.to_owned(),
		source,
	};
	let file = File::open(path).map_err(io)?;
	let len = file.metadata().map_err(io)?.len();
	Ok(Gguf::read(
		BufReader::with_capacity(1 << 16, file),
		len,
		i2_block,
	)?)
}

fn gguf_extras(gguf: &Gguf, name: &str) -> Result<Extras, ModelError> {
	let tokenizer = Tokenizer::from_gguf(gguf)?;
	let markup = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
	let eos = gguf.int("tokenizer.ggml.eos_token_id").map(|id| id as u32);
	let built_in = template::built_in(gguf.text("general.architecture"), &tokenizer);
	let source = gguf.text("tokenizer.chat_template").or(built_in);
	let template = ChatTemplate::new(source, markup(tokenizer.bos()), markup(eos))?;
	Ok(Extras {
		tokenizer,
		template,
		name: gguf.text("general.name").unwrap_or(name).to_owned(),
		licence: gguf.text("general.license").map(str::to_owned),
	})
}

fn folder_extras(folder: &Path, config: &HfConfig) -> Result<Extras, ModelError> {
	let tokenizer = Tokenizer::from_huggingface(folder, config.model.vocab)?;
	let settings = huggingface::json(folder, "tokenizer_config.json")?.unwrap_or_default();
	let mut source = huggingface::text(folder, "chat_template.jinja")?;
	if source.is_none() {
		source = match &settings["chat_template"] {
			serde_json::Value::String(text) => Some(text.clone()),
			// Several, by name.
			serde_json::Value::Array(list) => list
				.iter()
				.find(|entry| entry["name"] == "default")
				.and_then(|entry| entry["template"].as_str())
				.map(str::to_owned),
			_ => None,
		};
	}
	let built_in = template::built_in(Some(&config.model.architecture), &tokenizer);
	let markup = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
	let eos = tokenizer.end_tokens().first().copied();
	let source = source.as_deref().or(built_in);
	let template = ChatTemplate::new(source, markup(tokenizer.bos()), markup(eos))?;
	let name = folder.canonicalize().ok().and_then(|path| {
		path.file_name()
			.map(|name| name.to_string_lossy().into_owned())
	});
	Ok(Extras {
		tokenizer,
		template,
		name: name.unwrap_or_default(),
		licence: None,
	})
}

impl Model {
	/// Loads a GGUF file, or a folder as on the Hugging Face hub; packs its ternary weights and computes the model's
	/// identity.
	///
	/// # Errors
	///
	/// [`ModelError`] names what is wrong with the files, or why the model is not supported.
	pub fn open(path: &Path, options: impl Into<LoadOptions>) -> Result<Self, ModelError> {
		let options = options.into();
		if path.is_dir() {
			return Self::open_folder(path, options);
		}
		let gguf = open_gguf(path, options.i2_block)?;
		let (mut files, mut scales) = (vec![path.to_owned()], HashMap::new());
		let mut checkpoint = Checkpoint {
			files: Vec::new(),
			tensors: HashMap::new(),
		};
		add_tensors(&mut checkpoint, &mut scales, &gguf, 0)?;
		if let Some(count) = gguf.int("split.count").filter(|count| *count > 1) {
			files = split_files(path, count).ok_or_else(|| ModelError::Damaged {
				path: path.to_owned(),
				reason: format!("one of {count} parts: open the first, …-00001-of-{count:05}.gguf"),
			})?;
			for (number, path) in files.iter().enumerate().skip(1) {
				let part = open_gguf(path, options.i2_block)?;
				add_tensors(&mut checkpoint, &mut scales, &part, number)?;
			}
		}
		checkpoint.files = files.into_iter().map(Data::File).collect();
		apply_scales(&mut checkpoint, scales)?;
		let stem = path
			.file_stem()
			.map(|stem| stem.to_string_lossy().into_owned());
		Self::from_gguf(&gguf, checkpoint, &stem.unwrap_or_default(), options)
	}

	/// Loads the bytes of a GGUF file; `name` is used when the file has none.
	///
	/// # Errors
	///
	/// As [`open`](Self::open).
	pub fn from_bytes(
		bytes: &[u8],
		name: &str,
		options: impl Into<LoadOptions>,
	) -> Result<Self, ModelError> {
		let options = options.into();
		let gguf = Gguf::read(bytes, bytes.len() as u64, options.i2_block)?;
		let mut scales = HashMap::new();
		let mut checkpoint = Checkpoint {
			files: vec![Data::Bytes(bytes)],
			tensors: HashMap::new(),
		};
		add_tensors(&mut checkpoint, &mut scales, &gguf, 0)?;
		apply_scales(&mut checkpoint, scales)?;
		Self::from_gguf(&gguf, checkpoint, name, options)
	}

	fn from_gguf(
		gguf: &Gguf,
		mut checkpoint: Checkpoint<'_>,
		name: &str,
		options: LoadOptions,
	) -> Result<Self, ModelError> {
		let factors = match checkpoint.tensors.remove("rope_freqs") {
			Some(tensor) => {
				let mut factors = vec![0.0; tensor.cols.min(1024) as usize];
				let bytes = checkpoint.read(&tensor, 0..tensor.len)?;
				widen(tensor.kind, &bytes, &mut factors)
					.then_some(factors)
					.ok_or_else(|| wrong_type("rope_freqs", &tensor, "F32"))
					.map(Some)?
			}
			None => None,
		};
		let vocab = checkpoint
			.tensors
			.get("token_embd")
			.map(|tensor| tensor.rows);
		let listed = gguf
			.texts("tokenizer.ggml.tokens")
			.map(|tokens| tokens.len() as u64);
		let rows = vocab.or(listed).unwrap_or(0);
		let config = ModelConfig::from_gguf(gguf, rows, factors)?;
		let pairs = match config.family {
			// The converter brought the rows of each head into another order.
			Family::Llama => RowOrder::FromPairs {
				head_dim: config.head_dim,
			},
			_ => RowOrder::AsStored,
		};
		let extras = gguf_extras(gguf, name)?;
		let pooled = gguf.int(&format!("{}.pooling_type", config.architecture));
		let only_embeds = pooled.is_some_and(|kind| kind != 0);
		Self::build(
			&checkpoint,
			config,
			extras,
			options.packing,
			pairs,
			only_embeds,
		)
	}

	fn open_folder(folder: &Path, options: LoadOptions) -> Result<Self, ModelError> {
		let text =
			huggingface::text(folder, "config.json")?.ok_or_else(|| ModelError::Damaged {
				path: folder.to_owned(),
				reason: "there is no config.json in it".to_owned(),
			})?;
		let config = HfConfig::parse(&text)?;
		let checkpoint = huggingface::open(folder, &config)?;
		let extras = folder_extras(folder, &config)?;
		let class = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
		let class = class
			.pointer("/architectures/0")
			.and_then(|class| class.as_str());
		let only_embeds = class.is_some_and(|class| class.ends_with("Model"));
		let (model, order) = (config.model, RowOrder::AsStored);
		Self::build(
			&checkpoint,
			model,
			extras,
			options.packing,
			order,
			only_embeds,
		)
	}

	fn build(
		checkpoint: &Checkpoint<'_>,
		config: ModelConfig,
		extras: Extras,
		packing: Packing,
		pairs: RowOrder,
		only_embeds: bool,
	) -> Result<Self, ModelError> {
		if extras.tokenizer.len() > config.vocab {
			return Err(
				ConfigError::Shape("there are more tokens than rows of the embedding").into(),
			);
		}
		let mut loader = Loader {
			checkpoint,
			packing,
			pairs,
			used: HashSet::new(),
			manifest: Manifest::default(),
		};
		let rows = loader.halves("token_embd", config.vocab, config.hidden, true)?;
		let (head, tied) = loader.head(&config, &rows, only_embeds)?;
		let output_norm = loader.norm("output_norm", config.hidden)?;
		let blocks = (0..config.layers)
			.map(|layer| loader.block(&config, layer))
			.collect::<Result<Vec<_>, _>>()?;
		let unused = checkpoint
			.tensors
			.keys()
			.filter(|name| !loader.used.contains(*name));
		if let Some(extra) = unused.min() {
			return Err(ModelError::ExtraTensor(extra.clone()));
		}
		let rope = rope_table(&config);
		let (id, bytes) =
			loader
				.manifest
				.finish(&config, &extras.tokenizer, &extras.template, tied, &head);
		Ok(Self {
			config,
			tokenizer: extras.tokenizer,
			template: extras.template,
			embedding: Embedding { rows },
			head,
			tied,
			blocks,
			output_norm,
			rope,
			name: extras.name,
			licence: extras.licence,
			id,
			bytes,
			grammars: Default::default(),
		})
	}
}
