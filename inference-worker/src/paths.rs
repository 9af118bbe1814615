//! Where files of the user are.

use std::path::PathBuf;

fn folder(variable: &str, below_home: &str) -> Option<PathBuf> {
	let absolute = |name| {
		let path = PathBuf::from(std::env::var_os(name)?);
		path.is_absolute().then_some(path)
	};
	let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)))?;
	Some(base.join("aria"))
}

/// Configuration: `~/.config/aria`.
pub(crate) fn config_folder() -> Option<PathBuf> {
	folder("XDG_CONFIG_HOME", ".config")
}

/// State, models and journals: `~/.local/share/aria`.
pub(crate) fn data_folder() -> Option<PathBuf> {
	folder("XDG_DATA_HOME", ".local/share")
}

/// What can be made again: `~/.cache/aria`.
pub(crate) fn cache_folder() -> Option<PathBuf> {
	folder("XDG_CACHE_HOME", ".cache")
}
