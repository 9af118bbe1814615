//! A small model file with pseudo-random weights, written from scratch.

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

/// A GGUF file under construction.
#[derive(Default)]
pub(crate) struct Builder {
	entries: Vec<Vec<u8>>,
	tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

fn text(value: &str) -> Vec<u8> {
	let mut out = (value.len() as u64).to_le_bytes().to_vec();
	out.extend(value.as_bytes());
	out
}

impl Builder {
	fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
		let mut out = text(key);
		out.extend(kind.to_le_bytes());
		out.extend(value);
		self.entries.push(out);
	}

	/// A `u32` entry.
	pub(crate) fn int(&mut self, key: &str, value: u32) {
		self.entry(key, 4, &value.to_le_bytes());
	}

	/// An `f32` entry.
	pub(crate) fn float(&mut self, key: &str, value: f32) {
		self.entry(key, 6, &value.to_le_bytes());
	}

	/// A text entry.
	pub(crate) fn text(&mut self, key: &str, value: &str) {
		self.entry(key, 8, &text(value));
	}

	/// A list of texts.
	pub(crate) fn texts(&mut self, key: &str, values: &[String]) {
		let mut out = 8u32.to_le_bytes().to_vec();
		out.extend((values.len() as u64).to_le_bytes());
		values.iter().for_each(|value| out.extend(text(value)));
		self.entry(key, 9, &out);
	}

	/// A list of `i32`.
	pub(crate) fn ints(&mut self, key: &str, values: &[i32]) {
		let mut out = 5u32.to_le_bytes().to_vec();
		out.extend((values.len() as u64).to_le_bytes());
		values
			.iter()
			.for_each(|value| out.extend(value.to_le_bytes()));
		self.entry(key, 9, &out);
	}

	/// A tensor by its raw bytes.
	pub(crate) fn tensor(&mut self, name: &str, dims: &[u64], kind: u32, data: Vec<u8>) {
		self.tensors
			.push((name.to_owned(), dims.to_vec(), kind, data));
	}

	fn floats(&mut self, name: &str, dims: &[u64], random: &mut Random, centre: f32, spread: f32) {
		let count: u64 = dims.iter().product();
		let data = (0..count).flat_map(|_| (centre + spread * random.unit()).to_le_bytes());
		let data = data.collect();
		self.tensor(name, dims, 0, data);
	}

	fn ternary(&mut self, name: &str, cols: u64, rows: u64, random: &mut Random) {
		let mut data = Vec::new();
		for _ in 0..cols * rows / 4 {
			let codes = (0..4).fold(0u8, |byte, _| byte << 2 | (random.next() % 3) as u8);
			data.push(codes);
		}
		data.extend(0.05f32.to_le_bytes());
		data.extend([0; 28]);
		self.tensor(name, &[cols, rows], 36, data);
	}

	/// The file.
	pub(crate) fn bytes(&self) -> Vec<u8> {
		let mut out = b"GGUF".to_vec();
		out.extend(3u32.to_le_bytes());
		out.extend((self.tensors.len() as u64).to_le_bytes());
		out.extend((self.entries.len() as u64).to_le_bytes());
		self.entries.iter().for_each(|entry| out.extend(entry));
		let mut offset = 0u64;
		for (name, dims, kind, data) in &self.tensors {
			out.extend(text(name));
			out.extend((dims.len() as u32).to_le_bytes());
			dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
			out.extend(kind.to_le_bytes());
			out.extend(offset.to_le_bytes());
			offset += (data.len() as u64).next_multiple_of(32);
		}
		for (_, _, _, data) in &self.tensors {
			out.resize(out.len().next_multiple_of(32), 0);
			out.extend(data);
		}
		out.resize(out.len().next_multiple_of(32), 0);
		out
	}
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

/// A model of two blocks whose vocabulary is the bytes, two pairs, BOS and EOS.
pub(crate) fn model(seed: u64) -> Builder {
	let mut random = Random(seed);
	let mut file = Builder::default();
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
	file.floats("token_embd.weight", &[128, 260], &mut random, 0.0, 1.0);
	for layer in 0..2 {
		let name = |part: &str| format!("blk.{layer}.{part}.weight");
		for (part, len) in [
			("attn_norm", 128),
			("attn_sub_norm", 128),
			("ffn_norm", 128),
			("ffn_sub_norm", 256),
		] {
			file.floats(&name(part), &[len], &mut random, 1.0, 0.1);
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
			file.ternary(&name(part), cols, rows, &mut random);
		}
	}
	file.floats("output_norm.weight", &[128], &mut random, 0.1, 0.02);
	file
}
