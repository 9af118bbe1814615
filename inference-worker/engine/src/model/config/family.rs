//! Families of models: what tells one from another, a row for each.

use serde::Serialize;

/// Which family of models the layers are those of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
	/// Norms before the output and down projections.
	BitNet,
	/// No more norms than Llama has.
	Llama,
	/// Norms of query and key heads.
	Qwen3,
}

/// What a family is known by and what it has.
pub(in crate::model) struct Row {
	family: Family,
	/// `general.architecture` in GGUF files.
	gguf: &'static [&'static str],
	/// `model_type` in `config.json`.
	huggingface: &'static str,
	/// Name in the manifest that the model's root covers.
	pub(in crate::model) manifest: &'static str,
	/// Whether GGUF files have the rows of query and key heads in pairs, as the converter brought them.
	pub(in crate::model) gguf_pairs: bool,
	/// Whether there are norms before the output and down projections.
	pub(in crate::model) sub_norms: bool,
	/// Whether query and key heads are normed before rotation.
	pub(in crate::model) head_norms: bool,
}

const FAMILIES: [Row; 3] = [
	Row {
		family: Family::BitNet,
		gguf: &["bitnet-b1.58", "bitnet-25", "bitnet"],
		huggingface: "bitnet",
		manifest: "bitnet",
		gguf_pairs: false,
		sub_norms: true,
		head_norms: false,
	},
	Row {
		family: Family::Llama,
		gguf: &["llama"],
		huggingface: "llama",
		manifest: "llama",
		gguf_pairs: true,
		sub_norms: false,
		head_norms: false,
	},
	Row {
		family: Family::Qwen3,
		gguf: &["qwen3"],
		huggingface: "qwen3",
		manifest: "qwen3",
		gguf_pairs: false,
		sub_norms: false,
		head_norms: true,
	},
];

impl Family {
	/// The family that a GGUF file's architecture names.
	pub(super) fn from_gguf(architecture: &str) -> Option<Self> {
		let mut rows = FAMILIES.iter();
		rows.find(|row| row.gguf.contains(&architecture))
			.map(|row| row.family)
	}

	/// The family of a `model_type`, or of a class of transformers' where that tells more.
	pub(super) fn from_huggingface(kind: &str, class: Option<&str>) -> Option<Self> {
		// 1bitLLM's models call themselves Llama's but for the class.
		if class == Some("BitnetForCausalLM") {
			return Some(Self::BitNet);
		}
		let mut rows = FAMILIES.iter();
		rows.find(|row| row.huggingface == kind)
			.map(|row| row.family)
	}

	/// Its row.
	pub(in crate::model) fn row(self) -> &'static Row {
		match self {
			Self::BitNet => &FAMILIES[0],
			Self::Llama => &FAMILIES[1],
			Self::Qwen3 => &FAMILIES[2],
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn rows_should_be_those_of_their_families() {
		for row in &FAMILIES {
			assert_eq!(row.family.row().manifest, row.manifest);
			assert_eq!(Family::from_gguf(row.gguf[0]), Some(row.family));
			let found = Family::from_huggingface(row.huggingface, None);
			assert_eq!(found, Some(row.family));
		}
		let class = Some("BitnetForCausalLM");
		assert_eq!(
			Family::from_huggingface("llama", class),
			Some(Family::BitNet)
		);
		assert_eq!(Family::from_gguf("gpt2"), None);
	}
}
