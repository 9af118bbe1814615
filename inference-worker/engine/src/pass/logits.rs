//! From last hidden states to logits: of all tokens, or of the best ones from half of the head's bytes.

use crate::{
	error::EngineError,
	model::{Head, Weights},
};
use aria_kernels::{Backend, Candidate, QuantizedActivations};

/// Most best tokens that are found without all logits.
pub const MAX_BEST: usize = 256;
/// Tokens whose logits are in memory together.
const BLOCK: usize = 16;

/// Which logits a choice needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
	/// Those of the best tokens, at most [`MAX_BEST`].
	Best(usize),
	/// All.
	All,
}

/// Logits at one position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Logits<'a> {
	/// The best tokens, best first, equal ones by id.
	Best(&'a [Candidate]),
	/// All, by token.
	All(&'a [f32]),
}

impl Weights {
	/// Calls `each` with the logits of each of `states`, rows of the hidden width, in ascending order of the rows but
	/// those that need all logits after those that do not.
	///
	/// # Errors
	///
	/// [`EngineError::NoHead`] for a model that only embeds; [`EngineError::NotFinite`].
	pub fn logits(
		&self,
		backend: &Backend,
		states: &[f32],
		needs: &[Need],
		mut each: impl FnMut(usize, Logits<'_>),
	) -> Result<(), EngineError> {
		let hidden = self.config.hidden;
		let head = self.head.as_ref().ok_or(EngineError::NoHead)?;
		let rows = |block: &[usize]| -> Vec<f32> {
			block
				.iter()
				.flat_map(|row| &states[row * hidden..][..hidden])
				.copied()
				.collect()
		};
		let quantize = |rows: &[f32]| {
			let mut quantized = QuantizedActivations::new();
			let block = match head {
				Head::Ternary(head) => head.block(),
				Head::Int8(_) => None,
			};
			let result = match block {
				Some(block) => backend.quantize_blocks(rows, hidden, block, &mut quantized),
				None => backend.quantize(rows, hidden, &mut quantized),
			};
			result
				.map(|()| quantized)
				.map_err(|_| EngineError::NotFinite)
		};
		let best_of = |need: Need| match need {
			Need::Best(count) if matches!(head, Head::Int8(_)) => Some(count),
			_ => None,
		};
		let (best, all): (Vec<usize>, Vec<usize>) =
			(0..needs.len()).partition(|row| best_of(needs[*row]).is_some());
		if let Head::Int8(head) = head {
			for block in best.chunks(BLOCK) {
				let counts: Vec<usize> = (block.iter())
					.filter_map(|row| best_of(needs[*row]))
					.collect();
				let quantized = quantize(&rows(block))?;
				let best = backend.head_top_k(head, &quantized, &counts);
				for (row, best) in block.iter().zip(best) {
					each(*row, Logits::Best(&best.candidates));
				}
			}
		}
		let vocab = self.config.vocab;
		let mut logits = Vec::new();
		for block in all.chunks(BLOCK) {
			let quantized = quantize(&rows(block))?;
			logits.resize(block.len() * vocab, 0.0);
			match head {
				Head::Int8(head) => backend.head_int8(head, &quantized, &mut logits),
				Head::Ternary(head) => backend.linear(head, &quantized, &mut logits),
			}
			if logits.iter().any(|logit| !logit.is_finite()) {
				return Err(EngineError::NotFinite);
			}
			for (row, logits) in block.iter().zip(logits.chunks_exact(vocab)) {
				each(*row, Logits::All(logits));
			}
		}
		Ok(())
	}
}
