//! `aria-worker bench`: how fast a model runs on this machine, and how that compares with what its memory allows.

use crate::{
	energy::Meter,
	engine::{
		Event, GenerateRequest, Generation, Options, RecheckRequest, Scheduler, Sink,
		generate::prepare, receipt::to_hex,
	},
	model::Model,
};
use anyhow::{Context, Result};
use aria_kernels::{Backend, Isa};
use clap::Args;
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode, sync::mpsc, time::Instant};

/// Bytes read to measure the memory's bandwidth: more than any cache holds.
const READ_BYTES: usize = 512 << 20;

#[derive(Args)]
#[command(
	after_help = "Examples:\n  aria-worker bench --model model.gguf\n  aria-worker bench --model model.gguf -p 128,512 -n 128 -t 1,2 --batch 1,4,16 --json"
)]
pub(crate) struct BenchArgs {
	/// GGUF file or Hugging Face folder.
	#[arg(long)]
	model: PathBuf,
	/// Prompt lengths.
	#[arg(short = 'p', long, value_delimiter = ',', default_value = "128")]
	prompt: Vec<usize>,
	/// Answer lengths.
	#[arg(short = 'n', long, value_delimiter = ',', default_value = "64")]
	tokens: Vec<u32>,
	/// Numbers of threads; all cores if not given.
	#[arg(short = 't', long, value_delimiter = ',')]
	threads: Vec<usize>,
	/// Numbers of requests that run together.
	#[arg(long, value_delimiter = ',', default_value = "1")]
	batch: Vec<usize>,
	/// Repetitions of each setting.
	#[arg(short = 'r', long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
	repetitions: u32,
	/// Draft tokens from what was said before.
	#[arg(long)]
	speculate: bool,
	/// Instruction set; the best one if not given.
	#[arg(long, env = "ARIA_ISA")]
	isa: Option<String>,
	/// Declared power in watts, for an estimate where the processor shows no counters.
	#[arg(long)]
	watts: Option<f64>,
	/// One JSON object per setting, one per line.
	#[arg(long)]
	json: bool,
}

/// Events with the time of their arrival.
struct Clock(usize, mpsc::Sender<(usize, Instant, Event)>);

impl Sink for Clock {
	fn send(&mut self, event: Event) {
		// The receiver lives as long as the scheduler.
		drop(self.1.send((self.0, Instant::now(), event)));
	}

	fn is_closed(&self) -> bool {
		false
	}
}

/// What one run took.
struct Run {
	/// Until the first answer's first token, seconds.
	first_token: f64,
	/// Until all prompts were read, seconds.
	prompt: f64,
	/// Tokens per second of all answers, once all prompts were read.
	decode: f64,
	/// All of it, seconds.
	total: f64,
	/// Re-execution of the first answer, seconds.
	recheck: Option<f64>,
	answers: Vec<Generation>,
}

/// A prompt that means nothing; another one for each number.
fn prompt(model: &Model, number: usize, len: usize) -> Vec<u32> {
	let mut state = number as u64 + 1;
	(0..len)
		.map(|_| {
			// Knuth's MMIX generator.
			state = state
				.wrapping_mul(6_364_136_223_846_793_005)
				.wrapping_add(1_442_695_040_888_963_407);
			((state >> 33) % model.config.vocab as u64) as u32
		})
		.collect()
}

struct Setting {
	prompt: usize,
	tokens: u32,
	batch: usize,
}

fn measure(
	model: &Model,
	backend: &Backend,
	meter: &Meter,
	args: &BenchArgs,
	setting: &Setting,
) -> Result<Run> {
	let options = Options {
		parallel: setting.batch,
		prefix_cache: false,
		speculate: args.speculate,
		cache_bytes: u64::MAX,
		..Options::default()
	};
	let mut scheduler = Scheduler::new(model, backend, meter, options);
	let (sender, events) = mpsc::channel();
	for number in 0..setting.batch {
		let request = GenerateRequest {
			prompt: prompt(model, number, setting.prompt),
			// The first token belongs to the prompt's time.
			max_tokens: setting.tokens + 1,
			ignore_end: true,
			..Default::default()
		};
		scheduler.generate(
			prepare(model, request)?,
			Box::new(Clock(number, sender.clone())),
		);
	}
	let start = Instant::now();
	while !scheduler.is_idle() {
		scheduler.step();
	}
	let total = start.elapsed().as_secs_f64();
	let (mut times, mut answers) = (vec![Vec::new(); setting.batch], Vec::new());
	for (number, time, event) in events.try_iter() {
		match event {
			Event::Token(_) => times[number].push(time),
			Event::Done(generation) => answers.push(*generation),
			Event::Error(error) => return Err(error.into()),
			Event::Checked(_) => {}
		}
	}
	let seconds = |time: &Instant| (*time - start).as_secs_f64();
	let firsts: Vec<f64> = times
		.iter()
		.filter_map(|times| times.first())
		.map(seconds)
		.collect();
	let first_token = firsts.iter().copied().fold(f64::INFINITY, f64::min);
	let prompt = firsts.iter().copied().fold(0.0, f64::max);
	let all = times.iter().flatten().map(seconds);
	let (mut after, mut last) = (0, prompt);
	for time in all.filter(|time| *time > prompt) {
		after += 1;
		last = time.max(last);
	}
	let decode = f64::from(after) / (last - prompt).max(1e-9);
	let recheck = answers
		.first()
		.and_then(|answer| recheck(&mut scheduler, answer));
	Ok(Run {
		first_token,
		prompt,
		decode,
		total,
		recheck,
		answers,
	})
}

/// Seconds of re-executing an answer; none if it can't be checked, because it has a token that ends a turn.
fn recheck(scheduler: &mut Scheduler<'_>, answer: &Generation) -> Option<f64> {
	let (sender, events) = mpsc::channel();
	let request = RecheckRequest {
		prompt: answer.prompt.clone(),
		output: answer.tokens.clone(),
		sampling: answer.sampling,
		constraints: answer.constraints.clone(),
		trace_root: answer.trace_root,
		logprobs: false,
	};
	let start = Instant::now();
	scheduler.recheck(request, Box::new(Clock(0, sender)));
	while !scheduler.is_idle() {
		scheduler.step();
	}
	match events.try_recv() {
		Ok((_, time, Event::Checked(Ok(_)))) => Some((time - start).as_secs_f64()),
		_ => None,
	}
}

/// Bytes per second of plain reads with all threads of a backend: the best of some rounds.
pub(super) fn bandwidth(backend: &Backend, words: &[u64], rounds: u32) -> f64 {
	let mut best = 0.0f64;
	for _ in 0..rounds {
		let start = Instant::now();
		let threads = backend.threads();
		backend.pool().run(threads, |thread| {
			let each = words.len().div_ceil(threads);
			let own = words.chunks(each).nth(thread).unwrap_or_default();
			let mut sums = [0u64; 16];
			let (chunks, _) = own.as_chunks::<16>();
			for chunk in chunks {
				for (sum, word) in sums.iter_mut().zip(chunk) {
					*sum = sum.wrapping_add(*word);
				}
			}
			std::hint::black_box(sums);
		});
		best = best.max(size_of_val(words) as f64 / start.elapsed().as_secs_f64());
	}
	best
}

/// Largest memory in use so far, bytes; none where the system does not say.
fn peak_memory() -> Option<u64> {
	let status = std::fs::read_to_string("/proc/self/status").ok()?;
	let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
	let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
	Some(kilobytes * 1024)
}

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

fn report(
	model: &Model,
	backend: &Backend,
	setting: &Setting,
	runs: &[Run],
	bandwidth: f64,
) -> Value {
	let of = |value: &dyn Fn(&Run) -> f64| spread(runs.iter().map(value).collect());
	let prompts = (setting.prompt * setting.batch) as f64;
	let (prefill, prefill_spread) = of(&|run| prompts / run.prompt);
	let (decode, decode_spread) = of(&|run| run.decode);
	let (first, _) = of(&|run| run.first_token * 1e3);
	let produced = |run: &Run| {
		run.answers
			.iter()
			.map(|answer| answer.tokens.len())
			.sum::<usize>()
	};
	let (throughput, _) = of(&|run| produced(run) as f64 / run.total);
	let rechecks: Vec<f64> = runs
		.iter()
		.filter_map(|run| Some(run.recheck? / run.total))
		.collect();
	let recheck = (!rechecks.is_empty() && setting.batch == 1).then(|| spread(rechecks).0);
	let energy: u64 = runs
		.iter()
		.flat_map(|run| &run.answers)
		.map(|answer| answer.energy.microjoules)
		.sum();
	let tokens: usize = runs.iter().map(produced).sum();
	let grade = runs
		.iter()
		.flat_map(|run| &run.answers)
		.map(|answer| answer.energy.grade)
		.next();
	// The weights are read once for all answers of a pass.
	let bytes = model.bytes_per_token() as f64;
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
		"throughput_tokens_per_second": rounded(throughput),
		"recheck_share_of_generation": recheck.map(rounded),
		"bytes_per_token": model.bytes_per_token(),
		"read_bandwidth_gb_per_second": rounded(bandwidth / 1e9),
		"share_of_bandwidth": rounded(share),
		"peak_memory_bytes": peak_memory(),
		"energy_microjoules_per_token": (energy > 0).then(|| rounded(energy as f64 / tokens.max(1) as f64)),
		"energy_grade": grade,
	})
}

fn print(report: &Value) {
	let number = |name: &str| report[name].as_f64().unwrap_or(0.0);
	let recheck = report["recheck_share_of_generation"].as_f64();
	println!(
		"{:>7} {:>5} {:>6} {:>6} {:>12.2} {:>12.2} {:>9.1} {:>9.0}% {:>9}",
		number("threads"),
		number("batch"),
		number("prompt_tokens"),
		number("output_tokens"),
		number("prefill_tokens_per_second"),
		number("decode_tokens_per_second"),
		number("time_to_first_token_ms"),
		number("share_of_bandwidth") * 100.0,
		recheck.map_or("-".to_owned(), |share| format!("{:.0}%", share * 100.0)),
	);
}

/// Measures each setting.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode> {
	let isa = match &args.isa {
		Some(name) => Isa::from_name(name).map_err(|error| anyhow::anyhow!("{error}"))?,
		None => Isa::detect(),
	};
	anyhow::ensure!(isa.is_supported(), "this CPU does not support {isa}");
	let cores = std::thread::available_parallelism().map_or(1, usize::from);
	let threads = if args.threads.is_empty() {
		vec![cores]
	} else {
		args.threads.clone()
	};
	let meter = Meter::discover(args.watts);
	let mut model: Option<Model> = None;
	let mut packing = None;
	for threads in threads {
		anyhow::ensure!(
			(1..=1024).contains(&threads),
			"-t must be between 1 and 1024"
		);
		let backend = Backend::new(isa, threads);
		if packing != Some(backend.packing()) {
			// The old one first: both need not fit into memory.
			drop(model.take());
			packing = Some(backend.packing());
		}
		let model = match &mut model {
			Some(model) => &*model,
			empty => {
				let start = Instant::now();
				let loaded = Model::open(&crate::hub::resolve(&args.model)?, backend.packing())
					.with_context(|| format!("can't load {}", args.model.display()))?;
				eprintln!(
					"{}: {} weights, {} packing, loaded in {:.2} s",
					loaded.name,
					loaded.parameters(),
					backend.packing(),
					start.elapsed().as_secs_f64()
				);
				if !args.json {
					println!(
						"{:>7} {:>5} {:>6} {:>6} {:>12} {:>12} {:>9} {:>10} {:>9}",
						"threads",
						"batch",
						"prompt",
						"tokens",
						"prefill t/s",
						"decode t/s",
						"first ms",
						"of memory",
						"recheck"
					);
				}
				&*empty.insert(loaded)
			}
		};
		let bandwidth = bandwidth(&backend, &vec![1u64; READ_BYTES / 8], 3);
		for prompt in &args.prompt {
			for tokens in &args.tokens {
				for batch in &args.batch {
					let positions = prompt + *tokens as usize;
					let context = model.config.context;
					anyhow::ensure!(
						*prompt > 0 && *tokens > 0 && *batch > 0 && positions <= context,
						"-p, -n and --batch must be at least 1, and -p and -n together at most the context, {context}"
					);
					let setting = Setting {
						prompt: *prompt,
						tokens: *tokens,
						batch: *batch,
					};
					let runs = (0..args.repetitions)
						.map(|_| measure(model, &backend, &meter, args, &setting))
						.collect::<Result<Vec<_>>>()?;
					let report = report(model, &backend, &setting, &runs, bandwidth);
					if args.json {
						println!("{report}");
					} else {
						print(&report);
					}
				}
			}
		}
	}
	Ok(ExitCode::SUCCESS)
}
