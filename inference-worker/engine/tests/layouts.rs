//! Identities and traces are those that `aria_primitives` defines, whatever hashes them fast.
//!
//! Definitions are applied to what a model holds in memory, so that formats, orders of rows and packings are checked too.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use aria_engine::{
	GenerateRequest,
	answers::alone::generate,
	gguf::GgufWriter,
	host::System,
	model::{
		Activation, Head, Model,
		config::{self, Family},
	},
};
use aria_kernels::{Backend, Isa, Packing, TernaryMatrix, math};
use aria_primitives::{
	H256, ModelId,
	identity::{
		Manifest, RopeScaling, SCALE_SUFFIX, Shape, Tensor, binary16_row, binary32_row, int8_row,
		tensor_root, ternary_row,
	},
};
use sp_crypto_hashing::blake2_256;
use std::{collections::BTreeMap, path::PathBuf};
use support::synth::{self, Random};

/// Root of the demonstration model.
const DEMO: &str = "0xa46fd64d8419478c81dba693758877a072b58571e2157a1383c04e910d4afb2b";
/// Root of the trace of sixteen tokens after [`PROMPT`], chosen greedily by that model.
const DEMO_TRACE: &str = "0x89a036dc378c01a7d9f91e7e02f739ef444b3f953a4d0bdc10add0cbc296b7ca";
const PROMPT: &str = "Once upon a time";

fn demo() -> Model {
	let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/aria-demo.gguf");
	Model::open(&path, Packing::Dense).unwrap()
}

#[derive(Default)]
struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
	fn add(&mut self, name: String, cols: usize, rows: Vec<Vec<u8>>) {
		let tensor = Tensor {
			rows: rows.len() as u32,
			cols: cols as u32,
			root: tensor_root(&rows),
		};
		assert!(self.0.insert(name, tensor).is_none());
	}

	fn norm(&mut self, name: String, values: &[f32]) {
		let row = binary32_row(values.iter().map(|value| value.to_bits()));
		self.add(name, values.len(), vec![row]);
	}

	fn ternary(&mut self, name: String, matrix: &TernaryMatrix) {
		let codes = |row| -> Vec<u8> {
			let row = matrix.row(row);
			row.iter().map(|weight| (weight + 1) as u8).collect()
		};
		let rows = (0..matrix.rows()).map(|row| ternary_row(&codes(row)));
		self.add(name.clone(), matrix.cols(), rows.collect());
		let (name, scales) = (name + SCALE_SUFFIX, matrix.block());
		let Some(block) = scales else {
			return self.add(name, 1, vec![binary32_row([matrix.scale().to_bits()])]);
		};
		let blocks = matrix.cols() / block;
		let half = |row, block| math::f32_to_f16(matrix.block_scale(row, block));
		let rows = (0..matrix.rows())
			.map(|row| binary16_row((0..blocks).map(|block| half(row, block))))
			.collect();
		self.add(name, blocks, rows);
	}
}

/// The identity by its definition.
fn identity(model: &Model) -> ModelId {
	let (config, weights) = (model.config(), &model.weights);
	let mut tensors = Tensors::default();
	let embedding = weights.embedding.as_ref().unwrap();
	let mut row = vec![0.0; config.hidden];
	let rows = (0..config.vocab).map(|token| {
		embedding.row(token, &mut row);
		binary16_row(row.iter().map(|value| math::f32_to_f16(*value)))
	});
	let rows = rows.collect();
	tensors.add("token_embd".into(), config.hidden, rows);
	match &weights.head {
		Some(Head::Ternary(head)) => tensors.ternary("output".into(), head),
		Some(Head::Int8(head)) if !model.tied => {
			let rows =
				(0..head.rows()).map(|row| int8_row(head.scale(row).to_bits(), &head.row(row)));
			tensors.add("output".into(), config.hidden, rows.collect());
		}
		_ => {}
	}
	tensors.norm("output_norm".into(), &weights.output_norm);
	for (layer, block) in weights.blocks.iter().enumerate() {
		for (name, linear) in block.linears() {
			tensors.ternary(format!("blk.{layer}.{name}"), &linear.weight);
		}
		for (name, norm) in block.norms() {
			let name = match (config.family, name.as_str()) {
				(Family::BitNet, "attn_output_norm_in") => "attn_sub_norm",
				(Family::BitNet, "ffn_down_norm_in") => "ffn_sub_norm",
				(_, name) => name,
			};
			tensors.norm(format!("blk.{layer}.{name}"), norm);
		}
	}
	let bits = |value: &f32| value.to_bits();
	let manifest = Manifest {
		family: match config.family {
			Family::BitNet => "bitnet",
			Family::Llama => "llama",
			Family::Qwen3 => "qwen3",
		},
		activation: match config.activation {
			Activation::SquaredRelu => "relu2",
			Activation::Silu => "silu",
		},
		shape: Shape {
			hidden: config.hidden as u32,
			layers: config.layers as u32,
			heads: config.heads as u32,
			kv_heads: config.kv_heads as u32,
			head_dim: config.head_dim as u32,
			ffn: config.ffn as u32,
			vocab: config.vocab as u32,
			context: config.context as u32,
		},
		rope_theta: bits(&config.rope_theta),
		norm_eps: bits(&config.norm_eps),
		rope_scaling: match &config.rope_scaling {
			config::RopeScaling::None => RopeScaling::None,
			config::RopeScaling::Factors(factors) => {
				RopeScaling::Factors(factors.iter().map(bits).collect())
			}
			config::RopeScaling::Yarn {
				factor,
				original,
				beta_fast,
				beta_slow,
				attention,
			} => RopeScaling::Yarn {
				original: *original,
				factor: bits(factor),
				beta_fast: bits(beta_fast),
				beta_slow: bits(beta_slow),
				attention: attention.as_ref().map_or(0, bits),
			},
		},
		tokenizer: H256(blake2_256(&model.tokenizer.canonical())),
		template: model
			.template
			.source()
			.map_or(H256::zero(), |source| H256(blake2_256(source.as_bytes()))),
		head: weights.head.is_some(),
		tied: model.tied,
		tensors: &tensors.0,
	};
	manifest.id()
}

/// Four codes in each byte, and a scale of its own for every 256: TQ2_0.
fn tq2_0(file: &mut GgufWriter, name: &str, rows: u64, random: &mut Random) {
	let mut data = Vec::new();
	for _ in 0..rows {
		for _ in 0..64 {
			data.push((0..4).fold(0u8, |byte, _| byte << 2 | (random.next() % 3) as u8));
		}
		let scale = 0.01 * (1 + random.next() % 8) as f32;
		data.extend(math::f32_to_f16(scale).to_le_bytes());
	}
	file.tensor(name, &[256, rows], 35, data);
}

/// A model of one block in a family, whose matrices have a scale for each row; `head` adds the tensors of its head.
fn scaled_by_rows(
	arch: &str,
	seed: u64,
	head: impl Fn(&mut GgufWriter, &mut Random),
) -> GgufWriter {
	let mut random = Random(seed);
	let mut file = GgufWriter::default();
	file.text("general.architecture", arch);
	for (key, value) in [
		("embedding_length", 256),
		("block_count", 1),
		("feed_forward_length", 256),
		("attention.head_count", 4),
		("attention.head_count_kv", 2),
		("context_length", 96),
	] {
		file.int(&format!("{arch}.{key}"), value);
	}
	file.float(&format!("{arch}.attention.layer_norm_rms_epsilon"), 1e-6);
	synth::vocabulary(&mut file);
	head(&mut file, &mut random);
	let name = |part: &str| format!("blk.0.{part}.weight");
	for part in ["attn_norm", "ffn_norm"] {
		synth::floats(&mut file, &name(part), &[256], &mut random, 1.0, 0.1);
	}
	synth::floats(
		&mut file,
		"output_norm.weight",
		&[256],
		&mut random,
		1.0,
		0.1,
	);
	for (part, rows) in [
		("attn_q", 256),
		("attn_k", 128),
		("attn_v", 128),
		("attn_output", 256),
		("ffn_gate", 256),
		("ffn_up", 256),
		("ffn_down", 256),
	] {
		tq2_0(&mut file, &name(part), rows, &mut random);
	}
	file
}

fn table(file: &mut GgufWriter, name: &str, random: &mut Random) {
	synth::floats(file, name, &[256, 260], random, 0.0, 1.0);
}

#[test]
fn identity_should_be_that_of_the_definition_for_any_file() {
	let mut files = vec![
		("one scale, tied", synth::model(1)),
		("one scale, tied, again", synth::model(2)),
	];
	let mut own = synth::model(3);
	synth::floats(
		&mut own,
		"output.weight",
		&[128, 260],
		&mut Random(4),
		0.0,
		1.0,
	);
	own.text("tokenizer.chat_template", "{{ messages[0].content }}");
	files.push(("own head, template", own));
	let mut factors = scaled_by_rows("llama", 5, |file, random| {
		table(file, "token_embd.weight", random);
		tq2_0(file, "output.weight", 260, random);
	});
	synth::floats(
		&mut factors,
		"rope_freqs.weight",
		&[32],
		&mut Random(6),
		4.0,
		1.0,
	);
	files.push(("ternary head, factors", factors));
	let mut yarn = scaled_by_rows("qwen3", 7, |file, random| {
		tq2_0(file, "token_embd.weight", 260, random);
	});
	for part in ["attn_q_norm", "attn_k_norm"] {
		let name = format!("blk.0.{part}.weight");
		synth::floats(&mut yarn, &name, &[64], &mut Random(8), 1.0, 0.1);
	}
	yarn.text("qwen3.rope.scaling.type", "yarn");
	yarn.float("qwen3.rope.scaling.factor", 4.0);
	yarn.int("qwen3.rope.scaling.original_context_length", 24);
	files.push(("ternary embedding, norms of heads, YaRN", yarn));
	let mut seen = vec![];
	for (what, file) in files {
		let bytes = file.bytes();
		for packing in [Packing::TwoBit, Packing::Dense, Packing::Fives] {
			let model = Model::from_bytes(&bytes, "", packing).unwrap();
			assert_eq!(model.id, identity(&model), "{what}, {packing}");
			seen.push(model.id);
		}
	}
	seen.dedup();
	assert_eq!(seen.len(), 5);
	let model = demo();
	assert_eq!(model.id, identity(&model));
}

#[test]
fn identity_and_trace_of_the_demonstration_model_should_never_change() {
	let model = demo();
	assert_eq!(format!("{:?}", model.id), DEMO);
	let request = GenerateRequest {
		prompt: model.tokenizer.encode(PROMPT, true, false).unwrap(),
		max_tokens: 16,
		..Default::default()
	};
	let backend = Backend::new(Isa::detect(), 1);
	let answer = generate(&model, &backend, &System, request, &mut |_| {}, &|| false).unwrap();
	assert_eq!(format!("{:?}", answer.trace_root), DEMO_TRACE);
}
