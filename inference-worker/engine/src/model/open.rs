//! Opening a model: a GGUF file, a split one, or a folder as on the Hugging Face hub.

use super::{
	Dither, Model, ModelError, SamplingDefaults,
	checkpoint::{Checkpoint, Data, Scale, Stored, widen},
	config::{ConfigError, Family, HfConfig, ModelConfig},
	huggingface,
	load::wrong_type,
	template::{self, ChatTemplate},
};
use crate::{
	gguf::{Gguf, GgufError},
	tokenizer::Tokenizer,
};
use aria_kernels::{I2Block, Packing, RowOrder};
use std::{
	collections::HashMap,
	fs::File,
	io::BufReader,
	path::{Path, PathBuf},
};

/// How a model is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
	/// How ternary weights lie in memory.
	pub packing: Packing,
	/// The blocks of I2_S tensors, which files do not say.
	pub i2_block: I2Block,
	/// What the dither of the head is made of.
	pub dither: Dither,
}

#[cfg(feature = "native")]
impl From<Packing> for LoadOptions {
	fn from(packing: Packing) -> Self {
		Self {
			packing,
			i2_block: I2Block::B128,
			dither: Dither::random(),
		}
	}
}

/// What a folder or file says beside its weights.
pub(super) struct Extras {
	pub(super) tokenizer: Tokenizer,
	pub(super) template: ChatTemplate,
	pub(super) sampling: SamplingDefaults,
	pub(super) name: String,
	pub(super) licence: Option<String>,
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
		let bytes = checkpoint.read(&scale)?;
		if (scale.rows, scale.cols) != (1, 1) || !widen(scale.kind, &bytes, &mut value) {
			return Err(ModelError::Values(format!("{name}.scale")));
		}
		let tensor = checkpoint.tensors.get_mut(&name);
		let tensor = tensor.ok_or_else(|| ModelError::MissingTensor(name.clone()))?;
		if !tensor.kind.is_ternary() {
			return Err(ModelError::ExtraTensor(format!("{name}.scale")));
		}
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
		sampling: SamplingDefaults::from_gguf(gguf),
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
	let generation = huggingface::json(folder, "generation_config.json")?.unwrap_or_default();
	Ok(Extras {
		tokenizer,
		template,
		sampling: SamplingDefaults::from_generation_config(&generation),
		name: folder_name(folder),
		licence: None,
	})
}

/// Name of a model whose folder is all that has one.
pub(super) fn folder_name(folder: &Path) -> String {
	let path = folder.canonicalize().ok();
	let name = path.as_deref().and_then(Path::file_name);
	name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Name of a model whose file is all that has one.
pub(super) fn file_name(path: &Path) -> String {
	let name = path.file_stem().unwrap_or_default();
	name.to_string_lossy().into_owned()
}

/// The text of a folder's `config.json`.
pub(super) fn folder_config(folder: &Path) -> Result<String, ModelError> {
	let missing = || ModelError::Damaged {
		path: folder.to_owned(),
		reason: "there is no config.json in it".to_owned(),
	};
	huggingface::text(folder, "config.json")?.ok_or_else(missing)
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
		Self::from_gguf(&gguf, checkpoint, &file_name(path), options)
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
				let bytes = checkpoint.read(&tensor)?;
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
		let only_embeds = match pooled {
			None | Some(0) => false,
			Some(3) => true,
			Some(kind) => {
				return Err(ConfigError::Unsupported {
					key: "pooling_type".to_owned(),
					value: kind.to_string(),
					supported: "none (0) or the last token (3)",
				}
				.into());
			}
		};
		Self::build(&checkpoint, config, extras, options, pairs, only_embeds)
	}

	fn open_folder(folder: &Path, options: LoadOptions) -> Result<Self, ModelError> {
		let text = folder_config(folder)?;
		let config = HfConfig::parse(&text)?;
		let checkpoint = huggingface::open(folder, &config)?;
		let extras = folder_extras(folder, &config)?;
		let class = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
		let class = class
			.pointer("/architectures/0")
			.and_then(|class| class.as_str());
		let only_embeds = class.is_some_and(|class| class.ends_with("Model"));
		let (model, order) = (config.model, RowOrder::AsStored);
		Self::build(&checkpoint, model, extras, options, order, only_embeds)
	}
}
