//! Energy counters of the processor (RAPL), through Linux's powercap tree.
//!
//! Source: the kernel's Documentation/power/powercap/powercap.rst and drivers/powercap/intel_rapl_common.c.

use super::file::{Fault, number, value};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
struct Domain {
	counter: PathBuf,
	/// Value after which the counter starts over, microjoules, where it is told.
	range: Option<u64>,
}

/// Counters that add up: all packages and their memory, or the platform's alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Rapl {
	domains: Vec<Domain>,
	packages: usize,
	memories: usize,
	/// A counter that is there and can't be read.
	pub(super) hidden: Option<PathBuf>,
}

impl Rapl {
	/// Looks below `root`; all counters or none, because part of a machine is not its energy.
	pub(super) fn find(root: &Path) -> Self {
		let mut found = Self::default();
		let mut platform = Vec::new();
		for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
			let folder = entry.path();
			let file_name = entry.file_name();
			let name = file_name.to_string_lossy();
			// The same packages may be there again as intel-rapl-mmio.
			let Some(rest) = name.strip_prefix("intel-rapl:") else {
				continue;
			};
			let label = std::fs::read_to_string(folder.join("name")).unwrap_or_default();
			let domain = Domain {
				range: number(&folder.join("max_energy_range_uj")),
				counter: folder.join("energy_uj"),
			};
			// A package's counter includes its cores and graphics; only memory has one beside it.
			let domains = match (rest.contains(':'), label.trim()) {
				(false, label) if label.starts_with("package") => {
					found.packages += 1;
					&mut found.domains
				}
				(true, "dram") => {
					found.memories += 1;
					&mut found.domains
				}
				// The platform's counter includes the packages: it counts where it is alone.
				(false, "psys") => &mut platform,
				_ => continue,
			};
			domains.push(domain);
		}
		if found.packages == 0 {
			found.memories = 0;
			found.domains = platform;
		}
		found.domains.sort_by(|a, b| a.counter.cmp(&b.counter));
		let faults = found.domains.iter().filter_map(|domain| {
			let fault = value(&domain.counter).err()?;
			Some((fault, domain.counter.clone()))
		});
		let faults: Vec<_> = faults.collect();
		if !faults.is_empty() {
			found.domains.clear();
		}
		let mut hidden = faults
			.into_iter()
			.filter(|(fault, _)| *fault == Fault::Unreadable);
		found.hidden = hidden.next().map(|(_, counter)| counter);
		found
	}

	pub(super) fn is_empty(&self) -> bool {
		self.domains.is_empty()
	}

	pub(super) fn describe(&self) -> String {
		match (self.packages, self.memories) {
			(0, _) => "the platform's energy counter (RAPL psys)".into(),
			(packages, 0) => {
				format!("the processor's energy counters (RAPL), packages: {packages}")
			}
			(packages, memories) => format!(
				"the processor's energy counters (RAPL), packages: {packages}, memories: {memories}"
			),
		}
	}

	pub(super) fn read(&self) -> Vec<Option<u64>> {
		let domains = self.domains.iter();
		domains.map(|domain| number(&domain.counter)).collect()
	}

	/// Microjoules between two readings; each counter may have started over once. `None` if one is missing.
	pub(super) fn between(&self, before: &[Option<u64>], after: &[Option<u64>]) -> Option<u64> {
		if self.is_empty() || before.len() != self.domains.len() || after.len() != before.len() {
			return None;
		}
		let mut sum = 0u64;
		for ((domain, before), after) in self.domains.iter().zip(before).zip(after) {
			let (before, after) = ((*before)?, (*after)?);
			let used = match after.checked_sub(before) {
				Some(used) => used,
				None => domain.range?.checked_sub(before)?.saturating_add(after),
			};
			sum = sum.saturating_add(used);
		}
		Some(sum)
	}
}
