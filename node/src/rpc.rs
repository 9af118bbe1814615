//! JSON-RPC methods beside those that every Substrate node has.

use aria_runtime::{AccountId, Balance, BlockNumber, Hash, Nonce, opaque::Block};
use aria_worker::{rpc::Rpc, service::Handle};
use jsonrpsee::{Extensions, RpcModule, types::ErrorObjectOwned};
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_grandpa::{
	FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState,
};
use sc_rpc::{DenyUnsafe, SubscriptionTaskExecutor};
use sc_transaction_pool_api::TransactionPool;
use sp_api::ProvideRuntimeApi;
use sp_block_builder::BlockBuilder;
use sp_blockchain::{Error as BlockChainError, HeaderBackend, HeaderMetadata};
use sp_consensus::SelectChain;
use sp_consensus_babe::BabeApi;
use sp_keystore::KeystorePtr;
use std::{error::Error, sync::Arc};

/// What GRANDPA's methods read.
pub(crate) struct GrandpaDeps<B> {
	pub(crate) shared_voter_state: SharedVoterState,
	pub(crate) shared_authority_set: SharedAuthoritySet<Hash, BlockNumber>,
	pub(crate) justification_stream: GrandpaJustificationStream<Block>,
	pub(crate) subscription_executor: SubscriptionTaskExecutor,
	pub(crate) finality_provider: Arc<FinalityProofProvider<B, Block>>,
}

/// What the methods read.
pub(crate) struct Deps<C, P, SC, B> {
	pub(crate) client: Arc<C>,
	pub(crate) pool: Arc<P>,
	pub(crate) select_chain: SC,
	pub(crate) keystore: KeystorePtr,
	pub(crate) babe_worker: BabeWorkerHandle<Block>,
	pub(crate) grandpa: GrandpaDeps<B>,
	/// The worker beside the node, if there is one.
	pub(crate) worker: Option<Handle>,
}

/// Denies from outside what uses this machine, or shows what people asked it.
fn check_if_safe(extensions: &Extensions) -> Result<(), ErrorObjectOwned> {
	let policy = extensions.get::<DenyUnsafe>().copied();
	// The server always says; if it did not, nobody would be let in.
	let checked = policy.unwrap_or(DenyUnsafe::Yes).check_if_safe();
	checked.map_err(Into::into)
}

/// The methods.
pub(crate) fn create<C, P, SC, B>(
	deps: Deps<C, P, SC, B>,
) -> Result<RpcModule<()>, Box<dyn Error + Send + Sync>>
where
	C: ProvideRuntimeApi<Block>
		+ HeaderBackend<Block>
		+ HeaderMetadata<Block, Error = BlockChainError>
		+ Send
		+ Sync
		+ 'static,
	C::Api: substrate_frame_rpc_system::AccountNonceApi<Block, AccountId, Nonce>
		+ pallet_transaction_payment_rpc::TransactionPaymentRuntimeApi<Block, Balance>
		+ BabeApi<Block>
		+ BlockBuilder<Block>,
	P: TransactionPool + 'static,
	SC: SelectChain<Block> + 'static,
	B: sc_client_api::Backend<Block> + Send + Sync + 'static,
{
	use aria_worker::rpc::AriaRpcServer;
	use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
	use sc_consensus_babe_rpc::{Babe, BabeApiServer};
	use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
	use substrate_frame_rpc_system::{System, SystemApiServer};

	let Deps {
		client,
		pool,
		select_chain,
		keystore,
		babe_worker,
		grandpa,
		worker,
	} = deps;
	let mut module = RpcModule::new(());
	module.merge(System::new(client.clone(), pool).into_rpc())?;
	module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
	module.merge(Babe::new(client, babe_worker, keystore, select_chain).into_rpc())?;
	module.merge(
		Grandpa::new(
			grandpa.subscription_executor,
			grandpa.shared_authority_set,
			grandpa.shared_voter_state,
			grandpa.justification_stream,
			grandpa.finality_provider,
		)
		.into_rpc(),
	)?;
	module.merge(Rpc::new(worker, check_if_safe).into_rpc())?;
	Ok(module)
}
