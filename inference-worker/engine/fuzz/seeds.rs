//! Small good inputs of every reader, from which tests and fuzz targets make bad ones.

use super::readers::{self, BREAK, Outcome};
use aria_engine::gguf::GgufWriter;
use serde_json::{Value, json};

/// Types of tensors by their numbers in GGUF, and the bytes of so many elements.
type Format = (u32, fn(u64) -> u64);
const F32: Format = (0, |n| 4 * n);
const F16: Format = (1, |n| 2 * n);
const Q8_0: Format = (8, |n| n / 32 * 34);
const Q6_K: Format = (14, |n| n / 256 * 210);
const BF16: Format = (30, |n| 2 * n);
const TQ1_0: Format = (34, |n| n / 256 * 54);
const TQ2_0: Format = (35, |n| n / 256 * 66);
const I2_S: Format = (36, |n| n / 4 + 32);
const Q2_0: Format = (42, |n| n / 64 * 18);

/// A reader and what it is first tried on.
pub(crate) struct Target {
	pub(crate) name: &'static str,
	pub(crate) reader: fn(&[u8]) -> Outcome,
	/// Inputs that are taken.
	pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

const fn target(
	name: &'static str,
	reader: fn(&[u8]) -> Outcome,
	seeds: fn() -> Vec<Vec<u8>>,
) -> Target {
	Target {
		name,
		reader,
		seeds,
	}
}

/// All readers.
pub(crate) const TARGETS: [Target; 5] = [
	target("gguf", readers::gguf, ggufs),
	target("folder", readers::folder, folders),
	target("vocabulary", readers::vocabulary, vocabularies),
	target("tokenizer", readers::tokenizer, tokenizers),
	target("template", readers::template, templates),
];

/// Bytes that are valid scales and codes wherever they stand: 0x15 is four codes 0, 1, 1, 1, and 0x1515 a small number.
fn fill(len: u64) -> Vec<u8> {
	vec![0x15; len as usize]
}

fn tensor(file: &mut GgufWriter, name: &str, dims: &[u64], (kind, bytes): Format) {
	let len = bytes(dims.iter().product());
	file.tensor(name, dims, kind, fill(len));
}

fn words(file: &mut GgufWriter) {
	let tokens = ["a", "b", "ab", "Ġ", "Ġab", "<0x41>", "<s>", "<|im_end|>"];
	file.text("tokenizer.ggml.model", "gpt2");
	file.text("tokenizer.ggml.pre", "llama-bpe");
	file.texts("tokenizer.ggml.tokens", &tokens.map(str::to_owned));
	file.ints("tokenizer.ggml.token_type", &[1, 1, 1, 1, 4, 6, 3, 3]);
	let merges = ["a b", "Ġ ab"].map(str::to_owned);
	file.texts("tokenizer.ggml.merges", &merges);
	file.int("tokenizer.ggml.bos_token_id", 6);
	file.int("tokenizer.ggml.eos_token_id", 7);
}

/// A model of one block with two heads; `width` is that of everything.
fn model(arch: &str, width: u64, weights: Format, table: Format) -> GgufWriter {
	let mut file = GgufWriter::default();
	file.text("general.architecture", arch);
	for (key, value) in [
		("embedding_length", width as u32),
		("block_count", 1),
		("feed_forward_length", width as u32),
		("attention.head_count", 2),
		("attention.head_count_kv", 1),
		("context_length", 8),
	] {
		file.int(&format!("{arch}.{key}"), value);
	}
	file.float(&format!("{arch}.attention.layer_norm_rms_epsilon"), 1e-5);
	words(&mut file);
	tensor(&mut file, "token_embd.weight", &[width, 8], table);
	tensor(&mut file, "output_norm.weight", &[width], F32);
	for (part, len) in [
		("attn_norm", width),
		("ffn_norm", width),
		("attn_sub_norm", width),
		("ffn_sub_norm", width),
		("attn_q_norm", width / 2),
		("attn_k_norm", width / 2),
	] {
		let wanted = match arch {
			"llama" => {
				!part.ends_with("sub_norm") && !part.contains("_q_") && !part.contains("_k_")
			}
			"qwen3" => !part.ends_with("sub_norm"),
			_ => !part.contains("_q_") && !part.contains("_k_"),
		};
		if wanted {
			tensor(&mut file, &format!("blk.0.{part}.weight"), &[len], F32);
		}
	}
	for (part, rows) in [
		("attn_q", width),
		("attn_k", width / 2),
		("attn_v", width / 2),
		("attn_output", width),
		("ffn_gate", width),
		("ffn_up", width),
		("ffn_down", width),
	] {
		tensor(
			&mut file,
			&format!("blk.0.{part}.weight"),
			&[width, rows],
			weights,
		);
	}
	file
}

/// Models of every architecture and format.
fn ggufs() -> Vec<Vec<u8>> {
	let mut untied = model("llama", 32, I2_S, Q8_0);
	tensor(&mut untied, "output.weight", &[32, 8], I2_S);
	let ones = [1f32.to_le_bytes(); 8].concat();
	untied.tensor("rope_freqs.weight", &[8], F32.0, ones);
	untied.text("tokenizer.chat_template", "{{ messages[0].content }}");
	let mut scaled = model("qwen3", 64, Q2_0, F16);
	scaled.text("qwen3.rope.scaling.type", "yarn");
	scaled.float("qwen3.rope.scaling.factor", 4.0);
	scaled.int("qwen3.rope.scaling.original_context_length", 8);
	scaled.int("qwen3.pooling_type", 3);
	[
		model("bitnet-b1.58", 32, I2_S, F16),
		model("bitnet", 32, I2_S, BF16),
		model("qwen3", 64, Q2_0, F32),
		model("bitnet-25", 256, TQ1_0, Q6_K),
		model("llama", 256, TQ2_0, TQ1_0),
		untied,
		scaled,
	]
	.map(|file| file.bytes())
	.to_vec()
}

/// Parts of an input.
fn join(parts: &[&[u8]]) -> Vec<u8> {
	parts.join(BREAK)
}

/// A safetensors file whose tensors have these types and shapes.
fn safetensors(tensors: &[(&str, &str, &[usize])]) -> Vec<u8> {
	let (mut head, mut at) = (serde_json::Map::new(), 0);
	for (name, dtype, shape) in tensors {
		let width = match *dtype {
			"F32" => 4,
			"U8" => 1,
			_ => 2,
		};
		let end = at + width * shape.iter().product::<usize>();
		head.insert(
			(*name).to_owned(),
			json!({ "dtype": dtype, "shape": shape, "data_offsets": [at, end] }),
		);
		at = end;
	}
	let head = Value::Object(head).to_string();
	let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
	bytes.extend(head.as_bytes());
	bytes.extend(fill(at as u64));
	bytes
}

fn config(change: Value) -> Value {
	let mut config = json!({
		"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 32,
		"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32,
		"vocab_size": 8, "max_position_embeddings": 8, "rope_theta": 10000.0, "rms_norm_eps": 1e-5,
		"tie_word_embeddings": true, "quantization_config": { "quant_method": "bitnet" },
	});
	for (key, value) in change.as_object().into_iter().flatten() {
		config[key] = value.clone();
	}
	config
}

/// Weights of one block, as packed codes or as master weights.
fn block(packed: bool) -> Vec<u8> {
	const NAMES: [(&str, &str, usize); 7] = [
		(
			"model.layers.0.self_attn.q_proj.weight",
			"model.layers.0.self_attn.q_proj.weight_scale",
			32,
		),
		(
			"model.layers.0.self_attn.k_proj.weight",
			"model.layers.0.self_attn.k_proj.weight_scale",
			16,
		),
		(
			"model.layers.0.self_attn.v_proj.weight",
			"model.layers.0.self_attn.v_proj.weight_scale",
			16,
		),
		(
			"model.layers.0.self_attn.o_proj.weight",
			"model.layers.0.self_attn.o_proj.weight_scale",
			32,
		),
		(
			"model.layers.0.mlp.gate_proj.weight",
			"model.layers.0.mlp.gate_proj.weight_scale",
			32,
		),
		(
			"model.layers.0.mlp.up_proj.weight",
			"model.layers.0.mlp.up_proj.weight_scale",
			32,
		),
		(
			"model.layers.0.mlp.down_proj.weight",
			"model.layers.0.mlp.down_proj.weight_scale",
			32,
		),
	];
	let shapes = NAMES.map(|(_, _, rows)| [if packed { rows / 4 } else { rows }, 32]);
	let mut tensors: Vec<(&str, &str, &[usize])> = vec![
		("model.embed_tokens.weight", "BF16", &[8, 32]),
		("model.norm.weight", "F32", &[32]),
		("model.layers.0.input_layernorm.weight", "BF16", &[32]),
		(
			"model.layers.0.post_attention_layernorm.weight",
			"F16",
			&[32],
		),
	];
	for ((name, scale, _), shape) in NAMES.iter().zip(&shapes) {
		tensors.push((*name, if packed { "U8" } else { "BF16" }, shape));
		if packed {
			tensors.push((*scale, "BF16", &[1]));
		}
	}
	safetensors(&tensors)
}

fn small_json() -> String {
	let vocab = json!({ "a": 0, "b": 1, "ab": 2, "\u{120}": 3, "c": 4 });
	let added = |id: u32, content: &str| json!({ "id": id, "content": content, "special": true, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false });
	json!({
		"version": "1.0", "truncation": null, "padding": null,
		"added_tokens": [added(5, "<s>"), added(6, "</s>")],
		"normalizer": { "type": "NFC" },
		"pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
		"post_processor": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true },
		"decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
		"model": { "type": "BPE", "vocab": vocab, "merges": ["a b"] },
	})
	.to_string()
}

/// Folders of packed weights and of master weights, whole and with an index.
fn folders() -> Vec<Vec<u8>> {
	let config = |change| config(change).to_string().into_bytes();
	let tokenizer = small_json().into_bytes();
	let settings = br#"{"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "{{ bos_token }}"}"#;
	let index = br#"{"metadata": {"total_size": 1}, "weight_map": {"model.norm.weight": "model.safetensors"}}"#;
	let llama3 = json!({ "rope_scaling": {
		"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8,
	} });
	let online = json!({ "quantization_config": {
		"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online",
	} });
	let yarn = json!({ "rope_parameters": { "rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0, "original_max_position_embeddings": 8 } });
	vec![
		join(&[
			&config(Value::Null),
			&block(true),
			b"",
			&tokenizer,
			settings,
		]),
		join(&[
			&config(llama3),
			&block(true),
			index,
			&tokenizer,
			settings,
			b"{{ messages }}",
		]),
		join(&[&config(online), &block(false), b"", &tokenizer]),
		join(&[&config(yarn), &block(true), b"", &tokenizer]),
	]
}

const TEXT: &[u8] = "ab Ab  1234\n\u{e4}\u{4f60} <s>ab</s>".as_bytes();

/// Vocabularies of each kind, and a text.
fn vocabularies() -> Vec<Vec<u8>> {
	let mut listed = GgufWriter::default();
	words(&mut listed);
	listed.text("general.architecture", "llama");
	let mut scored = GgufWriter::default();
	scored.text("tokenizer.ggml.model", "llama");
	let tokens = [
		"<unk>",
		"<s>",
		"</s>",
		"<0x0A>",
		"\u{2581}",
		"a",
		"b",
		"ab",
		"\u{2581}ab",
	];
	scored.texts("tokenizer.ggml.tokens", &tokens.map(str::to_owned));
	scored.ints("tokenizer.ggml.token_type", &[2, 3, 3, 6, 1, 1, 1, 1, 1]);
	scored.floats(
		"tokenizer.ggml.scores",
		&[0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -0.5, -0.25],
	);
	let mut lines = GgufWriter::default();
	words(&mut lines);
	lines.text("general.name", "lines");
	vec![
		join(&[&listed.bytes(), TEXT]),
		join(&[&scored.bytes(), TEXT]),
		join(&[&lines.bytes(), b"\n\n"]),
	]
}

/// Files that the worker knows and files that the `tokenizers` crate runs, and a text.
fn tokenizers() -> Vec<Vec<u8>> {
	let with = |change: &dyn Fn(&mut Value)| {
		let mut file: Value =
			serde_json::from_str(&small_json()).expect("it was written as JSON; qed");
		change(&mut file);
		join(&[
			file.to_string().as_bytes(),
			br#"{"bos_token": "<s>"}"#,
			br#"{"vocab_size": 8}"#,
			TEXT,
		])
	};
	let unigram = json!({ "type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["\u{2581}", -1.0], ["a", -2.0], ["\u{2581}ab", -0.5], ["b", -3.0]] });
	let metaspace = json!({ "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true });
	let llama = json!({ "type": "Sequence", "normalizers": [
		{ "type": "Prepend", "prepend": "\u{2581}" },
		{ "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" },
	] });
	let split = json!({ "type": "Sequence", "pretokenizers": [
		{ "type": "Split", "pattern": { "Regex": "\\p{N}{1,3}| ?[a-z]+" }, "behavior": "Isolated", "invert": false },
		{ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
	] });
	let whole = |file: &mut Value| {
		for byte in 0..=255u32 {
			let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
			let before = (0..byte)
				.filter(|byte| !matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff))
				.count() as u32;
			let char = char::from_u32(if printable { byte } else { 256 + before })
				.expect("below the surrogates; qed");
			file["model"]["vocab"][char.to_string()] = json!(byte);
		}
		file["model"]["vocab"]["ab"] = json!(256);
		file["added_tokens"][0]["id"] = json!(257);
		file["added_tokens"][1]["id"] = json!(258);
	};
	vec![
		with(&|_| {}),
		with(&|file| {
			file["model"] = unigram.clone();
			file["pre_tokenizer"] = metaspace.clone();
			file["decoder"] = metaspace.clone();
		}),
		with(&|file| {
			file["normalizer"] = llama.clone();
			file["pre_tokenizer"] = Value::Null;
			file["model"]["byte_fallback"] = json!(true);
		}),
		with(&|file| file["pre_tokenizer"] = split.clone()),
		join(&[
			{
				let mut file: Value =
					serde_json::from_str(&small_json()).expect("it was written as JSON; qed");
				whole(&mut file);
				file.to_string()
			}
			.as_bytes(),
			b"",
			b"",
			TEXT,
		]),
	]
}

/// Templates that published models carry, cut down to what they use, and a conversation.
fn templates() -> Vec<Vec<u8>> {
	let of = |template: &str| join(&[template.as_bytes(), b"be short", b"  hello ", b"hi"]);
	[
		"{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}: {{ message.content | trim }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}A: {% endif %}",
		"{%- set ns = namespace(found=false, text='') -%}{%- for m in messages | reverse -%}{%- if loop.first and m.role != 'user' -%}{%- set ns.found = true -%}{%- endif -%}{%- set ns.text = ns.text ~ m.content -%}{%- endfor -%}{{ ns.text }}",
		"{% macro line(m) %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1].strip('\\n').replace('a', 'b') }}{% endmacro %}{% for m in messages[1:] %}{{ line(m) }}{% endfor %}{{ strftime_now('%d %b') }}",
		"{% if messages[0].role not in ['system'] %}{{ raise_exception('no ' + messages[0].role) }}{% endif %}{{ messages | tojson }}{{ 'x' * 3 }}{{ range(3) | join(',') }}",
	]
	.map(of)
	.to_vec()
}
