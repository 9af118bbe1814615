//! Passes over layers: what a stage needs, and nothing of who waits for the result.

pub mod cache;
pub mod forward;
pub mod logits;
pub mod prefix;
pub mod stage;
pub mod tape;
pub mod trace;
