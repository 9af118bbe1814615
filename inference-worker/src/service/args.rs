//! Options of the service.

use crate::{api::Origin, models::ModelChoice, p2p};
use anyhow::{Context as _, Result, bail};
use aria_kernels::I2Block;
use aria_primitives::work::Roles;
use clap::{Args, ValueEnum};
use libp2p::Multiaddr;
use sp_core::{Pair, sr25519};
use std::path::{Path, PathBuf};

/// Block size of I2_S tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum I2sBlock {
	/// Everything that Microsoft published.
	#[default]
	#[value(name = "128")]
	B128,
	/// Written on ARM by bitnet.cpp since November 2025.
	#[value(name = "64")]
	B64,
}

impl From<I2sBlock> for I2Block {
	fn from(block: I2sBlock) -> Self {
		match block {
			I2sBlock::B128 => Self::B128,
			I2sBlock::B64 => Self::B64,
		}
	}
}

/// A role of a registered party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
	/// Answers requests and commits receipts.
	Worker,
	/// Re-executes drawn receipts.
	Verifier,
}

/// Options of the HTTP API. The defaults are those of the command line. A node has them too: names of arguments are
/// written out where Substrate could have the field's.
#[derive(Args, Clone, Debug)]
pub struct ApiArgs {
	/// Address that the API listens on.
	#[arg(long = "api-host", id = "api-host", default_value = "127.0.0.1")]
	pub host: String,
	/// Port that the API listens on; 0 takes a free one.
	#[arg(long = "api-port", id = "api-port", default_value_t = 3000)]
	pub port: u16,
	/// API key that requests must send as a bearer token.
	#[arg(
		long = "api-key",
		id = "api-key",
		env = "ARIA_API_KEY",
		hide_env_values = true
	)]
	pub key: Option<String>,
	/// File of API keys that are accepted as well, see `aria-worker api key` [default: api-keys.json in the state folder].
	/// Once it exists, requests need a key.
	#[arg(long, value_name = "FILE")]
	pub keys_file: Option<PathBuf>,
	/// Certificate chain for HTTPS, in PEM, the server's own certificate first.
	#[arg(long, value_name = "FILE", requires = "tls_key")]
	pub tls_cert: Option<PathBuf>,
	/// Private key of the certificate, in PEM.
	#[arg(long, value_name = "FILE", requires = "tls_cert")]
	pub tls_key: Option<PathBuf>,
	/// Origin of web pages that may use the API, as browsers send it; * for all of them. May be given several times.
	#[arg(long = "cors-origin", value_name = "ORIGIN", value_delimiter = ',')]
	pub cors_origins: Vec<Origin>,
	/// Maximum number of connections to the API; further ones get 503.
	#[arg(long = "api-connections", id = "api-connections", default_value_t = 512, value_parser = positive)]
	pub connections: usize,
	/// Seconds that an answer may take, the time in the queue included.
	#[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..))]
	pub answer_timeout: u64,
	/// Seconds without progress after which /health reports a worker that has requests as stuck.
	#[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
	pub stuck_after: u64,
}

impl Default for ApiArgs {
	fn default() -> Self {
		Self {
			host: "127.0.0.1".into(),
			port: 3000,
			key: None,
			keys_file: None,
			tls_cert: None,
			tls_key: None,
			cors_origins: Vec::new(),
			connections: 512,
			answer_timeout: 3600,
			stuck_after: 120,
		}
	}
}

/// Options of the service. The defaults are those of the command line.
#[derive(Args, Clone, Debug)]
pub struct ServiceArgs {
	/// GGUF file, Hugging Face folder, or the name of an installed model; NAME=MODEL gives it another name in the API.
	/// May be given several times: the first is loaded at once, the others on their first request.
	#[arg(long = "model", value_name = "[NAME=]MODEL", required = true)]
	pub models: Vec<ModelChoice>,
	/// Memory for the weights of loaded models, in MiB; no limit if not given. When it runs out, the models that have gone
	/// longest without a request are unloaded (evicted), except those that are answering.
	#[arg(long)]
	pub weights_mib: Option<u64>,
	/// The HTTP API.
	#[command(flatten)]
	pub api: ApiArgs,
	/// WebSocket of the node to work with.
	#[arg(
		long,
		visible_alias = "node-url",
		env = "ARIA_NODE_URL",
		default_value = "ws://127.0.0.1:9944"
	)]
	pub node: String,
	/// Grant a consent contract, for any time and every kind of work, if the worker's account has never had one. Without
	/// a contract no request is answered; other terms, and a contract after a revocation, are for `consent grant`.
	#[arg(long)]
	pub consent: bool,
	/// Serve without a chain: receipts are signed and kept, but not committed.
	#[arg(long)]
	pub offline: bool,
	/// The worker's account: a secret phrase or derivation path, or file:PATH of a file that holds one. A worker in the
	/// node of a development chain has //Worker if it is not given.
	#[arg(long, env = "ARIA_WORKER_KEY", hide_env_values = true)]
	pub worker_key: Option<String>,
	/// Folder for the journal, the API keys and the network identity [default: ~/.local/share/aria/worker; in a node, the
	/// folder worker below its base path].
	#[arg(long)]
	pub state_dir: Option<PathBuf>,
	/// Roles to register for.
	#[arg(long, value_enum, value_delimiter = ',', default_value = "worker")]
	pub roles: Vec<Role>,
	/// Number of threads; one per core if not given. Answers do not depend on it.
	#[arg(long)]
	pub threads: Option<usize>,
	/// Block size of I2_S tensors, in weights, which the file does not say: 64 if they were quantised on ARM since
	/// November 2025. Holds for every --model.
	#[arg(long, value_enum, default_value = "128")]
	pub i2s_block: I2sBlock,
	/// Maximum number of requests that run at once, as one batch.
	#[arg(long, default_value_t = 32, value_parser = positive)]
	pub parallel: usize,
	/// Maximum number of requests in the queue; further ones are refused.
	#[arg(long, default_value_t = 64)]
	pub queue: usize,
	/// Compute every prompt from scratch. With the prefix cache, the time to an answer tells whether its prompt begins
	/// like an earlier one.
	#[arg(long)]
	pub no_prefix_cache: bool,
	/// Memory for the key-value cache of each loaded model, in MiB; never less than one full context takes.
	#[arg(long, default_value_t = 1024)]
	pub cache_mib: u64,
	/// Multiaddress to listen on for verifiers, who fetch openings from it. Registered on the chain, unless --announce is
	/// given: other than on development chains, it must be one that other machines can reach.
	#[arg(long, default_value = "/ip4/127.0.0.1/tcp/0")]
	pub listen: Multiaddr,
	/// Multiaddress to register in place of --listen's: where a router or a load balancer takes connections for it.
	#[arg(long, value_name = "MULTIADDRESS")]
	pub announce: Option<Multiaddr>,
	/// Declared power of this machine under full load, in watts: used to estimate energy where it can't be measured.
	#[arg(long)]
	pub watts: Option<f64>,
	/// Seconds over which receipts are gathered into a batch.
	#[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
	pub batch_seconds: u64,
	/// Alter one token of every answer, to test that verifiers notice.
	#[cfg(feature = "fault-injection")]
	#[arg(long)]
	pub alter_token: bool,
}

impl Default for ServiceArgs {
	fn default() -> Self {
		Self {
			models: Vec::new(),
			weights_mib: None,
			api: ApiArgs::default(),
			node: "ws://127.0.0.1:9944".into(),
			consent: false,
			offline: false,
			worker_key: None,
			state_dir: None,
			roles: vec![Role::Worker],
			threads: None,
			i2s_block: I2sBlock::B128,
			parallel: 32,
			queue: 64,
			no_prefix_cache: false,
			cache_mib: 1024,
			listen: Multiaddr::empty()
				.with(std::net::Ipv4Addr::LOCALHOST.into())
				.with(libp2p::multiaddr::Protocol::Tcp(0)),
			announce: None,
			watts: None,
			batch_seconds: 2,
			#[cfg(feature = "fault-injection")]
			alter_token: false,
		}
	}
}

fn positive(text: &str) -> Result<usize, String> {
	text.parse()
		.ok()
		.filter(|number| *number > 0)
		.ok_or_else(|| "expected a whole number above 0".to_owned())
}

/// Longest key file, bytes.
const MAX_KEY_FILE: u64 = 4096;

impl ServiceArgs {
	pub(super) fn chain_roles(&self) -> Roles {
		Roles {
			worker: self.roles.contains(&Role::Worker),
			verifier: self.roles.contains(&Role::Verifier),
		}
	}

	/// The worker's key; a random one for an offline worker that has none.
	pub(crate) fn pair(&self) -> Result<sr25519::Pair> {
		let Some(key) = &self.worker_key else {
			if !self.offline {
				bail!("--worker-key (or ARIA_WORKER_KEY) is needed, unless with --offline");
			}
			tracing::warn!(
				"no --worker-key: receipts are signed with a random key that is gone after this run"
			);
			return Ok(sr25519::Pair::generate().0);
		};
		let phrase = match key.strip_prefix("file:") {
			Some(path) => read_key(Path::new(path))?,
			None => key.clone(),
		};
		sr25519::Pair::from_string(phrase.trim(), None).map_err(|_| {
			anyhow::anyhow!("the worker key is not a secret phrase or derivation path")
		})
	}

	/// Refuses an address that is given in full and that other machines can't reach. What "all interfaces" amounts to is
	/// known only once the service listens there.
	pub fn check_reachable(&self) -> Result<()> {
		let given = self.announce.as_ref().unwrap_or(&self.listen);
		if self.announce.is_some() || !p2p::is_unspecified(given) {
			p2p::ensure_reachable(given)?;
		}
		Ok(())
	}

	pub(super) fn state_dir(&self) -> Result<PathBuf> {
		match &self.state_dir {
			Some(dir) => Ok(dir.clone()),
			None => default_state_dir(),
		}
	}
}

/// Where a worker that is not told keeps its state.
pub(crate) fn default_state_dir() -> Result<PathBuf> {
	let absolute = |name| {
		let path = PathBuf::from(std::env::var_os(name)?);
		path.is_absolute().then_some(path)
	};
	let data = absolute("XDG_DATA_HOME")
		.or_else(|| Some(absolute("HOME")?.join(".local/share")))
		.context("neither HOME nor XDG_DATA_HOME is set; give a --state-dir")?;
	Ok(data.join("aria").join("worker"))
}

fn read_key(path: &Path) -> Result<String> {
	let read = || {
		let size = std::fs::metadata(path)?.len();
		if size > MAX_KEY_FILE {
			return Err(std::io::Error::other("too long for a key"));
		}
		std::fs::read_to_string(path)
	};
	read().with_context(|| format!("can't read the worker key from {}", path.display()))
}
