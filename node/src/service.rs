//! Puts a node together.

use crate::{
	rpc::{self, Listener},
	worker::Worker,
};
use aria_runtime::{BlockNumber, apis::RuntimeApi, opaque::Block};
use futures::FutureExt;
use sc_client_api::{Backend, BlockBackend, UsageProvider};
use sc_consensus_babe::{BabeLink, BabeWorkerHandle, SlotProportion};
use sc_consensus_grandpa::{FinalityProofProvider, SharedVoterState};
use sc_network::{
	Multiaddr, NetworkBackend, config::FullNetworkConfiguration, multiaddr::Protocol,
	service::traits::NetworkService,
};
use sc_network_sync::SyncingService;
use sc_network_transactions::TransactionsHandlerController;
use sc_rpc_spec_v2::transaction::TransactionMetrics;
use sc_service::{
	Configuration, PartialComponents, TaskManager, WarpSyncConfig, error::Error as ServiceError,
};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool::TransactionPoolHandle;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus_babe::{SlotDuration, inherents::InherentDataProvider as BabeInherent};
use sp_inherents::CreateInherentDataProviders;
use sp_runtime::traits::Block as BlockT;
use sp_timestamp::InherentDataProvider as TimestampInherent;
use std::{
	net::{IpAddr, TcpListener},
	sync::Arc,
	time::Duration,
};

type Hash = <Block as BlockT>::Hash;
type Executor = sc_executor::WasmExecutor<sp_io::SubstrateHostFunctions>;
pub(crate) type FullClient = sc_service::TFullClient<Block, RuntimeApi, Executor>;
pub(crate) type FullBackend = sc_service::TFullBackend<Block>;
pub(crate) type FullPool = TransactionPoolHandle<Block, FullClient>;
pub(crate) type FullSelectChain = sc_consensus::LongestChain<FullBackend, Block>;
type GrandpaBlockImport =
	sc_consensus_grandpa::GrandpaBlockImport<FullBackend, Block, FullClient, FullSelectChain>;

/// Gives a block its slot and time, from the system's clock.
type CreateInherents = Arc<
	dyn CreateInherentDataProviders<
			Block,
			(),
			InherentDataProviders = (BabeInherent, TimestampInherent),
		>,
>;
type BabeBlockImport = sc_consensus_babe::BabeBlockImport<
	Block,
	FullClient,
	GrandpaBlockImport,
	CreateInherents,
	FullSelectChain,
>;

/// The parts that authoring and finalizing need.
pub(crate) struct Consensus {
	block_import: BabeBlockImport,
	babe_link: BabeLink<Block>,
	babe_worker: BabeWorkerHandle<Block>,
	grandpa_link: sc_consensus_grandpa::LinkHalf<Block, FullClient, FullSelectChain>,
	create_inherents: CreateInherents,
	telemetry: Option<Telemetry>,
}

/// A node's parts before it has a network.
pub(crate) type Partial = PartialComponents<
	FullClient,
	FullBackend,
	FullSelectChain,
	sc_consensus::DefaultImportQueue<Block>,
	FullPool,
	Consensus,
>;

/// Least number of blocks between two justifications that are kept.
const GRANDPA_JUSTIFICATION_PERIOD: u32 = 512;

fn create_inherents(slot_duration: SlotDuration) -> CreateInherents {
	Arc::new(move |_: Hash, ()| async move {
		let timestamp = TimestampInherent::from_system_time();
		let slot = BabeInherent::from_timestamp_and_slot_duration(*timestamp, slot_duration);
		Ok((slot, timestamp))
	})
}

/// Opens the database and makes what every command needs.
pub(crate) fn new_partial(config: &Configuration) -> Result<Partial, ServiceError> {
	let telemetry = config
		.telemetry_endpoints
		.clone()
		.filter(|endpoints| !endpoints.is_empty())
		.map(|endpoints| -> Result<_, sc_telemetry::Error> {
			let worker = TelemetryWorker::new(16)?;
			let telemetry = worker.handle().new_telemetry(endpoints);
			Ok((worker, telemetry))
		})
		.transpose()?;

	let executor = sc_service::new_wasm_executor::<sp_io::SubstrateHostFunctions>(&config.executor);
	let (client, backend, keystore_container, task_manager) =
		sc_service::new_full_parts::<Block, RuntimeApi, _>(
			config,
			telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
			executor,
			vec![],
		)?;
	let client = Arc::new(client);

	let telemetry = telemetry.map(|(worker, telemetry)| {
		task_manager
			.spawn_handle()
			.spawn("telemetry", None, worker.run());
		telemetry
	});
	let telemetry_handle = || telemetry.as_ref().map(Telemetry::handle);

	let select_chain = sc_consensus::LongestChain::new(backend.clone());
	let transaction_pool = Arc::from(
		sc_transaction_pool::Builder::new(
			task_manager.spawn_essential_handle(),
			client.clone(),
			config.role.is_authority().into(),
		)
		.with_options(config.transaction_pool.clone())
		.with_prometheus(config.prometheus_registry())
		.build(),
	);

	let (grandpa_block_import, grandpa_link) = sc_consensus_grandpa::block_import(
		client.clone(),
		GRANDPA_JUSTIFICATION_PERIOD,
		&client,
		select_chain.clone(),
		telemetry_handle(),
	)?;
	let justification_import = grandpa_block_import.clone();

	let babe_config = sc_consensus_babe::configuration(&*client)?;
	let slot_duration = babe_config.slot_duration();
	let create_inherents = create_inherents(slot_duration);
	let (block_import, babe_link) = sc_consensus_babe::block_import(
		babe_config,
		grandpa_block_import,
		client.clone(),
		create_inherents.clone(),
		select_chain.clone(),
		OffchainTransactionPoolFactory::new(transaction_pool.clone()),
	)?;
	let (import_queue, babe_worker) =
		sc_consensus_babe::import_queue(sc_consensus_babe::ImportQueueParams {
			link: babe_link.clone(),
			block_import: block_import.clone(),
			justification_import: Some(Box::new(justification_import)),
			client: client.clone(),
			slot_duration,
			spawner: &task_manager.spawn_essential_handle(),
			registry: config.prometheus_registry(),
			telemetry: telemetry_handle(),
		})?;

	Ok(PartialComponents {
		client,
		backend,
		task_manager,
		import_queue,
		keystore_container,
		select_chain,
		transaction_pool,
		other: Consensus {
			block_import,
			babe_link,
			babe_worker,
			grandpa_link,
			create_inherents,
			telemetry,
		},
	})
}

/// Takes back what consensus remembers of the last blocks.
pub(crate) fn revert(
	client: Arc<FullClient>,
	backend: Arc<FullBackend>,
	blocks: BlockNumber,
) -> sc_cli::Result<()> {
	sc_consensus_babe::revert(client.clone(), backend, blocks)?;
	sc_consensus_grandpa::revert(client, blocks)?;
	Ok(())
}

/// Starts a node that answers at `listeners`, with a worker if there is one.
pub(crate) fn new_full<N: NetworkBackend<Block, Hash>>(
	config: Configuration,
	listeners: Vec<Listener>,
	worker: Option<Worker>,
) -> Result<TaskManager, ServiceError> {
	let PartialComponents {
		client,
		backend,
		mut task_manager,
		import_queue,
		keystore_container,
		select_chain,
		transaction_pool,
		other:
			Consensus {
				block_import,
				babe_link,
				babe_worker,
				grandpa_link,
				create_inherents,
				mut telemetry,
			},
	} = new_partial(&config)?;

	warn_of_taken(&config.network.listen_addresses);
	let registry = config.prometheus_registry().cloned();
	let worker_registry = registry.clone().unwrap_or_default();
	let mut net_config =
		FullNetworkConfiguration::<Block, Hash, N>::new(&config.network, registry.clone());
	let metrics = N::register_notification_metrics(registry.as_ref());
	let genesis = client
		.block_hash(0)?
		.ok_or_else(|| ServiceError::Other("the database has no genesis block".into()))?;
	let grandpa_protocol =
		sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
	let (grandpa_config, grandpa_notifications) =
		sc_consensus_grandpa::grandpa_peers_set_config::<_, N>(
			grandpa_protocol.clone(),
			metrics.clone(),
			net_config.peer_store_handle(),
		);
	net_config.add_notification_protocol(grandpa_config);
	let warp_sync = Arc::new(sc_consensus_grandpa::warp_proof::NetworkProvider::new(
		backend.clone(),
		grandpa_link.shared_authority_set().clone(),
		Vec::new(),
	));

	let (network, system_rpc_tx, tx_handler_controller, sync_service, _) =
		sc_service::build_network(sc_service::BuildNetworkParams {
			config: &config,
			net_config,
			client: client.clone(),
			transaction_pool: transaction_pool.clone(),
			spawn_handle: task_manager.spawn_handle(),
			spawn_essential_handle: task_manager.spawn_essential_handle(),
			import_queue,
			block_announce_validator_builder: None,
			warp_sync_config: Some(WarpSyncConfig::WithProvider(warp_sync)),
			block_relay: None,
			metrics,
			gap_sync_body_policy: None,
		})?;

	if config.offchain_worker.enabled {
		let workers = sc_offchain::OffchainWorkers::new(sc_offchain::OffchainWorkerOptions {
			runtime_api_provider: client.clone(),
			is_validator: config.role.is_authority(),
			keystore: Some(keystore_container.keystore()),
			offchain_db: backend.offchain_storage(),
			transaction_pool: Some(OffchainTransactionPoolFactory::new(
				transaction_pool.clone(),
			)),
			network_provider: Arc::new(network.clone()),
			enable_http_requests: false,
			custom_extensions: |_| vec![],
		})?;
		task_manager.spawn_handle().spawn(
			"offchain-workers-runner",
			"offchain-worker",
			workers
				.run(client.clone(), task_manager.spawn_handle())
				.boxed(),
		);
	}

	let role = config.role;
	let force_authoring = config.force_authoring;
	let name = config.network.node_name.clone();
	let enable_grandpa = !config.disable_grandpa;
	let shared_voter_state = SharedVoterState::empty();

	let chain_info = client.usage_info().chain;
	sp_session::generate_initial_session_keys(
		client.clone(),
		chain_info.best_hash,
		config.dev_key_seed.iter().cloned().collect(),
		keystore_container.keystore(),
	)
	.map_err(|error| ServiceError::Application(Box::new(error)))?;
	tracing::info!("📦 Highest known block at #{}", chain_info.best_number);
	spawn_reports(Reports {
		config: &config,
		tasks: &task_manager,
		client: &client,
		pool: &transaction_pool,
		network: &network,
		sync: &sync_service,
		transactions: tx_handler_controller,
		telemetry: telemetry.as_mut(),
	})?;

	let rpc_threads = rpc::Threads::start(config.rpc.max_connections)?;
	let rpc_address = listeners.first().map(rpc::local_address);
	let methods = rpc::methods(rpc::Deps {
		config: &config,
		genesis,
		client: client.clone(),
		backend: backend.clone(),
		pool: transaction_pool.clone(),
		select_chain: select_chain.clone(),
		keystore: keystore_container.keystore(),
		sync: sync_service.clone(),
		network: system_rpc_tx,
		executor: rpc_threads.executor(),
		metrics: registry.as_ref().map(TransactionMetrics::new).transpose()?,
		babe_worker,
		grandpa: rpc::GrandpaDeps {
			shared_voter_state: shared_voter_state.clone(),
			shared_authority_set: grandpa_link.shared_authority_set().clone(),
			justification_stream: grandpa_link.justification_stream(),
			finality_provider: FinalityProofProvider::new_for_service(
				backend,
				Some(grandpa_link.shared_authority_set().clone()),
			),
		},
		worker: worker.as_ref().map(Worker::handle),
	})?;
	let server = rpc::serve(
		listeners,
		methods,
		registry.as_ref(),
		config.rpc.request_logger_limit,
		rpc_threads,
	)?;
	// The folder of --tmp lives as long as the node.
	task_manager.keep_alive((config.base_path, server));
	let telemetry_handle = || telemetry.as_ref().map(Telemetry::handle);

	if role.is_authority() {
		let proposer = sc_basic_authorship::ProposerFactory::new(
			task_manager.spawn_handle(),
			client.clone(),
			transaction_pool.clone(),
			registry.as_ref(),
			telemetry_handle(),
		);
		let babe = sc_consensus_babe::start_babe(sc_consensus_babe::BabeParams {
			keystore: keystore_container.keystore(),
			client,
			select_chain,
			env: proposer,
			block_import,
			sync_oracle: sync_service.clone(),
			justification_sync_link: sync_service.clone(),
			create_inherent_data_providers: create_inherents,
			force_authoring,
			backoff_authoring_blocks: None::<()>,
			babe_link,
			block_proposal_slot_portion: SlotProportion::new(0.5),
			max_block_proposal_slot_portion: None,
			telemetry: telemetry_handle(),
		})?;
		// Without it the node is of no use to its operator: its end is the node's end.
		task_manager.spawn_essential_handle().spawn_blocking(
			"babe-proposer",
			Some("block-authoring"),
			babe,
		);
	}

	if enable_grandpa {
		let voter = sc_consensus_grandpa::run_grandpa_voter(sc_consensus_grandpa::GrandpaParams {
			config: sc_consensus_grandpa::Config {
				gossip_duration: Duration::from_millis(333),
				justification_generation_period: GRANDPA_JUSTIFICATION_PERIOD,
				name: Some(name),
				observer_enabled: false,
				keystore: role.is_authority().then(|| keystore_container.keystore()),
				local_role: role,
				telemetry: telemetry_handle(),
				protocol_name: grandpa_protocol,
			},
			link: grandpa_link,
			network,
			sync: sync_service,
			notification_service: grandpa_notifications,
			voting_rule: sc_consensus_grandpa::VotingRulesBuilder::default().build(),
			prometheus_registry: registry,
			shared_voter_state,
			telemetry: telemetry_handle(),
			offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(transaction_pool),
		})?;
		task_manager
			.spawn_essential_handle()
			.spawn_blocking("grandpa-voter", None, voter);
	}

	if let (Some(worker), Some(address)) = (worker, rpc_address) {
		worker.spawn(&task_manager, address, worker_registry);
	}
	Ok(task_manager)
}

/// Warns of addresses for peers at which another program listens: the system lets both, and shares connections out
/// between them.
fn warn_of_taken(addresses: &[Multiaddr]) {
	for address in addresses {
		let mut parts = address.iter();
		let ip: IpAddr = match parts.next() {
			Some(Protocol::Ip4(ip)) => ip.into(),
			Some(Protocol::Ip6(ip)) => ip.into(),
			_ => continue,
		};
		let Some(Protocol::Tcp(port)) = parts.next() else {
			continue;
		};
		let taken = |error: std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
		if port != 0 && TcpListener::bind((ip, port)).is_err_and(taken) {
			tracing::warn!(
				"{address} is in use, perhaps by another node, which may get what peers send to this one; choose another port with --port"
			);
		}
	}
}

/// What the reports are about.
struct Reports<'a> {
	config: &'a Configuration,
	tasks: &'a TaskManager,
	client: &'a Arc<FullClient>,
	pool: &'a Arc<FullPool>,
	network: &'a Arc<dyn NetworkService>,
	sync: &'a Arc<SyncingService<Block>>,
	transactions: TransactionsHandlerController<Hash>,
	telemetry: Option<&'a mut Telemetry>,
}

/// Starts what tells of the node's state: to its pool and its peers, in the log, for Prometheus and telemetry.
///
/// With the RPC server this is what `sc_service::spawn_tasks` does, which can't do without a server of its own.
fn spawn_reports(reports: Reports<'_>) -> Result<(), ServiceError> {
	let Reports {
		config,
		tasks,
		client,
		pool,
		network,
		sync,
		transactions,
		telemetry,
	} = reports;
	let sysinfo = sc_sysinfo::gather_sysinfo();
	sc_sysinfo::print_sysinfo(&sysinfo);
	let telemetry = telemetry
		.map(|telemetry| {
			sc_service::init_telemetry(
				config.network.node_name.clone(),
				config.impl_name.clone(),
				config.impl_version.clone(),
				config.chain_spec.name().to_string(),
				config.role.is_authority(),
				network.clone(),
				client.clone(),
				telemetry,
				Some(sysinfo),
			)
		})
		.transpose()?;
	let metrics = match &config.prometheus_config {
		Some(prometheus) => sc_service::MetricsService::with_prometheus(
			telemetry.clone(),
			&prometheus.registry,
			config.role,
			&config.network.node_name,
			&config.impl_version,
		)?,
		None => sc_service::MetricsService::new(telemetry.clone()),
	};

	let tasks = tasks.spawn_handle();
	let pool_group = Some("transaction-pool");
	let all_blocks = config.transaction_pool.use_all_block_notifications();
	tasks.spawn(
		"txpool-notifications",
		pool_group,
		sc_transaction_pool::notification_future(client.clone(), pool.clone(), all_blocks),
	);
	tasks.spawn(
		"on-transaction-imported",
		pool_group,
		sc_service::propagate_transaction_notifications(pool.clone(), transactions, telemetry),
	);
	tasks.spawn(
		"telemetry-periodic-send",
		None,
		metrics.run(client.clone(), pool.clone(), network.clone(), sync.clone()),
	);
	tasks.spawn(
		"informant",
		None,
		sc_informant::build(client.clone(), network.clone(), sync.clone()),
	);
	if let Some(prometheus) = config.prometheus_config.clone() {
		let serve =
			substrate_prometheus_endpoint::init_prometheus(prometheus.port, prometheus.registry);
		tasks.spawn("prometheus-endpoint", None, async move {
			if let Err(error) = serve.await {
				tracing::error!(
					"no metrics at {}: {error} See --prometheus-port",
					prometheus.port
				);
			}
		});
	}
	Ok(())
}
