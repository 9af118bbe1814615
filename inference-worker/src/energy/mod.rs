//! Energy of an answer: the best that the machine shows, from the processor's own counters down to a declared power times time.

mod battery;
mod hwmon;
mod rapl;

use aria_primitives::energy::{Energy, EvidenceGrade};
use battery::{Batteries, Charge};
use hwmon::Hwmon;
use rapl::Rapl;
use std::path::Path;

/// Where Linux shows the processor's counters.
pub const POWERCAP: &str = "/sys/class/powercap";
/// Where Linux shows sensors.
pub const HWMON: &str = "/sys/class/hwmon";
/// Where Linux shows batteries.
pub const POWER_SUPPLY: &str = "/sys/class/power_supply";

/// Reads energy between two moments.
///
/// Of several sources only the best counts: they may see the same energy.
#[derive(Debug, Clone, Default)]
pub struct Meter {
	rapl: Rapl,
	hwmon: Hwmon,
	batteries: Batteries,
	watts: Option<f64>,
}

/// All sources at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
	rapl: Vec<Option<u64>>,
	hwmon: Vec<Option<u64>>,
	batteries: Vec<Option<Charge>>,
}

/// Why a file shows no number.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
	Missing,
	/// There, but not for this user.
	Unreadable,
	/// Not a number.
	Garbage,
}

fn value(path: &Path) -> Result<u64, Fault> {
	let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
		std::io::ErrorKind::NotFound => Fault::Missing,
		std::io::ErrorKind::InvalidData => Fault::Garbage,
		_ => Fault::Unreadable,
	})?;
	text.trim().parse().map_err(|_| Fault::Garbage)
}

fn number(path: &Path) -> Option<u64> {
	value(path).ok()
}

impl Meter {
	/// Finds the processor's counters below `root` (normally [`POWERCAP`]) and nothing else.
	///
	/// `watts` is the operator's declared power, used only where nothing is measured.
	pub fn new(root: &Path, watts: Option<f64>) -> Self {
		Self {
			rapl: Rapl::find(root),
			watts: watts.filter(|watts| watts.is_finite() && *watts > 0.0),
			..Self::default()
		}
	}

	/// Finds all sources of this machine: [`POWERCAP`], [`HWMON`] and [`POWER_SUPPLY`].
	pub fn discover(watts: Option<f64>) -> Self {
		let roots = [POWERCAP, HWMON, POWER_SUPPLY].map(Path::new);
		Self::discover_in(roots, watts)
	}

	/// [`Meter::discover`] with the three folders given, in the same order.
	pub fn discover_in([powercap, hwmon, power_supply]: [&Path; 3], watts: Option<f64>) -> Self {
		Self {
			hwmon: Hwmon::find(hwmon),
			batteries: Batteries::find(power_supply),
			..Self::new(powercap, watts)
		}
	}

	/// What figures of this meter are worth now; a battery counts only while it discharges.
	pub fn grade(&self) -> EvidenceGrade {
		if !self.rapl.is_empty() {
			EvidenceGrade::ProcessorCounters
		} else if !self.hwmon.is_empty() {
			EvidenceGrade::HardwareMonitor
		} else if self.batteries.is_discharging() {
			EvidenceGrade::Battery
		} else if self.watts.is_some() {
			EvidenceGrade::Estimated
		} else {
			EvidenceGrade::Unknown
		}
	}

	/// What is measured, in one line for the log, with a hint if better could be had.
	pub fn describe(&self) -> String {
		let declared = self
			.watts
			.map(|watts| format!("a declared {watts} W times time"));
		let mut text = if !self.rapl.is_empty() {
			self.rapl.describe()
		} else if !self.hwmon.is_empty() {
			self.hwmon.describe()
		} else if !self.batteries.is_empty() {
			let otherwise = declared.as_deref().unwrap_or("nothing");
			format!("{}, otherwise {otherwise}", self.batteries.describe())
		} else {
			declared.unwrap_or_else(|| "nothing: no source found, and no declared power".into())
		};
		if let Some(hint) = self.hint() {
			text.push_str("; ");
			text.push_str(&hint);
		}
		text
	}

	/// How to give access to counters that are there and can't be read.
	pub fn hint(&self) -> Option<String> {
		let path = self.rapl.hidden.as_ref()?;
		Some(format!(
			"{} can't be read (Linux shows it to root alone since 2020): run `sudo chmod a+r {POWERCAP}/intel-rapl:*/energy_uj`, or install a udev rule that does so at every start",
			path.display()
		))
	}

	/// The sources now.
	pub fn read(&self) -> Reading {
		Reading {
			rapl: self.rapl.read(),
			hwmon: self.hwmon.read(),
			batteries: self.batteries.read(),
		}
	}

	/// Energy between two readings that lie `seconds` of work apart, from the best source that shows it.
	pub fn between(&self, before: &Reading, after: &Reading, seconds: f64) -> Energy {
		let counted = || {
			let microjoules = self.rapl.between(&before.rapl, &after.rapl)?;
			Some((microjoules, EvidenceGrade::ProcessorCounters))
		};
		let sensed = || {
			let microjoules = self.hwmon.between(&before.hwmon, &after.hwmon, seconds)?;
			Some((microjoules, EvidenceGrade::HardwareMonitor))
		};
		let discharged = || {
			let microjoules = Batteries::between(&before.batteries, &after.batteries)?;
			Some((microjoules, EvidenceGrade::Battery))
		};
		let estimated = || {
			let microjoules = (self.watts? * seconds.max(0.0) * 1e6) as u64;
			Some((microjoules, EvidenceGrade::Estimated))
		};
		let best = counted().or_else(sensed).or_else(discharged);
		best.or_else(estimated)
			.map_or_else(Energy::default, |(microjoules, grade)| Energy {
				microjoules,
				grade,
			})
	}
}
