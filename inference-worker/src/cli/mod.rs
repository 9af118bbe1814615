//! The command line: every word of `aria-worker`, and of `aria` except `node`.

use crate::service::ServiceArgs;
use anyhow::Result;
use clap::{ArgMatches, FromArgMatches, Subcommand};
use std::{path::PathBuf, process::ExitCode};

mod api;
mod api_key;
mod api_status;
mod bench;
mod chat;
mod config;
mod consent;
mod doctor;
mod evaluate;
mod exchange;
mod files;
mod generate;
mod infer;
mod inspect;
mod interrupt;
mod ledger;
mod machine;
mod model;
mod network;
mod onchain;
mod output;
mod program;
mod receipt;
mod remote;
mod responder;
mod sampling;
mod serve;
mod sobriety;
mod tokenize;
mod verify;

pub use config::NODE_COMMANDS;
pub use output::stderr_has_colours;
pub use program::{Program, describe};

/// A command, to be flattened into a program's subcommands.
#[derive(Debug)]
pub struct Tool(Box<Command>);

impl Tool {
	/// Runs it. What fails is printed.
	pub fn run(self, program: &Program) -> ExitCode {
		program.end(run(*self.0, program))
	}
}

impl FromArgMatches for Tool {
	fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
		Ok(Self(Box::new(Command::from_arg_matches(matches)?)))
	}

	fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
		self.0.update_from_arg_matches(matches)
	}
}

impl Subcommand for Tool {
	fn augment_subcommands(command: clap::Command) -> clap::Command {
		Command::augment_subcommands(command)
	}

	fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
		Command::augment_subcommands_for_update(command)
	}

	fn has_subcommand(name: &str) -> bool {
		Command::has_subcommand(name)
	}
}

#[derive(Subcommand)]
enum Command {
	/// Chat with a model: a file, an installed model, or one that a running worker serves.
	#[command(
		after_help = "Examples:\n  aria-worker chat --model bitnet-2b4t\n  aria-worker chat --url http://127.0.0.1:3000 --stats\n  printf 'Hello\\nAnd again\\n' | aria-worker chat --model model.gguf\n\nWithin a chat, /help lists the commands. Ctrl-C stops an answer, Ctrl-D ends the chat."
	)]
	Chat(chat::ChatArgs),
	/// Ask one question.
	#[command(
		after_help = "Examples:\n  aria-worker infer 'What is ternary?' --model bitnet-2b4t\n  aria-worker infer 'What is ternary?' --url http://127.0.0.1:3000 --api-key sk-...\n  aria-worker infer --raw 'Once upon a time' --model model.gguf --json\n  aria-worker infer - --model model.gguf < question.txt\n\nWith --json the receipt is under aria.receipt_file; saved as a file, `aria-worker verify` checks it."
	)]
	Infer(infer::InferArgs),
	/// Serve the OpenAI API, commit receipts to the chain, and verify others' answers.
	#[command(
		visible_alias = "serve",
		after_help = "Examples:\n  aria-worker serve --model model.gguf --offline\n  aria-worker serve --model model.gguf --worker-key file:worker.key --node ws://127.0.0.1:9944\n  aria-worker serve --model model.gguf --worker-key //Bob --roles verifier --api-port 3001 --state-dir bob\n\nLogging: RUST_LOG=debug, or RUST_LOG=aria_worker=debug for this program alone. Prompts are never logged."
	)]
	Worker(Box<ServiceArgs>),
	/// Start the API alone, check a running one, and manage its keys.
	#[command(
		after_help = "Examples:\n  aria-worker api start --model model.gguf\n  aria-worker api status --url http://127.0.0.1:3000\n  aria-worker api key new alice --requests-per-minute 60"
	)]
	Api(api::ApiArgs),
	/// Download, list, remove and check models.
	#[command(
		after_help = "Examples:\n  aria-worker model list --known\n  aria-worker model pull bitnet-2b4t\n  aria-worker model verify bitnet-2b4t"
	)]
	Model(model::ModelArgs),
	/// Check a receipt by re-executing its answer; exits with 1 and names the failed check if it is wrong.
	#[command(after_help = "Example:\n  aria-worker verify receipt.json --model model.gguf")]
	Verify(verify::VerifyArgs),
	/// Print a receipt, with its prompt and answer, from the journal of a worker on this machine.
	#[command(
		after_help = "Example:\n  aria-worker receipt 0x9b21... --state-dir worker > receipt.json\n\nThe worker may be running. Over its API a receipt's prompt and answer are for whoever has the receipt's key."
	)]
	Receipt(receipt::ReceiptArgs),
	/// Read the ledger: totals, records, workers and models; check it or export it.
	#[command(
		after_help = "Examples:\n  aria-worker ledger stats\n  aria-worker ledger worker 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --json\n  aria-worker ledger verify --node-url ws://127.0.0.1:9944\n  aria-worker ledger export > ledger.json"
	)]
	Ledger(ledger::LedgerArgs),
	/// Show, grant or revoke consent: what others may use a machine for.
	#[command(
		after_help = "Examples:\n  aria-worker consent show 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY\n  aria-worker consent grant --worker-key file:worker.key --cpu-percent 50 --schedule 22:00-06:00\n  aria-worker consent revoke --worker-key file:worker.key"
	)]
	Consent(consent::ConsentArgs),
	/// Show energy per verified operation, ratings, and what an account has attested.
	#[command(
		after_help = "Examples:\n  aria-worker sobriety\n  aria-worker sobriety 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY\n  aria-worker sobriety --worker-key file:worker.key --json"
	)]
	Sobriety(sobriety::SobrietyArgs),
	/// Show a node and its peers.
	#[command(
		after_help = "Examples:\n  aria-worker network status\n  aria-worker network peers --json"
	)]
	Network(network::NetworkArgs),
	/// Check whether this machine is fit for a worker or a node, and say what to change; exits with 1 if it is not.
	#[command(
		after_help = "Examples:\n  aria-worker doctor\n  aria-worker doctor --json | jq '.checks[] | select(.status != \"ok\")'\n  aria-worker doctor --node-url ws://node.example:9944 --api-port 3001"
	)]
	Doctor(doctor::DoctorArgs),
	/// Measure how fast a model runs on this machine.
	Bench(bench::BenchArgs),
	/// Continue a text, with all settings of the sampler, grammars, and receipts in files.
	#[command(
		after_help = "Examples:\n  aria-worker generate --model model.gguf --prompt 'Once upon a time' --max-tokens 40\n  aria-worker generate --model model.gguf --prompt 'Once' --temperature 0.8 --seed 7 --receipt receipt.json"
	)]
	Generate(generate::GenerateArgs),
	/// Show how likely a text is to a model: log probability and perplexity.
	#[command(after_help = "Example:\n  aria-worker evaluate --model model.gguf < text.txt")]
	Evaluate(evaluate::TextArgs),
	/// Print the embedding of a text.
	#[command(after_help = "Example:\n  aria-worker embed --model model.gguf < text.txt")]
	Embed(evaluate::TextArgs),
	/// Show a model's shape, its settings and its identity.
	#[command(
		after_help = "Examples:\n  aria-worker inspect model.gguf\n  aria-worker inspect Falcon-E-1B-Base --json"
	)]
	Inspect(inspect::InspectArgs),
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
	/// Print a shell completion script.
	#[command(
		after_help = "Examples:\n  aria-worker completions bash > /etc/bash_completion.d/aria-worker\n  aria-worker completions zsh > ~/.zfunc/_aria-worker"
	)]
	Completions {
		/// The shell.
		shell: clap_complete::Shell,
	},
	/// Print the manual page, or write one for every command into a folder.
	#[command(
		after_help = "Examples:\n  aria-worker man | man -l -\n  aria-worker man /usr/local/share/man/man1"
	)]
	Man {
		/// Folder to write into, which must exist.
		folder: Option<PathBuf>,
	},
}

// Arguments may be secrets.
impl std::fmt::Debug for Command {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		f.write_str("Command")
	}
}

fn run(command: Command, program: &Program) -> Result<ExitCode> {
	match command {
		Command::Chat(args) => chat::run(&args, program),
		Command::Infer(args) => infer::run(&args),
		Command::Worker(args) => serve::run(*args),
		Command::Api(args) => api::run(args),
		Command::Model(args) => model::run(args, program),
		Command::Verify(args) => verify::run(&args),
		Command::Receipt(args) => receipt::run(&args),
		Command::Ledger(args) => ledger::run(&args),
		Command::Consent(args) => consent::run(&args),
		Command::Sobriety(args) => sobriety::run(&args),
		Command::Network(args) => network::run(&args),
		Command::Doctor(args) => doctor::run(&args, program),
		Command::Bench(args) => bench::run(&args),
		Command::Generate(args) => generate::run(&args),
		Command::Evaluate(args) => evaluate::run(&args),
		Command::Embed(args) => evaluate::run_embed(&args),
		Command::Inspect(args) => inspect::run(&args),
		Command::Tokenize(args) => tokenize::tokenize(&args),
		Command::Detokenize(args) => tokenize::detokenize(&args),
		Command::Completions { shell } => {
			program::completions(program, shell)?;
			Ok(ExitCode::SUCCESS)
		}
		Command::Man { folder } => {
			program::manual(program, folder.as_deref())?;
			Ok(ExitCode::SUCCESS)
		}
	}
}
