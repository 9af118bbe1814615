//! `aria-worker consent`: what the owner of a machine allows.

use super::{onchain::*, output};
use crate::chain::{Account, Block, Call, Chain};
use anyhow::{Context, Result, bail, ensure};
use aria_primitives::{
	AccountId,
	consent::{ConsentView, TaskKind, Terms},
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use sp_core::{Pair, sr25519};
use std::{process::ExitCode, sync::Arc};

const TASKS: [(TaskArg, TaskKind); 5] = [
	(TaskArg::TextGen, TaskKind::TextGen),
	(TaskArg::CodeGen, TaskKind::CodeGen),
	(TaskArg::Summarization, TaskKind::Summarization),
	(TaskArg::Translation, TaskKind::Translation),
	(TaskArg::Embedding, TaskKind::Embedding),
];

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum TaskArg {
	TextGen,
	CodeGen,
	Summarization,
	Translation,
	Embedding,
	Any,
}

/// A day on which a window may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Day {
	Mon,
	Tue,
	Wed,
	Thu,
	Fri,
	Sat,
	Sun,
}

#[derive(Args)]
pub(crate) struct ConsentArgs {
	#[command(flatten)]
	node: NodeArgs,
	#[command(subcommand)]
	command: ConsentCommand,
}

#[derive(Subcommand)]
enum ConsentCommand {
	/// Show an account's contract.
	Show {
		/// SS58 address or hex; the account of --worker-key if not given.
		#[arg(value_parser = account)]
		account: Option<AccountId>,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Grant a contract, or change the one in force; what is not given stays as it is, or takes the default.
	#[command(
		after_help = "Examples:\n  aria-worker consent grant --worker-key file:worker.key --cpu-percent 50\n  aria-worker consent grant --worker-key file:worker.key --schedule 22:00-06:00 --days sat,sun --tasks text_gen,embedding\n\nA contract takes a deposit from the account; revoking gives it back. Every change gets a new version, which receipts name."
	)]
	Grant(Box<GrantArgs>),
	/// Revoke the contract: nothing is allowed from then on.
	Revoke {
		#[command(flatten)]
		key: KeyArgs,
	},
}

#[derive(Args)]
pub(super) struct KeyArgs {
	/// The account: a secret phrase or derivation path, or file:PATH of a file that holds one.
	#[arg(long, env = "ARIA_WORKER_KEY", hide_env_values = true)]
	pub(super) worker_key: Option<String>,
}

#[derive(Args)]
struct GrantArgs {
	#[command(flatten)]
	key: KeyArgs,
	/// Share of the CPU, per cent [default: 25].
	#[arg(long, value_parser = clap::value_parser!(u8).range(1..=100))]
	cpu_percent: Option<u8>,
	/// Memory, in MiB [default: 512].
	#[arg(long)]
	max_ram_mb: Option<u32>,
	/// Network bandwidth, in megabits per second [default: 10].
	#[arg(long)]
	max_bandwidth_mbps: Option<u32>,
	/// Time of day in which work may run, in UTC; may extend past midnight [default: 00:00-24:00].
	#[arg(long, value_name = "HH:MM-HH:MM", value_parser = schedule)]
	schedule: Option<(u16, u16)>,
	/// Days on which that time may begin [default: all].
	#[arg(long, value_delimiter = ',')]
	days: Vec<Day>,
	/// Kinds of work [default: any].
	#[arg(long, value_delimiter = ',')]
	tasks: Vec<TaskArg>,
	/// Maximum number of requests at once [default: 2].
	#[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
	max_concurrent_tasks: Option<u16>,
	/// Whether prompts may be logged [default: true].
	#[arg(long)]
	allow_logging: Option<bool>,
	/// Whether the machine's location may be recorded [default: false].
	#[arg(long)]
	allow_geo_tracking: Option<bool>,
	/// Minimum contribution score of a requester [default: 0].
	#[arg(long)]
	min_contribution_score: Option<u32>,
	/// Privacy level, from 0 (public) to 3 (nothing leaves the machine) [default: 0].
	#[arg(long, value_parser = clap::value_parser!(u8).range(0..=3))]
	privacy_level: Option<u8>,
}

fn schedule(text: &str) -> Result<(u16, u16), String> {
	let minute = |text: &str| -> Option<u16> {
		let (hours, minutes) = text.split_once(':')?;
		let two = |text: &str| {
			let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
			text.parse::<u16>().ok().filter(|_| digits)
		};
		let (hours, minutes) = (two(hours)?, two(minutes)?);
		(minutes < 60 && hours * 60 + minutes <= 1440).then_some(hours * 60 + minutes)
	};
	let parse = || {
		let (from, until) = text.split_once('-')?;
		// Midnight at the end of a window is 24:00.
		let until = minute(until)?;
		let until = if until == 0 { 1440 } else { until };
		Some((minute(from).filter(|from| *from < 1440)?, until))
			.filter(|(from, until)| from != until)
	};
	parse().ok_or_else(|| "expected HH:MM-HH:MM, such as 22:00-06:00".into())
}

impl GrantArgs {
	/// The terms that follow from those in force.
	fn terms(&self, mut terms: Terms) -> Terms {
		fn take<T: Copy>(field: &mut T, given: Option<T>) {
			*field = given.unwrap_or(*field);
		}
		take(&mut terms.cpu_percent, self.cpu_percent);
		take(&mut terms.max_ram_mb, self.max_ram_mb);
		take(&mut terms.max_bandwidth_mbps, self.max_bandwidth_mbps);
		take(&mut terms.from_minute, self.schedule.map(|(from, _)| from));
		take(
			&mut terms.until_minute,
			self.schedule.map(|(_, until)| until),
		);
		take(&mut terms.max_concurrent_tasks, self.max_concurrent_tasks);
		take(&mut terms.allow_logging, self.allow_logging);
		take(&mut terms.allow_geo_tracking, self.allow_geo_tracking);
		take(
			&mut terms.min_contribution_score,
			self.min_contribution_score,
		);
		take(&mut terms.privacy_level, self.privacy_level);
		if !self.days.is_empty() {
			terms.days = self.days.iter().fold(0, |bits, day| bits | 1 << *day as u8);
		}
		if !self.tasks.is_empty() {
			let chosen = TASKS
				.iter()
				.filter(|(arg, _)| self.tasks.contains(arg) || self.tasks.contains(&TaskArg::Any));
			terms.tasks = chosen.fold(0, |bits, (_, kind)| bits | 1 << *kind as u8);
		}
		terms
	}
}

/// Terms with the names and forms of the command line.
fn terms_json(terms: &Terms) -> Value {
	let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
	let days = Day::value_variants()
		.iter()
		.filter(|day| terms.days & (1 << **day as u8) != 0);
	let days: Vec<String> = days.map(|day| format!("{day:?}").to_lowercase()).collect();
	let tasks = TASKS
		.iter()
		.filter(|(_, kind)| terms.tasks & (1 << *kind as u8) != 0);
	let tasks: Vec<TaskKind> = tasks.map(|(_, kind)| *kind).collect();
	json!({
		"cpu_percent": terms.cpu_percent,
		"max_ram_mb": terms.max_ram_mb,
		"max_bandwidth_mbps": terms.max_bandwidth_mbps,
		"schedule": format!("{}-{}", time(terms.from_minute), time(terms.until_minute)),
		"days": days,
		"tasks": tasks,
		"max_concurrent_tasks": terms.max_concurrent_tasks,
		"allow_logging": terms.allow_logging,
		"allow_geo_tracking": terms.allow_geo_tracking,
		"min_contribution_score": terms.min_contribution_score,
		"privacy_level": terms.privacy_level,
	})
}

fn consent_json(account: &AccountId, consent: &ConsentView) -> Value {
	json!({
		"account": address(account),
		"version": consent.version,
		"changed_at": consent.changed_at,
		"terms": terms_json(&consent.terms),
	})
}

impl KeyArgs {
	fn pair(&self) -> Result<sr25519::Pair> {
		let Some(key) = &self.worker_key else {
			bail!("give the account's key with --worker-key or ARIA_WORKER_KEY");
		};
		crate::service::ServiceArgs {
			worker_key: Some(key.clone()),
			..Default::default()
		}
		.pair()
	}

	/// The account that was named, else the key's.
	pub(super) fn account(&self, named: Option<&AccountId>) -> Result<AccountId> {
		if let Some(account) = named {
			return Ok(account.clone());
		}
		let pair = self.pair().context("name an ACCOUNT, or give its key")?;
		Ok(AccountId::new(pair.public().0))
	}
}

/// Runs the command.
pub(super) fn run(args: &ConsentArgs) -> Result<ExitCode> {
	let node = &args.node;
	match &args.command {
		ConsentCommand::Show { account, key } => {
			let account = key.account(account.as_ref())?;
			show(node, &account)
		}
		ConsentCommand::Grant(grant) => {
			let pair = Arc::new(grant.key.pair()?);
			let account = AccountId::new(pair.public().0);
			let present = read(node, &account)?;
			let terms = grant.terms(
				present
					.as_ref()
					.map_or_else(Terms::default, |view| view.terms),
			);
			ensure!(
				terms.is_valid(),
				"the terms would allow nothing: check --schedule, --days and --tasks"
			);
			let call = match &present {
				Some(view) if view.terms == terms => {
					output::note("these terms are in force already");
					return show(node, &account);
				}
				Some(_) => Call::amend(terms),
				None => Call::grant(terms),
			};
			send(node, pair, &call)?;
			show(node, &account)
		}
		ConsentCommand::Revoke { key } => {
			let pair = Arc::new(key.pair()?);
			let account = address(&AccountId::new(pair.public().0));
			send(node, pair, &Call::revoke())?;
			print(&json!({ "account": account, "revoked": true }), node.json)?;
			Ok(ExitCode::SUCCESS)
		}
	}
}

fn read(node: &NodeArgs, account: &AccountId) -> Result<Option<ConsentView>> {
	node.with(async |chain: Chain, at: Block| chain.api("consent", (account,), at.hash).await)
}

fn show(node: &NodeArgs, account: &AccountId) -> Result<ExitCode> {
	let consent = read(node, account)?.with_context(|| {
		format!(
			"{} has no contract, so it allows nothing: its owner can `aria-worker consent grant` one",
			address(account)
		)
	})?;
	print(&consent_json(account, &consent), node.json)?;
	Ok(ExitCode::SUCCESS)
}

/// Submits a call and waits for its final block.
fn send(node: &NodeArgs, pair: Arc<sr25519::Pair>, call: &Call) -> Result<()> {
	output::note(format_args!("waiting until a block with {call} is final"));
	node.with(async |chain: Chain, _| Account::new(chain, pair).send(call, None).await)
		.with_context(|| format!("{call} failed"))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn schedule_should_be_minutes_of_the_day() {
		assert_eq!(schedule("22:00-06:30"), Ok((1320, 390)));
		assert_eq!(schedule("00:00-24:00"), Ok((0, 1440)));
		assert_eq!(schedule("08:00-00:00"), Ok((480, 1440)));
		for wrong in [
			"",
			"22-6",
			"24:00-01:00",
			"10:00-10:00",
			"10:60-11:00",
			"1:00-2:00",
			"10:00-25:00",
			"+1:00-02:00",
		] {
			assert!(schedule(wrong).is_err(), "{wrong}");
		}
	}

	#[test]
	fn terms_should_be_shown_as_they_are_given() {
		let shown = terms_json(&Terms {
			from_minute: 1320,
			until_minute: 390,
			days: 0b0110_0000,
			tasks: 1 << TaskKind::Embedding as u8,
			..Terms::default()
		});
		assert_eq!(shown["schedule"], "22:00-06:30");
		assert_eq!(shown["days"], json!(["sat", "sun"]));
		assert_eq!(shown["tasks"], json!(["embedding"]));
	}
}
