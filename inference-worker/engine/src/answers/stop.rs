//! Texts that end an answer, found across pieces.

/// Releases text only when no stop text can begin in it.
#[derive(Default)]
pub(super) struct StopFilter {
	stops: Vec<String>,
	held: String,
	stopped: bool,
}

impl StopFilter {
	/// A filter for these texts, none of them empty.
	pub(super) fn new(stops: Vec<String>) -> Self {
		Self {
			stops,
			..Default::default()
		}
	}

	/// Whether a stop text was found.
	pub(super) fn stopped(&self) -> bool {
		self.stopped
	}

	/// What is held back, at the end.
	pub(super) fn finish(&mut self) -> String {
		std::mem::take(&mut self.held)
	}

	/// Adds text; returns what is certain.
	pub(super) fn push(&mut self, text: &str) -> String {
		self.held.push_str(text);
		let found = self
			.stops
			.iter()
			.filter_map(|stop| self.held.find(stop.as_str()))
			.min();
		if let Some(at) = found {
			self.stopped = true;
			self.held.truncate(at);
			return std::mem::take(&mut self.held);
		}
		let longest = self
			.stops
			.iter()
			.flat_map(|stop| {
				(1..stop.len())
					.rev()
					.filter(|len| stop.is_char_boundary(*len))
					.find(|len| self.held.ends_with(&stop[..*len]))
			})
			.max()
			.unwrap_or(0);
		let rest = self.held.split_off(self.held.len() - longest);
		std::mem::replace(&mut self.held, rest)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn stop_text_should_be_found_across_pieces() {
		let mut filter = StopFilter::new(vec!["END".into(), "é!".into()]);
		assert_eq!(filter.push("one E"), "one ");
		assert_eq!(filter.push("N"), "");
		assert_eq!(filter.push("X two é"), "ENX two ");
		assert_eq!(filter.push("EN"), "é");
		assert_eq!(filter.push("D three"), "");
		assert!(filter.stopped());
	}
}
