//! Identity of a model: a Merkle root over everything that decides its answers, whatever file it came from.
//!
//! The tree's leaf 0 is the manifest, SCALE of: `"aria-model-v1"`, specification version, `"relu2"` or `"silu"`, the shape
//! (hidden, layers, heads, key heads, head width, feed-forward width, vocabulary, context as `u32`), bits of rope
//! base and norm epsilon, blake2b-256 of the tokenizer ([`Tokenizer::canonical`]), blake2b-256 of the chat template
//! (zero if none), whether the head is the embedding, and each tensor's name, rows and columns. The nodes after it are
//! the tensors' own roots in the manifest's order: each the root over the tensor's rows. A ternary row is the scale
//! (f32 LE) and the codes `weight + 1`, two bits each, low bits first; a row of the embedding is binary16 LE; a row of
//! a head of its own is the scale (f32 LE) and the integers in eight bits; a norm is f32 LE.
//!
//! [`Tokenizer::canonical`]: crate::tokenizer::Tokenizer::canonical

use super::{Activation, Block, Head, Model};
use aria_kernels::{HeadMatrix, TernaryMatrix};
use aria_primitives::{H256, ModelId, SPEC_VERSION, merkle};
use codec::Encode;
use sp_crypto_hashing::blake2_256;

/// What [`of`] finds.
pub struct Identity {
	/// The root.
	pub id: ModelId,
	/// Canonical bytes in all leaves.
	pub bytes: u64,
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

/// Canonical bytes of a row of a head in eight bits.
fn head_row(head: &HeadMatrix, row: usize) -> Vec<u8> {
	let mut bytes = head.scale(row).to_le_bytes().to_vec();
	bytes.extend(head.row(row).into_iter().map(|value| value as u8));
	bytes
}

fn matrix(name: String, matrix: &TernaryMatrix) -> Tensor {
	let rows = (0..matrix.rows()).map(|row| ternary_row(matrix, row));
	tensor(name, matrix.cols(), rows)
}

fn block(layer: usize, block: &Block) -> Vec<Tensor> {
	let name = |part: &str| format!("blk.{layer}.{part}");
	let norms = block.norms().into_iter();
	let norms = norms.map(|(part, values)| {
		tensor(
			name(&part),
			values.len(),
			std::iter::once(float_row(values)),
		)
	});
	let linears = block.linears().into_iter();
	norms
		.chain(linears.map(|(part, linear)| matrix(name(part), &linear.weight)))
		.collect()
}

/// Identity of a model, from its weights in memory.
pub fn of(model: &Model) -> Identity {
	let config = &model.config;
	let rows = model.embedding.rows.chunks_exact(config.hidden);
	let rows = rows.map(|row| row.iter().flat_map(|half| half.to_le_bytes()).collect());
	let mut tensors = vec![tensor("token_embd".to_owned(), config.hidden, rows)];
	match &model.head {
		Some(Head::Int8(head)) if !model.tied => {
			let rows = (0..head.rows()).map(|row| head_row(head, row));
			tensors.push(tensor("output".to_owned(), head.cols(), rows));
		}
		Some(Head::Ternary(head)) => tensors.push(matrix("output".to_owned(), head)),
		_ => {}
	}
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
	let activation = match config.activation {
		Activation::SquaredRelu => "relu2",
		Activation::Silu => "silu",
	};
	let template = model.template.source();
	let listing: Vec<(&str, u32, u32)> = tensors
		.iter()
		.map(|tensor| (tensor.name.as_str(), tensor.rows, tensor.cols))
		.collect();
	let manifest = (
		("aria-model-v1", SPEC_VERSION, activation, shape),
		(config.rope_theta.to_bits(), config.norm_eps.to_bits()),
		blake2_256(&model.tokenizer.canonical()),
		template.map_or([0; 32], |source| blake2_256(source.as_bytes())),
		(model.tied, listing),
	)
		.encode();
	let nodes: Vec<H256> = std::iter::once(merkle::leaf_hash(&manifest))
		.chain(tensors.iter().map(|tensor| tensor.root))
		.collect();
	Identity {
		id: merkle::root(&nodes),
		bytes: manifest.len() as u64 + tensors.iter().map(|tensor| tensor.bytes).sum::<u64>(),
	}
}
