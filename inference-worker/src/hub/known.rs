//! Ternary models with short names.

use serde::Serialize;

/// A model that has a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Known {
	/// Short name.
	pub name: &'static str,
	/// Repository on the hub.
	pub repo: &'static str,
	/// File, where the repository holds more than one model.
	pub file: Option<&'static str>,
	/// Licence as its authors name it.
	pub licence: &'static str,
	/// Ternary parameters in millions.
	pub ternary_millions: u32,
}

const fn known(
	name: &'static str,
	repo: &'static str,
	file: Option<&'static str>,
	licence: &'static str,
	ternary_millions: u32,
) -> Known {
	Known {
		name,
		repo,
		file,
		licence,
		ternary_millions,
	}
}

const FALCON: &str = "TII Falcon-LLM licence (not open source)";
const APACHE: &str = "Apache-2.0";
const I2_S: Option<&str> = Some("ggml-model-i2_s.gguf");

/// Models with short names. Their sizes on disk are the hub's to say.
pub const KNOWN: &[Known] = &[
	known(
		"bitnet-2b4t",
		"microsoft/bitnet-b1.58-2B-4T-gguf",
		I2_S,
		"MIT",
		2084,
	),
	known(
		"bitnet-large",
		"1bitLLM/bitnet_b1_58-large",
		None,
		"MIT",
		679,
	),
	known("bitnet-3b", "1bitLLM/bitnet_b1_58-3B", None, "MIT", 3222),
	known(
		"llama3-8b-1.58",
		"HF1BitLLM/Llama3-8B-1.58-100B-tokens",
		None,
		"Llama 3 community licence",
		6980,
	),
	known(
		"falcon3-1b",
		"tiiuae/Falcon3-1B-Instruct-1.58bit",
		None,
		FALCON,
		1130,
	),
	known(
		"falcon3-3b",
		"tiiuae/Falcon3-3B-Instruct-1.58bit",
		None,
		FALCON,
		2420,
	),
	known(
		"falcon3-7b",
		"tiiuae/Falcon3-7B-Instruct-1.58bit",
		None,
		FALCON,
		6650,
	),
	known(
		"falcon3-10b",
		"tiiuae/Falcon3-10B-Instruct-1.58bit",
		None,
		FALCON,
		9500,
	),
	known(
		"falcon-e-1b",
		"tiiuae/Falcon-E-1B-Instruct",
		None,
		FALCON,
		1585,
	),
	known(
		"falcon-e-3b",
		"tiiuae/Falcon-E-3B-Instruct",
		None,
		FALCON,
		2920,
	),
	known(
		"bonsai-1.7b",
		"prism-ml/Ternary-Bonsai-1.7B",
		None,
		APACHE,
		1410,
	),
	known(
		"bonsai-4b",
		"prism-ml/Ternary-Bonsai-4B",
		None,
		APACHE,
		3630,
	),
	known(
		"bonsai-8b",
		"prism-ml/Ternary-Bonsai-8B",
		None,
		APACHE,
		6950,
	),
	known(
		"bitnet-embedding-0.6b",
		"microsoft/bitnet-embedding-0.6b",
		None,
		"MIT",
		440,
	),
	known(
		"bitnet-embedding-270m",
		"microsoft/bitnet-embedding-270m",
		None,
		"MIT",
		100,
	),
];
