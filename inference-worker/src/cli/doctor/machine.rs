//! The processor, its memory, and the kernel's settings.

use super::check::{Check, Status, size};
use crate::{
	cli::bench::bandwidth,
	energy::Meter,
	hub::{KNOWN, Known},
};
use aria_kernels::{Backend, Isa};
use aria_primitives::energy::EvidenceGrade;
use serde_json::json;
use std::{
	io::Read,
	path::Path,
	process::{Command, Stdio},
};

/// Bytes read to measure memory: more than the caches of most processors hold.
const READ_BYTES: u64 = 256 << 20;
/// Below this many bytes a second answers of models worth having are slow.
const SLOW_MEMORY: f64 = 8e9;
/// Memory beside the ternary weights: embedding, head, keys and values.
const BESIDE_WEIGHTS: u64 = 1 << 30;
/// What the kernels ask a processor for, as Linux calls it.
const FEATURES: [&str; 10] = [
	"avx2",
	"f16c",
	"avx512f",
	"avx512bw",
	"avx512vl",
	"avx512_vnni",
	"avx_vnni",
	"asimd",
	"asimddp",
	"i8mm",
];
/// Most bytes read of a file of the kernel's.
const MAX_FILE: u64 = 1 << 20;

/// Text of a small file, if it can be read.
pub(super) fn read(path: impl AsRef<Path>) -> Option<String> {
	let mut text = Vec::new();
	let file = std::fs::File::open(path).ok()?;
	file.take(MAX_FILE).read_to_end(&mut text).ok()?;
	Some(String::from_utf8_lossy(&text).into_owned())
}

/// What stands after a name and a colon, in files such as `/proc/meminfo`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
	text.lines().find_map(|line| {
		let (key, value) = line.split_once(':')?;
		(key.trim() == name).then_some(value.trim())
	})
}

fn threads() -> usize {
	std::thread::available_parallelism().map_or(1, usize::from)
}

pub(super) fn cpu() -> Check {
	let about = read("/proc/cpuinfo").unwrap_or_default();
	let name = field(&about, "model name").unwrap_or(std::env::consts::ARCH);
	let flags = field(&about, "flags").or(field(&about, "Features"));
	let relevant: Vec<&str> = flags
		.unwrap_or_default()
		.split_whitespace()
		.filter(|flag| FEATURES.contains(flag))
		.collect();
	let best = Isa::detect();
	let shown = relevant.join(" ");
	let found = format!("{name}, {} threads, {shown}; kernels use {best}", threads());
	let check = match Isa::from_env() {
		Err(error) => Check::fail(
			"cpu",
			format!("{found}, but ARIA_ISA: {error}"),
			"unset ARIA_ISA",
		),
		Ok(chosen) if chosen != best => Check::warn(
			"cpu",
			format!("{found}, but ARIA_ISA chooses {chosen}"),
			"unset ARIA_ISA: answers stay the same and come sooner",
		),
		Ok(Isa::Scalar) => Check::warn(
			"cpu",
			found,
			"no vector instructions were found: answers will be slow; use a processor with AVX2 or NEON, or let the virtual machine show it",
		),
		Ok(_) => Check::ok("cpu", found),
	};
	check.with(
		json!({ "name": name, "threads": threads(), "isa": best.name(), "features": relevant }),
	)
}

pub(super) fn memory_speed() -> Check {
	let available = read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemAvailable"));
	let bytes = READ_BYTES
		.min(available.unwrap_or(u64::MAX) / 4)
		.max(1 << 20);
	let words = vec![1u64; (bytes / 8) as usize];
	let isa = Isa::detect();
	// Two rounds of each: well below three seconds even at 1 GB/s.
	let one = bandwidth(&Backend::new(isa, 1), &words, 2);
	let all = match threads() {
		1 => one,
		threads => bandwidth(&Backend::new(isa, threads), &words, 2),
	};
	let found = format!(
		"reads {:.1} GB/s with one thread, {:.1} GB/s with {}",
		one / 1e9,
		all / 1e9,
		threads()
	);
	let check = if all < SLOW_MEMORY {
		Check::warn(
			"memory speed",
			found,
			"every token reads all weights, so this bounds tokens per second: stop other programs, or use all memory channels",
		)
	} else {
		Check::ok("memory speed", found)
	};
	check.with(json!({ "one_thread_bytes_per_second": one, "all_threads_bytes_per_second": all }))
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
	let number = field(text, name)?.split_whitespace().next()?;
	number.parse::<u64>().ok()?.checked_mul(1024)
}

pub(super) fn memory() -> Check {
	let about = read("/proc/meminfo").unwrap_or_default();
	let (Some(total), Some(available)) = (
		kilobytes(&about, "MemTotal"),
		kilobytes(&about, "MemAvailable"),
	) else {
		return Check::warn(
			"memory",
			"the system does not say how much there is",
			"compare your memory with `aria-worker model list --known`",
		);
	};
	// Two bits of a weight, and what is beside them.
	let need = |millions: u32| u64::from(millions) * 250_000 + BESIDE_WEIGHTS;
	let (fit, large): (Vec<&Known>, Vec<&Known>) = KNOWN
		.iter()
		.partition(|model| need(model.ternary_millions) <= available);
	let names = |models: &[&Known]| {
		models
			.iter()
			.map(|model| model.name)
			.collect::<Vec<_>>()
			.join(", ")
	};
	let found = format!("{} of {} free", size(available), size(total));
	let values = json!({
		"total_bytes": total,
		"available_bytes": available,
		"models_that_fit": fit.iter().map(|model| model.name).collect::<Vec<_>>(),
	});
	let check = match (fit.is_empty(), large.is_empty()) {
		(_, true) => Check::ok(
			"memory",
			format!("{found}; every model with a short name fits"),
		),
		(false, false) => Check::ok(
			"memory",
			format!("{found}; too little for {}", names(&large)),
		),
		(true, false) => Check::warn(
			"memory",
			format!("{found}; too little for every model with a short name"),
			"stop other programs, or take a smaller model",
		),
	};
	check.with(values)
}

/// The word in brackets, as the kernel shows a choice.
fn chosen(text: &str) -> Option<&str> {
	let (_, rest) = text.split_once('[')?;
	Some(rest.split_once(']')?.0)
}

pub(super) fn huge_pages() -> Check {
	let text = read("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
	match chosen(&text) {
		Some(mode @ ("always" | "madvise")) => {
			Check::ok("huge pages", format!("transparent ones: {mode}"))
		}
		Some(mode) => Check::warn(
			"huge pages",
			format!("transparent ones: {mode}"),
			"run `echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled`: weights are read faster",
		),
		None => Check::warn(
			"huge pages",
			"the kernel does not show them",
			"nothing to do in a container or without Linux; weights may be read more slowly",
		),
	}
}

pub(super) fn energy() -> Check {
	let meter = Meter::discover(None);
	let grade = meter.grade();
	let check = match (meter.hint(), grade) {
		(Some(hint), _) => Check::warn("energy", "counters are there and can't be read", hint),
		(None, EvidenceGrade::Unknown) => Check::warn(
			"energy",
			"no source found",
			"declare the machine's power with --watts: receipts then carry an estimate; virtual machines show no counters",
		),
		(None, _) => Check::ok("energy", meter.describe()),
	};
	check.with(json!({ "source": meter.describe(), "grade": grade }))
}

pub(super) fn clock() -> Check {
	let told = Command::new("timedatectl")
		.args(["show", "--property=NTPSynchronized", "--value"])
		.stdin(Stdio::null())
		.stderr(Stdio::null())
		.output();
	let told = told.ok().filter(|output| output.status.success());
	let told = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
	match told.as_deref() {
		Some("yes") => Check::ok("clock", "synchronised over the network"),
		Some("no") => Check::warn(
			"clock",
			"not synchronised",
			"run `sudo timedatectl set-ntp true`: a node whose clock is off makes blocks that others refuse",
		),
		_ => Check::warn(
			"clock",
			"the system does not say whether it is synchronised",
			"make sure that a time service such as chrony runs here, or on the host of this container",
		),
	}
}

/// Soft and hard limit of open files; `None` is no limit.
fn limits(text: &str) -> Option<[Option<u64>; 2]> {
	let rest = text
		.lines()
		.find_map(|line| line.strip_prefix("Max open files"))?;
	let mut numbers = rest.split_whitespace().map(|word| word.parse().ok());
	Some([numbers.next()?, numbers.next()?])
}

pub(super) fn open_files() -> Check {
	let Some([soft, hard]) = read("/proc/self/limits").as_deref().and_then(limits) else {
		return Check::warn(
			"open files",
			"the system does not say its limit",
			"allow at least 1024: `ulimit -n 10000`",
		);
	};
	let values = json!({ "soft": soft, "hard": hard });
	let found = soft.map_or("no limit".into(), |soft| format!("limit {soft}"));
	let status = match soft {
		Some(0..512) => Status::Fail,
		Some(512..4096) => Status::Warn,
		_ => Status::Ok,
	};
	let check = Check::new("open files", status, found).with(values);
	if status == Status::Ok {
		check
	} else {
		check.advise("run `ulimit -n 10000` first, or set LimitNOFILE=10000 in its unit: every connection and every database file takes one")
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn files_of_the_kernel_should_be_read() {
		assert_eq!(chosen("always [madvise] never\n"), Some("madvise"));
		assert_eq!(chosen("always madvise never"), None);
		let text = "MemTotal:       24682416 kB\nMemFree: 1 kB\n";
		assert_eq!(kilobytes(text, "MemTotal"), Some(24_682_416 * 1024));
		assert_eq!(kilobytes(text, "MemAvailable"), None);
		let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 unlimited            files\n";
		assert_eq!(limits(text), Some([Some(1024), None]));
		assert_eq!(limits("Max open files"), None);
	}
}
