//! Sensors of energy and power in Linux's hardware monitoring tree.
//!
//! Source: the kernel's Documentation/hwmon/sysfs-interface.rst: energy in microjoules, power in microwatts.

use super::file::number;
use std::{
	collections::BTreeMap,
	path::{Path, PathBuf},
};

/// Drivers of graphics and storage: they do not see the processor.
const ELSEWHERE: [&str; 8] = [
	"amdgpu",
	"drivetemp",
	"i915",
	"nouveau",
	"nvme",
	"pch_gpu",
	"radeon",
	"xe",
];
/// Drivers that see the whole machine; they count before those of a part.
const WHOLE: [&str; 2] = ["ibmaem", "power_meter"];
/// Beginnings of labels of channels that include the others of their chip.
const TOTALS: [&str; 4] = ["esocket", "power total", "total", "vdd_in"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
	Energy,
	Power,
}

/// Channels of one driver: those of several might see the same power twice.
#[derive(Debug, Clone, Default)]
pub(super) struct Hwmon {
	driver: String,
	/// Counters of energy rather than sensors of power.
	counts: bool,
	channels: Vec<PathBuf>,
}

/// Channels of a chip with their labels, of the best kind that it has.
fn channels(folder: &Path) -> Option<(Kind, Vec<PathBuf>)> {
	let mut found: BTreeMap<(Kind, u64), (PathBuf, bool)> = BTreeMap::new();
	for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
		let name = entry.file_name();
		let Some((sensor, item)) = name.to_str().and_then(|name| name.split_once('_')) else {
			continue;
		};
		let kind = match (sensor.get(..5), item) {
			(Some("energ"), "input") => Kind::Energy,
			(Some("power"), "input" | "average") => Kind::Power,
			_ => continue,
		};
		let prefix = if kind == Kind::Energy {
			"energy"
		} else {
			"power"
		};
		let Some(index) = sensor
			.strip_prefix(prefix)
			.and_then(|text| text.parse().ok())
		else {
			continue;
		};
		let path = entry.path();
		if number(&path).is_none() {
			continue;
		}
		let label = std::fs::read_to_string(folder.join(format!("{sensor}_label")));
		let label = label.unwrap_or_default().trim().to_ascii_lowercase();
		let total = TOTALS.iter().any(|prefix| label.starts_with(prefix));
		// The chip's own average is better than a moment's value.
		if item == "average" || !found.contains_key(&(kind, index)) {
			found.insert((kind, index), (path, total));
		}
	}
	let (&(best, _), _) = found.first_key_value()?;
	let of_kind = || found.iter().filter(|((kind, _), _)| *kind == best);
	let has_total = of_kind().any(|(_, (_, total))| *total);
	let wanted = of_kind().filter(|(_, (_, total))| *total || !has_total);
	Some((best, wanted.map(|(_, (path, _))| path.clone()).collect()))
}

impl Hwmon {
	/// Looks below `root`. Counters of energy count before sensors of power, and whole machines before parts.
	pub(super) fn find(root: &Path) -> Self {
		let mut drivers: BTreeMap<(Kind, bool, String), Vec<PathBuf>> = BTreeMap::new();
		for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
			let folder = entry.path();
			let name = std::fs::read_to_string(folder.join("name")).unwrap_or_default();
			let name = name.trim().to_owned();
			// Batteries and mains are here too; they have a type.
			if ELSEWHERE.contains(&name.as_str()) || folder.join("device/type").exists() {
				continue;
			}
			if let Some((kind, paths)) = channels(&folder) {
				let part = !WHOLE.contains(&name.as_str());
				drivers.entry((kind, part, name)).or_default().extend(paths);
			}
		}
		let Some(((kind, _, driver), mut channels)) = drivers.pop_first() else {
			return Self::default();
		};
		channels.sort();
		Self {
			driver,
			counts: kind == Kind::Energy,
			channels,
		}
	}

	pub(super) fn is_empty(&self) -> bool {
		self.channels.is_empty()
	}

	pub(super) fn describe(&self) -> String {
		let (driver, channels) = (&self.driver, self.channels.len());
		if self.counts {
			format!("the energy counters of {driver} (hwmon), channels: {channels}")
		} else {
			format!("the power sensors of {driver} (hwmon) times time, channels: {channels}")
		}
	}

	pub(super) fn read(&self) -> Vec<Option<u64>> {
		self.channels.iter().map(|path| number(path)).collect()
	}

	/// Microjoules between two readings `seconds` apart: the counters' difference, or the mean of the powers at both ends times time.
	///
	/// `None` if a value is missing or a counter went back; the range of these counters is not told.
	pub(super) fn between(
		&self,
		before: &[Option<u64>],
		after: &[Option<u64>],
		seconds: f64,
	) -> Option<u64> {
		if self.is_empty() || before.len() != self.channels.len() || after.len() != before.len() {
			return None;
		}
		let mut sum = 0u64;
		for (before, after) in before.iter().zip(after) {
			let (before, after) = ((*before)?, (*after)?);
			let used = if self.counts {
				after.checked_sub(before)?
			} else {
				let microwatts = (before as f64 + after as f64) / 2.0;
				(microwatts * seconds.max(0.0)) as u64
			};
			sum = sum.saturating_add(used);
		}
		Some(sum)
	}
}
