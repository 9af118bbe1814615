//! ARIA's inference worker: the engine, the model formats, receipts, and the services around them.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

// Commands name this crate as programs do.
extern crate self as aria_worker;

pub mod api;
pub mod chain;
pub mod cli;
pub mod energy;
pub mod engine;
pub mod hub;
pub mod keys;
pub mod metrics;
pub mod model;
pub mod p2p;
pub mod rpc;
pub mod service;
pub mod tokenizer;
