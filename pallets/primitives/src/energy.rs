//! Energy figures and the grade of the evidence behind them.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// How an energy figure was known; a later grade outranks all before it.
#[derive(
	Clone,
	Copy,
	Debug,
	Default,
	PartialEq,
	Eq,
	PartialOrd,
	Ord,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceGrade {
	/// Nothing is known.
	#[default]
	Unknown,
	/// A declared power times CPU time.
	Estimated,
	/// A battery's discharge.
	Battery,
	/// A hardware monitor's power sensor.
	HardwareMonitor,
	/// The processor's own energy counters (RAPL), all domains.
	ProcessorCounters,
}

/// Energy of some work.
#[derive(
	Clone,
	Copy,
	Debug,
	Default,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
pub struct Energy {
	/// Microjoules.
	pub microjoules: u64,
	/// The evidence behind the figure.
	pub grade: EvidenceGrade,
}

/// Sobriety rating: energy per billion verified operations, best first.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	PartialOrd,
	Ord,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
pub enum Rating {
	/// Under 30 mJ per giga-operation.
	APlus,
	/// Under 50 mJ.
	A,
	/// Under 100 mJ.
	B,
	/// Under 150 mJ.
	C,
	/// All above.
	D,
}

impl Rating {
	/// Rating of an energy over a number of verified operations; `None` when either is zero.
	pub fn of(microjoules: u128, operations: u128) -> Option<Self> {
		if microjoules == 0 || operations == 0 {
			return None;
		}
		// µJ per giga-operation, saturating: a figure beyond u128 is a D all the same.
		let per_giga = microjoules
			.saturating_mul(1_000_000_000)
			.checked_div(operations)?;
		Some(match per_giga / 1_000 {
			0..30 => Self::APlus,
			30..50 => Self::A,
			50..100 => Self::B,
			100..150 => Self::C,
			_ => Self::D,
		})
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn rating_should_follow_the_thresholds() {
		assert_eq!(Rating::of(29_999, 1_000_000_000), Some(Rating::APlus));
		assert_eq!(Rating::of(30_000, 1_000_000_000), Some(Rating::A));
		assert_eq!(Rating::of(99_999, 1_000_000_000), Some(Rating::B));
		assert_eq!(Rating::of(149_999, 1_000_000_000), Some(Rating::C));
		assert_eq!(Rating::of(u128::MAX, 1), Some(Rating::D));
		assert_eq!(Rating::of(0, 1), None);
		assert_eq!(Rating::of(1, 0), None);
	}
}
