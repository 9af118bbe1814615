//! The engine: parser, configuration, weights, forward pass, sampler, text; each stage a module with its own error.
//!
//! Nothing below the loader reads files, clocks or random numbers, so an answer depends on its request alone.

pub mod types;

pub use types::*;
