//! What several runs of a setting say together.

use super::{
	loaded::Loaded,
	measure::{Run, Setting},
};
use crate::text::to_hex;
use aria_kernels::Backend;
use serde_json::{Value, json};

/// Median, least and most.
fn spread(mut values: Vec<f64>) -> (f64, [f64; 2]) {
	values.sort_by(f64::total_cmp);
	let (first, last) = (values.first().copied(), values.last().copied());
	let median = values.get(values.len() / 2).copied();
	(
		median.unwrap_or(0.0),
		[first.unwrap_or(0.0), last.unwrap_or(0.0)],
	)
}

fn rounded(value: f64) -> f64 {
	(value * 1e4).round() / 1e4
}

/// One setting's figures.
pub(super) fn report(
	loaded: &Loaded,
	backend: &Backend,
	setting: &Setting,
	runs: &[Run],
	bandwidth: f64,
) -> Value {
	let model = &loaded.model;
	let of = |value: &dyn Fn(&Run) -> f64| spread(runs.iter().map(value).collect());
	let prompts = (setting.prompt * setting.batch) as f64;
	let (prefill, prefill_spread) = of(&|run| prompts / run.prompt);
	let (decode, decode_spread) = of(&|run| run.decode);
	let firsts = runs.iter().flat_map(|run| &run.first_tokens);
	let (first, first_spread) = spread(firsts.map(|seconds| seconds * 1e3).collect());
	let produced = |run: &Run| {
		let tokens = run.answers.iter().map(|answer| answer.tokens.len());
		tokens.sum::<usize>()
	};
	let (throughput, _) = of(&|run| produced(run) as f64 / run.total);
	let rechecks: Vec<f64> = runs
		.iter()
		.filter_map(|run| Some(run.recheck? / run.total))
		.collect();
	let recheck = (!rechecks.is_empty() && setting.batch == 1).then(|| spread(rechecks).0);
	let energies = || {
		let answers = runs.iter().flat_map(|run| &run.answers);
		answers.map(|answer| answer.energy)
	};
	let energy: u64 = energies().map(|energy| energy.microjoules).sum();
	let tokens: usize = runs.iter().map(produced).sum();
	// The weights are read once for all answers of a pass.
	let bytes = model.weights.bytes_per_token() as f64;
	let share = decode / setting.batch as f64 * bytes / bandwidth;
	json!({
		"model": model.name,
		"model_root": to_hex(model.id.as_bytes()),
		"isa": backend.isa().name(),
		"threads": backend.threads(),
		"packing": backend.packing().to_string(),
		"prompt_tokens": setting.prompt,
		"output_tokens": setting.tokens,
		"batch": setting.batch,
		"repetitions": runs.len(),
		"prefill_tokens_per_second": rounded(prefill),
		"prefill_spread": prefill_spread.map(rounded),
		"decode_tokens_per_second": rounded(decode),
		"decode_spread": decode_spread.map(rounded),
		"time_to_first_token_ms": rounded(first),
		"time_to_first_token_spread": first_spread.map(rounded),
		"throughput_tokens_per_second": rounded(throughput),
		"recheck_share_of_generation": recheck.map(rounded),
		"bytes_per_token": model.weights.bytes_per_token(),
		"read_bandwidth_gb_per_second": rounded(bandwidth / 1e9),
		"share_of_bandwidth": rounded(share),
		"load_seconds": rounded(loaded.seconds),
		"load_peak_memory_bytes": loaded.peak,
		"weights_bytes": model.weights.packed_bytes() + model.weights.embedding_bytes(),
		"cache_bytes_per_token": model.config().cache_bytes(),
		"peak_memory_bytes": runs.iter().filter_map(|run| run.peak).max(),
		"energy_microjoules_per_token": (energy > 0).then(|| rounded(energy as f64 / tokens.max(1) as f64)),
		// Graded by the weakest evidence among the runs.
		"energy_grade": energies().map(|energy| energy.grade).min(),
	})
}

/// Names of the columns that [`row`] fills.
pub(super) fn heading() -> String {
	let names = [
		"first ms", "all t/s", "memory", "recheck", "peak MB", "energy",
	];
	let [first, all, share, recheck, peak, energy] = names;
	format!(
		"{:>7} {:>5} {:>6} {:>6} {:>24} {:>21} {first:>9} {all:>8} {share:>7} {recheck:>8} {peak:>8} {energy}",
		"threads", "batch", "prompt", "tokens", "prefill t/s", "decode t/s"
	)
}

/// A report for people.
pub(super) fn row(report: &Value) -> String {
	let number = |name: &str| report[name].as_f64().unwrap_or(0.0);
	let percent = |name: &str| match report[name].as_f64() {
		Some(share) => format!("{:.0}%", share * 100.0),
		None => "-".to_owned(),
	};
	let with_spread = |name: &str, spread: &str| {
		let [low, high] = [0, 1].map(|end| report[spread][end].as_f64().unwrap_or(0.0));
		format!("{:.1} ({low:.1}-{high:.1})", number(name))
	};
	let energy = match report["energy_microjoules_per_token"].as_f64() {
		Some(energy) => {
			let grade = report["energy_grade"].as_str().unwrap_or_default();
			format!("{:.1} mJ a token, {grade}", energy / 1e3)
		}
		None => "unknown".to_owned(),
	};
	format!(
		"{:>7} {:>5} {:>6} {:>6} {:>24} {:>21} {:>9.1} {:>8.1} {:>7} {:>8} {:>8.0} {energy}",
		number("threads"),
		number("batch"),
		number("prompt_tokens"),
		number("output_tokens"),
		with_spread("prefill_tokens_per_second", "prefill_spread"),
		with_spread("decode_tokens_per_second", "decode_spread"),
		number("time_to_first_token_ms"),
		number("throughput_tokens_per_second"),
		percent("share_of_bandwidth"),
		percent("recheck_share_of_generation"),
		number("peak_memory_bytes") / 1e6,
	)
}
