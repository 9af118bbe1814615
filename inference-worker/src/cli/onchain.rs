//! What the commands that read the ledger share: the connection, accounts, and the ledger's items as JSON.

use super::output;
use crate::{
	chain::{Block, Chain, ChainError},
	text::{parse_account, parse_hash, to_hex},
};
use anyhow::{Context, Result};
use aria_primitives::{
	AccountId, H256,
	api::{MAX_PAGE, SobrietyView},
	energy::Rating,
	provenance::{ModelView, Record},
	work::{BatchView, DrawView, LedgerStats, WorkerView},
};
use clap::Args;
use serde_json::{Value, json};
use sp_core::crypto::Ss58Codec;

/// Which node, and how to show what it says.
#[derive(Args, Clone)]
pub(crate) struct NodeArgs {
	/// WebSocket of a node.
	#[arg(
		long,
		visible_alias = "node",
		value_name = "URL",
		env = "ARIA_NODE_URL",
		default_value = "ws://127.0.0.1:9944",
		global = true
	)]
	pub(super) node_url: String,
	/// Print JSON instead of a table.
	#[arg(long, global = true)]
	pub(super) json: bool,
}

impl NodeArgs {
	/// Connects, and does something with the chain at its latest final block.
	pub(super) fn with<T>(
		&self,
		work: impl AsyncFnOnce(Chain, Block) -> Result<T, ChainError>,
	) -> Result<T> {
		let runtime = tokio::runtime::Runtime::new().context("can't start the async runtime")?;
		let url = &self.node_url;
		runtime.block_on(async {
			let chain = Chain::connect_with_timeout(url).await.with_context(|| {
				format!(
					"can't reach {url}; start a node with `aria --dev --tmp`, or give another one's --node-url"
				)
			})?;
			let block = chain.finalized().await?;
			Ok(work(chain, block).await?)
		})
	}
}

/// All registered parties.
pub(super) async fn workers(
	chain: &Chain,
	at: H256,
) -> Result<Vec<(AccountId, WorkerView)>, ChainError> {
	let mut all = Vec::new();
	loop {
		let page: Vec<(AccountId, WorkerView)> = chain
			.api("workers", (all.len() as u32, MAX_PAGE), at)
			.await?;
		let last = page.is_empty();
		all.extend(page);
		if last {
			return Ok(all);
		}
	}
}

/// An account in SS58 or hex.
pub(super) fn account(text: &str) -> Result<AccountId, String> {
	parse_account(text).ok_or_else(|| {
		"expected an account: an address such as 5Grwva..., or 32 bytes in hex".into()
	})
}

/// A hash in hex.
pub(super) fn identifier(text: &str) -> Result<H256, String> {
	parse_hash(text).ok_or_else(|| "expected 32 bytes in hex".into())
}

pub(super) fn address(account: &AccountId) -> String {
	account.to_ss58check()
}

pub(super) fn hash(hash: &H256) -> String {
	to_hex(hash.as_bytes())
}

fn text(bytes: &[u8]) -> String {
	String::from_utf8_lossy(bytes).into_owned()
}

// Numbers of 64 bits and more are texts, as in receipts, so that no reader rounds them.

pub(super) fn stats_json(stats: &LedgerStats) -> Value {
	json!({
		"receipts": stats.receipts,
		"batches": stats.batches,
		"draws": stats.draws,
		"accepted": stats.accepted,
		"rejected": stats.rejected,
		"tokens": stats.tokens.to_string(),
		"microjoules": stats.microjoules.to_string(),
		"workers": stats.workers,
		"models": stats.models,
	})
}

pub(super) fn worker_json(account: &AccountId, worker: &WorkerView) -> Value {
	json!({
		"account": address(account),
		"roles": worker.roles,
		"bond": worker.bond.to_string(),
		"address": text(&worker.address),
		"credited_operations": worker.credited_operations.to_string(),
		"accepted": worker.accepted,
		"rejected": worker.rejected,
		"open_obligations": worker.open_obligations,
	})
}

pub(super) fn model_json(root: &H256, model: &ModelView) -> Value {
	json!({
		"root": hash(root),
		"name": text(&model.name),
		"licence": text(&model.licence),
		"publisher": address(&model.publisher),
		"operations": model.operations,
		"bytes": model.bytes.to_string(),
	})
}

pub(super) fn record_json(id: &H256, record: &Record) -> Value {
	json!({
		"id": hash(id),
		"model": hash(&record.model),
		"worker": address(&record.worker),
		"verifier": address(&record.verifier),
		"batch": record.batch,
		"leaf_index": record.leaf_index,
		"request": hash(&record.request),
		"output": hash(&record.output),
		"trace_root": hash(&record.trace_root),
		"prompt_tokens": record.prompt_tokens,
		"output_tokens": record.output_tokens,
		"operations": record.operations.to_string(),
		"energy": {
			"microjoules": record.energy.microjoules.to_string(),
			"grade": record.energy.grade,
		},
		"status": record.status,
		"opened_at": record.opened_at,
	})
}

pub(super) fn draw_json(id: u64, draw: &DrawView) -> Value {
	json!({
		"id": id,
		"batch": draw.batch,
		"leaf_index": draw.leaf_index,
		"worker": address(&draw.worker),
		"verifier": address(&draw.verifier),
		"record": draw.record.as_ref().map(hash),
		"status": draw.status,
		"deadline": draw.deadline,
	})
}

pub(super) fn batch_json(id: u64, batch: &BatchView) -> Value {
	json!({
		"id": id,
		"worker": address(&batch.worker),
		"root": hash(&batch.root),
		"count": batch.count,
		"totals": {
			"tokens": batch.totals.tokens.to_string(),
			"operations": batch.totals.operations.to_string(),
			"microjoules": batch.totals.microjoules.to_string(),
		},
		"committed_at": batch.committed_at,
		"draws": batch.draws,
	})
}

pub(super) fn sobriety_json(account: &AccountId, view: &SobrietyView) -> Value {
	json!({
		"account": address(account),
		"rating": view.rating.map_or("N/A", letter),
		"microjoules": view.microjoules.to_string(),
		"operations": view.operations.to_string(),
		"millijoules_per_giga_operation": per_giga(view),
		"grade": view.grade,
		"attestations": view.attestations,
	})
}

fn letter(rating: Rating) -> &'static str {
	match rating {
		Rating::APlus => "A+",
		Rating::A => "A",
		Rating::B => "B",
		Rating::C => "C",
		Rating::D => "D",
	}
}

/// Millijoules per billion verified operations.
pub(super) fn per_giga(view: &SobrietyView) -> Option<f64> {
	(view.operations > 0).then(|| view.microjoules as f64 * 1e6 / view.operations as f64)
}

/// Prints an object: as JSON, or a line per field.
pub(super) fn print(value: &Value, as_json: bool) -> Result<()> {
	match value {
		_ if as_json => output::line(value),
		Value::Array(items) if items.is_empty() => output::line("none"),
		Value::Array(items) => {
			let items: Vec<String> = items.iter().map(lines).collect();
			output::write(items.join("\n").as_bytes())
		}
		other => output::write(lines(other).as_bytes()),
	}
}

fn lines(value: &Value) -> String {
	let mut rows = Vec::new();
	flatten("", value, &mut rows);
	let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
	let rows = rows.iter();
	rows.map(|(name, text)| format!("{name:<width$}{text}\n"))
		.collect()
}

fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
	// A list of objects is told one after the other.
	if let Value::Array(list) = value
		&& list.iter().any(Value::is_object)
	{
		for (index, inner) in list.iter().enumerate() {
			flatten(&format!("{name} {}", index + 1), inner, rows);
		}
		return;
	}
	if let Value::Object(map) = value {
		for (key, inner) in map {
			let key = key.replace('_', " ");
			let name = if name.is_empty() {
				key
			} else {
				format!("{name} {key}")
			};
			flatten(&name, inner, rows);
		}
		return;
	}
	let scalar = |value: &Value| match value {
		// What a node or a stranger wrote must not move the cursor.
		Value::String(text) => text
			.chars()
			.map(|c| if c.is_control() { '\u{fffd}' } else { c })
			.collect(),
		Value::Null => "none".to_owned(),
		Value::Bool(true) => "yes".to_owned(),
		Value::Bool(false) => "no".to_owned(),
		other => other.to_string(),
	};
	let text = match value {
		Value::Array(list) => list.iter().map(scalar).collect::<Vec<_>>().join(", "),
		other => scalar(other),
	};
	rows.push((name.to_owned(), text));
}
