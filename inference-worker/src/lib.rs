//! ARIA's inference worker: receipts, models, duties to the chain, the API, and the service and commands around them.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]
// Commands print through `cli::output`: println! panics when its reader is gone.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

// Commands name this crate as programs do.
extern crate self as aria_worker;

pub mod api;
pub mod chain;
pub mod cli;
pub mod duties;
pub mod energy;
pub mod hub;
pub mod keys;
pub mod metrics;
pub mod models;
pub mod p2p;
mod paths;
pub mod receipts;
pub mod rpc;
mod schema;
pub mod service;
pub mod text;
