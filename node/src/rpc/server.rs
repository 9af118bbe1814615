//! The JSON-RPC server: Substrate's (`sc-rpc-server`), but that it knows who asks.
//!
//! Substrate's own gives methods no sight of a request's `Origin`, and takes another port where the one that was asked
//! for is in use.

use super::pages::Pages;
use forwarded_header_value::ForwardedHeaderValue;
use hyper::body::Incoming;
use jsonrpsee::{
	Methods, RpcModule,
	core::id_providers::RandomStringIdProvider,
	server::{
		HttpRequest, PingConfig, StopHandle, middleware::http::HostFilterLayer,
		serve_with_graceful_shutdown, stop_channel, ws,
	},
};
use prometheus::Registry;
use sc_cli::RpcParams;
use sc_rpc::{DenyUnsafe, SubscriptionTaskExecutor};
use sc_rpc_server::{
	Metrics, MiddlewareLayer, NodeHealthProxyLayer, RpcMetrics, RpcServiceBuilder, RpcSpawnHandle,
	Server, utils::deny_unsafe,
};
use sc_service::{config::RpcEndpoint, error::Error};
use std::{
	io::ErrorKind,
	net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::runtime::{Handle, Runtime};
use tower::{Service, ServiceBuilder};
use tower_http::cors::{AllowOrigin, CorsLayer};

const MEGABYTE: u32 = 1024 * 1024;
/// How often a WebSocket is asked whether it is still there, and how long it may be silent.
const PING: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(60);
const MAX_MISSED_PINGS: usize = 3;
/// After a connection could not be taken.
const RETRY: Duration = Duration::from_millis(50);

/// In a request's extensions if it comes from a web page that may not use what is denied from outside.
#[derive(Clone, Copy)]
pub(super) struct Stranger;

/// An endpoint that listens, and does not answer yet.
pub(crate) struct Listener {
	socket: TcpListener,
	address: SocketAddr,
	endpoint: RpcEndpoint,
	pages: Pages,
}

/// Listens at all endpoints that the command line asks for.
///
/// # Errors
///
/// An address is in use, or not this machine's.
pub(crate) fn listen(
	endpoints: &[RpcEndpoint],
	params: &RpcParams,
) -> Result<Vec<Listener>, Error> {
	let mut listeners = Vec::new();
	for endpoint in endpoints {
		let asked = endpoint.listen_addr;
		let bound = TcpListener::bind(asked).or_else(|error| {
			// Only where it was asked for: the default of the other options is that a port silently becomes another one.
			let other = endpoint.retry_random_port && !params.experimental_rpc_endpoint.is_empty();
			match other {
				true => TcpListener::bind(SocketAddr::new(asked.ip(), 0)),
				false => Err(error),
			}
		});
		let socket = match bound {
			Ok(socket) => socket,
			Err(error) if endpoint.is_optional => {
				// Such as IPv6 on a machine without it; "all addresses" of IPv4 may be all there are.
				if error.kind() == ErrorKind::AddrInUse && asked.ip().is_loopback() {
					tracing::warn!(target: "rpc", "no JSON-RPC at {asked}: {error}");
				} else {
					tracing::debug!(target: "rpc", "no JSON-RPC at {asked}: {error}");
				}
				continue;
			}
			Err(error) => {
				let advice = match error.kind() {
					ErrorKind::AddrInUse => {
						"; is another node running? Stop it, or choose another port with --rpc-port"
					}
					_ => "",
				};
				return Err(Error::Other(format!(
					"can't serve JSON-RPC at {asked}: {error}{advice}"
				)));
			}
		};
		socket.set_nonblocking(true)?;
		listeners.push(Listener {
			address: socket.local_addr()?,
			socket,
			endpoint: endpoint.clone(),
			pages: Pages::named(params, endpoint),
		});
	}
	if listeners.is_empty() {
		return Err(Error::Other("no endpoint for JSON-RPC".into()));
	}
	Ok(listeners)
}

/// The address at which programs of this machine reach a listener.
pub(crate) fn local_address(listener: &Listener) -> SocketAddr {
	let ip = match listener.address.ip() {
		IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
		IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
		ip => ip,
	};
	SocketAddr::new(ip, listener.address.port())
}

/// The server's own threads, so that methods that block hold up nothing else. They end without being waited for, which
/// must not be done where other tasks run.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
	/// As many as connections may block at once.
	pub(crate) fn start(connections: u32) -> std::io::Result<Self> {
		sc_rpc_server::create_rpc_runtime(connections).map(|runtime| Self(Some(runtime)))
	}

	fn runtime(&self) -> &Runtime {
		self.0.as_ref().expect("it is taken with `self` only; qed")
	}

	/// Runs the methods' own tasks.
	pub(crate) fn executor(&self) -> SubscriptionTaskExecutor {
		Arc::new(RpcSpawnHandle::new(self.runtime().handle().clone()))
	}
}

impl Drop for Threads {
	fn drop(&mut self) {
		if let Some(runtime) = self.0.take() {
			runtime.shutdown_background();
		}
	}
}

/// What all connections share.
#[derive(Clone)]
struct Shared {
	methods: Methods,
	metrics: Option<RpcMetrics>,
	stop: StopHandle,
	log_limit: u32,
}

/// Answers at all listeners, on a runtime of its own, until the result is dropped.
pub(crate) fn serve(
	listeners: Vec<Listener>,
	mut module: RpcModule<()>,
	registry: Option<&Registry>,
	log_limit: u32,
	mut threads: Threads,
) -> Result<Server, Error> {
	let mut names: Vec<_> = module.method_names().collect();
	names.push("rpc_methods");
	names.sort_unstable();
	let metrics = RpcMetrics::new(registry)?.map(|metrics| {
		// Names that nobody knows must not become labels.
		metrics.with_known_methods(names.iter().copied())
	});
	module
		.register_method(
			"rpc_methods",
			move |_, (), _| serde_json::json!({ "methods": names }),
		)
		.map_err(|error| Error::Other(error.to_string()))?;
	let (stop, handle) = stop_channel();
	let runtime = threads.runtime();
	let shared = Shared {
		methods: module.into(),
		metrics,
		stop,
		log_limit,
	};
	let addresses: Vec<_> = listeners.iter().map(|one| one.address).collect();
	for listener in listeners {
		let _inside = runtime.enter();
		let socket = tokio::net::TcpListener::from_std(listener.socket)?;
		let place = Place {
			address: listener.address,
			endpoint: listener.endpoint,
			pages: listener.pages,
		};
		let http = place.http()?;
		let tasks = runtime.handle().clone();
		runtime.spawn(accept(socket, Arc::new(place), http, shared.clone(), tasks));
	}
	// Scripts look for this line as Substrate writes it.
	let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
	let comma = if list.len() == 1 { "," } else { "" };
	tracing::info!(target: "rpc", "Running JSON-RPC server: addr={}{comma}", list.join(","));
	let runtime = threads.0.take().expect("nobody else takes it; qed");
	Ok(Server::new(handle, addresses, runtime))
}

/// An endpoint's own.
struct Place {
	address: SocketAddr,
	endpoint: RpcEndpoint,
	pages: Pages,
}

impl Place {
	/// Names that may lead here where pages are told apart (others may be made to lead anywhere), and what browsers are
	/// told of pages.
	fn http(&self) -> Result<(HostFilterLayer, CorsLayer), Error> {
		let Some(origins) = &self.endpoint.cors else {
			return Ok((HostFilterLayer::disable(), CorsLayer::permissive()));
		};
		let port = self.address.port();
		let hosts = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}"));
		let hosts = HostFilterLayer::new(hosts).map_err(|error| Error::Other(error.to_string()))?;
		let origins: Result<Vec<_>, _> = origins.iter().map(|one| one.parse()).collect();
		let origins = origins.map_err(|_| Error::Other("--rpc-cors: not an origin".into()))?;
		Ok((
			hosts,
			CorsLayer::new().allow_origin(AllowOrigin::list(origins)),
		))
	}

	/// Says in a request's extensions what it may use.
	fn mark<B>(&self, request: &mut HttpRequest<B>) {
		let mut deny = deny_unsafe(&self.address, &self.endpoint.rpc_methods);
		if self.pages.is_stranger(request) {
			deny = DenyUnsafe::Yes;
			request.extensions_mut().insert(Stranger);
		}
		request.extensions_mut().insert(deny);
	}

	/// Counts a request, and holds it back where there is a limit and its sender is not exempt.
	fn meter<B>(
		&self,
		request: &HttpRequest<B>,
		peer: IpAddr,
		metrics: Option<RpcMetrics>,
	) -> Option<MiddlewareLayer> {
		let endpoint = &self.endpoint;
		let trusts = endpoint.rate_limit_trust_proxy_headers;
		let from = trusts.then(|| proxied(request)).flatten().unwrap_or(peer);
		let known = &endpoint.rate_limit_whitelisted_ips;
		let limit = endpoint
			.rate_limit
			.filter(|_| !known.iter().any(|ips| ips.contains(from)));
		if metrics.is_none() && limit.is_none() {
			return None;
		}
		let mut layer = MiddlewareLayer::new();
		if let Some(metrics) = metrics {
			let way = if ws::is_upgrade_request(request) {
				"ws"
			} else {
				"http"
			};
			layer = layer.with_metrics(Metrics::new(metrics, way));
		}
		if let Some(limit) = limit {
			layer = layer.with_rate_limit_per_minute(limit);
		}
		Some(layer)
	}
}

/// For whom a proxy says that it asks.
fn proxied<B>(request: &HttpRequest<B>) -> Option<IpAddr> {
	let text = |name: &str| request.headers().get(name)?.to_str().ok();
	let remotest = |value: ForwardedHeaderValue| value.remotest_forwarded_for_ip();
	let forwarded =
		text("forwarded").and_then(|text| ForwardedHeaderValue::from_forwarded(text).ok());
	let before = || {
		text("x-forwarded-for")
			.and_then(|text| ForwardedHeaderValue::from_x_forwarded_for(text).ok())
	};
	forwarded
		.and_then(remotest)
		.or_else(|| before().and_then(remotest))
		.or_else(|| text("x-real-ip")?.parse().ok())
}

/// Takes connections until the server is stopped.
async fn accept(
	listener: tokio::net::TcpListener,
	place: Arc<Place>,
	(hosts, cors): (HostFilterLayer, CorsLayer),
	shared: Shared,
	tasks: Handle,
) {
	let endpoint = &place.endpoint;
	let http = ServiceBuilder::new()
		.layer(hosts)
		.layer(NodeHealthProxyLayer)
		.layer(cors);
	let ping = PingConfig::new()
		.ping_interval(PING)
		.inactive_limit(SILENCE)
		.max_failures(MAX_MISSED_PINGS);
	let builder = jsonrpsee::server::Server::builder()
		.max_request_body_size(endpoint.max_payload_in_mb.saturating_mul(MEGABYTE))
		.max_response_body_size(endpoint.max_payload_out_mb.saturating_mul(MEGABYTE))
		.max_connections(endpoint.max_connections)
		.max_subscriptions_per_connection(endpoint.max_subscriptions_per_connection)
		.set_message_buffer_capacity(endpoint.max_buffer_capacity_per_connection)
		.set_batch_request_config(endpoint.batch_config)
		.enable_ws_ping(ping)
		.set_http_middleware(http)
		.set_id_provider(RandomStringIdProvider::new(16))
		.custom_tokio_runtime(tasks.clone())
		.to_service_builder();
	loop {
		let accepted = tokio::select! {
			accepted = listener.accept() => accepted,
			() = shared.stop.clone().shutdown() => return,
		};
		let (socket, peer) = match accepted {
			Ok(accepted) => accepted,
			Err(error) => {
				tracing::debug!(target: "rpc", "can't take a connection: {error}");
				// Out of files, most likely: the next try would fail as fast.
				tokio::time::sleep(RETRY).await;
				continue;
			}
		};
		let (place, mine, builder, spawn) = (
			place.clone(),
			shared.clone(),
			builder.clone(),
			tasks.clone(),
		);
		let service = tower::service_fn(move |mut request: HttpRequest<Incoming>| {
			place.mark(&mut request);
			let meter = place.meter(&request, peer.ip(), mine.metrics.clone());
			let middleware = RpcServiceBuilder::new()
				.rpc_logger(mine.log_limit)
				.option_layer(meter.clone());
			let mut service = builder
				.clone()
				.set_rpc_middleware(middleware)
				.build(mine.methods.clone(), mine.stop.clone());
			if let Some(meter) = meter.filter(|_| ws::is_upgrade_request(&request)) {
				let closed = service.on_session_closed();
				spawn.spawn(async move {
					let start = Instant::now();
					meter.ws_connect();
					closed.await;
					meter.ws_disconnect(start);
				});
			}
			async move { service.call(request).await }
		});
		tasks.spawn(serve_with_graceful_shutdown(
			socket,
			service,
			shared.stop.clone().shutdown(),
		));
	}
}
