//! The inference worker as a service of the node: its options, and its task.
//!
//! It speaks to the chain over JSON-RPC as any other worker does (docs/adr/0002-worker-over-rpc.md), has its own
//! threads, and can fail without stopping block production.

use aria_worker::{
	models::ModelChoice,
	service::{ApiArgs, Handle, Role, ServiceArgs},
};
use prometheus::Registry;
use sc_service::{ChainType, Configuration, RpcHandlers, TaskManager, error::Error};

/// Options of the worker.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Inference worker")]
pub(crate) struct WorkerParams {
	/// Run an inference worker beside the node.
	#[arg(long, requires = "model")]
	worker: bool,

	/// The worker's model: a GGUF file, a Hugging Face folder, or the name of an installed model; NAME=MODEL gives it
	/// another name in the API. May be given several times: the first is loaded at once, others when they are asked for.
	#[arg(long, value_name = "[NAME=]MODEL", requires = "worker")]
	model: Vec<ModelChoice>,

	/// Memory for the weights of the worker's models, MiB; without it none is unloaded.
	#[arg(long, value_name = "MIB", requires = "worker")]
	weights_mib: Option<u64>,

	#[command(flatten)]
	api: ApiArgs,

	/// Memory for keys and values of each of the worker's models, MiB.
	#[arg(long, value_name = "MIB", default_value_t = 1024)]
	worker_cache_mib: u64,

	/// The worker's account: a secret phrase or derivation path, or `file:PATH`. On development chains //Worker.
	#[arg(long, env = "ARIA_WORKER_KEY", hide_env_values = true)]
	worker_key: Option<String>,

	/// Grant a consent contract, for any time and every kind of work, if the worker's account has never had one; without
	/// a contract it answers nothing. Development chains need not be told.
	#[arg(long)]
	consent: bool,

	/// What the worker does: worker, verifier, or both.
	#[arg(long, value_delimiter = ',', default_value = "worker")]
	worker_roles: Vec<Role>,

	/// Threads of the worker's engine; all cores if not given.
	#[arg(long)]
	worker_threads: Option<usize>,
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
		let development = config.chain_spec.chain_type() == ChainType::Development;
		let key = match &params.worker_key {
			Some(key) => key.clone(),
			None if development => "//Worker".into(),
			None => return Err(Error::Other("--worker needs --worker-key".into())),
		};
		let args = ServiceArgs {
			models: params.model.clone(),
			weights_mib: params.weights_mib,
			api: params.api.clone(),
			cache_mib: params.worker_cache_mib,
			worker_key: Some(key),
			consent: params.consent || development,
			state_dir: Some(config.base_path.path().join("worker")),
			roles: params.worker_roles.clone(),
			threads: params.worker_threads,
			..ServiceArgs::default()
		};
		Ok(Some(Self {
			args,
			handle: Handle::default(),
		}))
	}

	/// Tells how it stands, from now on.
	pub(crate) fn handle(&self) -> Handle {
		self.handle.clone()
	}

	/// Starts it, its metrics in `registry`. When it fails, the node goes on.
	pub(crate) fn spawn(
		self,
		tasks: &TaskManager,
		rpc: &RpcHandlers,
		registry: Registry,
	) -> Result<(), Error> {
		let port = rpc.listen_addresses().iter().find_map(|address| {
			address.iter().find_map(|part| match part {
				sc_network::multiaddr::Protocol::Tcp(port) => Some(port),
				_ => None,
			})
		});
		let port = port.ok_or_else(|| Error::Other("the worker needs the RPC server".into()))?;
		let args = ServiceArgs {
			node: format!("ws://127.0.0.1:{port}"),
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
		Ok(())
	}
}
