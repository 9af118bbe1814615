//! Hugging Face folders: `config.json`, safetensors in one file or several, templates.

use super::{
	ModelError,
	checkpoint::{Checkpoint, Data, Scale, Stored, widen},
	config::{HfConfig, LinearClass},
	safetensors,
};
use crate::{gguf::TensorType, tokenizer::excerpt};
use serde_json::Value;
use std::{
	collections::{BTreeSet, HashMap},
	fs::File,
	io::Read,
	path::{Component, Path, PathBuf},
};

/// Longest JSON file, bytes.
const MAX_JSON: u64 = 64 << 20;

/// Parts of a layer and their names in GGUF.
const PARTS: [(&str, &str); 15] = [
	("input_layernorm", "attn_norm"),
	("post_attention_layernorm", "ffn_norm"),
	("self_attn.q_proj", "attn_q"),
	("self_attn.k_proj", "attn_k"),
	("self_attn.v_proj", "attn_v"),
	("self_attn.o_proj", "attn_output"),
	("self_attn.q_norm", "attn_q_norm"),
	("self_attn.k_norm", "attn_k_norm"),
	("self_attn.attn_sub_norm", "attn_sub_norm"),
	("self_attn.inner_attn_ln", "attn_sub_norm"),
	("mlp.gate_proj", "ffn_gate"),
	("mlp.up_proj", "ffn_up"),
	("mlp.down_proj", "ffn_down"),
	("mlp.ffn_sub_norm", "ffn_sub_norm"),
	("mlp.ffn_layernorm", "ffn_sub_norm"),
];

/// Text of a file in a folder; none if there is no such file.
pub(super) fn text(folder: &Path, name: &str) -> Result<Option<String>, ModelError> {
	let path = folder.join(name);
	let io = |error| ModelError::Io {
		path: path.clone(),
		error,
	};
	let file = match File::open(&path) {
		Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
		result => result.map_err(io)?,
	};
	let unusable = |reason: &str| ModelError::Unusable {
		path: path.clone(),
		reason: reason.to_owned(),
	};
	if !file.metadata().map_err(io)?.is_file() {
		return Err(unusable("it is not a file"));
	}
	let mut text = String::new();
	file.take(MAX_JSON + 1)
		.read_to_string(&mut text)
		.map_err(io)?;
	if text.len() as u64 > MAX_JSON {
		return Err(unusable("it is longer than 64 MiB"));
	}
	Ok(Some(text))
}

/// A JSON file in a folder; none if there is no such file.
pub(super) fn json(folder: &Path, name: &str) -> Result<Option<Value>, ModelError> {
	let parse = |text: String| {
		serde_json::from_str(&text).map_err(|error| ModelError::Damaged {
			path: folder.join(name),
			reason: excerpt(error),
		})
	};
	text(folder, name)?.map(parse).transpose()
}

/// The name that GGUF has for a tensor, without `.weight`; none for one that means nothing to us.
fn rename(name: &str) -> Option<String> {
	let name = name.strip_prefix("model.").unwrap_or(name);
	match name {
		"embed_tokens.weight" => return Some("token_embd".to_owned()),
		"norm.weight" => return Some("output_norm".to_owned()),
		"lm_head.weight" => return Some("output".to_owned()),
		_ => {}
	}
	let (layer, rest) = name.strip_prefix("layers.")?.split_once('.')?;
	let layer: u32 = layer.parse().ok()?;
	PARTS.iter().find_map(|(theirs, ours)| {
		let suffix = match rest.strip_prefix(theirs)? {
			".weight" => "",
			".weight_scale" => ".scale",
			".rms_norm.weight" | ".norm.weight" => "_norm_in",
			_ => return None,
		};
		Some(format!("blk.{layer}.{ours}{suffix}"))
	})
}

/// Files of the weights: one, or those that the index names.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
	const INDEX: &str = "model.safetensors.index.json";
	let Some(index) = json(folder, INDEX)? else {
		return Ok(vec![folder.join("model.safetensors")]);
	};
	let damaged = |reason: &str| ModelError::Damaged {
		path: folder.join(INDEX),
		reason: reason.to_owned(),
	};
	let map = index.get("weight_map").and_then(Value::as_object);
	let map = map.ok_or_else(|| damaged("weight_map is missing"))?;
	let names: Option<BTreeSet<&str>> = map.values().map(Value::as_str).collect();
	let names = names.ok_or_else(|| damaged("a file's name is not text"))?;
	// Names of files in this folder and nowhere else.
	let plain = |name: &&str| {
		let mut parts = Path::new(name).components();
		matches!(
			(parts.next(), parts.next()),
			(Some(Component::Normal(_)), None)
		)
	};
	if !names.iter().all(plain) {
		return Err(damaged("a file's name leads out of the folder"));
	}
	Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Finds the tensors of a folder.
///
/// # Errors
///
/// [`ModelError`] for files that are missing or damaged, and for tensors that the architecture does not have.
pub(super) fn open(folder: &Path, config: &HfConfig) -> Result<Checkpoint<'static>, ModelError> {
	let mut checkpoint = Checkpoint {
		files: Vec::new(),
		tensors: HashMap::new(),
	};
	let mut scales = HashMap::new();
	for (file, path) in weight_files(folder)?.into_iter().enumerate() {
		for entry in safetensors::read(&path)? {
			// Not a parameter, and in no other format.
			if entry.name.ends_with("rotary_emb.inv_freq") {
				continue;
			}
			let name =
				rename(&entry.name).ok_or_else(|| ModelError::ExtraTensor(entry.name.clone()))?;
			let (rows, cols) = match entry.shape[..] {
				[] => (1, 1),
				[cols] => (1, cols),
				[rows, cols] => (rows, cols),
				_ => return Err(ModelError::ExtraTensor(entry.name)),
			};
			// Four rows share a byte.
			let rows = if entry.kind == TensorType::HfPacked {
				rows.saturating_mul(4)
			} else {
				rows
			};
			let stored = Stored {
				file,
				start: entry.start,
				len: entry.len,
				rows,
				cols,
				kind: entry.kind,
				scale: Scale::Own,
			};
			let old = match name.strip_suffix(".scale") {
				Some(of) => scales.insert(of.to_owned(), stored),
				None => checkpoint.tensors.insert(name.clone(), stored),
			};
			if old.is_some() {
				return Err(ModelError::ExtraTensor(entry.name));
			}
		}
		checkpoint.files.push(Data::File(path));
	}
	for (name, scale) in scales {
		let mut value = [0.0];
		let bytes = checkpoint.read(&scale)?;
		if (scale.rows, scale.cols) != (1, 1) || !widen(scale.kind, &bytes, &mut value) {
			return Err(ModelError::Values(format!("{name}.weight_scale")));
		}
		let factor = match config.linear {
			LinearClass::BitLinear => 1.0 / value[0],
			LinearClass::AutoBitLinear | LinearClass::Online => value[0],
		};
		let tensor = checkpoint.tensors.get_mut(&name);
		let tensor = tensor.ok_or_else(|| ModelError::MissingTensor(name.clone()))?;
		tensor.scale = Scale::Times(factor);
	}
	if config.linear == LinearClass::Online {
		for (name, tensor) in &mut checkpoint.tensors {
			let linear = PARTS.iter().any(|(theirs, ours)| {
				theirs.ends_with("_proj") && name.ends_with(&format!(".{ours}"))
			});
			if linear && !tensor.kind.is_ternary() {
				tensor.scale = Scale::Master;
			}
		}
	}
	if config.tied {
		// Some exporters store it all the same.
		checkpoint.tensors.remove("output");
	}
	Ok(checkpoint)
}
