//! JSON-RPC: Substrate's methods and those of the worker, and the server that answers.

mod pages;
mod server;

pub(crate) use server::{Listener, Threads, listen, local_address, serve};

use crate::service::{FullBackend, FullClient, FullPool, FullSelectChain};
use aria_runtime::{BlockNumber, Hash, opaque::Block};
use aria_worker::{rpc::Rpc, service::Handle};
use jsonrpsee::{
	Extensions, Methods, RpcModule,
	types::{ErrorObjectOwned, error::ErrorCode},
};
use sc_client_api::Backend;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_grandpa::{
	FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState,
};
use sc_rpc::{DenyUnsafe, SubscriptionTaskExecutor};
use sc_rpc_spec_v2::transaction::TransactionMetrics;
use sc_service::{Configuration, error::Error};
use sc_utils::mpsc::TracingUnboundedSender;
use sp_consensus::SyncOracle;
use sp_keystore::KeystorePtr;
use std::sync::Arc;

/// Transactions that one connection may have broadcast at once.
const MAX_BROADCASTS: usize = 16;

/// What GRANDPA's methods read.
pub(crate) struct GrandpaDeps {
	pub(crate) shared_voter_state: SharedVoterState,
	pub(crate) shared_authority_set: SharedAuthoritySet<Hash, BlockNumber>,
	pub(crate) justification_stream: GrandpaJustificationStream<Block>,
	pub(crate) finality_provider: Arc<FinalityProofProvider<FullBackend, Block>>,
}

/// What the methods read.
pub(crate) struct Deps<'a> {
	pub(crate) config: &'a Configuration,
	pub(crate) genesis: Hash,
	pub(crate) client: Arc<FullClient>,
	pub(crate) backend: Arc<FullBackend>,
	pub(crate) pool: Arc<FullPool>,
	pub(crate) select_chain: FullSelectChain,
	pub(crate) keystore: KeystorePtr,
	pub(crate) sync: Arc<dyn SyncOracle + Send + Sync>,
	/// Asks the network.
	pub(crate) network: TracingUnboundedSender<sc_rpc::system::Request<Block>>,
	pub(crate) executor: SubscriptionTaskExecutor,
	pub(crate) metrics: Option<TransactionMetrics>,
	pub(crate) babe_worker: BabeWorkerHandle<Block>,
	pub(crate) grandpa: GrandpaDeps,
	/// The worker beside the node, if there is one.
	pub(crate) worker: Option<Handle>,
}

/// Denies from outside what uses this machine, or shows what people asked it.
fn check_if_safe(extensions: &Extensions) -> Result<(), ErrorObjectOwned> {
	if extensions.get::<server::Stranger>().is_some() {
		let message = "web pages may not use this method, but for those of origins that the node was started with: --rpc-cors ORIGIN";
		let code = ErrorCode::MethodNotFound.code();
		return Err(ErrorObjectOwned::owned(code, message, None::<()>));
	}
	let policy = extensions.get::<DenyUnsafe>().copied();
	// The server always says; if it did not, nobody would be let in.
	let checked = policy.unwrap_or(DenyUnsafe::Yes).check_if_safe();
	checked.map_err(Into::into)
}

/// The methods.
pub(crate) fn methods(deps: Deps<'_>) -> Result<RpcModule<()>, Error> {
	let mut module = RpcModule::new(());
	for methods in [
		by_specification(&deps),
		of_substrate(&deps),
		of_consensus(&deps),
	] {
		for one in methods {
			module
				.merge(one)
				.map_err(|error| Error::Application(error.into()))?;
		}
	}
	let ours = aria_worker::rpc::AriaRpcServer::into_rpc(Rpc::new(deps.worker, check_if_safe));
	module
		.merge(ours)
		.map_err(|error| Error::Application(error.into()))?;
	Ok(module)
}

/// Those of the JSON-RPC interface's specification, which new clients use.
fn by_specification(deps: &Deps<'_>) -> Vec<Methods> {
	use sc_rpc_spec_v2::{
		archive::{Archive, ArchiveApiServer},
		bitswap::{Bitswap, BitswapApiServer},
		chain_head::{ChainHead, ChainHeadApiServer, ChainHeadConfig},
		chain_spec::{ChainSpec, ChainSpecApiServer},
		transaction::{
			Transaction, TransactionApiServer, TransactionBroadcast, TransactionBroadcastApiServer,
		},
	};
	let (client, backend) = (|| deps.client.clone(), || deps.backend.clone());
	let (pool, executor) = (|| deps.pool.clone(), || deps.executor.clone());
	let config = deps.config;
	let name = config.chain_spec.name().to_owned();
	let mut all: Vec<Methods> = vec![
		ChainSpec::new(name, deps.genesis, config.chain_spec.properties())
			.into_rpc()
			.into(),
		ChainHead::new(client(), backend(), executor(), ChainHeadConfig::default())
			.into_rpc()
			.into(),
		Transaction::new(client(), pool(), executor(), deps.metrics.clone())
			.into_rpc()
			.into(),
		TransactionBroadcast::new(client(), pool(), executor(), MAX_BROADCASTS)
			.into_rpc()
			.into(),
		Bitswap::new(client(), deps.sync.clone()).into_rpc().into(),
	];
	let keeps_state = config
		.state_pruning
		.as_ref()
		.is_some_and(|mode| mode.is_archive());
	if keeps_state && config.blocks_pruning.is_archive() {
		all.push(
			Archive::new(client(), backend(), deps.genesis, executor())
				.into_rpc()
				.into(),
		);
	}
	all
}

/// Those that every Substrate node has had.
fn of_substrate(deps: &Deps<'_>) -> Vec<Methods> {
	use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
	use sc_rpc::{
		author::{Author, AuthorApiServer},
		chain::ChainApiServer,
		offchain::{Offchain, OffchainApiServer},
		state::{ChildStateApiServer, StateApiServer},
		system::{SystemApiServer, SystemInfo},
	};
	use substrate_frame_rpc_system::SystemApiServer as FrameSystemApiServer;
	let (client, pool) = (|| deps.client.clone(), || deps.pool.clone());
	let executor = || deps.executor.clone();
	let (config, keystore) = (deps.config, deps.keystore.clone());
	let info = SystemInfo {
		chain_name: config.chain_spec.name().into(),
		impl_name: config.impl_name.clone(),
		impl_version: config.impl_version.clone(),
		properties: config.chain_spec.properties(),
		chain_type: config.chain_spec.chain_type(),
	};
	let (state, child_state) = sc_rpc::state::new_full(client(), executor(), None);
	let system = sc_rpc::system::System::new(info, deps.network.clone());
	let accounts = substrate_frame_rpc_system::System::new(client(), pool());
	let mut all: Vec<Methods> = vec![
		sc_rpc::chain::new_full(client(), executor())
			.into_rpc()
			.into(),
		StateApiServer::into_rpc(state).into(),
		ChildStateApiServer::into_rpc(child_state).into(),
		Author::new(client(), pool(), keystore, executor())
			.into_rpc()
			.into(),
		SystemApiServer::into_rpc(system).into(),
		FrameSystemApiServer::into_rpc(accounts).into(),
		TransactionPayment::new(client()).into_rpc().into(),
	];
	if let Some(storage) = deps.backend.offchain_storage() {
		all.push(Offchain::new(storage).into_rpc().into());
	}
	all
}

/// Those of BABE and GRANDPA.
fn of_consensus(deps: &Deps<'_>) -> Vec<Methods> {
	use sc_consensus_babe_rpc::{Babe, BabeApiServer};
	use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
	let grandpa = &deps.grandpa;
	let babe = Babe::new(
		deps.client.clone(),
		deps.babe_worker.clone(),
		deps.keystore.clone(),
		deps.select_chain.clone(),
	);
	let grandpa = Grandpa::new(
		deps.executor.clone(),
		grandpa.shared_authority_set.clone(),
		grandpa.shared_voter_state.clone(),
		grandpa.justification_stream.clone(),
		grandpa.finality_provider.clone(),
	);
	vec![babe.into_rpc().into(), grandpa.into_rpc().into()]
}
