//! The methods, for a node's RPC server.

use super::{AriaRpcServer, error::*, types::*};
use crate::{
	api::{self, ApiError, MAX_BODY},
	models::{self, Health},
	receipts::journal::Listed,
	service::{Handle, Ready, Stage},
	text::{parse_hash, to_hex},
};
use aria_primitives::{H256, api::MAX_PAGE};
use futures::StreamExt;
use jsonrpsee::{
	Extensions, PendingSubscriptionSink, SubscriptionMessage, SubscriptionSink,
	core::{RpcResult, SubscriptionResult, async_trait},
	types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE},
};
use serde_json::{Value, value::RawValue};
use sp_core::crypto::Ss58Codec;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How long a reader may take to hear that an answer took too long.
const LAST_WORD: Duration = Duration::from_secs(5);
/// Receipts on a page if the caller doesn't say.
const PAGE: u32 = 16;

/// Denies what strangers may not do, by what the server knows of the connection.
pub type Check = fn(&Extensions) -> Result<(), ErrorObjectOwned>;

/// The methods.
#[derive(Debug)]
pub struct Rpc {
	worker: Option<Handle>,
	check: Check,
}

fn identifier(text: &str) -> RpcResult<H256> {
	let wrong = || {
		let message = "a receipt's identifier is 32 bytes in hex";
		ErrorObjectOwned::owned(INVALID_PARAMS_CODE, message, None::<()>)
	};
	parse_hash(text).ok_or_else(wrong)
}

impl Rpc {
	/// The methods of a node with this worker, if it has one.
	pub fn new(worker: Option<Handle>, check: Check) -> Self {
		Self { worker, check }
	}

	fn stage(&self) -> RpcResult<Stage> {
		let worker = self.worker.as_ref().ok_or_else(|| {
			Code::NoWorker.error(
				"this node runs without a worker: start it with --worker and --model, see `aria node --help`",
			)
		})?;
		Ok(worker.stage())
	}

	fn ready(&self) -> RpcResult<Arc<Ready>> {
		match self.stage()? {
			Stage::Ready(ready) => Ok(ready),
			Stage::Loading => Err(Code::Loading.error("the worker is not ready yet; try again")),
			Stage::Stopped => {
				Err(Code::Stopped.error("the worker has stopped; the node's log says why"))
			}
		}
	}

	/// Begins to answer a request.
	async fn ask(
		&self,
		extensions: &Extensions,
		request: &RawValue,
		stream: bool,
	) -> RpcResult<(api::Running, Instant)> {
		(self.check)(extensions)?;
		let ready = self.ready()?;
		let deadline = ready.shared.deadline().into();
		let body = request.get().as_bytes();
		if body.len() > MAX_BODY {
			return Err(of_api(&ApiError::too_large()));
		}
		let running = api::ask(ready.shared.clone(), body.to_vec(), stream).await;
		let running = running.map_err(|error| of_api(&error))?;
		Ok((running, deadline))
	}
}

#[async_trait]
impl AriaRpcServer for Rpc {
	fn worker_status(&self) -> RpcResult<Status> {
		let (state, worker) = match self.stage()? {
			Stage::Loading => (State::Loading, None),
			Stage::Ready(ready) => (ready.shared.health().into(), Some(ready.worker())),
			Stage::Stopped => (State::Stopped, None),
		};
		Ok(Status { state, worker })
	}

	fn receipt(
		&self,
		extensions: &Extensions,
		id: String,
		key: Option<String>,
	) -> RpcResult<Option<Receipt>> {
		(self.check)(extensions)?;
		let ready = self.ready()?;
		let id = identifier(&id)?;
		let Some(entry) = ready.context.journal.get(&id).map_err(of_journal)? else {
			return Ok(None);
		};
		let whole = ready.shared.may_read(&id, key.as_deref());
		let whole = whole.map_err(|error| of_api(&error))?;
		let file = whole.then(|| entry.file.to_json());
		let listed = Listed {
			number: entry.number,
			id,
			signed: entry.file.signed,
			place: entry.place,
		};
		Ok(Some(Receipt::new(listed, file)))
	}

	fn receipts(
		&self,
		extensions: &Extensions,
		limit: Option<u32>,
		before: Option<u64>,
	) -> RpcResult<Page> {
		(self.check)(extensions)?;
		let limit = limit.unwrap_or(PAGE).clamp(1, MAX_PAGE) as usize;
		let listed = self.ready()?.context.journal.latest(before, limit);
		let listed = listed.map_err(of_journal)?;
		let next = listed.last().map(|last| last.number);
		Ok(Page {
			receipts: listed.into_iter().map(Into::into).collect(),
			next: next.filter(|next| *next > 0),
		})
	}

	fn receipt_proof(&self, id: String) -> RpcResult<Option<Proof>> {
		let ready = self.ready()?;
		Ok(ready
			.context
			.journal
			.proof(&identifier(&id)?)
			.map(Into::into))
	}

	fn pending_batches(&self) -> RpcResult<Vec<PendingBatch>> {
		let pending = self.ready()?.context.journal.pending();
		Ok(pending.into_iter().map(Into::into).collect())
	}

	async fn complete(&self, extensions: &Extensions, request: Box<RawValue>) -> RpcResult<Value> {
		let (running, deadline) = self.ask(extensions, &request, false).await?;
		let answer = timeout_at(deadline, api::whole(running)).await;
		let answer = answer.unwrap_or_else(|_| Err(ApiError::took_too_long()));
		answer.map_err(|error| of_api(&error))
	}

	async fn subscribe_completion(
		&self,
		pending: PendingSubscriptionSink,
		extensions: &Extensions,
		request: Box<RawValue>,
	) -> SubscriptionResult {
		let (running, deadline) = match self.ask(extensions, &request, true).await {
			Ok(begun) => begun,
			Err(error) => {
				pending.reject(error).await;
				return Ok(());
			}
		};
		let sink = pending.accept().await?;
		tokio::select! {
			// Dropping the answer cancels it.
			() = sink.closed() => Ok(()),
			result = send(&sink, running, deadline) => result,
		}
	}
}

/// Sends an answer's chunks; a reader that is slow is waited for, but not longer than an answer may take.
async fn send(
	sink: &SubscriptionSink,
	running: api::Running,
	deadline: Instant,
) -> SubscriptionResult {
	let mut pieces = std::pin::pin!(api::pieces(running));
	let late = |_| Some(Err(ApiError::took_too_long()));
	loop {
		let piece = timeout_at(deadline, pieces.next()).await;
		let (item, last) = match piece.unwrap_or_else(late) {
			Some(Ok(chunk)) => (chunk, false),
			Some(Err(error)) => (error.body().to_string(), true),
			None => (Value::from(api::DONE).to_string(), true),
		};
		let message = SubscriptionMessage::from_json(&RawValue::from_string(item)?)?;
		let sent = timeout_at(deadline + LAST_WORD, sink.send(message)).await;
		if last || !matches!(sent, Ok(Ok(()))) {
			// Who does not take it is told nothing more: that would have to wait as well.
			return Ok(());
		}
	}
}

impl From<Health> for State {
	fn from(health: Health) -> Self {
		match health {
			Health::Loading => Self::Loading,
			Health::Ready => Self::Ready,
			Health::Stuck => Self::Stuck,
		}
	}
}

impl From<models::Listed> for Model {
	fn from(listed: models::Listed) -> Self {
		Self {
			id: listed.name.to_string(),
			root: listed.facts.map(|facts| to_hex(facts.id.as_bytes())),
			context_length: listed.config.context,
			ready: listed.ready,
		}
	}
}

impl Ready {
	fn worker(&self) -> Worker {
		let context = &self.context;
		Worker {
			account: context.me.to_ss58check(),
			roles: context.roles,
			api: self.url.clone(),
			models: context.models.list().into_iter().map(Into::into).collect(),
			requests: context.models.requests(),
			chain: ChainStatus {
				connected: context.is_connected(),
				consent_version: context.consent.version(),
			},
			receipts: context.journal.counts(),
		}
	}
}
