//! The command line.

use anyhow::{Context, Result};
use aria_kernels::{Backend, Isa, Packing};
use aria_primitives::{H256, receipt::Sampling};
use aria_worker::{
	engine::{
		GenerateRequest, Generation, Model,
		energy::{Meter, POWERCAP},
		generate::generate,
		receipt::{ReceiptFile, to_hex},
		recheck::verify_receipt,
	},
	service::{self, ServiceArgs},
};
use clap::{Args, CommandFactory, Parser, Subcommand};
use serde_json::json;
use sp_core::{Pair, sr25519};
use std::{
	io::Write,
	path::{Path, PathBuf},
	process::ExitCode,
};

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
	Generate(GenerateArgs),
	/// Show a model file's shape and identity.
	Inspect {
		/// GGUF file.
		file: PathBuf,
		/// One JSON object.
		#[arg(long)]
		json: bool,
	},
	/// Check a receipt by executing the answer again; exit code 1 and the failed check if it is wrong.
	Verify {
		/// Receipt file (JSON).
		receipt: PathBuf,
		/// GGUF file.
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
	/// Print a completion script.
	Completions {
		/// Which shell.
		shell: clap_complete::Shell,
	},
}

#[derive(Args)]
struct Machine {
	/// Threads; all cores if not given. The answer does not depend on it.
	#[arg(long)]
	threads: Option<usize>,
	/// Instruction set (scalar, avx2, avx512, neon); the best one if not given. The answer does not depend on it.
	#[arg(long, env = "ARIA_ISA")]
	isa: Option<String>,
}

impl Machine {
	fn backend(&self) -> Result<Backend> {
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

#[derive(Args)]
struct GenerateArgs {
	/// GGUF file.
	#[arg(long)]
	model: PathBuf,
	/// Text to continue.
	#[arg(long)]
	prompt: String,
	/// Most tokens to write.
	#[arg(long, default_value_t = 64)]
	max_tokens: u32,
	/// Key of the sampler.
	#[arg(long, default_value_t = 0)]
	seed: u64,
	/// 0 always takes the likeliest token.
	#[arg(long, default_value_t = 0.0)]
	temperature: f64,
	/// Keep the likeliest tokens that make up this probability.
	#[arg(long, default_value_t = 1.0)]
	top_p: f64,
	/// Keep this many of the likeliest tokens; 0 keeps all.
	#[arg(long, default_value_t = 0)]
	top_k: u32,
	/// End before this text; may be given several times.
	#[arg(long)]
	stop: Vec<String>,
	/// Treat markup such as <|eot_id|> in the prompt as special tokens.
	#[arg(long)]
	special: bool,
	/// One JSON object instead of the text.
	#[arg(long)]
	json: bool,
	/// Write a receipt here, signed with the key of --suri.
	#[arg(long)]
	receipt: Option<PathBuf>,
	/// Secret phrase or derivation path of the signing key.
	#[arg(
		long,
		env = "ARIA_WORKER_SURI",
		default_value = "//Alice",
		hide_env_values = true
	)]
	suri: String,
	/// Declared power in watts, for an estimate where the processor shows no counters.
	#[arg(long)]
	watts: Option<f64>,
	/// Alter one token after generating, to test that verifiers notice.
	#[cfg(feature = "fault-injection")]
	#[arg(long)]
	alter_token: bool,
	#[command(flatten)]
	machine: Machine,
}

/// Runs a command.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
	match cli.command {
		Command::Generate(args) => run_generate(&args),
		Command::Inspect { file, json } => inspect(&file, json),
		Command::Verify {
			receipt,
			model,
			machine,
		} => verify(&receipt, &model, &machine),
		Command::Serve(args) => serve(*args),
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

fn micro(value: f64, name: &str) -> Result<u32> {
	anyhow::ensure!(
		value.is_finite() && (0.0..=100.0).contains(&value),
		"--{name} must be between 0 and 100"
	);
	Ok((value * 1e6).round() as u32)
}

fn run_generate(args: &GenerateArgs) -> Result<ExitCode> {
	let sampling = Sampling {
		temperature_micro: micro(args.temperature, "temperature")?,
		top_p_micro: micro(args.top_p, "top-p")?,
		min_p_micro: 0,
		top_k: args.top_k,
		seed: args.seed,
	};
	let backend = args.machine.backend()?;
	let model = Model::open(&args.model, backend.packing())?;
	let prompt = model.tokenizer.encode(&args.prompt, true, args.special)?;
	let request = GenerateRequest {
		prompt,
		max_tokens: args.max_tokens,
		sampling,
		stop: args.stop.clone(),
		top_logprobs: 0,
	};
	let meter = Meter::new(Path::new(POWERCAP), args.watts);
	let mut out = std::io::stdout();
	let mut print = |token: aria_worker::engine::TokenEvent| {
		if !args.json {
			// A closed pipe ends the program at the final write below.
			drop(
				out.write_all(token.text.as_bytes())
					.and_then(|()| out.flush()),
			);
		}
	};
	#[cfg_attr(
		not(feature = "fault-injection"),
		expect(unused_mut, reason = "altered by the feature")
	)]
	let mut answer = generate(&model, &backend, &meter, request, &mut print, &|| false)?;
	#[cfg(feature = "fault-injection")]
	if args.alter_token {
		aria_worker::engine::alter_token(&mut answer, &model);
	}
	if let Some(path) = &args.receipt {
		let pair = sr25519::Pair::from_string(&args.suri, None)
			.map_err(|_| anyhow::anyhow!("--suri is not a secret phrase or derivation path"))?;
		let salt = H256(rand::random());
		let file = ReceiptFile::sign(&answer, model.id, 0, salt, &pair);
		let text = serde_json::to_string_pretty(&file.to_json())?;
		std::fs::write(path, text + "\n")
			.with_context(|| format!("can't write {}", path.display()))?;
	}
	if args.json {
		println!("{}", as_json(&answer, &model, &backend));
	} else {
		println!();
	}
	Ok(ExitCode::SUCCESS)
}

fn as_json(answer: &Generation, model: &Model, backend: &Backend) -> serde_json::Value {
	let decoded = answer.tokens.len().saturating_sub(1) as f64;
	json!({
		"model_root": to_hex(model.id.as_bytes()),
		"prompt_tokens": answer.prompt,
		"tokens": answer.tokens,
		"text": answer.text,
		"logprobs": answer.logprobs,
		"trace_root": to_hex(answer.trace_root.as_bytes()),
		"finish_reason": answer.finish,
		"operations": answer.operations.to_string(),
		"energy": { "microjoules": answer.energy.microjoules.to_string(), "grade": answer.energy.grade },
		"isa": backend.isa().name(),
		"threads": backend.threads(),
		"prompt_tokens_per_second": answer.prompt.len() as f64 / answer.timings.prompt_seconds.max(1e-9),
		"tokens_per_second": decoded / answer.timings.decode_seconds.max(1e-9),
	})
}

fn inspect(file: &Path, as_json: bool) -> Result<ExitCode> {
	let model = Model::open(file, Packing::Dense)?;
	let report = json!({
		"name": model.name,
		"licence": model.licence,
		"model_root": to_hex(model.id.as_bytes()),
		"canonical_bytes": model.bytes,
		"config": model.config,
		"tokenizer": {
			"pre": model.tokenizer.pre(),
			"tokens": model.tokenizer.len(),
			"bos": model.tokenizer.bos(),
			"end_tokens": model.tokenizer.end_tokens(),
		},
		"chat_template": model.template.source().is_some(),
		"tied_head": model.head.is_none(),
		"operations": model.operations(),
	});
	if as_json {
		println!("{report}");
	} else {
		println!("{}", serde_json::to_string_pretty(&report)?);
	}
	Ok(ExitCode::SUCCESS)
}

fn serve(args: ServiceArgs) -> Result<ExitCode> {
	let filter = tracing_subscriber::EnvFilter::try_from_default_env()
		.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
	tracing_subscriber::fmt()
		.with_env_filter(filter)
		.with_writer(std::io::stderr)
		.init();
	let runtime = tokio::runtime::Runtime::new().context("can't start the async runtime")?;
	let result = runtime.block_on(async {
		let shutdown = shutdown_signal()?;
		service::run(args, shutdown).await
	});
	// A file that is still being read does not hold up the end.
	runtime.shutdown_timeout(std::time::Duration::from_secs(2));
	result.map(|()| ExitCode::SUCCESS)
}

/// Resolves at Ctrl-C or a termination signal.
fn shutdown_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
	#[cfg(unix)]
	let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
	Ok(async move {
		#[cfg(unix)]
		tokio::select! {
			_ = tokio::signal::ctrl_c() => {}
			_ = terminate.recv() => {}
		}
		#[cfg(not(unix))]
		drop(tokio::signal::ctrl_c().await);
		tracing::info!("shutting down");
	})
}

fn verify(receipt: &Path, model: &Path, machine: &Machine) -> Result<ExitCode> {
	let text = std::fs::read_to_string(receipt)
		.with_context(|| format!("can't read {}", receipt.display()))?;
	let file = ReceiptFile::from_json(&text)?;
	let backend = machine.backend()?;
	let model = Model::open(model, backend.packing())?;
	match verify_receipt(&model, &backend, &file, &|| false) {
		Ok(logprobs) => {
			println!("ok: {} tokens re-executed, same bits", logprobs.len());
			Ok(ExitCode::SUCCESS)
		}
		Err(failure) => {
			println!("wrong: {failure}");
			Ok(ExitCode::from(1))
		}
	}
}
