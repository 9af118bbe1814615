//! Files that the user names.

use anyhow::{Context, Result, ensure};
use std::{fs::File, io::Read, path::Path};

/// The text of a file of at most so many bytes: what is named may be a device that never ends.
pub(super) fn read_text(path: &Path, most: u64) -> Result<String> {
	let read = || -> std::io::Result<String> {
		let mut text = String::new();
		File::open(path)?.take(most + 1).read_to_string(&mut text)?;
		Ok(text)
	};
	let text = read().with_context(|| format!("can't read {}", path.display()))?;
	ensure!(
		text.len() as u64 <= most,
		"{} is longer than {} MiB",
		path.display(),
		most >> 20
	);
	Ok(text)
}
