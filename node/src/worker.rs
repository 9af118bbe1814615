//! The inference worker as a service of the node: its options, and its task.
//!
//! It speaks to the chain over JSON-RPC as any other worker does (docs/adr/0002-worker-over-rpc.md), has its own
//! threads, and can fail without stopping block production.

use aria_worker::service::{Handle, ServiceArgs};
use prometheus::Registry;
use sc_service::{ChainType, Configuration, TaskManager, error::Error};
use std::net::SocketAddr;

/// Options of the worker: those of `aria worker`, but for the node that it speaks to, which is this one.
#[derive(Debug, clap::Args)]
#[command(
	next_help_heading = "Inference worker",
	mut_arg("models", |arg| arg.required(false).requires("worker")),
	mut_arg("node", |arg| arg.hide(true).env(None::<&str>).conflicts_with("worker")),
	// As the node had them before the worker's own names.
	mut_arg("threads", |arg| arg.alias("worker-threads")),
	mut_arg("cache_mib", |arg| arg.alias("worker-cache-mib")),
	mut_arg("roles", |arg| arg.alias("worker-roles")),
)]
pub(crate) struct WorkerParams {
	/// Run an inference worker beside the node.
	#[arg(long, requires = "models")]
	worker: bool,

	#[command(flatten)]
	service: ServiceArgs,
}

/// A worker that waits for its node.
pub(crate) struct Worker {
	args: ServiceArgs,
	handle: Handle,
}

impl Worker {
	/// The worker that the command line asks for.
	pub(crate) fn from_params(
		params: &WorkerParams,
		config: &Configuration,
	) -> Result<Option<Self>, Error> {
		if !params.worker {
			return Ok(None);
		}
		let chain = config.chain_spec.chain_type();
		let mut args = params.service.clone();
		match &args.worker_key {
			Some(_) => {}
			None if chain == ChainType::Development => args.worker_key = Some("//Worker".into()),
			// A key for this run alone.
			None if args.offline => {}
			None => return Err(Error::Other("--worker needs --worker-key".into())),
		}
		if !args.offline && !matches!(chain, ChainType::Development | ChainType::Local) {
			// The service looks at it again once it listens; here nothing has begun yet.
			args.check_reachable()
				.map_err(|error| Error::Other(error.to_string()))?;
		}
		// Whoever starts a development chain agrees.
		args.consent |= chain == ChainType::Development;
		args.state_dir
			.get_or_insert_with(|| config.base_path.path().join("worker"));
		Ok(Some(Self {
			args,
			handle: Handle::default(),
		}))
	}

	/// Tells how it stands, from now on.
	pub(crate) fn handle(&self) -> Handle {
		self.handle.clone()
	}

	/// Starts it beside a node whose RPC is at an address of this machine, its metrics in `registry`. When it fails, the
	/// node goes on.
	pub(crate) fn spawn(self, tasks: &TaskManager, rpc: SocketAddr, registry: Registry) {
		let args = ServiceArgs {
			node: format!("ws://{rpc}"),
			..self.args
		};
		tasks
			.spawn_handle()
			.spawn("inference-worker", Some("worker"), async move {
				// The task ends with the node: it is dropped then.
				let end = std::future::pending();
				let run = aria_worker::service::run(args, registry, self.handle, end);
				if let Err(error) = run.await {
					tracing::error!(target: "worker", "the inference worker has stopped: {error:#}");
				}
			});
	}
}
