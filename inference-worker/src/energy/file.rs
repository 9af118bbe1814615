//! Files of Linux that hold one number.

use std::path::Path;

/// Why a file shows no number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
	Missing,
	/// There, but not for this user.
	Unreadable,
	/// Not a number.
	Garbage,
}

/// The number that a file holds.
pub(super) fn value(path: &Path) -> Result<u64, Fault> {
	let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
		std::io::ErrorKind::NotFound => Fault::Missing,
		std::io::ErrorKind::InvalidData => Fault::Garbage,
		_ => Fault::Unreadable,
	})?;
	text.trim().parse().map_err(|_| Fault::Garbage)
}

/// The number that a file holds, if it does.
pub(super) fn number(path: &Path) -> Option<u64> {
	value(path).ok()
}
