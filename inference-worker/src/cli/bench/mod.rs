//! `aria-worker bench`: how fast a model runs on this machine, and how that compares with what its memory allows.

mod loaded;
mod measure;
mod memory;
mod report;
mod shape;

use super::output;
use crate::{energy::Meter, service::I2sBlock};
use anyhow::Result;
use aria_engine::model::{LoadOptions, Model};
use aria_kernels::{Backend, Isa};
use clap::Args;
use loaded::Loaded;
use measure::{Setting, measure};
pub(super) use memory::bandwidth;
use shape::Shape;
use std::{
	path::{Path, PathBuf},
	process::ExitCode,
};

/// Bytes read to measure the memory's bandwidth: more than any cache holds.
const READ_BYTES: usize = 512 << 20;

#[derive(Args)]
#[command(
	after_help = "Examples:\n  aria-worker bench --model model.gguf\n  aria-worker bench --shape 2b4t,llama3-8b\n  aria-worker bench --model model.gguf -p 128,512 -n 128 -t 1,2 --batch 1,4,16 --json"
)]
pub(crate) struct BenchArgs {
	/// GGUF file, Hugging Face folder, or the name of an installed model.
	#[arg(long, required_unless_present = "shape")]
	model: Option<PathBuf>,
	/// Shapes of published models with random weights: as fast as the models themselves, without downloading them. Each
	/// is written once, to ~/.cache/aria/shapes.
	#[arg(long, value_enum, value_delimiter = ',')]
	shape: Vec<Shape>,
	/// Prompt lengths, in tokens.
	#[arg(short = 'p', long, value_delimiter = ',', default_value = "128")]
	prompt: Vec<usize>,
	/// Answer lengths, in tokens.
	#[arg(short = 'n', long, value_delimiter = ',', default_value = "64")]
	tokens: Vec<u32>,
	/// Numbers of threads; all cores if not given.
	#[arg(short = 't', long, value_delimiter = ',')]
	threads: Vec<usize>,
	/// Batch sizes: how many requests run together.
	#[arg(long, value_delimiter = ',', default_value = "1")]
	batch: Vec<usize>,
	/// Repetitions of each setting.
	#[arg(short = 'r', long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
	repetitions: u32,
	/// Speculate: draft tokens from the text so far, and check them in one pass.
	#[arg(long)]
	speculate: bool,
	/// Instruction set; the best one if not given.
	#[arg(long, env = "ARIA_ISA")]
	isa: Option<String>,
	/// Block size of I2_S tensors, in weights, which the file does not say: 64 if they were quantised on ARM since November 2025.
	#[arg(long, value_enum, default_value = "128")]
	i2s_block: I2sBlock,
	/// Declared power of this machine under full load, in watts: used to estimate energy where it can't be measured.
	#[arg(long)]
	watts: Option<f64>,
	/// One JSON object per setting, one per line.
	#[arg(long)]
	json: bool,
}

impl BenchArgs {
	/// Backends of all numbers of threads, with the bandwidth that each reads memory with.
	fn backends(&self) -> Result<Vec<(Backend, f64)>> {
		let isa = match &self.isa {
			Some(name) => Isa::from_name(name).map_err(|error| anyhow::anyhow!("{error}"))?,
			None => Isa::detect(),
		};
		anyhow::ensure!(isa.is_supported(), "this CPU does not support {isa}");
		let cores = || std::thread::available_parallelism().map_or(1, usize::from);
		let mut threads = self.threads.clone();
		if threads.is_empty() {
			threads.push(cores());
		}
		let words = vec![1u64; READ_BYTES / 8];
		let backend = |threads| {
			anyhow::ensure!(
				(1..=1024).contains(&threads),
				"-t must be between 1 and 1024"
			);
			let backend = Backend::new(isa, threads);
			let bandwidth = bandwidth(&backend, &words, 3);
			Ok((backend, bandwidth))
		};
		threads.into_iter().map(backend).collect()
	}

	fn settings(&self, model: &Model) -> Result<Vec<Setting>> {
		let context = model.config().context;
		let mut settings = Vec::new();
		for prompt in &self.prompt {
			for tokens in &self.tokens {
				for batch in &self.batch {
					let positions = prompt.saturating_add(*tokens as usize);
					anyhow::ensure!(
						*prompt > 0 && *tokens > 0 && *batch > 0 && positions <= context,
						"-p, -n and --batch must be at least 1, and -p and -n together at most the context, {context}"
					);
					settings.push(Setting {
						prompt: *prompt,
						tokens: *tokens,
						batch: *batch,
						speculate: self.speculate,
					});
				}
			}
		}
		Ok(settings)
	}

	/// Measures a model with every backend and setting.
	fn measure(&self, path: &Path, backends: &[(Backend, f64)], meter: &Meter) -> Result<()> {
		let mut loaded: Option<Loaded> = None;
		for (number, (backend, bandwidth)) in backends.iter().enumerate() {
			// The old one goes first: both need not fit into memory.
			let packing = backend.packing();
			let loaded = match loaded.take_if(|loaded| loaded.packing == packing) {
				Some(same) => &*loaded.insert(same),
				None => {
					drop(loaded.take());
					let options = LoadOptions {
						i2_block: self.i2s_block.into(),
						..packing.into()
					};
					&*loaded.insert(Loaded::open(path, options)?)
				}
			};
			if number == 0 && !self.json {
				output::line(report::heading())?;
			}
			for setting in self.settings(&loaded.model)? {
				let runs = (0..self.repetitions)
					.map(|_| measure(&loaded.model, backend, meter, &setting))
					.collect::<Result<Vec<_>>>()?;
				let report = report::report(loaded, backend, &setting, &runs, *bandwidth);
				match self.json {
					true => output::line(report)?,
					false => output::line(report::row(&report))?,
				}
			}
		}
		Ok(())
	}
}

/// Measures each model with each setting.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode> {
	// Before any model, whose memory is then its own.
	let backends = args.backends()?;
	let meter = Meter::discover(args.watts);
	output::note(format_args!("energy: {}", meter.describe()));
	if let Some(model) = &args.model {
		args.measure(&crate::hub::resolve(model)?, &backends, &meter)?;
	}
	for shape in &args.shape {
		args.measure(&shape.file()?, &backends, &meter)?;
	}
	Ok(ExitCode::SUCCESS)
}
