//! Which repository, file and revision a name means.

use super::{HubError, KNOWN, Known, Result};
use std::path::{Component, Path};

/// What to pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
	/// Name under which it is installed.
	pub name: String,
	/// Repository on the hub.
	pub repo: String,
	/// File, if one was named.
	pub file: Option<String>,
	/// Branch, tag or commit, if one was named; else `main`.
	pub revision: Option<String>,
	/// Licence, if known without asking.
	pub licence: Option<String>,
}

impl std::str::FromStr for Source {
	type Err = HubError;

	/// Reads a short name or `owner/repo[:file][@revision]`.
	fn from_str(text: &str) -> Result<Self> {
		let wrong = || HubError::Name(text.to_owned());
		let (repo, file, revision) = parts(text);
		let known = known(repo);
		let repo = known.map_or(repo, |known| known.repo);
		let (owner, name) = repo.split_once('/').ok_or_else(wrong)?;
		let word = |word: &str| {
			let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
			// The hub itself has no "--"; it separates owner and repository in folder names.
			!word.is_empty()
				&& word.len() <= 96
				&& !word.starts_with('.')
				&& !word.contains("--")
				&& word.bytes().all(plain)
		};
		let unsafe_part = [file, revision].iter().flatten().any(|part| !is_safe(part));
		if !word(owner) || !word(name) || unsafe_part {
			return Err(wrong());
		}
		Ok(Self {
			name: local_name(repo),
			repo: repo.to_owned(),
			file: file.map(str::to_owned),
			revision: revision.map(str::to_owned),
			licence: known.map(|known| known.licence.to_owned()),
		})
	}
}

/// Repository or short name, file and revision.
pub(super) fn parts(text: &str) -> (&str, Option<&str>, Option<&str>) {
	let (rest, revision) = match text.split_once('@') {
		Some((rest, revision)) => (rest, Some(revision)),
		None => (text, None),
	};
	match rest.split_once(':') {
		Some((repo, file)) => (repo, Some(file), revision),
		None => (rest, None, revision),
	}
}

fn known(name: &str) -> Option<&'static Known> {
	KNOWN
		.iter()
		.find(|known| known.name == name || known.repo.eq_ignore_ascii_case(name))
}

/// The installed name of a short name or of `owner/repo[:file][@revision]`.
pub(super) fn local_name(name: &str) -> String {
	let (repo, ..) = parts(name);
	match (known(repo), repo.split_once('/')) {
		(Some(known), _) => known.name.to_owned(),
		(None, Some((owner, repo))) => format!("{owner}--{repo}"),
		(None, None) => repo.to_owned(),
	}
}

/// Whether `path` is a plain relative path below a model's folder.
pub(super) fn is_safe(path: &str) -> bool {
	let plain = Path::new(path)
		.components()
		.all(|part| matches!(part, Component::Normal(name) if name.len() <= 200));
	let odd = |byte: u8| byte < 0x20 || byte == 0x7f || byte == b'\\';
	plain
		&& !path.is_empty()
		&& path.len() <= 512
		&& !path.contains("//")
		&& !path.ends_with('/')
		&& !path.split('/').any(|part| matches!(part, "." | ".." | ""))
		&& !path.bytes().any(odd)
}
