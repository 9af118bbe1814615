//! Energy counters of the processor through perf: those of RAPL, for programs that may use perf where powercap's files
//! are root's.
//!
//! Source: the kernel's arch/x86/events/rapl.c; `power` counts for whole packages, on one CPU of each.

#[cfg(target_os = "linux")]
use perf_event::{Builder, Counter, events::Dynamic};
use std::{
	io,
	path::Path,
	sync::{Arc, Mutex, PoisonError},
};

/// Not a counter, where there is no perf.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
enum Counter {}

#[derive(Debug)]
struct Domain {
	counter: Counter,
	/// What a count stands for.
	microjoules: f64,
}

/// Counters that add up: all packages and their memory, or the platform's alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Perf {
	// Reading changes a counter.
	domains: Option<Arc<Mutex<Vec<Domain>>>>,
	packages: usize,
	events: &'static [&'static str],
	/// Whether there are counters that this user may not open.
	pub(super) denied: bool,
}

/// CPUs of a list such as `0-2,7`; none if it is not one.
fn cpus(list: &str) -> Option<Vec<usize>> {
	let mut cpus = Vec::new();
	for part in list.trim().split(',') {
		let (first, last) = part.split_once('-').unwrap_or((part, part));
		let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
		if last.checked_sub(first)? >= 4096 {
			return None;
		}
		cpus.extend(first..=last);
	}
	Some(cpus)
}

#[cfg(target_os = "linux")]
impl Domain {
	fn open(power: &Path, event: &str, cpu: usize) -> io::Result<Self> {
		let mut about = Dynamic::builder(power)?;
		about.event(event)?;
		let scale = about.scale()?.filter(|scale| *scale > 0.0);
		let unit = about.unit()?;
		let (Some(scale), Some("Joules")) = (scale, unit.as_deref().map(str::trim)) else {
			return Err(io::Error::other("not an energy in joules"));
		};
		let event = about.build().map_err(io::Error::other)?;
		let mut counter = Builder::new(event)
			.any_pid()
			.one_cpu(cpu)
			.exclude_kernel(false)
			.exclude_hv(false)
			.build()?;
		counter.enable()?;
		Ok(Self {
			counter,
			microjoules: scale * 1e6,
		})
	}

	fn read(&mut self) -> Option<u64> {
		Some((self.counter.read().ok()? as f64 * self.microjoules) as u64)
	}
}

#[cfg(not(target_os = "linux"))]
impl Domain {
	fn open(_: &Path, _: &str, _: usize) -> io::Result<Self> {
		Err(io::ErrorKind::Unsupported.into())
	}

	fn read(&mut self) -> Option<u64> {
		match self.counter {}
	}
}

impl Perf {
	/// Looks below `root`; all counters or none, because part of a machine is not its energy.
	pub(super) fn find(root: &Path) -> Self {
		let power = root.join("power");
		let list = std::fs::read_to_string(power.join("cpumask")).unwrap_or_default();
		let has = |event: &str| power.join("events").join(event).is_file();
		let events: &[&str] = match (has("energy-pkg"), has("energy-ram"), has("energy-psys")) {
			(true, true, _) => &["energy-pkg", "energy-ram"],
			(true, false, _) => &["energy-pkg"],
			(false, _, true) => &["energy-psys"],
			_ => return Self::default(),
		};
		let Some(cpus) = cpus(&list) else {
			return Self::default();
		};
		let both = cpus
			.iter()
			.flat_map(|cpu| events.iter().map(move |event| (*cpu, *event)));
		let opened: io::Result<Vec<Domain>> = both
			.map(|(cpu, event)| Domain::open(&power, event, cpu))
			.collect();
		match opened {
			Ok(domains) => Self {
				domains: Some(Arc::new(Mutex::new(domains))),
				packages: cpus.len(),
				events,
				denied: false,
			},
			Err(error) => Self {
				denied: error.kind() == io::ErrorKind::PermissionDenied,
				..Self::default()
			},
		}
	}

	pub(super) fn is_empty(&self) -> bool {
		self.domains.is_none()
	}

	pub(super) fn describe(&self) -> String {
		let (packages, events) = (self.packages, self.events.join(" and "));
		format!(
			"the processor's energy counters (RAPL, through perf), packages: {packages}, {events}"
		)
	}

	/// Microjoules that each counter has counted.
	pub(super) fn read(&self) -> Vec<Option<u64>> {
		let Some(domains) = &self.domains else {
			return Vec::new();
		};
		let mut domains = domains.lock().unwrap_or_else(PoisonError::into_inner);
		domains.iter_mut().map(Domain::read).collect()
	}

	/// Microjoules between two readings; `None` if one is missing. The kernel takes care of counters that start over.
	pub(super) fn between(&self, before: &[Option<u64>], after: &[Option<u64>]) -> Option<u64> {
		if self.is_empty() || before.len() != after.len() {
			return None;
		}
		let pairs = before.iter().zip(after);
		pairs
			.map(|(before, after)| (*after)?.checked_sub((*before)?))
			.try_fold(0u64, |sum, used| Some(sum.saturating_add(used?)))
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn lists_of_cpus_should_be_read() {
		assert_eq!(cpus("0\n"), Some(vec![0]));
		assert_eq!(cpus("0-2,7"), Some(vec![0, 1, 2, 7]));
		for wrong in ["", "x", "2-1", "1-", "0-99999999999"] {
			assert_eq!(cpus(wrong), None, "{wrong:?}");
		}
	}
}
