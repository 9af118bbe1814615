//! Ternary models with short names.

use serde::Serialize;

/// A model that has a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Known {
	/// Short name.
	pub name: &'static str,
	/// Repository on the hub.
	pub repo: &'static str,
	/// Licence as its authors name it.
	pub licence: &'static str,
	/// Ternary parameters in millions.
	pub ternary_millions: u32,
}

const fn known(
	name: &'static str,
	repo: &'static str,
	licence: &'static str,
	ternary_millions: u32,
) -> Known {
	Known {
		name,
		repo,
		licence,
		ternary_millions,
	}
}

const FALCON: &str = "TII Falcon-LLM licence (not open source)";
const LLAMA: &str = "Llama 3 community licence";

/// Models with short names: only repositories whose names are certain. All others are pulled as owner/repo.
///
/// Their sizes on disk are the hub's to say.
#[rustfmt::skip]
pub const KNOWN: &[Known] = &[
	known("bitnet-2b4t", "microsoft/bitnet-b1.58-2B-4T", "MIT", 2084),
	known("bitnet-large", "1bitLLM/bitnet_b1_58-large", "MIT", 679),
	known("bitnet-3b", "1bitLLM/bitnet_b1_58-3B", "MIT", 3222),
	known("llama3-8b-1.58", "HF1BitLLM/Llama3-8B-1.58-100B-tokens", LLAMA, 6980),
	known("falcon3-1b", "tiiuae/Falcon3-1B-Instruct-1.58bit", FALCON, 1130),
	known("bonsai-1.7b", "prism-ml/Ternary-Bonsai-1.7B", "Apache-2.0", 1410),
	known("bitnet-embedding-0.6b", "microsoft/bitnet-embedding-0.6b", "MIT", 440),
	known("bitnet-embedding-270m", "microsoft/bitnet-embedding-270m", "MIT", 100),
];
