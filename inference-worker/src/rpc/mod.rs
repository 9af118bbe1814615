//! JSON-RPC methods about the worker beside a node, and with it: `aria_*`, as docs/rpc.md describes them.
//!
//! What the ledger holds is not asked here: the runtime API serves that to every client.

mod error;
mod server;
mod types;

pub use error::Code;
pub use server::{Check, Rpc};
pub use types::{
	ChainStatus, Committed, Energy, Model, Page, PendingBatch, Proof, Receipt, ReceiptInfo,
	ReceiptState, State, Status, Worker,
};

use jsonrpsee::{
	core::{RpcResult, SubscriptionResult},
	proc_macros::rpc,
};
use serde_json::{Value, value::RawValue};

/// The methods. Those "for the operator" use this machine or show what people asked it: nodes deny them from outside.
#[rpc(client, server, namespace = "aria")]
pub trait AriaRpc {
	/// How the worker stands.
	#[method(name = "workerStatus")]
	fn worker_status(&self) -> RpcResult<Status>;

	/// A receipt by its identifier; with its key, which its answer has, with its prompt and answer. For the operator.
	#[method(name = "receipt", blocking, with_extensions)]
	fn receipt(&self, id: String, key: Option<String>) -> RpcResult<Option<Receipt>>;

	/// Receipts, newest first, at most `limit` (16 if not given, 256 at most): those numbered below `before`, or the
	/// newest. For the operator.
	#[method(name = "receipts", blocking, with_extensions)]
	fn receipts(&self, limit: Option<u32>, before: Option<u64>) -> RpcResult<Page>;

	/// Shows that a receipt is in a final batch: the batch's root is on the chain.
	#[method(name = "receiptProof", blocking)]
	fn receipt_proof(&self, id: String) -> RpcResult<Option<Proof>>;

	/// Batches that were submitted, or were about to be, and are not known to be final.
	#[method(name = "pendingBatches")]
	fn pending_batches(&self) -> RpcResult<Vec<PendingBatch>>;

	/// Answers a request: the body of `/v1/chat/completions` if it has `messages`, else that of `/v1/completions`. For
	/// the operator.
	#[method(name = "complete", with_extensions)]
	async fn complete(&self, request: Box<RawValue>) -> RpcResult<Value>;

	/// The same, in chunks as tokens come: what `stream` gives over HTTP, `"[DONE]"` at the end included. For the
	/// operator.
	#[subscription(
		name = "subscribeCompletion" => "completion",
		unsubscribe = "unsubscribeCompletion",
		item = Value,
		with_extensions
	)]
	async fn subscribe_completion(&self, request: Box<RawValue>) -> SubscriptionResult;
}
