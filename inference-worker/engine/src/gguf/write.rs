//! Writing GGUF files, for models that are made up: shapes to measure, and the files of tests.

use std::io::{self, Write};

/// Where tensors begin, bytes.
const ALIGNMENT: u64 = 32;

/// Writes the bytes of a tensor.
type Fill = dyn Fn(&mut dyn Write) -> io::Result<()>;

struct Tensor {
	name: String,
	dims: Vec<u64>,
	kind: u32,
	len: u64,
	fill: Box<Fill>,
}

/// A file under construction. Nothing is checked: tests write damaged files too.
#[derive(Default)]
pub struct GgufWriter {
	entries: Vec<Vec<u8>>,
	tensors: Vec<Tensor>,
}

/// Length and bytes.
fn text(value: &str) -> Vec<u8> {
	let mut out = (value.len() as u64).to_le_bytes().to_vec();
	out.extend(value.as_bytes());
	out
}

impl GgufWriter {
	fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
		let mut out = text(key);
		out.extend(kind.to_le_bytes());
		out.extend(value);
		self.entries.push(out);
	}

	fn list<T>(&mut self, key: &str, kind: u32, values: &[T], bytes: impl Fn(&T) -> Vec<u8>) {
		let mut out = kind.to_le_bytes().to_vec();
		out.extend((values.len() as u64).to_le_bytes());
		values.iter().for_each(|value| out.extend(bytes(value)));
		self.entry(key, 9, &out);
	}

	/// A number.
	pub fn int(&mut self, key: &str, value: u32) {
		self.entry(key, 4, &value.to_le_bytes());
	}

	/// A number that need not be whole.
	pub fn float(&mut self, key: &str, value: f32) {
		self.entry(key, 6, &value.to_le_bytes());
	}

	/// A text.
	pub fn text(&mut self, key: &str, value: &str) {
		self.entry(key, 8, &text(value));
	}

	/// A list of texts.
	pub fn texts(&mut self, key: &str, values: &[String]) {
		self.list(key, 8, values, |value| text(value));
	}

	/// A list of whole numbers.
	pub fn ints(&mut self, key: &str, values: &[i32]) {
		self.list(key, 5, values, |value| value.to_le_bytes().to_vec());
	}

	/// A list of numbers that need not be whole.
	pub fn floats(&mut self, key: &str, values: &[f32]) {
		self.list(key, 6, values, |value| value.to_le_bytes().to_vec());
	}

	/// A tensor by the number of its type and its bytes.
	pub fn tensor(&mut self, name: &str, dims: &[u64], kind: u32, data: Vec<u8>) {
		let len = data.len() as u64;
		self.large_tensor(name, dims, kind, len, move |out| out.write_all(&data));
	}

	/// A tensor of `len` bytes that need not be in memory: `fill` writes them.
	pub fn large_tensor(
		&mut self,
		name: &str,
		dims: &[u64],
		kind: u32,
		len: u64,
		fill: impl Fn(&mut dyn Write) -> io::Result<()> + 'static,
	) {
		self.tensors.push(Tensor {
			name: name.to_owned(),
			dims: dims.to_vec(),
			kind,
			len,
			fill: Box::new(fill),
		});
	}

	fn head(&self) -> Vec<u8> {
		let mut out = b"GGUF".to_vec();
		out.extend(3u32.to_le_bytes());
		out.extend((self.tensors.len() as u64).to_le_bytes());
		out.extend((self.entries.len() as u64).to_le_bytes());
		self.entries.iter().for_each(|entry| out.extend(entry));
		let mut offset = 0u64;
		for tensor in &self.tensors {
			out.extend(text(&tensor.name));
			out.extend((tensor.dims.len() as u32).to_le_bytes());
			let dims = tensor.dims.iter();
			dims.for_each(|dim| out.extend(dim.to_le_bytes()));
			out.extend(tensor.kind.to_le_bytes());
			out.extend(offset.to_le_bytes());
			offset += tensor.len.next_multiple_of(ALIGNMENT);
		}
		out
	}

	/// Writes the file.
	///
	/// # Errors
	///
	/// Those of `out`.
	pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
		let pad = |out: &mut dyn Write, len: u64| {
			let missing = len.next_multiple_of(ALIGNMENT) - len;
			out.write_all(&[0; ALIGNMENT as usize][..missing as usize])
		};
		let head = self.head();
		out.write_all(&head)?;
		pad(out, head.len() as u64)?;
		for tensor in &self.tensors {
			(tensor.fill)(out)?;
			pad(out, tensor.len)?;
		}
		Ok(())
	}

	/// The file's bytes.
	pub fn bytes(&self) -> Vec<u8> {
		let mut out = Vec::new();
		match self.write(&mut out) {
			Ok(()) => out,
			Err(error) => unreachable!("memory takes all bytes: {error}"),
		}
	}
}
