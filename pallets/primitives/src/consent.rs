//! Consent: what the owner of a machine allows others to do with it.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Kinds of work, as the first ARIA named them.
#[derive(
	Clone,
	Copy,
	Debug,
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
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
	/// Free text.
	TextGen,
	/// Source code.
	CodeGen,
	/// Summaries.
	Summarization,
	/// Translations.
	Translation,
	/// Embeddings.
	Embedding,
}

/// Terms of a contract. Field names and defaults are those of the first ARIA.
#[derive(
	Clone,
	Copy,
	Debug,
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
pub struct Terms {
	/// Share of the machine's CPU, per cent, 1..=100.
	pub cpu_percent: u8,
	/// Memory, MiB.
	pub max_ram_mb: u32,
	/// Network, megabits per second.
	pub max_bandwidth_mbps: u32,
	/// First minute of the day (UTC) at which work may run, 0..1440.
	pub from_minute: u16,
	/// Minute of the day (UTC) at which it must end, 1..=1440; below `from_minute` the window passes midnight.
	pub until_minute: u16,
	/// Days on which a window may begin: bit 0 is Monday.
	pub days: u8,
	/// Kinds of work: bit `TaskKind as u8`.
	pub tasks: u8,
	/// Requests at once.
	pub max_concurrent_tasks: u16,
	/// Whether prompts may be logged.
	pub allow_logging: bool,
	/// Whether the place of the machine may be recorded.
	pub allow_geo_tracking: bool,
	/// Least contribution score of a requester.
	pub min_contribution_score: u32,
	/// 0 (public) to 3 (nothing leaves the machine).
	pub privacy_level: u8,
}

impl Default for Terms {
	fn default() -> Self {
		Self {
			cpu_percent: 25,
			max_ram_mb: 512,
			max_bandwidth_mbps: 10,
			from_minute: 0,
			until_minute: 1440,
			days: 0b0111_1111,
			tasks: 0b0001_1111,
			max_concurrent_tasks: 2,
			allow_logging: true,
			allow_geo_tracking: false,
			min_contribution_score: 0,
			privacy_level: 0,
		}
	}
}

impl Terms {
	/// Whether every field is in its range.
	pub fn is_valid(&self) -> bool {
		(1..=100).contains(&self.cpu_percent)
			&& self.from_minute < 1440
			&& (1..=1440).contains(&self.until_minute)
			&& self.from_minute != self.until_minute
			&& self.days != 0
			&& self.days & 0x80 == 0
			&& self.tasks != 0
			&& self.tasks & 0b1110_0000 == 0
			&& self.max_concurrent_tasks > 0
			&& self.privacy_level <= 3
	}

	/// Whether this kind of work may run at this time, milliseconds since the Unix epoch.
	pub fn permits(&self, task: TaskKind, now_ms: u64) -> bool {
		let minutes = now_ms / 60_000;
		let minute = (minutes % 1440) as u16;
		// The epoch was a Thursday: day 3 of a week that begins on Monday.
		let today = ((minutes / 1440 + 3) % 7) as u8;
		let yesterday = (today + 6) % 7;
		let day = |d: u8| self.days & (1 << d) != 0;
		let in_window = if self.from_minute < self.until_minute {
			day(today) && (self.from_minute..self.until_minute).contains(&minute)
		} else {
			(day(today) && minute >= self.from_minute)
				|| (day(yesterday) && minute < self.until_minute)
		};
		in_window && self.tasks & (1 << task as u8) != 0
	}
}

/// A contract, as the runtime API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ConsentView {
	/// The terms in force.
	pub terms: Terms,
	/// Grows by one with every change; receipts name it.
	pub version: u32,
	/// Block of the last change.
	pub changed_at: u32,
}

#[cfg(test)]
mod tests {
	use super::*;

	const MINUTE: u64 = 60_000;
	const DAY: u64 = 1440 * MINUTE;
	/// 1970-01-05, a Monday.
	const MONDAY: u64 = 4 * DAY;

	#[test]
	fn default_terms_permit_text_at_any_time() {
		let terms = Terms::default();
		assert!(terms.is_valid());
		for hour in 0..24 * 7 {
			assert!(terms.permits(TaskKind::TextGen, hour * 60 * MINUTE));
		}
	}

	#[test]
	fn night_window_should_belong_to_the_day_it_began_on() {
		let terms = Terms {
			from_minute: 22 * 60,
			until_minute: 6 * 60,
			days: 1,
			..Terms::default()
		};
		assert!(terms.is_valid());
		assert!(terms.permits(TaskKind::TextGen, MONDAY + 23 * 60 * MINUTE));
		assert!(terms.permits(TaskKind::TextGen, MONDAY + DAY + 5 * 60 * MINUTE));
		assert!(!terms.permits(TaskKind::TextGen, MONDAY + 5 * 60 * MINUTE));
		assert!(!terms.permits(TaskKind::TextGen, MONDAY + DAY + 6 * 60 * MINUTE));
		assert!(!terms.permits(TaskKind::TextGen, MONDAY + DAY + 23 * 60 * MINUTE));
	}

	#[test]
	fn task_should_be_refused_when_its_bit_is_clear() {
		let terms = Terms {
			tasks: 1 << TaskKind::Embedding as u8,
			..Terms::default()
		};
		assert!(terms.permits(TaskKind::Embedding, MONDAY));
		assert!(!terms.permits(TaskKind::TextGen, MONDAY));
	}

	#[test]
	fn out_of_range_terms_are_invalid() {
		let ok = Terms::default();
		for bad in [
			Terms {
				cpu_percent: 0,
				..ok
			},
			Terms {
				cpu_percent: 101,
				..ok
			},
			Terms {
				from_minute: 1440,
				..ok
			},
			Terms {
				until_minute: 0,
				..ok
			},
			Terms {
				from_minute: 5,
				until_minute: 5,
				..ok
			},
			Terms { days: 0, ..ok },
			Terms { days: 0x80, ..ok },
			Terms { tasks: 0, ..ok },
			Terms { tasks: 0x20, ..ok },
			Terms {
				max_concurrent_tasks: 0,
				..ok
			},
			Terms {
				privacy_level: 4,
				..ok
			},
		] {
			assert!(!bad.is_valid(), "{bad:?}");
		}
	}
}
