//! Tests of the pallet, one file per stage.

mod batch;
mod deadlines;
mod draw;
mod open;
mod register;
mod state_machine;
mod verdict;
mod views;
