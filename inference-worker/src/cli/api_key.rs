//! `aria-worker api key`: makes, lists and revokes the API's keys.

use super::{onchain::print, output};
use crate::{
	keys::{FILE_NAME, KeyFile},
	service::default_state_dir,
};
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

#[derive(Args)]
pub(crate) struct KeyArgs {
	#[command(subcommand)]
	command: KeyCommand,
	/// File of the API keys [default: api-keys.json in the worker's state folder].
	#[arg(long, value_name = "FILE", global = true)]
	keys_file: Option<PathBuf>,
	/// The worker's state folder [default: ~/.local/share/aria/worker].
	#[arg(long, value_name = "FOLDER", global = true)]
	state_dir: Option<PathBuf>,
	/// Print one JSON object.
	#[arg(long, global = true)]
	json: bool,
}

#[derive(Subcommand)]
enum KeyCommand {
	/// Make a key and print it; it can't be shown again. Running workers accept it within seconds. Once there is a key,
	/// requests need one.
	#[command(
		after_help = "Examples:\n  aria-worker api key new alice\n  aria-worker api key new bob --requests-per-minute 60 --tokens-per-minute 20000"
	)]
	New {
		/// Name of the key.
		name: String,
		/// Maximum number of requests per minute.
		#[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
		requests_per_minute: Option<u32>,
		/// Maximum number of tokens per minute, prompts and answers together.
		#[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
		tokens_per_minute: Option<u64>,
	},
	/// List the keys with their limits.
	#[command(after_help = "Example:\n  aria-worker api key list --json")]
	List,
	/// Revoke a key: running workers refuse it within seconds.
	#[command(after_help = "Example:\n  aria-worker api key revoke alice")]
	Revoke {
		/// Name of the key.
		name: String,
	},
}

/// Runs the command.
pub(super) fn run(args: &KeyArgs) -> Result<ExitCode> {
	let path = match (&args.keys_file, &args.state_dir) {
		(Some(file), _) => file.clone(),
		(None, Some(folder)) => folder.join(FILE_NAME),
		(None, None) => default_state_dir()?.join(FILE_NAME),
	};
	let file = KeyFile::new(path);
	match &args.command {
		KeyCommand::New {
			name,
			requests_per_minute,
			tokens_per_minute,
		} => {
			let key = file.add(name, *requests_per_minute, *tokens_per_minute)?;
			if args.json {
				print(&json!({ "name": name, "key": key }), true)?;
			} else {
				output::line(key)?;
				output::note("note: only its hash is kept, so the key can't be shown again");
			}
		}
		KeyCommand::List => {
			let keys: Vec<Value> = file
				.read()?
				.unwrap_or_default()
				.iter()
				.map(|key| {
					json!({
						"name": key.name,
						"created": key.created,
						"requests_per_minute": key.requests_per_minute,
						"tokens_per_minute": key.tokens_per_minute,
					})
				})
				.collect();
			print(&Value::Array(keys), args.json)?;
		}
		KeyCommand::Revoke { name } => {
			file.revoke(name)?;
			if args.json {
				print(&json!({ "revoked": name }), true)?;
			} else {
				output::note(format_args!("revoked {name}"));
			}
		}
	}
	Ok(ExitCode::SUCCESS)
}
