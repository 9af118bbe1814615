//! Models in memory: weights, vocabulary, template and identity, whatever files they came from.

mod checkpoint;
pub mod config;
mod dither;
mod error;
mod extras;
mod huggingface;
mod identity;
mod load;
mod open;
mod options;
mod outline;
mod safetensors;
mod sampling;
pub mod template;
mod weights;

pub use config::{Activation, ModelConfig};
pub use dither::Dither;
pub use error::ModelError;
pub use options::LoadOptions;
pub use outline::Outline;
pub use sampling::SamplingDefaults;
pub use weights::{Block, Embedding, Head, Linear, Weights};

use crate::{error::EngineError, grammar::Grammars, tokenizer::Tokenizer};
use aria_primitives::{ModelId, provenance::OperationCount};
use std::sync::OnceLock;
use template::ChatTemplate;

/// A model ready to run.
pub struct Model {
	/// What a pass needs.
	pub weights: Weights,
	/// Vocabulary.
	pub tokenizer: Tokenizer,
	/// Conversation format.
	pub template: ChatTemplate,
	/// How its publisher recommends to sample.
	pub sampling: SamplingDefaults,
	/// Whether the head is made from the embedding.
	pub tied: bool,
	/// Name in the file, or the file's.
	pub name: String,
	/// Licence in the file.
	pub licence: Option<String>,
	/// Root of everything above.
	pub id: ModelId,
	/// Canonical size, bytes.
	pub bytes: u64,
	/// Made at the first request for an answer of a given form.
	pub(crate) grammars: OnceLock<Result<Grammars, EngineError>>,
}

impl Model {
	/// Shape and constants.
	pub fn config(&self) -> &ModelConfig {
		&self.weights.config
	}

	/// What compiles grammars for this vocabulary.
	///
	/// # Errors
	///
	/// As [`Grammars::new`].
	pub fn grammars(&self) -> Result<&Grammars, EngineError> {
		let make = || Grammars::new(&self.tokenizer, self.config().vocab);
		self.grammars
			.get_or_init(make)
			.as_ref()
			.map_err(Clone::clone)
	}

	/// Number of weights, however they are stored.
	pub fn parameters(&self) -> u64 {
		let (config, weights) = (self.config(), &self.weights);
		let table = (config.vocab * config.hidden) as u64;
		let head = if weights.head.is_some() && !self.tied {
			table
		} else {
			0
		};
		let norms = weights.blocks.iter().flat_map(Block::norms);
		let norms: usize = norms.map(|(_, norm)| norm.len()).sum();
		// A multiply-accumulate of the ternary layers is one of their weights.
		self.operations().position + table + head + (norms + weights.output_norm.len()) as u64
	}

	/// Multiply-accumulates of an answer.
	pub fn operations(&self) -> OperationCount {
		self.config().operations()
	}
}
