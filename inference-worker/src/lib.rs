//! ARIA's inference worker: the engine, the model formats, receipts, and the services around them.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

pub mod api;
pub mod chain;
pub mod energy;
pub mod engine;
pub mod hub;
pub mod model;
pub mod p2p;
pub mod service;
pub mod tokenizer;
