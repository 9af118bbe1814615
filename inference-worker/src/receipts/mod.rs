//! Receipts: their files, what makes one false, and the journal that keeps them.

pub mod check;
pub mod file;
pub mod journal;
pub mod keys;
