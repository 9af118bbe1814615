//! `bench`: what it measures, and of what.

use super::{run, text};
use serde_json::Value;

#[test]
fn bench_should_report_every_figure_of_a_shape() {
	let home = tempfile::tempdir().unwrap();
	let arguments = "bench --shape tiny -p 8 -n 8 -t 1,2 --batch 1,2 -r 2 --watts 10 --json";
	let output = run(home.path(), &arguments.split(' ').collect::<Vec<_>>());
	assert!(output.status.success(), "{}", text(&output.stderr));
	assert!(text(&output.stderr).contains("a declared 10 W"));
	assert!(home.path().join(".cache/aria/shapes/tiny-v1.gguf").exists());
	let reports: Vec<Value> = text(&output.stdout)
		.lines()
		.map(|line| serde_json::from_str(line).unwrap())
		.collect();
	let settings: Vec<_> = reports
		.iter()
		.map(|report| (report["threads"].as_u64(), report["batch"].as_u64()))
		.collect();
	let expected = [(1, 1), (1, 2), (2, 1), (2, 2)];
	assert_eq!(settings, expected.map(|(t, b)| (Some(t), Some(b))));
	for report in &reports {
		for name in [
			"prefill_tokens_per_second",
			"decode_tokens_per_second",
			"throughput_tokens_per_second",
			"time_to_first_token_ms",
			"read_bandwidth_gb_per_second",
			"share_of_bandwidth",
			"load_seconds",
			"weights_bytes",
			"energy_microjoules_per_token",
		] {
			let value = report[name].as_f64();
			assert!(value.is_some_and(|value| value > 0.0), "{name}: {value:?}");
		}
		for (name, spread) in [
			("prefill_tokens_per_second", "prefill_spread"),
			("decode_tokens_per_second", "decode_spread"),
			("time_to_first_token_ms", "time_to_first_token_spread"),
		] {
			let of = |value: &Value| value.as_f64().unwrap();
			let [low, high] = [0, 1].map(|end| of(&report[spread][end]));
			assert!((low..=high).contains(&of(&report[name])), "{name}");
		}
		assert_eq!(report["energy_grade"], "estimated");
		let is_alone = report["batch"] == 1;
		assert_eq!(report["recheck_share_of_generation"].is_f64(), is_alone);
		if cfg!(target_os = "linux") {
			let (weights, peak) = (&report["weights_bytes"], &report["load_peak_memory_bytes"]);
			assert!(peak.as_u64() > weights.as_u64());
			assert!(report["peak_memory_bytes"].as_u64() > weights.as_u64());
		}
	}
}

#[test]
fn bench_should_say_what_it_can_not_measure() {
	let home = tempfile::tempdir().unwrap();
	let fails = |arguments: &str, part: &str| {
		let output = run(home.path(), &arguments.split(' ').collect::<Vec<_>>());
		assert_eq!(output.status.code(), Some(2));
		assert!(
			text(&output.stderr).contains(part),
			"{}",
			text(&output.stderr)
		);
	};
	fails("bench", "--model");
	fails("bench --shape 3b", "falcon3-3b");
	fails("bench --shape tiny -t 0", "-t must be");
	fails("bench --shape tiny -p 500 -n 100", "the context, 512");
	fails("bench --model absent.gguf", "absent.gguf");
}
