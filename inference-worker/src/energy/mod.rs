//! Energy of an answer: the best that the machine shows, from the processor's own counters down to a declared power times
//! the time that processors worked.

mod battery;
mod file;
mod hwmon;
mod perf;
mod rapl;

use aria_engine::host::{Host, Lap, System};
use aria_primitives::energy::{Energy, EvidenceGrade};
use battery::{Batteries, Charge};
use hwmon::Hwmon;
use perf::Perf;
use rapl::Rapl;
use rustix::time::{ClockId, clock_gettime};
use std::{
	path::Path,
	time::{Duration, Instant},
};

/// Where Linux shows the processor's counters.
pub const POWERCAP: &str = "/sys/class/powercap";
/// Where Linux shows perf's counters.
pub const EVENT_SOURCE: &str = "/sys/bus/event_source/devices";
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
	perf: Perf,
	hwmon: Hwmon,
	batteries: Batteries,
	watts: Option<f64>,
}

/// All sources at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
	rapl: Vec<Option<u64>>,
	perf: Vec<Option<u64>>,
	hwmon: Vec<Option<u64>>,
	batteries: Vec<Option<Charge>>,
	/// Time that processors worked for this program.
	worked: Duration,
}

/// Time that processors worked for this program, all of its threads.
fn worked() -> Duration {
	let time = clock_gettime(ClockId::ProcessCPUTime);
	Duration::try_from(time).unwrap_or_default()
}

impl Meter {
	/// Finds the processor's counters below `root` (normally [`POWERCAP`]) and nothing else.
	///
	/// `watts` is the operator's declared power of the machine with all processors at work, used only where nothing is
	/// measured.
	pub fn new(root: &Path, watts: Option<f64>) -> Self {
		Self {
			rapl: Rapl::find(root),
			watts: watts.filter(|watts| watts.is_finite() && *watts > 0.0),
			..Self::default()
		}
	}

	/// Finds all sources of this machine: [`POWERCAP`], [`EVENT_SOURCE`], [`HWMON`] and [`POWER_SUPPLY`].
	pub fn discover(watts: Option<f64>) -> Self {
		let roots = [POWERCAP, EVENT_SOURCE, HWMON, POWER_SUPPLY].map(Path::new);
		Self::discover_in(roots, watts)
	}

	/// [`Meter::discover`] with the folders given, in the same order.
	pub fn discover_in(
		[powercap, event_source, hwmon, power_supply]: [&Path; 4],
		watts: Option<f64>,
	) -> Self {
		Self {
			perf: Perf::find(event_source),
			hwmon: Hwmon::find(hwmon),
			batteries: Batteries::find(power_supply),
			..Self::new(powercap, watts)
		}
	}

	/// What figures of this meter are worth now; a battery counts only while it discharges.
	pub fn grade(&self) -> EvidenceGrade {
		if !self.rapl.is_empty() || !self.perf.is_empty() {
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
		let declared = self.watts.map(|watts| {
			format!("a declared {watts} W times the share of the processors' time that is used")
		});
		let mut text = if !self.rapl.is_empty() {
			self.rapl.describe()
		} else if !self.perf.is_empty() {
			self.perf.describe()
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
		if !self.perf.is_empty() {
			return None;
		}
		let Some(path) = self.rapl.hidden.as_ref() else {
			let hint = "perf's energy counters can't be opened: run `sudo sysctl kernel.perf_event_paranoid=0`, or give the program the capability perfmon";
			return (self.perf.denied && self.rapl.is_empty()).then(|| hint.to_owned());
		};
		Some(format!(
			"{} can't be read (Linux shows it to root alone since 2020): run `sudo chmod a+r {POWERCAP}/intel-rapl:*/energy_uj`, or install a udev rule that does so at every start",
			path.display()
		))
	}

	/// The sources now.
	pub fn read(&self) -> Reading {
		Reading {
			rapl: self.rapl.read(),
			perf: self.perf.read(),
			hwmon: self.hwmon.read(),
			batteries: self.batteries.read(),
			worked: worked(),
		}
	}

	/// Energy between two readings that lie `seconds` apart, from the best source that shows it.
	pub fn between(&self, before: &Reading, after: &Reading, seconds: f64) -> Energy {
		let counted = || {
			let rapl = self.rapl.between(&before.rapl, &after.rapl);
			let microjoules = rapl.or_else(|| self.perf.between(&before.perf, &after.perf))?;
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
			let worked = after.worked.saturating_sub(before.worked).as_secs_f64();
			let processors = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
			let microjoules = (self.watts? * worked / processors * 1e6) as u64;
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

/// A measurement under way: the last reading, and when it was taken.
struct MeterLap<'a> {
	meter: &'a Meter,
	before: Reading,
	since: Instant,
}

impl Lap for MeterLap<'_> {
	fn energy(&mut self) -> Energy {
		let now = self.meter.read();
		let seconds = self.since.elapsed().as_secs_f64();
		let energy = self.meter.between(&self.before, &now, seconds);
		(self.before, self.since) = (now, Instant::now());
		energy
	}
}

impl Host for Meter {
	fn elapsed(&self) -> Duration {
		System.elapsed()
	}

	fn unix_ms(&self) -> u64 {
		System.unix_ms()
	}

	fn measure(&self) -> Box<dyn Lap + '_> {
		Box::new(MeterLap {
			meter: self,
			before: self.read(),
			since: Instant::now(),
		})
	}
}
