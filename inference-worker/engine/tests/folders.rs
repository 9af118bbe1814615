//! Hugging Face folders from strangers: refused with a reason, whatever is wrong with them.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use aria_engine::model::Model;
use aria_kernels::Packing;
use serde_json::{Value, json};
use std::path::Path;

fn config() -> Value {
	json!({
		"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
		"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 128,
		"vocab_size": 300, "max_position_embeddings": 128, "rope_theta": 10000.0, "rms_norm_eps": 1e-5,
		"quantization_config": { "quant_method": "bitnet" },
	})
}

/// The bytes of a file whose tensors are zeros.
fn safetensors(head: &Value, data: usize) -> Vec<u8> {
	let head = head.to_string();
	let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
	bytes.extend(head.as_bytes());
	bytes.resize(bytes.len() + data, 0);
	bytes
}

fn open(folder: &Path) -> String {
	match Model::open(folder, Packing::TwoBit) {
		Ok(_) => panic!("the folder was taken"),
		Err(error) => error.to_string(),
	}
}

fn with(config: &Value, files: &[(&str, Vec<u8>)]) -> String {
	let folder = tempfile::tempdir().unwrap();
	std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
	for (name, bytes) in files {
		std::fs::write(folder.path().join(name), bytes).unwrap();
	}
	open(folder.path())
}

#[test]
fn rejects_folders_without_a_model() {
	let folder = tempfile::tempdir().unwrap();
	assert!(open(folder.path()).contains("config.json"));
	assert!(with(&config(), &[]).contains("model.safetensors"));
	std::fs::write(folder.path().join("config.json"), "{").unwrap();
	assert!(open(folder.path()).contains("EOF"));
}

#[test]
fn rejects_other_models_by_name() {
	let cases = [
		("model_type", json!("qwen3_5"), "qwen3_5"),
		("model_type", json!("gemma3_text"), "gemma3_text"),
		("hidden_act", json!("gelu"), "gelu"),
		(
			"quantization_config",
			json!({ "quant_method": "gptq" }),
			"gptq",
		),
		("quantization_config", Value::Null, "quantization_config"),
		(
			"rope_scaling",
			json!({ "rope_type": "longrope" }),
			"longrope",
		),
		("hidden_size", json!(1u64 << 40), "hidden width"),
		("num_hidden_layers", json!(0), "layers"),
		("vocab_size", json!(u64::MAX), "vocabulary"),
		("max_position_embeddings", json!(1u64 << 33), "context"),
		("num_key_value_heads", json!(3), "multiple"),
		("rms_norm_eps", json!("small"), "rms_norm_eps"),
	];
	for (key, value, part) in cases {
		let mut config = config();
		config[key] = value;
		let error = with(&config, &[]);
		assert!(error.contains(part), "{key}: {error}");
	}
}

#[test]
fn rejects_damaged_heads() {
	let good =
		json!({ "model.norm.weight": { "dtype": "F32", "shape": [64], "data_offsets": [0, 256] } });
	let file = |head: &Value, data| [("model.safetensors", safetensors(head, data))];
	let cases = [
		(file(&good, 255), "do not fill"),
		(file(&good, 257), "do not fill"),
		(
			file(
				&json!({ "t": { "dtype": "F32", "shape": [64], "data_offsets": [0, 255] } }),
				255,
			),
			"invalid shape",
		),
		(
			file(
				&json!({ "t": { "dtype": "F32", "shape": [u64::MAX, 9], "data_offsets": [0, 8] } }),
				8,
			),
			"overflow",
		),
		(
			file(
				&json!({ "t": { "dtype": "F32", "shape": [1], "data_offsets": [4, 8] } }),
				8,
			),
			"invalid offset",
		),
		(
			file(
				&json!({ "t": { "dtype": "F32", "shape": [1], "data_offsets": [8, 4] } }),
				8,
			),
			"invalid offset",
		),
		(
			file(
				&json!({ "t": { "dtype": "I64", "shape": [1], "data_offsets": [0, 8] } }),
				8,
			),
			"I64",
		),
		(file(&json!([1]), 0), "damaged"),
	];
	for (files, part) in cases {
		let error = with(&config(), &files);
		assert!(error.contains(part), "{part}: {error}");
	}
	let mut long = safetensors(&good, 256);
	long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
	assert!(with(&config(), &[("model.safetensors", long)]).contains("head would take"));
	let error = with(
		&config(),
		&file(
			&json!({ "x.y": { "dtype": "F32", "shape": [1], "data_offsets": [0, 4] } }),
			4,
		),
	);
	assert!(error.contains("x.y"), "{error}");
}

#[test]
fn rejects_indices_that_lead_out_of_the_folder() {
	for name in [
		"../secret.safetensors",
		"/etc/passwd",
		"a/b.safetensors",
		"..",
		"",
	] {
		let index = json!({ "weight_map": { "model.norm.weight": name } })
			.to_string()
			.into_bytes();
		let error = with(&config(), &[("model.safetensors.index.json", index)]);
		assert!(error.contains("out of the folder"), "{name}: {error}");
	}
	let index = b"{\"weight_map\": {\"a\": 5}}".to_vec();
	assert!(with(&config(), &[("model.safetensors.index.json", index)]).contains("not text"));
}
