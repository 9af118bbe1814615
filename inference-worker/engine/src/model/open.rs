//! Opening a model: a GGUF file, a split one, or a folder as on the Hugging Face hub.

use super::{
	LoadOptions, Model, ModelError,
	checkpoint::{Checkpoint, Data, Scale, Stored, widen, wrong_type},
	config::{ConfigError, HfConfig, ModelConfig},
	extras::{file_name, folder_config, folder_extras, gguf_extras},
	huggingface,
};
use crate::gguf::{Gguf, GgufError};
use aria_kernels::{I2Block, RowOrder};
use std::{
	collections::HashMap,
	fs::File,
	io::BufReader,
	path::{Path, PathBuf},
};

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
			// Some writers fill the dimensions up to four.
			[cols, rows, ref rest @ ..] if rest.iter().all(|dim| *dim == 1) => (rows, cols),
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
	let io = |error| ModelError::Io {
		path: path.to_owned(),
		error,
	};
	let file = File::open(path).map_err(io)?;
	let len = file.metadata().map_err(io)?.len();
	Ok(Gguf::read(
		BufReader::with_capacity(1 << 16, file),
		len,
		i2_block,
	)?)
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
			files = split_files(path, count).ok_or_else(|| ModelError::Unusable {
				path: path.to_owned(),
				reason: format!(
					"it is one of {count} parts; open the first, …-00001-of-{count:05}.gguf"
				),
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
		let head_dim = config.head_dim;
		let pairs = match config.family.row().gguf_pairs {
			true => RowOrder::FromPairs { head_dim },
			false => RowOrder::AsStored,
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
