//! A small model file with pseudo-random weights, written from scratch.

use aria_engine::gguf::GgufWriter;

/// Numbers from a linear congruential generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
	/// The next 32 bits.
	pub(crate) fn next(&mut self) -> u32 {
		self.0 = self
			.0
			.wrapping_mul(6_364_136_223_846_793_005)
			.wrapping_add(1_442_695_040_888_963_407);
		(self.0 >> 33) as u32
	}

	fn unit(&mut self) -> f32 {
		(self.next() % 2001) as f32 / 1000.0 - 1.0
	}
}

pub(crate) fn floats(
	file: &mut GgufWriter,
	name: &str,
	dims: &[u64],
	random: &mut Random,
	centre: f32,
	spread: f32,
) {
	let count: u64 = dims.iter().product();
	let data = (0..count).flat_map(|_| (centre + spread * random.unit()).to_le_bytes());
	let data = data.collect();
	file.tensor(name, dims, 0, data);
}

fn ternary(file: &mut GgufWriter, name: &str, cols: u64, rows: u64, random: &mut Random) {
	let mut data = Vec::new();
	for _ in 0..cols * rows / 4 {
		let codes = (0..4).fold(0u8, |byte, _| byte << 2 | (random.next() % 3) as u8);
		data.push(codes);
	}
	data.extend(0.05f32.to_le_bytes());
	data.extend([0; 28]);
	file.tensor(name, &[cols, rows], 36, data);
}

/// GPT-2's printable stand-in of a byte.
fn byte_token(byte: u8) -> String {
	let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
	let code = if printable(byte) {
		u32::from(byte)
	} else {
		256 + (0..byte).filter(|other| !printable(*other)).count() as u32
	};
	char::from_u32(code).unwrap().to_string()
}

/// A vocabulary of the bytes, two pairs, BOS and EOS: 260 tokens.
pub(crate) fn vocabulary(file: &mut GgufWriter) {
	let mut tokens: Vec<String> = (0..=255).map(byte_token).collect();
	tokens.extend(["th".into(), "the".into(), "<s>".into(), "<|eot_id|>".into()]);
	let mut types = vec![1; 258];
	types.extend([3, 3]);
	file.text("tokenizer.ggml.model", "gpt2");
	file.text("tokenizer.ggml.pre", "gpt-2");
	file.texts("tokenizer.ggml.tokens", &tokens);
	file.ints("tokenizer.ggml.token_type", &types);
	file.texts("tokenizer.ggml.merges", &["t h".into(), "th e".into()]);
	file.int("tokenizer.ggml.bos_token_id", 258);
	file.int("tokenizer.ggml.eos_token_id", 259);
}

/// A model of two blocks with this [`vocabulary`].
pub(crate) fn model(seed: u64) -> GgufWriter {
	model_of(seed, vocabulary)
}

/// A model of two blocks with another vocabulary, of 260 tokens.
pub(crate) fn model_of(seed: u64, vocabulary: impl FnOnce(&mut GgufWriter)) -> GgufWriter {
	let mut random = Random(seed);
	let mut file = GgufWriter::default();
	let arch = "bitnet-b1.58";
	file.text("general.architecture", arch);
	for (key, value) in [
		("embedding_length", 128),
		("block_count", 2),
		("feed_forward_length", 256),
		("attention.head_count", 4),
		("attention.head_count_kv", 2),
		("context_length", 96),
	] {
		file.int(&format!("{arch}.{key}"), value);
	}
	file.float(&format!("{arch}.rope.freq_base"), 10_000.0);
	file.float(&format!("{arch}.attention.layer_norm_rms_epsilon"), 1e-5);
	vocabulary(&mut file);
	floats(
		&mut file,
		"token_embd.weight",
		&[128, 260],
		&mut random,
		0.0,
		1.0,
	);
	for layer in 0..2 {
		let name = |part: &str| format!("blk.{layer}.{part}.weight");
		for (part, len) in [
			("attn_norm", 128),
			("attn_sub_norm", 128),
			("ffn_norm", 128),
			("ffn_sub_norm", 256),
		] {
			floats(&mut file, &name(part), &[len], &mut random, 1.0, 0.1);
		}
		for (part, cols, rows) in [
			("attn_q", 128, 128),
			("attn_k", 128, 64),
			("attn_v", 128, 64),
			("attn_output", 128, 128),
			("ffn_gate", 128, 256),
			("ffn_up", 128, 256),
			("ffn_down", 256, 128),
		] {
			ternary(&mut file, &name(part), cols, rows, &mut random);
		}
	}
	floats(
		&mut file,
		"output_norm.weight",
		&[128],
		&mut random,
		0.1,
		0.02,
	);
	file
}
