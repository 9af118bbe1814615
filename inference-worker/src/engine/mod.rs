//! The engine: forward pass, sampler, answers and their re-execution.
//!
//! Nothing in the forward pass reads files, clocks or random numbers, so an answer depends on its request alone.

pub mod cache;
mod draft;
pub mod evaluate;
mod events;
pub mod forward;
pub mod generate;
pub mod grammar;
pub mod logits;
pub mod prefix;
pub mod receipt;
pub mod recheck;
pub mod sampler;
pub mod scheduler;
mod sequence;
mod stop;
pub mod trace;
pub mod types;
pub mod worker;

pub use events::Events;
#[cfg(feature = "fault-injection")]
pub use generate::alter_token;
pub use scheduler::{Options, Scheduler};
pub use sequence::Sink;
pub use types::*;
pub use worker::{Engine, EngineHandle};
