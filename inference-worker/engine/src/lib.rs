//! ARIA's engine: ternary language models from files, passes over them, answers and their re-execution.
//!
//! Modules stand in a line, and import only those before them:
//!
//! - [`error`], [`gguf`]: what everything may need, and the container format;
//! - [`tokenizer`], [`grammar`]: text to tokens and back, and which tokens may follow;
//! - [`model`]: weights, vocabulary, template and identity, whatever files they came from;
//! - [`pass`]: what a stage needs: layers, caches of keys and values, traces, logits;
//! - [`answers`]: who waits for what: the scheduler, sampling, text.
//!
//! Nothing here reads a clock, an energy meter or random numbers: a [`Host`] hands them in, so an answer depends on its
//! request alone. Files are read by [`model`]'s and [`tokenizer`]'s loaders and nowhere else.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod answers;
pub mod error;
pub mod gguf;
pub mod grammar;
pub mod host;
pub mod model;
pub mod pass;
pub mod tokenizer;

pub use answers::{
	request::{Claim, Prepared},
	scheduler::{Options, Scheduler},
	sequence::Sink,
	types::*,
};
pub use error::EngineError;
pub use host::Host;
