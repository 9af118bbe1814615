//! Identity of a model: a Merkle root over everything that decides its answers, whatever file it came from.
//!
//! The tree's leaf 0 is the manifest, SCALE of: `"aria-model-v1"`, specification version, `"relu2"`, the shape
//! (hidden, layers, heads, key heads, head width, feed-forward width, vocabulary, context as `u32`), bits of rope
//! base and norm epsilon, blake2b-256 of the tokenizer ([`Tokenizer::canonical`]), blake2b-256 of the chat template
//! (zero if none), whether the head is the embedding, and each tensor's name, rows and columns. The nodes after it are
//! the tensors' own roots in the manifest's order: each the root over the tensor's rows. A ternary row is the scale
//! (f32 LE) and the codes `weight + 1`, two bits each, low bits first; any other row is f32 LE.
//!
//! [`Tokenizer::canonical`]: super::tokenizer::Tokenizer::canonical

use super::model::{Block, Model, Rows};
use aria_kernels::TernaryMatrix;
use aria_primitives::{H256, ModelId, SPEC_VERSION, merkle};
use codec::Encode;
use sp_crypto_hashing::blake2_256;

/// What [`of`] finds.
pub struct Identity {
	/// The root.
	pub id: ModelId,
	/// Canonical bytes in all leaves.
	pub bytes: u64,
	/// Whether the head is absent or repeats the embedding.
	pub tied: bool,
}

struct Tensor {
	name: String,
	rows: u32,
	cols: u32,
	root: H256,
	bytes: u64,
}

/// Canonical bytes of a ternary row.
pub fn ternary_row(matrix: &TernaryMatrix, row: usize) -> Vec<u8> {
	let mut bytes = matrix.scale().to_le_bytes().to_vec();
	bytes.extend(matrix.row(row).chunks(4).map(|codes| {
		codes
			.iter()
			.enumerate()
			.fold(0u8, |byte, (i, code)| byte | ((code + 1) as u8) << (2 * i))
	}));
	bytes
}

fn float_row(values: &[f32]) -> Vec<u8> {
	values
		.iter()
		.flat_map(|value| value.to_le_bytes())
		.collect()
}

fn tensor(name: String, cols: usize, rows: impl Iterator<Item = Vec<u8>>) -> Tensor {
	let mut bytes = 0;
	let leaves: Vec<H256> = rows
		.map(|row| {
			bytes += row.len() as u64;
			merkle::leaf_hash(&row)
		})
		.collect();
	Tensor {
		name,
		rows: leaves.len() as u32,
		cols: cols as u32,
		root: merkle::root(&leaves),
		bytes,
	}
}

fn floats(name: &str, rows: &Rows, count: usize, cols: usize) -> Tensor {
	let mut buffer = vec![0.0; cols];
	let all = (0..count).map(move |row| {
		rows.row(row, &mut buffer);
		float_row(&buffer)
	});
	tensor(name.to_owned(), cols, all)
}

fn block(layer: usize, block: &Block) -> Vec<Tensor> {
	let norm = |part: &str, values: &[f32]| {
		tensor(
			format!("blk.{layer}.{part}"),
			values.len(),
			std::iter::once(float_row(values)),
		)
	};
	let ternary = |part: &str, matrix: &TernaryMatrix| {
		tensor(
			format!("blk.{layer}.{part}"),
			matrix.cols(),
			(0..matrix.rows()).map(|row| ternary_row(matrix, row)),
		)
	};
	vec![
		norm("attn_norm", &block.attn_norm),
		ternary("attn_q", &block.attn_q),
		ternary("attn_k", &block.attn_k),
		ternary("attn_v", &block.attn_v),
		norm("attn_sub_norm", &block.attn_sub_norm),
		ternary("attn_output", &block.attn_output),
		norm("ffn_norm", &block.ffn_norm),
		ternary("ffn_gate", &block.ffn_gate),
		ternary("ffn_up", &block.ffn_up),
		norm("ffn_sub_norm", &block.ffn_sub_norm),
		ternary("ffn_down", &block.ffn_down),
	]
}

/// Identity of a model, from its weights in memory.
pub fn of(model: &Model) -> Identity {
	let config = &model.config;
	let mut tensors = vec![floats(
		"token_embd",
		&model.embedding,
		config.vocab,
		config.hidden,
	)];
	let head = model
		.head
		.as_ref()
		.map(|head| floats("output", head, config.vocab, config.hidden));
	let tied = head
		.as_ref()
		.is_none_or(|head| head.root == tensors[0].root);
	tensors.extend(head.filter(|_| !tied));
	for (layer, weights) in model.blocks.iter().enumerate() {
		tensors.extend(block(layer, weights));
	}
	tensors.push(tensor(
		"output_norm".to_owned(),
		config.hidden,
		std::iter::once(float_row(&model.output_norm)),
	));
	let shape = [
		config.hidden,
		config.layers,
		config.heads,
		config.kv_heads,
		config.head_dim,
		config.ffn,
		config.vocab,
		config.context,
	]
	.map(|size| size as u32);
	let template = model.template.source();
	let listing: Vec<(&str, u32, u32)> = tensors
		.iter()
		.map(|tensor| (tensor.name.as_str(), tensor.rows, tensor.cols))
		.collect();
	let manifest = (
		("aria-model-v1", SPEC_VERSION, "relu2", shape),
		(config.rope_theta.to_bits(), config.norm_eps.to_bits()),
		blake2_256(&model.tokenizer.canonical()),
		template.map_or([0; 32], |source| blake2_256(source.as_bytes())),
		(tied, listing),
	)
		.encode();
	let nodes: Vec<H256> = std::iter::once(merkle::leaf_hash(&manifest))
		.chain(tensors.iter().map(|tensor| tensor.root))
		.collect();
	Identity {
		id: merkle::root(&nodes),
		bytes: manifest.len() as u64 + tensors.iter().map(|tensor| tensor.bytes).sum::<u64>(),
		tied,
	}
}
