//! Reading the tensors of a model: packing, quantising and hashing them as they come.

use super::{
	Block, Dither, Embedding, Head, Linear, LoadOptions, Model, ModelError, Weights,
	checkpoint::{Checkpoint, Scale, Stored, widen, wrong_type},
	config::{ConfigError, ModelConfig, rope_table},
	extras::Extras,
	identity::{Leaves, Manifest},
};
use crate::gguf::TensorType;
use aria_kernels::{
	Halves, HeadMatrix, PackError, PackOptions, Packing, RowOrder, TernaryMatrix, math,
};
use rayon::prelude::*;
use std::collections::HashSet;

/// Bytes of a tensor that are read together when it is not read whole.
const CHUNK: u64 = 8 << 20;

/// Reads tensors and remembers which were used.
struct Loader<'a> {
	checkpoint: &'a Checkpoint<'a>,
	packing: Packing,
	dither: Dither,
	/// Order of the rows of queries and keys.
	pairs: RowOrder,
	used: HashSet<String>,
	manifest: Manifest,
	/// Bytes of the tensor before: its memory is used again.
	buffer: Vec<u8>,
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
		// The codes of I2_S and of packed rows go on from row to row.
		let of_rows = !matches!(tensor.kind, TensorType::I2S(_) | TensorType::HfPacked);
		if of_rows && tensor.kind.bytes(cols as u64).is_none() {
			return Err(wrong_type(name, tensor, "rows of whole blocks"));
		}
		Ok(tensor.clone())
	}

	/// A norm.
	fn norm(&mut self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
		let tensor = self.find(name, 1, len)?;
		let mut values = vec![0.0; len];
		let bytes = self.checkpoint.read(&tensor)?;
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
	) -> Result<Halves, ModelError> {
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
		let mut halves = Halves::zeroed(rows * cols);
		halves
			.par_chunks_mut(each * cols)
			.enumerate()
			.try_for_each_init(Vec::new, |bytes, (chunk, halves)| {
				let first = (chunk * each) as u64 * row_bytes;
				let len = (halves.len() / cols) as u64 * row_bytes;
				self.checkpoint
					.read_into(&tensor, first..first + len, bytes)?;
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
				// All of a row, not up to the first: that is many at a time.
				let finite = |row: &[u16]| {
					row.iter()
						.fold(true, |all, half| all & (half & 0x7c00 != 0x7c00))
				};
				if !halves.chunks_exact(cols).all(finite) {
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
	) -> Result<Halves, ModelError> {
		let (matrix, _) = self.ternary(name, rows, cols, RowOrder::AsStored)?;
		let block = matrix.block().unwrap_or(cols);
		let leaves = Leaves::new(rows);
		let mut halves = Halves::zeroed(rows * cols);
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
		let mut bytes = std::mem::take(&mut self.buffer);
		self.checkpoint
			.read_into(&tensor, 0..tensor.len, &mut bytes)?;
		let leaves = Leaves::new(rows);
		let observer = |first: usize, rows: &[&[u8]]| leaves.codes(first, rows);
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
		self.buffer = bytes;
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
		let family = config.family.row();
		if family.sub_norms {
			block.attn_output.norm = Some(self.norm(&name("attn_sub_norm"), query)?);
			block.ffn_down.norm = Some(self.norm(&name("ffn_sub_norm"), ffn)?);
		}
		if family.head_norms {
			block.q_norm = Some(self.norm(&name("attn_q_norm"), config.head_dim)?);
			block.k_norm = Some(self.norm(&name("attn_k_norm"), config.head_dim)?);
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
			// Also where it is the embedding: the same rows in binary16 would be another head, with other logits.
			let bytes = hidden.div_ceil(4);
			self.manifest.rows("output", hidden, bytes, leaves);
			self.manifest.scales("output", &head);
			return Ok((Some(Head::Ternary(head)), tied));
		}
		if tied {
			return Ok((
				Some(Head::Int8(quantize_head(
					embedding,
					vocab,
					hidden,
					self.dither,
				)?)),
				true,
			));
		}
		let rows = self.halves("output", vocab, hidden, false)?;
		// A head that repeats the embedding is the same model as one without.
		let tied = *rows == *embedding;
		let head = quantize_head(&rows, vocab, hidden, self.dither)?;
		if !tied {
			self.manifest.head("output", &head);
		}
		Ok((Some(Head::Int8(head)), tied))
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
fn quantize_head(
	rows: &[u16],
	vocab: usize,
	hidden: usize,
	dither: Dither,
) -> Result<HeadMatrix, ModelError> {
	let dither = dither.row(hidden);
	let widen = |row: usize, out: &mut [f32]| {
		for (out, half) in out.iter_mut().zip(&rows[row * hidden..][..hidden]) {
			*out = math::f16_to_f32(*half);
		}
	};
	HeadMatrix::new(vocab, hidden, &dither, widen)
		.map_err(|error| ModelError::Head(error.to_string()))
}

impl Model {
	/// Reads all tensors.
	pub(super) fn build(
		checkpoint: &Checkpoint<'_>,
		config: ModelConfig,
		extras: Extras,
		options: LoadOptions,
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
			packing: options.packing,
			dither: options.dither,
			pairs,
			used: HashSet::new(),
			manifest: Manifest::default(),
			buffer: Vec::new(),
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
			weights: Weights {
				layers: 0..config.layers,
				config,
				embedding: Some(Embedding { rows }),
				blocks,
				output_norm,
				head,
				rope,
			},
			tokenizer: extras.tokenizer,
			template: extras.template,
			sampling: extras.sampling,
			tied,
			name: extras.name,
			licence: extras.licence,
			id,
			bytes,
			grammars: Default::default(),
		})
	}
}
