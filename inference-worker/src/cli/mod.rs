//! The command line.

use anyhow::Result;
use aria_kernels::{Backend, I2Block, Isa};
use aria_worker::{hub::resolve, model::LoadOptions, service::ServiceArgs};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, process::ExitCode};

mod bench;
mod evaluate;
mod generate;
mod inspect;
mod model;
mod serve;
mod tokenize;
mod verify;

/// ARIA's inference worker.
#[derive(Parser)]
#[command(
	version,
	about,
	after_help = "Examples:\n  aria-worker inspect model.gguf\n  aria-worker generate --model model.gguf --prompt 'Once upon a time' --max-tokens 40\n  aria-worker verify receipt.json --model model.gguf\n  aria-worker serve --model model.gguf --worker-key //Alice\n  aria-worker completions bash > /etc/bash_completion.d/aria-worker"
)]
pub(crate) struct Cli {
	#[command(subcommand)]
	command: Command,
}

#[derive(Subcommand)]
enum Command {
	/// Continue a text.
	Generate(generate::GenerateArgs),
	/// Measure how fast a model runs here.
	Bench(bench::BenchArgs),
	/// Show how likely a model finds a text.
	Evaluate(evaluate::TextArgs),
	/// Print the embedding of a text.
	Embed(evaluate::TextArgs),
	/// Show what is inside a model, and its identity.
	#[command(
		after_help = "Examples:\n  aria-worker inspect model.gguf\n  aria-worker inspect Falcon-E-1B-Base --json"
	)]
	Inspect(inspect::InspectArgs),
	/// Check a receipt by executing the answer again; exit code 1 and the failed check if it is wrong.
	Verify {
		/// Receipt file (JSON).
		receipt: PathBuf,
		/// GGUF file, Hugging Face folder, or the name of an installed model.
		#[arg(long)]
		model: PathBuf,
		#[command(flatten)]
		machine: Machine,
	},
	/// Serve the OpenAI API, commit receipts to the chain, and verify others' answers.
	#[command(
		after_help = "Examples:\n  aria-worker serve --model model.gguf --offline\n  aria-worker serve --model model.gguf --worker-key file:worker.key --node ws://127.0.0.1:9944\n  aria-worker serve --model model.gguf --worker-key //Bob --roles verifier --api-port 3001 --state-dir bob\n\nLogging: RUST_LOG=debug, or RUST_LOG=aria_worker=debug for this program alone. Prompts are never logged."
	)]
	Serve(Box<ServiceArgs>),
	/// Get, list, remove and check models.
	Model(model::ModelArgs),
	/// Show the tokens of the text on standard input.
	#[command(
		after_help = "Examples:\n  printf 'Hello world' | aria-worker tokenize --model model.gguf\n  printf 'Hello world' | aria-worker tokenize --model folder --no-bos --json\n\nEvery byte counts: echo adds a newline to the text, printf does not."
	)]
	Tokenize(tokenize::TokenizeArgs),
	/// Show the text of the token ids on standard input: a JSON array, or ids with spaces between.
	#[command(
		after_help = "Example:\n  echo '[9906, 1917]' | aria-worker detokenize --model model.gguf"
	)]
	Detokenize(tokenize::DetokenizeArgs),
	/// Print a completion script.
	Completions {
		/// Which shell.
		shell: clap_complete::Shell,
	},
}

#[derive(Args)]
pub(crate) struct Machine {
	/// Threads; all cores if not given. The answer does not depend on it.
	#[arg(long)]
	threads: Option<usize>,
	/// Instruction set (scalar, avx2, avx512, neon); the best one if not given. The answer does not depend on it.
	#[arg(long, env = "ARIA_ISA")]
	isa: Option<String>,
	/// Weights in a block of I2_S tensors, which files do not say: 64 in those quantised on ARM since November 2025.
	#[arg(long, value_enum, default_value = "128")]
	i2s_block: I2sBlock,
}

/// Weights in a block of I2_S.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum I2sBlock {
	/// All that Microsoft published.
	#[value(name = "128")]
	B128,
	/// Written on ARM by bitnet.cpp since November 2025.
	#[value(name = "64")]
	B64,
}

impl From<I2sBlock> for I2Block {
	fn from(block: I2sBlock) -> Self {
		match block {
			I2sBlock::B128 => Self::B128,
			I2sBlock::B64 => Self::B64,
		}
	}
}

impl Machine {
	/// How a model is loaded for a backend.
	pub(crate) fn load_options(&self, backend: &Backend) -> LoadOptions {
		LoadOptions {
			packing: backend.packing(),
			i2_block: self.i2s_block.into(),
		}
	}

	pub(crate) fn backend(&self) -> Result<Backend> {
		let isa = match &self.isa {
			Some(name) => Isa::from_name(name).map_err(|error| anyhow::anyhow!("{error}"))?,
			None => Isa::detect(),
		};
		anyhow::ensure!(isa.is_supported(), "this CPU does not support {isa}");
		let cores = || std::thread::available_parallelism().map_or(1, usize::from);
		let threads = self.threads.unwrap_or_else(cores).clamp(1, 1024);
		Ok(Backend::new(isa, threads))
	}
}

/// Runs a command.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
	match cli.command {
		Command::Generate(args) => generate::run(&args),
		Command::Bench(args) => bench::run(&args),
		Command::Evaluate(args) => evaluate::run(&args),
		Command::Embed(args) => evaluate::run_embed(&args),
		Command::Inspect(args) => inspect::run(&args),
		Command::Verify {
			receipt,
			model,
			machine,
		} => verify::run(&receipt, &resolve(model)?, &machine),
		Command::Model(args) => model::run(args),
		Command::Serve(args) => serve::run(*args),
		Command::Tokenize(args) => tokenize::tokenize(&args),
		Command::Detokenize(args) => tokenize::detokenize(&args),
		Command::Completions { shell } => {
			clap_complete::generate(
				shell,
				&mut Cli::command(),
				"aria-worker",
				&mut std::io::stdout(),
			);
			Ok(ExitCode::SUCCESS)
		}
	}
}
