//! `aria-worker ledger`: what the chain holds.

use super::{onchain::*, output};
use crate::chain::{Block, Chain, ChainError};
use anyhow::{Context, Result, bail};
use aria_primitives::{
	AccountId, H256, ModelId,
	api::MAX_PAGE,
	provenance::{ModelView, Record},
	work::{BatchView, DrawView, LedgerStats, WorkerView},
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::{
	path::{Path, PathBuf},
	process::ExitCode,
};

#[derive(Args)]
pub(crate) struct LedgerArgs {
	#[command(flatten)]
	node: NodeArgs,
	#[command(subcommand)]
	command: LedgerCommand,
}

#[derive(Subcommand)]
enum LedgerCommand {
	/// Show totals of the whole ledger.
	Stats,
	/// Show the record of a checked answer.
	Record {
		/// Its identifier, in hex.
		#[arg(value_parser = identifier)]
		id: H256,
	},
	/// Show a worker or verifier and its latest records; without an account, list all of them.
	Worker {
		/// SS58 address or hex.
		#[arg(value_parser = account)]
		account: Option<AccountId>,
	},
	/// Show a registered model; without a root, list all of them.
	Model {
		/// Model root, in hex.
		#[arg(value_parser = identifier)]
		root: Option<H256>,
	},
	/// Check that the ledger is consistent and that each block follows from the one before; exits with 1 if not.
	#[command(
		after_help = "What is checked: the hashes of headers, back from the latest final block; that every draw belongs to a batch and\nevery record to a draw, with the same worker, leaf and outcome; that operation counts follow from the model's\nregistered cost; and that the totals are not below what the ledger holds.\n\nThe node's answers are trusted for the state itself. `aria-worker verify` checks answers, a node of your own blocks."
	)]
	Verify {
		/// Number of headers to check.
		#[arg(long, default_value_t = 256)]
		blocks: u32,
	},
	/// Export everything as of the latest final block, as JSON.
	#[command(
		after_help = "Examples:\n  aria-worker ledger export > ledger.json\n  aria-worker ledger export ledger.json"
	)]
	Export {
		/// File to write; standard output if not given.
		file: Option<PathBuf>,
	},
}

/// Runs the command.
pub(super) fn run(args: &LedgerArgs) -> Result<ExitCode> {
	let node = &args.node;
	let show = |value: Value| print(&value, node.json).map(|()| ExitCode::SUCCESS);
	match &args.command {
		LedgerCommand::Stats => {
			let (stats, block): (LedgerStats, _) = node.with(async |chain: Chain, at: Block| {
				Ok((chain.api("stats", (), at.hash).await?, at))
			})?;
			let mut value = stats_json(&stats);
			value["block"] = block.number.into();
			show(value)
		}
		LedgerCommand::Record { id } => {
			let record: Option<Record> =
				node.with(async |chain, at| chain.api("record", (id,), at.hash).await)?;
			let record = record.with_context(|| {
				format!(
					"the ledger has no record {}: only drawn answers that were opened have one",
					hash(id)
				)
			})?;
			show(record_json(id, &record))
		}
		LedgerCommand::Worker { account: None } => {
			let workers = node.with(async |chain, at| workers(&chain, at.hash).await)?;
			show(
				workers
					.iter()
					.map(|(account, worker)| worker_json(account, worker))
					.collect(),
			)
		}
		LedgerCommand::Worker {
			account: Some(account),
		} => {
			let (worker, records): (Option<WorkerView>, Vec<H256>) =
				node.with(async |chain: Chain, at: Block| {
					let worker = chain.api("worker", (account,), at.hash).await?;
					Ok((
						worker,
						chain.api("records_of", (account, 10u32), at.hash).await?,
					))
				})?;
			let Some(worker) = worker else {
				bail!(
					"{} is not registered; `ledger worker` lists those who are",
					address(account)
				);
			};
			let mut value = worker_json(account, &worker);
			value["records"] = records.iter().map(hash).collect();
			show(value)
		}
		LedgerCommand::Model { root: None } => {
			let models = node.with(async |chain, at| models(&chain, at.hash).await)?;
			show(
				models
					.iter()
					.map(|(root, model)| model_json(root, model))
					.collect(),
			)
		}
		LedgerCommand::Model { root: Some(root) } => {
			let model: Option<ModelView> =
				node.with(async |chain, at| chain.api("model", (root,), at.hash).await)?;
			let model = model.with_context(|| {
				format!(
					"no model {} is registered; `ledger model` lists those that are",
					hash(root)
				)
			})?;
			show(model_json(root, &model))
		}
		LedgerCommand::Verify { blocks } => verify(node, *blocks),
		LedgerCommand::Export { file } => export(node, file.as_deref()),
	}
}

async fn models(chain: &Chain, at: H256) -> Result<Vec<(ModelId, ModelView)>, ChainError> {
	let mut all = Vec::new();
	loop {
		let page: Vec<(ModelId, ModelView)> = chain
			.api("models", (all.len() as u32, MAX_PAGE), at)
			.await?;
		let last = page.is_empty();
		all.extend(page);
		if last {
			return Ok(all);
		}
	}
}

/// Where the pages of draws begin: pruned numbers are left out, so that a page may be empty.
fn pages(stats: &LedgerStats) -> impl Iterator<Item = u64> + use<> {
	(0..stats.draws).step_by(MAX_PAGE as usize)
}

/// What `verify` found.
#[derive(Default)]
struct Findings {
	checks: Vec<(&'static str, u64)>,
	faults: Vec<String>,
}

impl Findings {
	fn ensure(&mut self, holds: bool, fault: impl FnOnce() -> String) {
		// More would hide the first ones.
		if !holds && self.faults.len() < 100 {
			self.faults.push(fault());
		}
	}

	fn print(&self, as_json: bool) -> Result<()> {
		let ok = self.faults.is_empty();
		if as_json {
			let checks = self.checks.iter();
			let checks: serde_json::Map<String, Value> = checks
				.map(|(name, count)| ((*name).to_owned(), (*count).into()))
				.collect();
			return output::line(json!({ "ok": ok, "checked": checks, "faults": self.faults }));
		}
		for (name, count) in &self.checks {
			output::line(format_args!("{count:>8} {name}"))?;
		}
		for fault in &self.faults {
			output::line(format_args!("wrong: {fault}"))?;
		}
		if ok {
			output::line("consistent")?;
		}
		Ok(())
	}
}

fn verify(node: &NodeArgs, blocks: u32) -> Result<ExitCode> {
	let findings = node.with(async |chain: Chain, at: Block| {
		let mut found = Findings::default();
		headers(&chain, at, blocks, &mut found).await?;
		items(&chain, at.hash, &mut found).await?;
		Ok(found)
	})?;
	let ok = findings.faults.is_empty();
	output::finding(ExitCode::from(u8::from(!ok)), findings.print(node.json))
}

async fn headers(
	chain: &Chain,
	at: Block,
	blocks: u32,
	found: &mut Findings,
) -> Result<(), ChainError> {
	let (mut expected, mut number, mut count) = (at.hash, at.number, 0u64);
	while count < u64::from(blocks) {
		let header = chain.header(expected).await?;
		let fits = header.hash() == expected && header.number == number;
		found.ensure(fits, || {
			format!(
				"the node's header of block {number} is not the one with hash {}",
				hash(&expected)
			)
		});
		count += 1;
		if !fits || number == 0 {
			break;
		}
		(expected, number) = (header.parent, number - 1);
	}
	if number == 0 && count > 0 && u64::from(at.number) + 1 == count {
		found.ensure(expected == chain.genesis(), || {
			"the blocks do not lead back to the chain's first one".into()
		});
	}
	found.checks.push(("block headers", count));
	Ok(())
}

async fn items(chain: &Chain, at: H256, found: &mut Findings) -> Result<(), ChainError> {
	let stats: LedgerStats = chain.api("stats", (), at).await?;
	let (workers, models) = (workers(chain, at).await?, models(chain, at).await?);
	let (mut draw_count, mut records, mut accepted, mut rejected) = (0u64, 0u64, 0u64, 0u64);
	let mut batch: Option<(u64, BatchView)> = None;
	for from in pages(&stats) {
		let page: Vec<(u64, DrawView)> = chain.api("draws", (from, MAX_PAGE), at).await?;
		for (id, draw) in page {
			use aria_primitives::work::DrawStatus::{Accepted, Rejected};
			draw_count += 1;
			accepted += u64::from(draw.status == Accepted);
			rejected += u64::from(matches!(draw.status, Rejected(_)));
			if batch
				.as_ref()
				.is_none_or(|(number, _)| *number != draw.batch)
			{
				let view: Option<BatchView> = chain.api("batch", (draw.batch,), at).await?;
				batch = view.map(|view| (draw.batch, view));
			}
			let fits = batch.as_ref().is_some_and(|(number, batch)| {
				*number == draw.batch
					&& batch.worker == draw.worker
					&& draw.leaf_index < batch.count
					&& batch.draws.contains(&id)
			});
			found.ensure(fits, || {
				format!("draw {id} is not one of batch {}", draw.batch)
			});
			if let Some(record) = draw.record {
				records += 1;
				check_record(chain, at, id, &draw, &record, &models, found).await?;
			}
		}
	}
	// Pruned draws are still in the sums.
	for (name, here, sum) in [
		("draws", draw_count, stats.draws),
		("accepted draws", accepted, stats.accepted),
		("rejected draws", rejected, stats.rejected),
	] {
		found.ensure(here <= sum, || {
			format!("there are {here} {name}, and the ledger counts {sum}")
		});
	}
	for (name, here, sum) in [
		("workers", workers.len(), stats.workers),
		("models", models.len(), stats.models),
	] {
		found.ensure(here as u64 == u64::from(sum), || {
			format!("there are {here} {name}, and the ledger counts {sum}")
		});
	}
	found.checks.extend([
		("workers and verifiers", workers.len() as u64),
		("models", models.len() as u64),
		("draws", draw_count),
		("records", records),
	]);
	Ok(())
}

async fn check_record(
	chain: &Chain,
	at: H256,
	id: u64,
	draw: &DrawView,
	record: &H256,
	models: &[(ModelId, ModelView)],
	found: &mut Findings,
) -> Result<(), ChainError> {
	let name = hash(record);
	let Some(kept): Option<Record> = chain.api("record", (record,), at).await? else {
		// Records may be pruned before their draws.
		return Ok(());
	};
	let same = kept.worker == draw.worker
		&& kept.batch == draw.batch
		&& kept.leaf_index == draw.leaf_index
		&& kept.status == draw.status;
	found.ensure(same, || format!("record {name} is not what draw {id} says"));
	let cost = models.iter().find(|(root, _)| *root == kept.model);
	found.ensure(cost.is_some(), || {
		format!("the model of record {name} is not registered")
	});
	if let Some((_, model)) = cost {
		let due = model.operations.of(kept.prompt_tokens, kept.output_tokens);
		// A count that was wrong is what such a record was rejected for.
		let counted = due == Some(kept.operations)
			|| !matches!(kept.status, aria_primitives::work::DrawStatus::Accepted);
		found.ensure(counted, || {
			format!(
				"record {name} counts {} operations instead of {due:?}",
				kept.operations
			)
		});
	}
	Ok(())
}

fn export(node: &NodeArgs, file: Option<&Path>) -> Result<ExitCode> {
	let value = node.with(async |chain: Chain, at: Block| everything(&chain, at).await)?;
	let text = serde_json::to_string_pretty(&value)?;
	match file {
		None => output::line(text)?,
		Some(path) => {
			std::fs::write(path, text + "\n")
				.with_context(|| format!("can't write {}", path.display()))?;
			let (block, path) = (&value["block"]["number"], path.display());
			output::note(format_args!("wrote the ledger at block {block} to {path}"));
		}
	}
	Ok(ExitCode::SUCCESS)
}

async fn everything(chain: &Chain, at: Block) -> Result<Value, ChainError> {
	let stats: LedgerStats = chain.api("stats", (), at.hash).await?;
	let (workers, models) = (
		workers(chain, at.hash).await?,
		models(chain, at.hash).await?,
	);
	let (mut all_draws, mut batches, mut records) = (Vec::new(), Vec::new(), Vec::new());
	for id in 0..stats.batches {
		let batch: Option<BatchView> = chain.api("batch", (id,), at.hash).await?;
		batches.extend(batch.map(|batch| batch_json(id, &batch)));
	}
	for from in pages(&stats) {
		let page: Vec<(u64, DrawView)> = chain.api("draws", (from, MAX_PAGE), at.hash).await?;
		for (id, draw) in page {
			if let Some(record) = &draw.record {
				let kept: Option<Record> = chain.api("record", (record,), at.hash).await?;
				records.extend(kept.map(|kept| record_json(record, &kept)));
			}
			all_draws.push(draw_json(id, &draw));
		}
	}
	Ok(json!({
		"genesis": hash(&chain.genesis()),
		"block": { "number": at.number, "hash": hash(&at.hash) },
		"stats": stats_json(&stats),
		"workers": workers.iter().map(|(account, worker)| worker_json(account, worker)).collect::<Value>(),
		"models": models.iter().map(|(root, model)| model_json(root, model)).collect::<Value>(),
		"batches": batches,
		"draws": all_draws,
		"records": records,
	}))
}
