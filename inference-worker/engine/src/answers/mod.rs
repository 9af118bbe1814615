//! Answers and re-executions under way: who waits for which, what is fed next, how tokens are chosen, and their text.

pub mod alone;
mod draft;
pub mod evaluate;
pub mod request;
pub mod sampler;
pub mod scheduler;
pub mod sequence;
mod stop;
pub mod types;
