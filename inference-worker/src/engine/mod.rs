//! The engine: forward pass, sampler, answers and their re-execution.
//!
//! Nothing in the forward pass reads files, clocks or random numbers, so an answer depends on its request alone.

pub mod forward;
pub mod generate;
pub mod receipt;
pub mod recheck;
pub mod sampler;
pub mod trace;
pub mod types;
pub mod worker;

#[cfg(feature = "fault-injection")]
pub use generate::alter_token;
pub use types::*;
pub use worker::{Engine, EngineHandle};
