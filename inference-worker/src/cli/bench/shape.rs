//! Files of published models' shapes with random weights: as fast as the models themselves, and free of their licences.

use crate::{cli::output, paths::cache_folder};
use anyhow::{Context, Result};
use aria_engine::{
	gguf::{GgufWriter, TensorType},
	tokenizer::byte_chars,
};
use aria_kernels::{I2Block, math};
use clap::ValueEnum;
use std::{
	fs::File,
	io::{self, BufWriter, Write},
	path::{Path, PathBuf},
	rc::Rc,
};

/// Changes with the contents of the files, so that none of an earlier program is taken.
const VERSION: u32 = 1;
/// Bytes made at once.
const CHUNK: usize = 1 << 16;
/// As large as weights of trained embeddings are.
const HEAD_SPREAD: f32 = 0.02;
/// Numbers of types in GGUF.
const F32: u32 = 0;
const F16: u32 = 1;
const I2_S: u32 = 36;

/// A published model's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shape {
	/// 1bitLLM/bitnet_b1_58-large.
	#[value(name = "0.7b")]
	Large,
	/// microsoft/bitnet-b1.58-2B-4T.
	#[value(name = "2b4t")]
	Bitnet,
	/// tiiuae/Falcon3-3B-Instruct-1.58bit.
	#[value(name = "falcon3-3b")]
	Falcon,
	/// HF1BitLLM/Llama3-8B-1.58-100B-tokens.
	#[value(name = "llama3-8b")]
	Llama,
	/// No model's: to try the command.
	#[value(name = "tiny", hide = true)]
	Tiny,
}

struct Numbers {
	arch: &'static str,
	hidden: u64,
	layers: u32,
	heads: u64,
	kv_heads: u64,
	head_dim: u64,
	ffn: u64,
	vocab: u64,
	theta: f32,
	context: u32,
	/// Whether the head is the embedding.
	tied: bool,
}

impl Shape {
	fn name(self) -> &'static str {
		match self {
			Self::Large => "0.7b",
			Self::Bitnet => "2b4t",
			Self::Falcon => "falcon3-3b",
			Self::Llama => "llama3-8b",
			Self::Tiny => "tiny",
		}
	}

	#[rustfmt::skip]
	fn numbers(self) -> Numbers {
		match self {
			Self::Large => Numbers { arch: "bitnet", hidden: 1536, layers: 24, heads: 16, kv_heads: 16, head_dim: 96, ffn: 4096, vocab: 32_002, theta: 10_000.0, context: 2048, tied: true },
			Self::Bitnet => Numbers { arch: "bitnet-b1.58", hidden: 2560, layers: 30, heads: 20, kv_heads: 5, head_dim: 128, ffn: 6912, vocab: 128_256, theta: 500_000.0, context: 4096, tied: true },
			Self::Falcon => Numbers { arch: "llama", hidden: 3072, layers: 22, heads: 12, kv_heads: 4, head_dim: 256, ffn: 9216, vocab: 131_072, theta: 1_000_042.0, context: 32_768, tied: false },
			Self::Llama => Numbers { arch: "llama", hidden: 4096, layers: 32, heads: 32, kv_heads: 8, head_dim: 128, ffn: 14_336, vocab: 128_256, theta: 500_000.0, context: 8192, tied: false },
			Self::Tiny => Numbers { arch: "llama", hidden: 256, layers: 2, heads: 4, kv_heads: 2, head_dim: 64, ffn: 512, vocab: 512, theta: 10_000.0, context: 512, tied: false },
		}
	}

	/// The file of this shape in the cache folder; it is made if it is not there.
	pub(super) fn file(self) -> Result<PathBuf> {
		let folder = cache_folder().context("HOME is not set: there is no place for the file")?;
		self.file_in(&folder.join("shapes"))
	}

	fn file_in(self, folder: &Path) -> Result<PathBuf> {
		let path = folder.join(format!("{}-v{VERSION}.gguf", self.name()));
		if path.exists() {
			return Ok(path);
		}
		std::fs::create_dir_all(folder).with_context(|| format!("can't make {folder:?}"))?;
		let part = path.with_extension(format!("{}.part", std::process::id()));
		let made = self.write(&part);
		let made = made.and_then(|()| std::fs::rename(&part, &path));
		if let Err(error) = made {
			// What went wrong first is what matters.
			drop(std::fs::remove_file(&part));
			return Err(error).with_context(|| format!("can't write {}", path.display()));
		}
		output::note(format_args!(
			"{} has random weights, and is kept for the next run",
			path.display()
		));
		Ok(path)
	}

	fn write(self, path: &Path) -> io::Result<()> {
		let mut out = BufWriter::new(File::create(path)?);
		self.contents().write(&mut out)?;
		out.into_inner()?.sync_all()
	}

	fn contents(self) -> GgufWriter {
		let numbers = self.numbers();
		let mut file = GgufWriter::default();
		numbers.metadata(self.name(), &mut file);
		numbers.tensors(&mut file);
		file
	}
}

impl Numbers {
	fn metadata(&self, name: &str, file: &mut GgufWriter) {
		let arch = self.arch;
		file.text("general.architecture", arch);
		file.text("general.name", &format!("{name} with random weights"));
		for (key, value) in [
			("vocab_size", self.vocab as u32),
			("context_length", self.context),
			("embedding_length", self.hidden as u32),
			("block_count", self.layers),
			("feed_forward_length", self.ffn as u32),
			("attention.head_count", self.heads as u32),
			("attention.head_count_kv", self.kv_heads as u32),
			("attention.key_length", self.head_dim as u32),
			("attention.value_length", self.head_dim as u32),
			("rope.dimension_count", self.head_dim as u32),
		] {
			file.int(&format!("{arch}.{key}"), value);
		}
		file.float(&format!("{arch}.rope.freq_base"), self.theta);
		file.float(&format!("{arch}.attention.layer_norm_rms_epsilon"), 1e-5);
		let mut tokens: Vec<String> = byte_chars().keys().map(char::to_string).collect();
		tokens.sort_unstable();
		tokens.extend((256..self.vocab).map(|id| format!("<{id}>")));
		let end = self.vocab as usize - 1;
		let mut kinds = vec![1; tokens.len()];
		kinds[end - 1..].fill(3);
		file.text("tokenizer.ggml.model", "gpt2");
		file.text("tokenizer.ggml.pre", "llama-bpe");
		file.texts("tokenizer.ggml.tokens", &tokens);
		file.ints("tokenizer.ggml.token_type", &kinds);
		file.texts("tokenizer.ggml.merges", &[]);
		file.int("tokenizer.ggml.bos_token_id", end as u32 - 1);
		file.int("tokenizer.ggml.eos_token_id", end as u32);
	}

	fn tensors(&self, file: &mut GgufWriter) {
		let normal = Rc::new(normal());
		let (hidden, vocab, ffn) = (self.hidden, self.vocab, self.ffn);
		let (query, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
		table(file, "token_embd.weight", [hidden, vocab], 0, &normal);
		if !self.tied {
			table(file, "output.weight", [hidden, vocab], 1, &normal);
		}
		norm(file, "output_norm.weight", hidden);
		for layer in 0..self.layers {
			let name = |part: &str| format!("blk.{layer}.{part}.weight");
			norm(file, &name("attn_norm"), hidden);
			norm(file, &name("ffn_norm"), hidden);
			if self.arch.starts_with("bitnet") {
				norm(file, &name("attn_sub_norm"), query);
				norm(file, &name("ffn_sub_norm"), ffn);
			}
			for (index, (part, cols, rows)) in (0..).zip([
				("attn_q", hidden, query),
				("attn_k", hidden, kv),
				("attn_v", hidden, kv),
				("attn_output", query, hidden),
				("ffn_gate", hidden, ffn),
				("ffn_up", hidden, ffn),
				("ffn_down", ffn, hidden),
			]) {
				let seed = 2 + 7 * u64::from(layer) + index;
				ternary(file, &name(part), [cols, rows], seed);
			}
		}
	}
}

/// SplitMix64 of Steele, Lea and Flood: the same numbers everywhere.
struct Random(u64);

impl Random {
	fn next(&mut self) -> u64 {
		self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
		let mut z = self.0;
		z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
		z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
		z ^ (z >> 31)
	}
}

/// 65536 numbers in binary16 that are spread nearly as a normal distribution: sums of twelve even ones.
fn normal() -> Vec<u16> {
	let mut random = Random(u64::MAX);
	let mut one = || {
		let sum: u64 = (0..12).map(|_| random.next() >> 44).sum();
		(sum as i64 - (6 << 20)) as f32 / (1 << 20) as f32
	};
	(0..1 << 16)
		.map(|_| math::f32_to_f16(one() * HEAD_SPREAD))
		.collect()
}

/// Writes `len` bytes, eight for each random number.
fn fill(
	out: &mut dyn Write,
	len: u64,
	seed: u64,
	eight: impl Fn(u64) -> [u8; 8],
) -> io::Result<()> {
	let mut random = Random(seed << 40);
	let mut chunk = vec![0; CHUNK];
	let mut left = len as usize;
	while left > 0 {
		for bytes in chunk.as_chunks_mut::<8>().0 {
			*bytes = eight(random.next());
		}
		let now = left.min(CHUNK);
		out.write_all(&chunk[..now])?;
		left -= now;
	}
	Ok(())
}

/// An embedding or a head in binary16.
fn table(file: &mut GgufWriter, name: &str, dims: [u64; 2], seed: u64, normal: &Rc<Vec<u16>>) {
	let (len, normal) = (2 * dims[0] * dims[1], normal.clone());
	file.large_tensor(name, &dims, F16, len, move |out| {
		fill(out, len, seed, |bits| {
			let mut bytes = [0; 8];
			for (index, half) in bytes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
				*half = normal[(bits >> (16 * index)) as usize & 0xffff].to_le_bytes();
			}
			bytes
		})
	});
}

fn norm(file: &mut GgufWriter, name: &str, len: u64) {
	let ones = (0..len).flat_map(|_| 1f32.to_le_bytes()).collect();
	file.tensor(name, &[len], F32, ones);
}

/// Codes that are evenly -1, 0 and 1, and a scale that keeps the size of what goes through.
fn ternary(file: &mut GgufWriter, name: &str, dims: [u64; 2], seed: u64) {
	// Each byte holds four of 81 combinations.
	let codes: [u8; 256] = std::array::from_fn(|byte| {
		let mut rest = byte * 81 / 256;
		(0..4).fold(0, |codes, _| {
			let code = (rest % 3) as u8;
			rest /= 3;
			codes << 2 | code
		})
	});
	let elements = dims[0] * dims[1];
	let scale = 1.0 / (0.8 * (dims[0] as f32).sqrt());
	let len = TensorType::I2S(I2Block::B128).bytes(elements);
	let len = len.unwrap_or_default();
	file.large_tensor(name, &dims, I2_S, len, move |out| {
		fill(out, elements / 4, seed, |bits| {
			bits.to_le_bytes().map(|byte| codes[usize::from(byte)])
		})?;
		out.write_all(&scale.to_le_bytes())?;
		out.write_all(&[0; 28])
	});
}

#[cfg(test)]
mod tests {
	use super::*;
	use aria_engine::{gguf::Gguf, model::Model};
	use aria_kernels::Packing;

	#[test]
	fn file_should_be_made_once_and_load() {
		let folder = tempfile::tempdir().unwrap();
		let path = Shape::Tiny.file_in(folder.path()).unwrap();
		let model = Model::open(&path, Packing::TwoBit).unwrap();
		assert_eq!((model.config().layers, model.config().ffn), (2, 512));
		assert!(!model.tied);
		let ids = model.tokenizer.encode("as text", false, false).unwrap();
		assert_eq!(model.tokenizer.decode(&ids), "as text");
		let written = std::fs::metadata(&path).unwrap().modified().unwrap();
		assert_eq!(Shape::Tiny.file_in(folder.path()).unwrap(), path);
		let now = std::fs::metadata(&path).unwrap().modified().unwrap();
		assert_eq!(now, written);
		let files = std::fs::read_dir(folder.path()).unwrap().count();
		assert_eq!(files, 1, "parts are left");
	}

	#[test]
	fn weights_should_be_evenly_ternary() {
		let bytes = Shape::Tiny.contents().bytes();
		let gguf = Gguf::parse(&bytes).unwrap();
		let model = Model::from_bytes(&bytes, "", Packing::TwoBit).unwrap();
		assert_eq!(gguf.tensors.len(), 3 + 2 * 9);
		for (name, linear) in model
			.weights
			.blocks
			.iter()
			.flat_map(|block| block.linears())
		{
			let (rows, cols) = (linear.weight.rows(), linear.weight.cols());
			let weights = (0..rows).flat_map(|row| linear.weight.row(row));
			let sum: i64 = weights.clone().map(i64::from).sum();
			let zeros = weights.filter(|weight| *weight == 0).count();
			let count = (rows * cols) as f64;
			assert!((sum as f64 / count).abs() < 0.02, "{name}: {sum}");
			assert!((zeros as f64 / count - 1.0 / 3.0).abs() < 0.02, "{name}");
		}
	}
}
