//! The worker as a service: what it keeps, what it answers, and what it owes to the chain.

pub mod journal;
