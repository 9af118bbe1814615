//! The chain, as the worker sees it: final blocks, the ledger's runtime API, and calls of one account.
//!
//! Types come from `aria_primitives`, indices and constants from the node's metadata, so nothing is generated and a
//! runtime upgrade that keeps those types needs no new worker.

mod call;
mod consent;
pub mod link;
mod node;
mod storage;

pub use call::{Arguments, Call};
pub(crate) use consent::now_ms;
pub use consent::{Consent, Refusal, Standing};
pub use node::{Header, NodeStatus, Peer};
pub use storage::Attestation;

use aria_primitives::{AccountId, H256};
use codec::{Decode, DecodeAll, Encode};
use sp_core::{Pair, sr25519};
use std::{sync::Arc, time::Duration};
use subxt::{
	OnlineClient, SubstrateConfig,
	backend::LegacyBackend,
	config::{DefaultExtrinsicParamsBuilder, RpcConfigFor},
	error::TransactionEventsError,
	rpcs::{RpcClient, methods::LegacyRpcMethods},
	tx::{Signer, TransactionStatus},
	utils::{AccountId32, MultiSignature},
};
use tokio::sync::{Mutex, watch};

/// Blocks within which an extrinsic is included or never.
pub const ERA: u32 = 32;
/// Silence after which the node is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(60);
/// How long the end of an extrinsic is waited for.
const WATCH: Duration = Duration::from_secs(600);

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
	/// The node can't be reached, or answered with an error.
	#[error("the node: {0}")]
	Node(String),
	/// The node runs another chain, or another version of it.
	#[error("the node's runtime does not fit this worker: {0}")]
	Runtime(String),
	/// The extrinsic was not included, as far as is known.
	#[error("{call} was not included: {reason}")]
	NotIncluded {
		/// Which call.
		call: String,
		/// Why.
		reason: String,
	},
	/// The extrinsic is in a final block, and its call failed there.
	#[error("{call} failed: {error}")]
	Dispatch {
		/// Which call.
		call: String,
		/// The error's name, such as `UsefulWork.BondTooLow`.
		error: String,
	},
}

impl ChainError {
	/// Whether the call failed for good with this error of a pallet.
	pub fn is(&self, name: &str) -> bool {
		matches!(self, Self::Dispatch { error, .. } if error == name)
	}
}

fn node(error: impl std::fmt::Display) -> ChainError {
	ChainError::Node(error.to_string())
}

/// A final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
	/// Its number.
	pub number: u32,
	/// Its hash.
	pub hash: H256,
}

/// A connection to a node.
#[derive(Clone)]
pub struct Chain {
	client: OnlineClient<SubstrateConfig>,
	rpc: LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>,
	client_rpc: RpcClient,
}

impl Chain {
	/// Connects to a node's WebSocket.
	pub async fn connect(url: &str) -> Result<Self, ChainError> {
		let rpc = RpcClient::from_insecure_url(url).await.map_err(node)?;
		let backend = LegacyBackend::builder().build(rpc.clone());
		let client = OnlineClient::from_backend(Arc::new(backend))
			.await
			.map_err(node)?;
		Ok(Self {
			client,
			rpc: LegacyRpcMethods::new(rpc.clone()),
			client_rpc: rpc,
		})
	}

	/// Hash of the first block.
	pub fn genesis(&self) -> H256 {
		H256(self.client.genesis_hash().0)
	}

	/// Hash of block 1, once it is final. It tells a chain from others: a development chain that is started anew has the
	/// same genesis as before, but another block 1.
	pub async fn origin(&self) -> Result<Option<H256>, ChainError> {
		if self.finalized().await?.number == 0 {
			return Ok(None);
		}
		let hash = self.rpc.chain_get_block_hash(Some(1u32.into())).await;
		Ok(hash.map_err(node)?.map(|hash| H256(hash.0)))
	}

	/// The latest final block.
	pub async fn finalized(&self) -> Result<Block, ChainError> {
		let at = self.client.at_current_block().await.map_err(node)?;
		Ok(Block {
			number: at.block_number() as u32,
			hash: H256(at.block_hash().0),
		})
	}

	/// Sends every final block to `blocks`; returns only when the connection is lost.
	pub async fn follow(&self, blocks: &watch::Sender<Option<Block>>) -> ChainError {
		let mut stream = match self.client.stream_blocks().await {
			Ok(stream) => stream,
			Err(error) => return node(error),
		};
		loop {
			let next = tokio::time::timeout(QUIET, stream.next()).await;
			let Ok(next) = next else {
				// Finality may be stuck; a node that does not answer is gone.
				match tokio::time::timeout(QUIET, self.finalized()).await {
					Ok(Ok(_)) => continue,
					Ok(Err(error)) => return error,
					Err(_) => return ChainError::Node("it does not answer".into()),
				}
			};
			let Some(block) = next else {
				return ChainError::Node("the connection was closed".into());
			};
			match block {
				Ok(block) => {
					let block = Block {
						number: block.number() as u32,
						hash: H256(block.hash().0),
					};
					blocks.send_replace(Some(block));
				}
				Err(error) => return node(error),
			}
		}
	}

	/// Calls a function of `AriaApi` at a block.
	pub async fn api<R: Decode>(
		&self,
		function: &str,
		arguments: impl Encode,
		at: H256,
	) -> Result<R, ChainError> {
		self.api_at(function, arguments, Some(at)).await
	}

	/// Calls a function of `AriaApi` at the node's best block.
	pub async fn api_now<R: Decode>(
		&self,
		function: &str,
		arguments: impl Encode,
	) -> Result<R, ChainError> {
		self.api_at(function, arguments, None).await
	}

	async fn api_at<R: Decode>(
		&self,
		function: &str,
		arguments: impl Encode,
		at: Option<H256>,
	) -> Result<R, ChainError> {
		let name = format!("AriaApi_{function}");
		let arguments = arguments.encode();
		let at = at.map(|at| at.0.into());
		let call = self.rpc.state_call(&name, Some(&arguments), at);
		let bytes = call.await.map_err(node)?;
		R::decode_all(&mut &bytes[..])
			.map_err(|error| ChainError::Runtime(format!("answer of {name}: {error}")))
	}

	/// A pallet's constant.
	pub async fn constant<R: Decode>(&self, pallet: &str, name: &str) -> Result<R, ChainError> {
		let at = self.client.at_current_block().await.map_err(node)?;
		let missing = || ChainError::Runtime(format!("it has no constant {pallet}.{name}"));
		let metadata = at.metadata();
		let pallet = metadata.pallet_by_name(pallet).ok_or_else(missing)?;
		let constant = pallet.constant_by_name(name).ok_or_else(missing)?;
		R::decode_all(&mut constant.value())
			.map_err(|error| ChainError::Runtime(format!("constant {name}: {error}")))
	}
}

/// Signs with the worker's key.
struct Key<'a>(&'a sr25519::Pair);

impl Signer<SubstrateConfig> for Key<'_> {
	fn account_id(&self) -> AccountId32 {
		AccountId32(self.0.public().0)
	}

	fn sign(&self, payload: &[u8]) -> MultiSignature {
		MultiSignature::Sr25519(self.0.sign(payload).0)
	}
}

/// Submits the calls of one account.
pub struct Account {
	chain: Chain,
	pair: Arc<sr25519::Pair>,
	/// Held from reading the nonce until the node has the extrinsic.
	submitting: Mutex<()>,
}

impl Account {
	/// The account of a key.
	pub fn new(chain: Chain, pair: Arc<sr25519::Pair>) -> Self {
		Self {
			chain,
			pair,
			submitting: Mutex::new(()),
		}
	}

	/// The account's identifier.
	pub fn id(&self) -> AccountId {
		AccountId::new(self.pair.public().0)
	}

	/// Submits a call and waits until it is in a final block.
	///
	/// With `until`, nothing is submitted that could be included after that block.
	pub async fn send(&self, call: &Call, until: Option<u32>) -> Result<(), ChainError> {
		let missed = |reason: String| ChainError::NotIncluded {
			call: call.to_string(),
			reason,
		};
		let mut progress = {
			let _turn = self.submitting.lock().await;
			let at = self.chain.client.at_current_block().await.map_err(node)?;
			let last = at.block_number().saturating_add(ERA.into());
			if until.is_some_and(|until| last > u64::from(until)) {
				return Err(missed("it would be too late".into()));
			}
			let key = Key(&self.pair);
			// Counts what waits in the node's pool, too.
			let nonce = self
				.chain
				.rpc
				.system_account_next_index(&key.account_id())
				.await
				.map_err(node)?;
			let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
				.mortal(ERA.into())
				.nonce(nonce)
				.build();
			let extrinsic = at
				.tx()
				.create_signed(call, &key, params)
				.await
				.map_err(|error| missed(error.to_string()))?;
			let progress = extrinsic.submit_and_watch().await;
			progress.map_err(|error| missed(error.to_string()))?
		};
		let watch = async {
			while let Some(status) = progress.next().await {
				match status.map_err(node)? {
					TransactionStatus::InFinalizedBlock(block) => {
						return match block.wait_for_success().await {
							Ok(_) => Ok(()),
							Err(TransactionEventsError::ExtrinsicFailed(error)) => {
								Err(ChainError::Dispatch {
									call: call.to_string(),
									error: dispatch_name(&error),
								})
							}
							Err(error) => Err(node(error)),
						};
					}
					TransactionStatus::Error { message }
					| TransactionStatus::Invalid { message }
					| TransactionStatus::Dropped { message } => return Err(missed(message)),
					_ => {}
				}
			}
			Err(ChainError::Node("the connection was closed".into()))
		};
		match tokio::time::timeout(WATCH, watch).await {
			Ok(result) => result,
			Err(_) => Err(missed("no final block holds it".into())),
		}
	}
}

/// `Pallet.Error` for a pallet's error, else the text.
fn dispatch_name(error: &subxt::error::DispatchError) -> String {
	if let subxt::error::DispatchError::Module(module) = error
		&& let Ok(details) = module.details()
	{
		return format!("{}.{}", details.pallet.name(), details.variant.name);
	}
	error.to_string()
}
