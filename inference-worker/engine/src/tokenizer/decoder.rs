//! Text from tokens that arrive one at a time.

/// Turns tokens into text one at a time, holding back the bytes of an incomplete character.
#[derive(Default)]
pub struct TextDecoder {
	pending: Vec<u8>,
}

impl TextDecoder {
	/// Adds a token's bytes and returns the text that is now certain.
	pub fn push(&mut self, bytes: &[u8]) -> String {
		self.pending.extend_from_slice(bytes);
		let mut text = String::new();
		loop {
			match std::str::from_utf8(&self.pending) {
				Ok(valid) => {
					text.push_str(valid);
					self.pending.clear();
					return text;
				}
				Err(error) => {
					let valid = error.valid_up_to();
					text.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
					let Some(bad) = error.error_len() else {
						self.pending.drain(..valid);
						return text;
					};
					text.push(char::REPLACEMENT_CHARACTER);
					self.pending.drain(..valid + bad);
				}
			}
		}
	}

	/// Text of what is left at the end.
	pub fn finish(&mut self) -> String {
		let rest = std::mem::take(&mut self.pending);
		String::from_utf8_lossy(&rest).into_owned()
	}
}
