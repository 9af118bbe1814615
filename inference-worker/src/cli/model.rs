//! `aria-worker model`: pull, list, rm, verify.

use super::{Program, output};
use crate::hub::{Event, KNOWN, PullOptions, Source, Store, pull};
use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

#[derive(Args)]
pub(crate) struct ModelArgs {
	/// Folder of the models [default: ~/.local/share/aria/models].
	#[arg(long, env = "ARIA_MODELS_DIR", global = true)]
	models_dir: Option<PathBuf>,
	#[command(subcommand)]
	command: ModelCommand,
}

#[derive(Subcommand)]
enum ModelCommand {
	/// Download a model from the Hugging Face hub, or resume a download.
	#[command(
		alias = "download",
		after_help = "Examples:\n  aria-worker model pull bitnet-2b4t\n  aria-worker model pull tiiuae/Falcon3-1B-Instruct-1.58bit\n  aria-worker model pull owner/repo:model-i2_s.gguf@main\n\nEvery file is checked against the hub's checksum before it gets its name.\nHF_TOKEN, HF_ENDPOINT, HF_HOME (for its token file) and HF_HUB_OFFLINE are respected."
	)]
	Pull {
		/// Short name, or owner/repo[:file.gguf][@revision].
		name: String,
		/// Use only what is installed; fail if the model is not.
		#[arg(long)]
		offline: bool,
	},
	/// List installed models.
	List {
		/// Print one JSON array.
		#[arg(long)]
		json: bool,
		/// List the models that have short names instead.
		#[arg(long)]
		known: bool,
	},
	/// Remove an installed model.
	Rm {
		/// Name as `list` shows it.
		name: String,
		/// Do not ask for confirmation.
		#[arg(long, short)]
		yes: bool,
	},
	/// Check the hashes of an installed model's files; exits with 1 if one is wrong.
	Verify {
		/// Name as `list` shows it.
		name: String,
		/// Print one JSON object.
		#[arg(long)]
		json: bool,
	},
}

/// Runs the command.
pub(crate) fn run(args: ModelArgs, program: &Program) -> Result<ExitCode> {
	let store = Store::new(args.models_dir.unwrap_or_else(Store::default_folder));
	match args.command {
		ModelCommand::Pull { name, offline } => pull_model(&store, &name, offline),
		ModelCommand::List { json, known } => list(&store, json, known, program),
		ModelCommand::Rm { name, yes } => remove(&store, &name, yes),
		ModelCommand::Verify { name, json } => verify(&store, &name, json, program),
	}
}

fn verify(store: &Store, name: &str, as_json: bool, program: &Program) -> Result<ExitCode> {
	let found = store.verify(name)?;
	let wrong = found.iter().any(|(_, fault)| fault.is_some());
	if wrong {
		let advice = "run `aria-worker model pull NAME` to download the wrong files again";
		let advice = program.rename(advice).replace("NAME", name);
		output::note(format_args!("damaged: {advice}"));
	}
	let printed = if as_json {
		let files: Vec<_> = found
			.iter()
			.map(|(file, fault)| json!({ "path": file.path, "fault": fault }))
			.collect();
		output::line(json!({ "model": name, "ok": !wrong, "files": files }))
	} else {
		found.iter().try_for_each(|(file, fault)| {
			let state = fault.as_deref().unwrap_or("ok");
			output::line(format_args!("{}: {state}", file.path))
		})
	};
	output::finding(ExitCode::from(u8::from(wrong)), printed)
}

fn pull_model(store: &Store, name: &str, offline: bool) -> Result<ExitCode> {
	let source: Source = name.parse()?;
	let mut options = PullOptions::from_env();
	options.offline |= offline;
	let terminal = std::io::stderr().is_terminal();
	let style = ProgressStyle::with_template(
		"{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
	)?;
	let mut bar = ProgressBar::hidden();
	let mut report = |event: Event<'_>| match event {
		Event::Start {
			licence,
			files,
			bytes,
		} => output::note(format_args!(
			"{}: {files} file(s), {bytes} bytes, licence: {}",
			source.repo,
			licence.unwrap_or("not stated; see the model's page")
		)),
		Event::File { name, size, have } if terminal => {
			bar = ProgressBar::new(size).with_style(style.clone());
			bar.set_message(name.to_owned());
			bar.set_position(have);
			bar.reset_eta();
		}
		Event::File { name, size, have } => {
			output::note(format_args!("{name}: {have} of {size} bytes here"));
		}
		Event::Bytes(bytes) => bar.set_position(bytes),
		Event::Retry(error) => bar.suspend(|| output::note(format_args!("trying again: {error}"))),
	};
	let model = pull(store, &source, &options, &mut report)?;
	if options.offline {
		output::note("offline: using what is installed, without asking the hub");
	}
	output::line(format_args!("{} {}", model.name, model.folder.display()))?;
	Ok(ExitCode::SUCCESS)
}

fn list(store: &Store, as_json: bool, known: bool, program: &Program) -> Result<ExitCode> {
	if known {
		if as_json {
			output::line(json!(KNOWN))?;
		} else {
			for model in KNOWN {
				let (name, repo, licence) = (model.name, model.repo, model.licence);
				output::line(format_args!("{name:<22} {repo:<42} {licence}"))?;
			}
		}
		return Ok(ExitCode::SUCCESS);
	}
	let mut models = Vec::new();
	let mut damaged = false;
	for model in store.list()? {
		match model {
			Ok(model) => models.push(model),
			Err(error) => {
				damaged = true;
				let error = program.rename(&error.to_string());
				output::note(format_args!("error: {error}"));
			}
		}
	}
	let printed = if as_json {
		output::line(json!(models))
	} else {
		models.iter().try_for_each(|model| {
			let manifest = &model.manifest;
			output::line(format_args!(
				"{:<22} {} {:>12} bytes, {} file(s), {}@{}",
				model.name,
				date(manifest.installed),
				model.size,
				manifest.files.len(),
				manifest.repo,
				manifest.commit.get(..12).unwrap_or(&manifest.commit)
			))
		})
	};
	output::finding(ExitCode::from(u8::from(damaged)), printed)
}

/// Year, month and day (UTC) of a time in seconds since 1970.
fn date(seconds: u64) -> String {
	// Days since 1 March of year 0, so that leap days end a year. No clock goes beyond the year 9999.
	let days = (seconds / 86_400).min(2_932_896) + 719_468;
	let (era, day) = (days / 146_097, days % 146_097);
	let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
	let day = day - (365 * year + year / 4 - year / 100);
	let month = (5 * day + 2) / 153;
	let day = day - (153 * month + 2) / 5 + 1;
	let (month, next) = if month < 10 {
		(month + 3, 0)
	} else {
		(month - 9, 1)
	};
	format!("{:04}-{month:02}-{day:02}", era * 400 + year + next)
}

fn remove(store: &Store, name: &str, yes: bool) -> Result<ExitCode> {
	if !yes {
		anyhow::ensure!(
			std::io::stdin().is_terminal(),
			"no terminal to ask on: give --yes to remove {name}"
		);
		output::prompt(format_args!("remove {name}? [y/N] "));
		let mut answer = String::new();
		std::io::stdin().read_line(&mut answer)?;
		if !matches!(answer.trim(), "y" | "Y" | "yes") {
			output::note("kept");
			return Ok(ExitCode::from(1));
		}
	}
	store.remove(name)?;
	output::note(format_args!("removed {name}"));
	Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
	use super::date;

	#[test]
	fn dates_should_follow_the_calendar() {
		assert_eq!(date(0), "1970-01-01");
		assert_eq!(date(951_782_399), "2000-02-28");
		assert_eq!(date(951_782_400), "2000-02-29");
		assert_eq!(date(1_709_251_199), "2024-02-29");
		assert_eq!(date(1_767_225_599), "2025-12-31");
		assert_eq!(date(u64::MAX), "9999-12-31");
	}
}
