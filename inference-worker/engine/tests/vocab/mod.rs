//! Files with a vocabulary and nothing else.

/// Metadata of a GGUF file under construction.
#[derive(Default)]
pub(crate) struct Metadata(Vec<Vec<u8>>);

fn text(value: &str) -> Vec<u8> {
	let mut out = (value.len() as u64).to_le_bytes().to_vec();
	out.extend(value.as_bytes());
	out
}

fn list<T>(kind: u32, values: &[T], bytes: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
	let mut out = kind.to_le_bytes().to_vec();
	out.extend((values.len() as u64).to_le_bytes());
	out.extend(values.iter().flat_map(bytes));
	out
}

impl Metadata {
	fn entry(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
		self.0
			.push([&text(key), &kind.to_le_bytes()[..], value].concat());
		self
	}

	pub(crate) fn int(self, key: &str, value: u32) -> Self {
		self.entry(key, 4, &value.to_le_bytes())
	}

	pub(crate) fn bool(self, key: &str, value: bool) -> Self {
		self.entry(key, 7, &[u8::from(value)])
	}

	pub(crate) fn text(self, key: &str, value: &str) -> Self {
		self.entry(key, 8, &text(value))
	}

	pub(crate) fn texts<T: AsRef<str>>(self, key: &str, values: &[T]) -> Self {
		self.entry(key, 9, &list(8, values, |one| text(one.as_ref())))
	}

	pub(crate) fn ints(self, key: &str, values: &[i32]) -> Self {
		self.entry(key, 9, &list(5, values, |one| one.to_le_bytes().to_vec()))
	}

	pub(crate) fn floats(self, key: &str, values: &[f32]) -> Self {
		self.entry(key, 9, &list(6, values, |one| one.to_le_bytes().to_vec()))
	}

	/// The file.
	pub(crate) fn bytes(&self) -> Vec<u8> {
		let mut out = b"GGUF\x03\0\0\0".to_vec();
		out.extend(0u64.to_le_bytes());
		out.extend((self.0.len() as u64).to_le_bytes());
		out.extend(self.0.concat());
		out
	}
}

/// GPT-2's spelling of a byte.
pub(crate) fn byte_token(byte: u8) -> char {
	let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
	let code = if printable(byte) {
		u32::from(byte)
	} else {
		256 + (0..byte).filter(|other| !printable(*other)).count() as u32
	};
	char::from_u32(code).unwrap_or_default()
}
