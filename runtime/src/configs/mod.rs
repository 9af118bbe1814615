//! How each pallet is configured.

pub mod aria;
pub mod consensus;
pub mod money;
pub mod system;

pub use consensus::BABE_GENESIS_CONFIG;
