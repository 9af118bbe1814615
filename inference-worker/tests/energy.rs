//! The energy meter on folders that look like Linux's.

use aria_primitives::energy::{Energy, EvidenceGrade};
use aria_worker::energy::Meter;
use rustix::time::{ClockId, clock_gettime};
use std::{
	path::{Path, PathBuf},
	time::{Duration, Instant},
};

/// Powercap, perf, hwmon and power supplies.
struct Machine(tempfile::TempDir);

impl Machine {
	fn new() -> Self {
		let folder = tempfile::tempdir().unwrap();
		for class in ["powercap", "event_source", "hwmon", "power_supply"] {
			std::fs::create_dir(folder.path().join(class)).unwrap();
		}
		Self(folder)
	}

	fn path(&self, path: &str) -> PathBuf {
		self.0.path().join(path)
	}

	fn set(&self, path: &str, text: &str) {
		let path = self.path(path);
		std::fs::create_dir_all(path.parent().unwrap()).unwrap();
		std::fs::write(path, format!("{text}\n")).unwrap();
	}

	fn zone(&self, zone: &str, name: &str, energy: u64) {
		let folder = format!("powercap/intel-rapl:{zone}");
		self.set(&format!("{folder}/name"), name);
		self.set(&format!("{folder}/max_energy_range_uj"), "1000");
		self.set(&format!("{folder}/energy_uj"), &energy.to_string());
	}

	fn battery(&self, name: &str, status: &str, energy: u64) {
		self.set(&format!("power_supply/{name}/type"), "Battery");
		self.set(&format!("power_supply/{name}/status"), status);
		self.set(
			&format!("power_supply/{name}/energy_now"),
			&energy.to_string(),
		);
	}

	/// Counters of perf: really the kernel's clock of each CPU, in nanoseconds, which stand for nanojoules.
	fn perf(&self, cpus: &str, events: &[&str]) {
		let set = |name: &str, text: &str| self.set(&format!("event_source/power/{name}"), text);
		set("type", "1");
		set("cpumask", cpus);
		set("format/event", "config:0-7");
		for event in events {
			set(&format!("events/{event}"), "event=0x00");
			set(&format!("events/{event}.scale"), "1e-9");
			set(&format!("events/{event}.unit"), "Joules");
		}
	}

	fn meter(&self, watts: Option<f64>) -> Meter {
		let [powercap, perf, hwmon, supply] =
			["powercap", "event_source", "hwmon", "power_supply"].map(|class| self.path(class));
		Meter::discover_in([&powercap, &perf, &hwmon, &supply], watts)
	}
}

fn energy(microjoules: u64, grade: EvidenceGrade) -> Energy {
	Energy { microjoules, grade }
}

/// Time that processors worked for this process.
fn worked() -> Duration {
	clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// Energy of some work, which must be that of a declared power.
fn assert_estimates(meter: &Meter, watts: f64, change: impl FnOnce()) {
	let processors = std::thread::available_parallelism().unwrap().get() as f64;
	let estimate = |time: Duration| time.as_secs_f64() * watts * 1e6 / processors;
	let outside = worked();
	let before = meter.read();
	let inside = worked();
	change();
	while worked() < inside + Duration::from_millis(5) {}
	let least = estimate(worked() - inside);
	let used = meter.between(&before, &meter.read(), 1000.0);
	let most = estimate(worked() - outside);
	assert_eq!(used.grade, EvidenceGrade::Estimated);
	let found = used.microjoules as f64;
	assert!(
		(least - 1.0..=most + 1.0).contains(&found),
		"{found} is outside {least} to {most}"
	);
}

/// Energy over two seconds in which `change` happens.
fn measured(meter: &Meter, change: impl FnOnce()) -> Energy {
	let before = meter.read();
	change();
	meter.between(&before, &meter.read(), 2.0)
}

#[test]
fn rapl_should_sum_packages_and_memory_and_wrap() {
	let machine = Machine::new();
	let state = |values: [u64; 4]| {
		machine.zone("0", "package-0", values[0]);
		machine.zone("1", "package-1", values[1]);
		machine.zone("0:0", "core", values[2]);
		machine.zone("0:1", "dram", values[3]);
	};
	state([900, 10, 5, 100]);
	let meter = machine.meter(Some(50.0));
	assert_eq!(meter.grade(), EvidenceGrade::ProcessorCounters);
	let used = measured(&meter, || state([50, 30, 999, 107]));
	let expected = energy(150 + 20 + 7, EvidenceGrade::ProcessorCounters);
	assert_eq!(used, expected);
	assert!(meter.describe().contains("packages: 2, memories: 1"));
	let alone = Meter::new(&machine.path("powercap"), None);
	assert_eq!(measured(&alone, || state([60, 30, 0, 107])).microjoules, 10);
}

#[test]
fn platform_should_not_count_beside_its_packages() {
	let machine = Machine::new();
	let state = |package: u64, platform: u64| {
		machine.zone("0", "package-0", package);
		machine.zone("1", "psys", platform);
	};
	state(100, 500);
	let both = machine.meter(None);
	machine.set("powercap/intel-rapl:1/energy_uj", "garbage");
	assert_eq!(
		machine.meter(None).grade(),
		EvidenceGrade::ProcessorCounters
	);
	assert_eq!(measured(&both, || state(110, 600)).microjoules, 10);
	// The same package through another interface.
	machine.set("powercap/intel-rapl-mmio:0/name", "package-0");
	machine.set("powercap/intel-rapl-mmio:0/max_energy_range_uj", "1000");
	machine.set("powercap/intel-rapl-mmio:0/energy_uj", "1");
	assert!(machine.meter(None).describe().contains("packages: 1"));

	std::fs::remove_dir_all(machine.path("powercap/intel-rapl:0")).unwrap();
	let alone = machine.meter(None);
	let used = measured(&alone, || machine.zone("1", "psys", 640));
	assert_eq!(used, energy(40, EvidenceGrade::ProcessorCounters));
	assert!(alone.describe().contains("psys"));
}

#[test]
fn part_of_the_counters_should_not_pass_as_all() {
	for garbage in ["", "-5", "12a", "99999999999999999999999"] {
		let machine = Machine::new();
		machine.zone("0", "package-0", 1);
		machine.zone("1", "package-1", 1);
		machine.set("powercap/intel-rapl:1/energy_uj", garbage);
		let meter = machine.meter(Some(3.0));
		assert_eq!(meter.grade(), EvidenceGrade::Estimated, "{garbage:?}");
		assert_eq!(meter.hint(), None, "no right to read would help");
		assert_estimates(&meter, 3.0, || {});
	}
	// A counter that goes away during the work.
	let machine = Machine::new();
	machine.zone("0", "package-0", 1);
	let meter = machine.meter(None);
	let file = machine.path("powercap/intel-rapl:0/energy_uj");
	let used = measured(&meter, || std::fs::remove_file(file).unwrap());
	assert_eq!(used, Energy::default());
	// A counter that goes back, and no word of its range.
	let machine = Machine::new();
	machine.zone("0", "package-0", 10);
	std::fs::remove_file(machine.path("powercap/intel-rapl:0/max_energy_range_uj")).unwrap();
	let meter = machine.meter(None);
	assert_eq!(
		measured(&meter, || machine.zone("0", "package-0", 20)).microjoules,
		10
	);
	let back = measured(&meter, || machine.zone("0", "package-0", 5));
	assert_eq!(back, Energy::default());
}

#[test]
fn unreadable_counter_should_give_a_hint() {
	let machine = Machine::new();
	machine.zone("0", "package-0", 1);
	// A folder can't be read as a file even by root.
	let counter = machine.path("powercap/intel-rapl:0/energy_uj");
	std::fs::remove_file(&counter).unwrap();
	std::fs::create_dir(&counter).unwrap();
	let meter = machine.meter(None);
	assert_eq!(meter.grade(), EvidenceGrade::Unknown);
	let text = meter.describe();
	assert!(
		text.contains("chmod a+r") && text.contains("udev"),
		"{text}"
	);
	assert!(text.contains(counter.to_str().unwrap()), "{text}");
	assert_eq!(text.lines().count(), 1);
}

#[test]
fn sensors_should_count_energy_before_power_and_one_driver_only() {
	let machine = Machine::new();
	let chip = |chip: &str, file: &str, text: &str| {
		machine.set(&format!("hwmon/{chip}/{file}"), text);
	};
	chip("hwmon0", "name", "amdgpu");
	chip("hwmon0", "power1_average", "90000000");
	chip("hwmon1", "name", "fam15h_power");
	chip("hwmon1", "power1_input", "30000000");
	let power = machine.meter(Some(1000.0));
	assert_eq!(power.grade(), EvidenceGrade::HardwareMonitor);
	let change = || chip("hwmon1", "power1_input", "50000000");
	let expected = energy(80_000_000, EvidenceGrade::HardwareMonitor);
	assert_eq!(
		measured(&power, change),
		expected,
		"mean of 30 and 50 W, 2 s"
	);
	// The chip's own average instead of a moment's value.
	chip("hwmon1", "power1_average", "10000000");
	let average = machine.meter(None);
	assert_eq!(measured(&average, || {}).microjoules, 20_000_000);
	// A meter of the whole machine instead of a part.
	chip("hwmon2", "name", "power_meter");
	chip("hwmon2", "power1_average", "100000000");
	let whole = machine.meter(None);
	assert_eq!(measured(&whole, || {}).microjoules, 200_000_000);
	assert!(whole.describe().contains("power_meter"));
	// Counters before sensors; a socket's includes its cores.
	chip("hwmon3", "name", "amd_energy");
	for (index, label) in ["Ecore000", "Ecore001", "Esocket0", "Esocket1"]
		.iter()
		.enumerate()
	{
		chip("hwmon3", &format!("energy{}_label", index + 1), label);
		chip("hwmon3", &format!("energy{}_input", index + 1), "1000");
	}
	let counters = machine.meter(None);
	let change = || {
		for index in 1..=4 {
			chip(
				"hwmon3",
				&format!("energy{index}_input"),
				&(1000 + 7 * index).to_string(),
			);
		}
	};
	let expected = energy(21 + 28, EvidenceGrade::HardwareMonitor);
	assert_eq!(measured(&counters, change), expected);
	// The processor's own counters before all others.
	machine.zone("0", "package-0", 1);
	let best = machine.meter(None).grade();
	assert_eq!(best, EvidenceGrade::ProcessorCounters);
}

#[test]
fn sensors_with_garbage_should_be_left_out() {
	let machine = Machine::new();
	machine.set("hwmon/hwmon0/name", "zenpower");
	machine.set("hwmon/hwmon0/power1_input", "n/a");
	machine.set("hwmon/hwmon0/power_input", "5");
	machine.set("hwmon/hwmon0/powerx_input", "5");
	machine.set("hwmon/hwmon0/temp1_input", "5");
	// A battery shows itself here too.
	machine.set("hwmon/hwmon1/name", "BAT0");
	machine.set("hwmon/hwmon1/power1_input", "9000000");
	machine.set("hwmon/hwmon1/device/type", "Battery");
	std::fs::create_dir(machine.path("hwmon/hwmon2")).unwrap();
	let meter = machine.meter(None);
	assert_eq!(meter.grade(), EvidenceGrade::Unknown);
	assert!(
		meter.describe().starts_with("nothing"),
		"{}",
		meter.describe()
	);
}

#[test]
fn battery_should_count_only_while_it_discharges() {
	let machine = Machine::new();
	machine.battery("BAT0", "Discharging", 50_000_000);
	machine.set("power_supply/AC/type", "Mains");
	machine.set("power_supply/AC/online", "0");
	let meter = machine.meter(Some(4.0));
	assert_eq!(meter.grade(), EvidenceGrade::Battery);
	let used = measured(&meter, || {
		machine.battery("BAT0", "Discharging", 49_990_000)
	});
	assert_eq!(used, energy(36_000_000, EvidenceGrade::Battery), "10 mWh");
	// A coarse figure that shows no step is not "no energy".
	assert_estimates(&meter, 4.0, || {});
	assert_estimates(&meter, 4.0, || {
		machine.battery("BAT0", "Charging", 49_980_000);
	});
	assert_eq!(meter.grade(), EvidenceGrade::Estimated);
	machine.battery("BAT0", "Discharging", 49_980_000);
	machine.set("power_supply/AC/online", "1");
	assert_eq!(meter.grade(), EvidenceGrade::Estimated);
	assert!(meter.describe().contains("not discharging"));
}

#[test]
fn charge_should_be_multiplied_with_voltage() {
	let machine = Machine::new();
	let state = |charge: &str, voltage: &str| {
		machine.set("power_supply/BAT1/type", "Battery");
		machine.set("power_supply/BAT1/status", "Discharging");
		machine.set("power_supply/BAT1/charge_now", charge);
		machine.set("power_supply/BAT1/voltage_now", voltage);
	};
	state("3000000", "12000000");
	// A mouse.
	machine.battery("hid-1", "Discharging", 1000);
	machine.set("power_supply/hid-1/scope", "Device");
	let meter = machine.meter(None);
	// 1 mAh at 11.5 V on average.
	let used = measured(&meter, || state("2999000", "11000000"));
	assert_eq!(used, energy(41_400_000, EvidenceGrade::Battery));
	let garbage = measured(&meter, || state("2998000", "much"));
	assert_eq!(garbage, Energy::default());
}

#[test]
fn estimate_should_never_pass_as_a_measurement() {
	let machine = Machine::new();
	let meter = machine.meter(Some(2.0));
	assert_estimates(&meter, 2.0, || {});
	assert!(meter.describe().contains("declared 2 W"));
	for watts in [
		None,
		Some(0.0),
		Some(-1.0),
		Some(f64::NAN),
		Some(f64::INFINITY),
	] {
		let meter = machine.meter(watts);
		assert_eq!(meter.grade(), EvidenceGrade::Unknown);
		assert_eq!(measured(&meter, || {}), Energy::default());
	}
	let nowhere = Meter::new(Path::new("/nonexistent"), None);
	assert_eq!(nowhere.grade(), EvidenceGrade::Unknown);
}

#[test]
fn waiting_should_not_be_estimated_as_work() {
	let machine = Machine::new();
	let meter = machine.meter(Some(1000.0));
	let (before, start) = (worked(), Instant::now());
	let used = measured(&meter, || std::thread::sleep(Duration::from_millis(50)));
	let (worked, passed) = (worked() - before, start.elapsed());
	// Other tests may work meanwhile, but that is counted.
	let most = worked.as_secs_f64() * 1000.0 * 1e6;
	assert!(
		used.microjoules as f64 <= most,
		"{used:?}, {worked:?} of {passed:?}"
	);
}

#[cfg(target_os = "linux")]
#[test]
fn perf_should_count_where_powercap_is_hidden() {
	let machine = Machine::new();
	machine.zone("0", "package-0", 1);
	let counter = machine.path("powercap/intel-rapl:0/energy_uj");
	std::fs::remove_file(&counter).unwrap();
	std::fs::create_dir(&counter).unwrap();
	machine.perf(
		"0",
		&["energy-pkg", "energy-ram", "energy-cores", "energy-psys"],
	);
	let meter = machine.meter(Some(1.0));
	if meter.grade() != EvidenceGrade::ProcessorCounters {
		assert!(meter.hint().is_some(), "{}", meter.describe());
		println!("skipped: this user may not use perf for a whole machine");
		return;
	}
	let text = meter.describe();
	assert!(
		text.contains("packages: 1, energy-pkg and energy-ram"),
		"{text}"
	);
	assert_eq!(meter.hint(), None);
	let outside = Instant::now();
	let before = meter.read();
	let inside = Instant::now();
	std::thread::sleep(Duration::from_millis(30));
	let least = inside.elapsed();
	let used = meter.between(&before, &meter.clone().read(), 0.0);
	let most = outside.elapsed();
	assert_eq!(used.grade, EvidenceGrade::ProcessorCounters);
	// Two events, a joule a second each; the clocks differ by less than a hundredth.
	let found = used.microjoules as f64 / 2e6;
	let range = least.as_secs_f64() * 0.99..=most.as_secs_f64() * 1.01;
	assert!(range.contains(&found), "{found} is outside {range:?}");
	// Powercap's own files are better: no other program can take them away.
	std::fs::remove_dir(&counter).unwrap();
	machine.zone("0", "package-0", 1);
	let better = machine.meter(None);
	assert!(!better.describe().contains("perf"));
	assert_eq!(
		measured(&better, || machine.zone("0", "package-0", 8)).microjoules,
		7
	);
}

#[test]
fn counters_of_perf_that_are_not_understood_should_not_count() {
	let with = |file: &str, text: &str| {
		let machine = Machine::new();
		machine.perf("0", &["energy-pkg"]);
		machine.set(&format!("event_source/power/{file}"), text);
		machine.meter(None)
	};
	for (file, text) in [
		("events/energy-pkg.unit", "Watts"),
		("events/energy-pkg.scale", "much"),
		("events/energy-pkg.scale", "-1"),
		("events/energy-pkg", "event=pkg"),
		("events/energy-pkg", "umask=1"),
		("cpumask", "all"),
		("cpumask", "99999"),
		("type", "power"),
		("type", "4000000000"),
	] {
		let meter = with(file, text);
		assert_eq!(meter.grade(), EvidenceGrade::Unknown, "{file}: {text}");
		assert_eq!(measured(&meter, || {}), Energy::default());
	}
	let machine = Machine::new();
	machine.perf("0", &["energy-cores", "energy-gpu"]);
	let meter = machine.meter(None);
	assert_eq!(meter.grade(), EvidenceGrade::Unknown, "part of a machine");
}
