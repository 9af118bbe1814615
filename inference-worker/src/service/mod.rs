//! The worker as a service: models, journal, API and duties put together.

mod args;
mod handle;

pub(crate) use args::default_state_dir;
pub use args::{ApiArgs, I2sBlock, Role, ServiceArgs};
pub use handle::Handle;
pub(crate) use handle::{Ready, Stage};

use crate::{
	api::{self, About, ApiState, Limits},
	chain::{Consent, Standing, link::ChainLink},
	duties::{context::Context, follow, opener},
	energy::Meter,
	keys::{self, Keys},
	metrics::{Metrics, Passes},
	models::Models,
	p2p::{self, Answer, Network},
	receipts::{
		journal::Journal,
		keys::{self as receipt_keys, ReceiptKeys},
	},
};
use anyhow::{Context as _, Result};
use aria_engine::Options;
use aria_kernels::{Backend, Isa};
use aria_primitives::AccountId;
use futures::FutureExt;
use prometheus::Registry;
use sp_core::{Pair, crypto::Ss58Codec};
use std::{
	path::Path,
	sync::{Arc, RwLock},
	time::Duration,
};
use tokio::net::TcpListener;

/// How long answers under way may take when the service ends.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the service until `shutdown`, or until it can't go on.
///
/// The API answers at once, with 503 until the first model is loaded, whatever the chain does; a node that can't be
/// reached is tried again forever. Metrics go into `registry`; `handle` is for others in this process.
pub async fn run(
	args: ServiceArgs,
	registry: Registry,
	handle: Handle,
	shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
	let shutdown = shutdown.shared();
	let _stop = handle.stop_when_dropped();
	tokio::select! {
		result = serve(args, registry, &handle, shutdown.clone()) => result,
		() = async { shutdown.clone().await; tokio::time::sleep(GRACE).await; } => {
			tracing::warn!("answers under way were cut off");
			Ok(())
		}
	}
}

async fn serve(
	args: ServiceArgs,
	registry: Registry,
	handle: &Handle,
	shutdown: impl Future<Output = ()> + Clone + Send + 'static,
) -> Result<()> {
	let pair = Arc::new(args.pair()?);
	let me = AccountId::new(pair.public().0);
	let place = (args.api.host.as_str(), args.api.port);
	let listener = TcpListener::bind(place).await.with_context(|| {
		format!(
			"can't serve the API on {}:{}; is another program using the port? See --api-port",
			args.api.host, args.api.port
		)
	})?;
	let dir = args.state_dir()?;
	let journal = {
		let dir = dir.clone();
		tokio::task::spawn_blocking(move || Journal::open(&dir)).await??
	};
	let receipt_keys = ReceiptKeys::open(&dir)
		.with_context(|| format!("can't use {}", dir.join(receipt_keys::FILE_NAME).display()))?;
	let keys = Keys::open(
		args.api
			.keys_file
			.clone()
			.unwrap_or_else(|| dir.join(keys::FILE_NAME)),
	)?;
	if !listener.local_addr()?.ip().is_loopback() {
		if args.api.key.is_none() && !keys.exist() {
			tracing::warn!(
				"the API is open to whoever reaches this machine: make a key with `aria-worker api key new NAME`, or set --api-key"
			);
		} else if args.api.tls_cert.is_none() {
			tracing::warn!(
				"keys, prompts and answers can be read on their way: set --tls-cert and --tls-key, or put a proxy with TLS in front"
			);
		}
	}
	let limits = Limits {
		connections: args.api.connections,
		answer: Duration::from_secs(args.api.answer_timeout),
		stuck: Duration::from_secs(args.api.stuck_after),
		..Limits::default()
	};
	let tls = match (&args.api.tls_cert, &args.api.tls_key) {
		(Some(certificate), Some(key)) => Some(api::acceptor(certificate, key)?),
		_ => None,
	};
	let metrics = Metrics::new(&registry).context("can't register the metrics")?;
	let (models, about) = open_models(&args, metrics.passes()).await?;
	let link = Arc::new(ChainLink::default());
	let consent = Arc::new(Consent::new(match args.offline {
		true => Standing::Offline,
		false => Standing::Unknown,
	}));
	let state = Arc::new(ApiState {
		models: models.clone(),
		signer: pair.clone(),
		journal: journal.clone(),
		receipt_keys,
		consent: consent.clone(),
		about,
		chain: (!args.offline).then(|| link.clone()),
		api_key: args.api.key.clone(),
		keys,
		metrics,
		limits,
		origins: args.api.cors_origins.clone(),
		#[cfg(feature = "fault-injection")]
		alter_token: args.alter_token,
	});
	let scheme = if tls.is_some() { "https" } else { "http" };
	let url = format!("{scheme}://{}", listener.local_addr()?);
	tracing::info!("API on {url}, account {}", me.to_ss58check());
	let shared = api::Shared::new(state);
	let router = api::routes(shared.clone());
	let server = api::serve(listener, router, tls, limits, shutdown.clone());
	let context = Arc::new(Context {
		models,
		journal,
		pair,
		me,
		roles: args.chain_roles(),
		consent,
		first_grant: args.consent,
		batch_every: Duration::from_secs(args.batch_seconds.max(1)),
		chain: RwLock::new(None),
		link,
	});
	handle.ready(shared, context.clone(), url);
	let duties = async {
		context.models.wait_for_first().await?;
		if args.offline {
			std::future::pending::<()>().await;
		}
		let network = start_network(&args, &dir, context.clone()).await?;
		Err(follow(&context, &args.node, &network).await)
	};
	tokio::select! {
		() = server => Ok(()),
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

async fn open_models(args: &ServiceArgs, passes: Passes) -> Result<(Models, About)> {
	let cores = || std::thread::available_parallelism().map_or(1, usize::from);
	let threads = args.threads.unwrap_or_else(cores).clamp(1, 1024);
	let backend = Backend::new(Isa::from_env()?, threads);
	let options = Options {
		cache_bytes: args.cache_mib << 20,
		parallel: args.parallel,
		queue: args.queue,
		prefix_cache: !args.no_prefix_cache,
		..Options::default()
	};
	let meter = Meter::discover(args.watts);
	let (source, grade) = (meter.describe(), meter.grade());
	tracing::info!(?grade, "energy of answers is known by {source}");
	let about = About::of(&backend, &meter, &options);
	let (choices, watts, i2_block) = (args.models.clone(), args.watts, args.i2s_block.into());
	let limit = args.weights_mib.map(|limit| limit << 20);
	let open = move || {
		Models::open(
			&choices,
			limit,
			backend,
			i2_block,
			options,
			watts,
			Some(passes),
		)
	};
	Ok((tokio::task::spawn_blocking(open).await??, about))
}

async fn start_network(args: &ServiceArgs, dir: &Path, context: Arc<Context>) -> Result<Network> {
	let file = dir.join("network.key");
	let keypair = p2p::identity(&file).with_context(|| format!("can't use {}", file.display()))?;
	let answer: Answer = Arc::new(move |request| {
		let context = context.clone();
		Box::pin(async move { opener::hand_over(&context, context.chain(), request).await })
	});
	let mut network = Network::start(keypair, args.listen.clone(), answer)
		.await
		.with_context(|| format!("can't listen on {}", args.listen))?;
	if let Some(address) = &args.announce {
		network = network.announced_at(address.clone())?;
	}
	tracing::info!("openings at {}", network.address());
	Ok(network)
}
