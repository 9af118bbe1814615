//! The engine: parser, configuration, weights, forward pass, sampler, text; each stage a module with its own error.
//!
//! Nothing below the loader reads files, clocks or random numbers, so an answer depends on its request alone.

pub mod config;
pub mod energy;
pub mod forward;
pub mod generate;
pub mod gguf;
pub mod identity;
pub mod model;
pub mod receipt;
pub mod recheck;
pub mod sampler;
pub mod template;
pub mod tokenizer;
pub mod trace;
pub mod types;
pub mod worker;

#[cfg(feature = "fault-injection")]
pub use generate::alter_token;
pub use model::{Model, ModelError};
pub use types::*;
pub use worker::{Engine, EngineHandle};
