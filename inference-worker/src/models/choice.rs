//! Which model an option names, and under which name the API shows it.

use crate::hub;
use aria_engine::model::{ModelError, Outline};
use std::{
	path::{Path, PathBuf},
	str::FromStr,
};

/// Longest name, bytes.
const MAX_NAME: usize = 200;

/// A value of `--model`: `NAME=MODEL` or `MODEL`, which is a path or the name of an installed model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelChoice {
	/// Name under which the API shows it, if one was given.
	pub name: Option<String>,
	/// A path, or the name of an installed model.
	pub model: PathBuf,
}

/// Whether clients can ask for a model by this name.
fn is_name(name: &str) -> bool {
	!name.trim().is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

impl From<PathBuf> for ModelChoice {
	fn from(model: PathBuf) -> Self {
		Self { name: None, model }
	}
}

impl FromStr for ModelChoice {
	type Err = String;

	fn from_str(text: &str) -> Result<Self, String> {
		// A path may have an equals sign in it.
		let named = text.split_once('=').filter(|_| !Path::new(text).exists());
		let Some((name, model)) = named else {
			return Ok(PathBuf::from(text).into());
		};
		if !is_name(name) {
			return Err(format!(
				"a model's name has between 1 and {MAX_NAME} bytes and no control characters"
			));
		}
		if model.is_empty() {
			return Err("expected NAME=MODEL or MODEL".into());
		}
		Ok(Self {
			name: Some(name.to_owned()),
			model: model.into(),
		})
	}
}

/// Why a model that was named can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
	/// Nothing is there.
	#[error(transparent)]
	Hub(#[from] hub::HubError),
	/// What is there is no model.
	#[error("can't read the model in {path}")]
	Model {
		/// Where.
		path: PathBuf,
		/// Why.
		source: ModelError,
	},
}

impl ModelChoice {
	/// Where it is, its name, and its shape.
	pub(super) fn find(&self) -> Result<(PathBuf, String, Outline), ChoiceError> {
		let path = hub::resolve(&self.model)?;
		let outline = aria_engine::model::Model::outline(&path);
		let outline = outline.map_err(|source| ChoiceError::Model {
			path: path.clone(),
			source,
		})?;
		let installed = (path != self.model).then(|| self.model.to_string_lossy().into_owned());
		let written = Some(outline.name.clone()).filter(|name| is_name(name));
		let name = self.name.clone().or(installed).or(written);
		// What a file says of itself may be no name; its own always is one.
		let name = name.unwrap_or_else(|| {
			let stem = path.file_stem().unwrap_or_default();
			let stem = stem.to_string_lossy().replace(char::is_control, " ");
			stem.chars().take(MAX_NAME / 4).collect()
		});
		Ok((path, name, outline))
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn choices_should_be_names_and_paths() {
		let dir = tempfile::tempdir().unwrap();
		let odd = dir.path().join("a=b.gguf");
		std::fs::write(&odd, "").unwrap();
		let parse = |text: &str| text.parse::<ModelChoice>();
		let choice = |name: Option<&str>, model: &str| {
			Ok(ModelChoice {
				name: name.map(str::to_owned),
				model: model.into(),
			})
		};
		assert_eq!(parse("model.gguf"), choice(None, "model.gguf"));
		assert_eq!(parse("small=a.gguf"), choice(Some("small"), "a.gguf"));
		assert_eq!(parse("x=y=z"), choice(Some("x"), "y=z"));
		let odd = odd.to_str().unwrap();
		assert_eq!(parse(odd), choice(None, odd));
		for wrong in [
			"=a.gguf",
			"name=",
			"a\nb=c",
			&format!("{}=c", "n".repeat(201)),
		] {
			assert!(parse(wrong).is_err(), "{wrong:?}");
		}
	}
}
