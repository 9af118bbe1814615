//! The worker as a service: the API, the journal, and what a party owes to the chain.
//!
//! Duties follow final blocks and derive from the chain's state and the journal alone, so a lost connection, a lost
//! extrinsic or a restart only delays them: the next pass sees what is still due.

mod args;
mod committer;
pub mod journal;
mod onboarding;
mod opener;
mod verifier;

pub(crate) use args::default_state_dir;
pub use args::{Role, ServiceArgs};

use crate::{
	api::{self, ApiState},
	chain::{Account, Block, Chain, ChainError},
	energy::Meter,
	engine::{Engine, EngineHandle, Options},
	keys::{self, Keys},
	metrics::Metrics,
	model::Model,
	p2p::{self, Answer, Network},
};
use anyhow::{Context as _, Result};
use aria_kernels::{Backend, Isa};
use aria_primitives::{AccountId, H256, work::Roles};
use futures::FutureExt;
use journal::Journal;
use prometheus::Registry;
use sp_core::{Pair, crypto::Ss58Codec, sr25519};
use std::{
	path::Path,
	sync::{Arc, PoisonError, RwLock, atomic::AtomicU32},
	time::Duration,
};
use tokio::{net::TcpListener, sync::watch};

/// How long answers under way may take when the service ends.
const GRACE: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// What the duties share.
pub(crate) struct Context {
	engine: EngineHandle,
	journal: Journal,
	pair: Arc<sr25519::Pair>,
	me: AccountId,
	roles: Roles,
	model_name: String,
	consent_version: Arc<AtomicU32>,
	batch_every: Duration,
	/// The present connection, for requests of verifiers.
	chain: RwLock<Option<Chain>>,
}

/// Waits for a final block after the last one seen.
async fn next_block(blocks: &mut watch::Receiver<Option<Block>>) -> Result<Block, ChainError> {
	loop {
		let changed = blocks.changed().await;
		changed.map_err(|_| ChainError::Node("the connection was closed".into()))?;
		if let Some(block) = *blocks.borrow_and_update() {
			return Ok(block);
		}
	}
}

/// Runs the service until `shutdown`, or until it can't go on.
///
/// The API answers once the model is loaded, whatever the chain does; a node that can't be reached is tried again for
/// ever. Metrics go into `registry`.
pub async fn run(
	args: ServiceArgs,
	registry: Registry,
	shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
	let shutdown = shutdown.shared();
	tokio::select! {
		result = serve(args, registry, shutdown.clone()) => result,
		() = async { shutdown.clone().await; tokio::time::sleep(GRACE).await; } => {
			tracing::warn!("answers under way were cut off");
			Ok(())
		}
	}
}

async fn serve(
	args: ServiceArgs,
	registry: Registry,
	shutdown: impl Future<Output = ()> + Clone + Send + 'static,
) -> Result<()> {
	let pair = Arc::new(args.pair()?);
	let me = AccountId::new(pair.public().0);
	let place = (args.api_host.as_str(), args.api_port);
	let listener = TcpListener::bind(place).await.with_context(|| {
		format!(
			"can't serve the API on {}:{}; is another program using the port? See --api-port",
			args.api_host, args.api_port
		)
	})?;
	let dir = args.state_dir()?;
	let journal = {
		let dir = dir.clone();
		tokio::task::spawn_blocking(move || Journal::open(&dir)).await??
	};
	let keys = Keys::open(
		args.keys_file
			.clone()
			.unwrap_or_else(|| dir.join(keys::FILE_NAME)),
	)?;
	if !listener.local_addr()?.ip().is_loopback() && args.api_key.is_none() && !keys.exist() {
		tracing::warn!(
			"the API is open to whoever reaches this machine: make a key with `aria-worker api key new NAME`, or set --api-key"
		);
	}
	let engine = start_engine(&args).await?;
	let model_name = args
		.model_name
		.clone()
		.unwrap_or_else(|| engine.model().name.clone());
	let consent_version = Arc::new(AtomicU32::new(0));
	let state = Arc::new(ApiState {
		engine: engine.clone(),
		model_name: model_name.clone(),
		signer: pair.clone(),
		journal: journal.clone(),
		consent_version: consent_version.clone(),
		api_key: args.api_key.clone(),
		keys,
		metrics: Metrics::new(&registry).context("can't register the metrics")?,
		#[cfg(feature = "fault-injection")]
		alter_token: args.alter_token,
	});
	tracing::info!(
		"API on http://{}, model {model_name}, account {}",
		listener.local_addr()?,
		me.to_ss58check()
	);
	let server = axum::serve(listener, api::router(state)).with_graceful_shutdown(shutdown.clone());
	let context = Arc::new(Context {
		engine,
		journal,
		pair,
		me,
		roles: args.chain_roles(),
		model_name,
		consent_version,
		batch_every: Duration::from_secs(args.batch_seconds.max(1)),
		chain: RwLock::new(None),
	});
	let duties = async {
		if args.offline {
			std::future::pending::<()>().await;
		}
		let network = start_network(&args, &dir, context.clone()).await?;
		follow(&context, &args.node, &network).await;
		anyhow::Ok(())
	};
	tokio::select! {
		result = server => result.context("the API failed"),
		result = until(shutdown, duties) => result,
	}
}

/// Ends the duties at shutdown, but leaves it to the API to end the service.
async fn until(
	shutdown: impl Future<Output = ()>,
	duties: impl Future<Output = Result<()>>,
) -> Result<()> {
	tokio::select! {
		() = shutdown => std::future::pending().await,
		result = duties => result,
	}
}

async fn start_engine(args: &ServiceArgs) -> Result<EngineHandle> {
	let path = args.model.clone();
	let cores = || std::thread::available_parallelism().map_or(1, usize::from);
	let threads = args.threads.unwrap_or_else(cores).clamp(1, 1024);
	let backend = Backend::new(Isa::from_env()?, threads);
	let packing = backend.packing();
	let model = tokio::task::spawn_blocking(move || Model::open(&path, packing)).await?;
	let model = model.with_context(|| format!("can't load {}", args.model.display()))?;
	let meter = Meter::discover(args.watts);
	let (source, grade) = (meter.describe(), meter.grade());
	tracing::info!(?grade, "energy of answers is known by {source}");
	let options = Options {
		cache_bytes: args.cache_mib << 20,
		parallel: args.parallel,
		queue: args.queue,
		prefix_cache: !args.no_prefix_cache,
		..Options::default()
	};
	Ok(Engine::spawn(Arc::new(model), backend, meter, options)?)
}

async fn start_network(args: &ServiceArgs, dir: &Path, context: Arc<Context>) -> Result<Network> {
	let file = dir.join("network.key");
	let keypair = p2p::identity(&file).with_context(|| format!("can't use {}", file.display()))?;
	let answer: Answer = Arc::new(move |request| {
		let context = context.clone();
		Box::pin(async move {
			let chain = context
				.chain
				.read()
				.unwrap_or_else(PoisonError::into_inner)
				.clone();
			opener::hand_over(&context, chain, request).await
		})
	});
	let network = Network::start(keypair, args.listen.clone(), answer)
		.await
		.with_context(|| format!("can't listen on {}", args.listen))?;
	tracing::info!("openings at {}", network.address());
	Ok(network)
}

/// Serves the chain for ever, connecting again whenever the connection is lost.
async fn follow(context: &Context, node: &str, network: &Network) {
	let mut pause = FIRST_RETRY;
	let mut genesis: Option<H256> = None;
	loop {
		match Chain::connect(node).await {
			Ok(chain) => {
				if genesis.is_some_and(|before| before != chain.genesis()) {
					tracing::warn!("the node at {node} is of another chain than before");
				}
				genesis = Some(chain.genesis());
				pause = FIRST_RETRY;
				tracing::info!("connected to {node}");
				set_chain(context, Some(chain.clone()));
				let error = session(context, &chain, network).await;
				set_chain(context, None);
				tracing::warn!("{error}; connecting again");
			}
			Err(error) => tracing::warn!("waiting for the node at {node}: {error}"),
		}
		tokio::time::sleep(pause).await;
		pause = (pause * 2).min(LONGEST_RETRY);
	}
}

fn set_chain(context: &Context, chain: Option<Chain>) {
	*context
		.chain
		.write()
		.unwrap_or_else(PoisonError::into_inner) = chain;
}

/// Does everything that is due, over one connection, until it is lost.
async fn session(context: &Context, chain: &Chain, network: &Network) -> ChainError {
	let (sender, blocks) = watch::channel(None);
	let account = Account::new(chain.clone(), context.pair.clone());
	let duties = async {
		let address = network.address().to_string().into_bytes();
		onboarding::run(context, chain, &account, &mut blocks.clone(), &address).await?;
		let (mut one, mut two, mut three) = (blocks.clone(), blocks.clone(), blocks.clone());
		// Every duty stays even for a party that has dropped a role: what it took on, it owes.
		tokio::try_join!(
			committer::run(context, chain, &account, &mut one),
			opener::run(context, chain, &account, &mut two),
			verifier::run(context, chain, &account, network, &mut three),
		)?;
		Ok(())
	};
	tokio::select! {
		error = chain.follow(&sender) => error,
		result = duties => match result {
			Ok(()) => ChainError::Node("nothing to do".into()),
			Err(error) => error,
		},
	}
}
