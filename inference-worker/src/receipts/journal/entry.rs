//! A receipt as the journal hands it out.

use super::state::Place;
use crate::receipts::file::ReceiptFile;

/// A receipt of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
	/// How many were written before it.
	pub number: u64,
	/// The receipt and what is needed to check it.
	pub file: ReceiptFile,
	/// What became of it.
	pub place: Place,
}
