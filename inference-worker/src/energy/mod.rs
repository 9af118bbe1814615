//! Energy of an answer: the processor's own counters where they can be read, else a declared power times time.

use aria_primitives::energy::{Energy, EvidenceGrade};
use std::path::{Path, PathBuf};

/// Where Linux shows the counters.
pub const POWERCAP: &str = "/sys/class/powercap";

#[derive(Debug, Clone)]
struct Domain {
	counter: PathBuf,
	/// Value at which the counter starts over, microjoules.
	range: u64,
}

/// Reads energy between two moments.
#[derive(Debug, Clone, Default)]
pub struct Meter {
	domains: Vec<Domain>,
	watts: Option<f64>,
}

/// Counters at one moment.
#[derive(Debug, Clone)]
pub struct Reading(Vec<Option<u64>>);

fn number(path: &Path) -> Option<u64> {
	std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl Meter {
	/// Finds the counters of all packages and of the memory beside them below `root` (normally [`POWERCAP`]).
	///
	/// `watts` is the operator's declared power, used only when there is no readable counter.
	pub fn new(root: &Path, watts: Option<f64>) -> Self {
		let mut domains = Vec::new();
		for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
			let folder = entry.path();
			let file_name = entry.file_name();
			let name = file_name.to_string_lossy();
			let Some(rest) = name.strip_prefix("intel-rapl:") else {
				continue;
			};
			let label = std::fs::read_to_string(folder.join("name")).unwrap_or_default();
			// A package counter includes its cores; only memory has a counter of its own beside it.
			let wanted = (!rest.contains(':') && label.starts_with("package"))
				|| (rest.contains(':') && label.trim() == "dram");
			let counter = folder.join("energy_uj");
			if let (true, Some(range), Some(_)) = (
				wanted,
				number(&folder.join("max_energy_range_uj")),
				number(&counter),
			) {
				domains.push(Domain { counter, range });
			}
		}
		domains.sort_by(|a, b| a.counter.cmp(&b.counter));
		Self {
			domains,
			watts: watts.filter(|watts| watts.is_finite() && *watts > 0.0),
		}
	}

	/// What figures of this meter are worth.
	pub fn grade(&self) -> EvidenceGrade {
		match (self.domains.is_empty(), self.watts) {
			(false, _) => EvidenceGrade::ProcessorCounters,
			(true, Some(_)) => EvidenceGrade::Estimated,
			(true, None) => EvidenceGrade::Unknown,
		}
	}

	/// The counters now.
	pub fn read(&self) -> Reading {
		Reading(
			self.domains
				.iter()
				.map(|domain| number(&domain.counter))
				.collect(),
		)
	}

	/// Energy between two readings that lie `seconds` of work apart; a counter may have started over once.
	pub fn between(&self, before: &Reading, after: &Reading, seconds: f64) -> Energy {
		let mut microjoules = 0u64;
		let mut complete = !self.domains.is_empty();
		for ((domain, before), after) in self.domains.iter().zip(&before.0).zip(&after.0) {
			match (before, after) {
				(Some(before), Some(after)) if after >= before => {
					microjoules = microjoules.saturating_add(after - before);
				}
				(Some(before), Some(after)) => {
					let wrapped = domain.range.saturating_sub(*before).saturating_add(*after);
					microjoules = microjoules.saturating_add(wrapped);
				}
				_ => complete = false,
			}
		}
		if complete {
			return Energy {
				microjoules,
				grade: EvidenceGrade::ProcessorCounters,
			};
		}
		match self.watts {
			Some(watts) => Energy {
				microjoules: (watts * seconds.max(0.0) * 1e6) as u64,
				grade: EvidenceGrade::Estimated,
			},
			None => Energy::default(),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn domain(root: &Path, folder: &str, name: &str, energy: u64) {
		let folder = root.join(folder);
		std::fs::create_dir_all(&folder).unwrap();
		std::fs::write(folder.join("name"), name).unwrap();
		std::fs::write(folder.join("max_energy_range_uj"), "1000\n").unwrap();
		std::fs::write(folder.join("energy_uj"), format!("{energy}\n")).unwrap();
	}

	#[test]
	fn counters_should_sum_packages_and_memory_and_wrap() {
		let root = tempfile::tempdir().unwrap();
		domain(root.path(), "intel-rapl:0", "package-0\n", 900);
		domain(root.path(), "intel-rapl:1", "package-1\n", 10);
		domain(root.path(), "intel-rapl:0:0", "core\n", 5);
		domain(root.path(), "intel-rapl:0:1", "dram\n", 100);
		let meter = Meter::new(root.path(), Some(50.0));
		assert_eq!(meter.grade(), EvidenceGrade::ProcessorCounters);
		let before = meter.read();
		domain(root.path(), "intel-rapl:0", "package-0\n", 50);
		domain(root.path(), "intel-rapl:1", "package-1\n", 30);
		domain(root.path(), "intel-rapl:0:0", "core\n", 999);
		domain(root.path(), "intel-rapl:0:1", "dram\n", 107);
		let energy = meter.between(&before, &meter.read(), 1.0);
		assert_eq!(energy.microjoules, 150 + 20 + 7);
		assert_eq!(energy.grade, EvidenceGrade::ProcessorCounters);
	}

	#[test]
	fn estimate_should_never_pass_as_a_measurement() {
		let root = tempfile::tempdir().unwrap();
		let meter = Meter::new(root.path(), Some(2.0));
		let reading = meter.read();
		let energy = meter.between(&reading, &reading, 0.5);
		assert_eq!(energy.microjoules, 1_000_000);
		assert_eq!(energy.grade, EvidenceGrade::Estimated);
		let nothing = Meter::new(root.path(), None);
		assert_eq!(nothing.between(&reading, &reading, 1.0), Energy::default());
	}
}
