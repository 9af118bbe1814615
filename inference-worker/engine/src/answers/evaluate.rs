//! What a model makes of a given text: logits at every position, or an embedding of the whole.

use crate::{
	error::EngineError,
	model::Model,
	pass::{
		cache::{KvCache, PagePool},
		forward::{ForwardError, Segment, Workspace},
		logits::{Logits, Need},
		trace::Trace,
	},
};
use aria_kernels::{Backend, scalar};

/// Tokens of a pass.
const CHUNK: usize = 256;

fn check(model: &Model, tokens: &[u32]) -> Result<(), EngineError> {
	let (vocab, context) = (model.config().vocab, model.config().context);
	if tokens.is_empty() {
		return Err(EngineError::InvalidParameter("there are no tokens"));
	}
	if tokens.len() > context {
		let prompt = tokens.len();
		return Err(EngineError::ContextLengthExceeded { prompt, context });
	}
	match tokens.iter().find(|token| **token as usize >= vocab) {
		Some(&token) => Err(EngineError::UnknownToken { token, vocab }),
		None => Ok(()),
	}
}

/// Feeds tokens; `each` gets the number of the first token of a pass and the wanted states of its tokens.
fn feed(
	model: &Model,
	backend: &Backend,
	tokens: &[u32],
	all: bool,
	cancelled: &dyn Fn() -> bool,
	mut each: impl FnMut(usize, &[f32]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
	check(model, tokens)?;
	let pool = PagePool::new(model.config(), 0);
	let mut cache = KvCache::new(&pool);
	let (mut trace, mut workspace) = (Trace::default(), Workspace::default());
	for chunk in tokens.chunks(CHUNK) {
		let first = cache.len();
		// The pool has pages for a full context, and nobody else uses it.
		cache
			.reserve(chunk.len())
			.map_err(|_| EngineError::Stopped)?;
		let last = first + chunk.len() == tokens.len();
		let mut segment = [Segment {
			tokens: chunk,
			cache: &mut cache,
			trace: &mut trace,
			states_from: match (all, last) {
				(true, _) => 0,
				(false, true) => chunk.len() - 1,
				(false, false) => chunk.len(),
			},
		}];
		model
			.weights
			.forward(backend, &mut workspace, &mut segment, cancelled)
			.map_err(|error| match error {
				ForwardError::Cancelled => EngineError::Stopped,
				ForwardError::NotFinite { .. } => EngineError::NotFinite,
			})?;
		each(first, workspace.states())?;
	}
	Ok(())
}

/// Calls `each` with the logits after every token, in order.
///
/// # Errors
///
/// [`EngineError`] for no tokens, too many, unknown ones, a model without a head, or damaged weights.
pub fn evaluate(
	model: &Model,
	backend: &Backend,
	tokens: &[u32],
	mut each: impl FnMut(usize, &[f32]),
) -> Result<(), EngineError> {
	feed(model, backend, tokens, true, &|| false, |first, states| {
		let needs = vec![Need::All; states.len() / model.config().hidden];
		model
			.weights
			.logits(backend, states, &needs, |row, logits| {
				if let Logits::All(logits) = logits {
					each(first + row, logits);
				}
			})
	})
}

/// The embedding of tokens: the last hidden state of the last one, divided by its length. `cancelled` is asked before
/// each layer.
///
/// # Errors
///
/// As [`evaluate`], but no head is needed.
pub fn embed(
	model: &Model,
	backend: &Backend,
	tokens: &[u32],
	cancelled: &dyn Fn() -> bool,
) -> Result<Vec<f32>, EngineError> {
	let mut embedding = Vec::new();
	feed(model, backend, tokens, false, cancelled, |_, states| {
		embedding = states.to_vec();
		Ok(())
	})?;
	let length = scalar::reduce_dot(&embedding, &embedding).sqrt();
	if length > 0.0 {
		embedding.iter_mut().for_each(|value| *value /= length);
	}
	Ok(embedding)
}
