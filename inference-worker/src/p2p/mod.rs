//! Openings between workers and verifiers: libp2p over TCP with Noise and Yamux, one request and one answer a stream.

mod codec;
mod reach;

pub(crate) use reach::is_unspecified;
pub use reach::{Unreachable, ensure_reachable};

use aria_primitives::opening::{OpeningRequest, OpeningResponse, PROTOCOL};
use codec::Codec;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
	Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, connection_limits,
	identity::Keypair,
	multiaddr::Protocol,
	noise,
	request_response::{self, OutboundRequestId, ProtocolSupport, ResponseChannel},
	swarm::{NetworkBehaviour, SwarmEvent},
	tcp, yamux,
};
use reach::is_loopback;
use std::{collections::HashMap, io::Write, path::Path, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an unused connection stays.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most connections at once, and most of them to one peer.
const MAX_CONNECTIONS: u32 = 128;
const MAX_PER_PEER: u32 = 4;
/// Most requests that are answered at once.
const MAX_ANSWERS: usize = 16;

/// Why an opening could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
	/// The address that the worker published is of no use.
	#[error("not a multiaddress with a peer: {0}")]
	Address(String),
	/// No answer.
	#[error("{0}")]
	NoAnswer(String),
}

/// Answers a request for an opening.
pub type Answer = Arc<dyn Fn(OpeningRequest) -> BoxFuture<'static, OpeningResponse> + Send + Sync>;

struct Question {
	peer: PeerId,
	address: Multiaddr,
	request: OpeningRequest,
	answer: Asked,
}

/// Asks peers; the network ends with the last handle.
#[derive(Clone)]
pub struct Network {
	questions: mpsc::Sender<Question>,
	address: Multiaddr,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
	limits: connection_limits::Behaviour,
	openings: request_response::Behaviour<Codec>,
}

/// Reads this machine's network identity, or makes one.
pub fn identity(file: &Path) -> std::io::Result<Keypair> {
	let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
	match std::fs::read(file) {
		Ok(bytes) => Keypair::from_protobuf_encoding(&bytes).map_err(invalid),
		Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
			let keypair = Keypair::generate_ed25519();
			let mut options = std::fs::OpenOptions::new();
			options.create_new(true).write(true);
			#[cfg(unix)]
			std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
			let mut out = options.open(file)?;
			out.write_all(&keypair.to_protobuf_encoding().map_err(invalid)?)?;
			out.sync_all()?;
			Ok(keypair)
		}
		Err(error) => Err(error),
	}
}

impl Network {
	/// Listens at an address and answers whoever asks there.
	pub async fn start(
		keypair: Keypair,
		listen: Multiaddr,
		answer: Answer,
	) -> anyhow::Result<Self> {
		let peer = keypair.public().to_peer_id();
		let limits = connection_limits::ConnectionLimits::default()
			.with_max_established(Some(MAX_CONNECTIONS))
			.with_max_established_per_peer(Some(MAX_PER_PEER))
			.with_max_pending_incoming(Some(MAX_CONNECTIONS))
			.with_max_pending_outgoing(Some(MAX_CONNECTIONS));
		let config = request_response::Config::default()
			.with_request_timeout(REQUEST_TIMEOUT)
			.with_max_concurrent_streams(MAX_ANSWERS);
		let protocols = [(StreamProtocol::new(PROTOCOL), ProtocolSupport::Full)];
		let behaviour = Behaviour {
			limits: connection_limits::Behaviour::new(limits),
			openings: request_response::Behaviour::new(protocols, config),
		};
		let mut swarm = SwarmBuilder::with_existing_identity(keypair)
			.with_tokio()
			.with_tcp(
				tcp::Config::default().nodelay(true),
				noise::Config::new,
				yamux::Config::default,
			)?
			.with_behaviour(|_| behaviour)?
			.with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIMEOUT))
			.build();
		swarm.listen_on(listen.clone())?;
		let address = listening(&mut swarm, &listen).await?;
		let address = address.with(Protocol::P2p(peer));
		let (questions, inbox) = mpsc::channel(MAX_ANSWERS);
		let driver = Driver {
			swarm,
			inbox,
			answer,
			asked: HashMap::new(),
		};
		tokio::spawn(driver.run());
		Ok(Self { questions, address })
	}

	/// The same network, which says that peers reach it at another address.
	///
	/// # Errors
	///
	/// The address names another peer.
	pub fn announced_at(mut self, mut address: Multiaddr) -> anyhow::Result<Self> {
		let me = self.address.iter().last();
		if let Some(Protocol::P2p(peer)) = address.iter().last() {
			anyhow::ensure!(
				me == Some(Protocol::P2p(peer)),
				"{address} is the address of another peer than {}",
				self.address
			);
			address.pop();
		}
		if let Some(me) = me {
			address.push(me);
		}
		self.address = address;
		Ok(self)
	}

	/// The address at which peers reach this machine, with `/p2p/`.
	pub fn address(&self) -> &Multiaddr {
		&self.address
	}

	/// Asks the peer at a published address.
	pub async fn ask(
		&self,
		address: &[u8],
		request: OpeningRequest,
	) -> Result<OpeningResponse, AskError> {
		let bad = || AskError::Address(String::from_utf8_lossy(address).into_owned());
		let text = std::str::from_utf8(address).map_err(|_| bad())?;
		let mut address: Multiaddr = text.parse().map_err(|_| bad())?;
		let Some(Protocol::P2p(peer)) = address.pop() else {
			return Err(bad());
		};
		let (answer, receiver) = oneshot::channel();
		let question = Question {
			peer,
			address,
			request,
			answer,
		};
		let ended = || AskError::NoAnswer("the network task has ended".into());
		self.questions.send(question).await.map_err(|_| ended())?;
		receiver.await.map_err(|_| ended())?
	}
}

/// The address at which the swarm listens: of several, one that others can reach.
async fn listening(swarm: &mut Swarm<Behaviour>, listen: &Multiaddr) -> anyhow::Result<Multiaddr> {
	let mut found: Option<(Multiaddr, u8)> = None;
	let wait = async {
		loop {
			match swarm.select_next_some().await {
				SwarmEvent::NewListenAddr { address, .. } => {
					let worth = worth(&address);
					if found.as_ref().is_none_or(|(_, before)| worth > *before) {
						found = Some((address, worth));
					}
					// An address given in full has one form; "all interfaces" shows each of them, in any order.
					if worth == REACHABLE || !is_unspecified(listen) {
						return Ok(());
					}
				}
				SwarmEvent::ListenerError { error, .. } => return Err(anyhow::Error::from(error)),
				SwarmEvent::ListenerClosed { reason, .. } => {
					reason?;
					anyhow::bail!("the listener was closed");
				}
				_ => {}
			}
		}
	};
	match tokio::time::timeout(Duration::from_secs(2), wait).await {
		Ok(result) => result?,
		Err(_) if found.is_some() => {}
		Err(_) => anyhow::bail!("nothing listens at {listen}"),
	}
	match found {
		Some((address, _)) => Ok(address),
		None => anyhow::bail!("nothing listens at {listen}"),
	}
}

/// The most that [`worth`] gives.
const REACHABLE: u8 = 2;

/// From how far away an address can be reached.
fn worth(address: &Multiaddr) -> u8 {
	match ensure_reachable(address) {
		Ok(()) => REACHABLE,
		Err(_) if is_loopback(address) => 0,
		Err(_) => 1,
	}
}

type Asked = oneshot::Sender<Result<OpeningResponse, AskError>>;

struct Driver {
	swarm: Swarm<Behaviour>,
	inbox: mpsc::Receiver<Question>,
	answer: Answer,
	asked: HashMap<OutboundRequestId, Asked>,
}

impl Driver {
	async fn run(mut self) {
		let mut answers: FuturesUnordered<
			BoxFuture<'static, (ResponseChannel<OpeningResponse>, OpeningResponse)>,
		> = FuturesUnordered::new();
		loop {
			tokio::select! {
				question = self.inbox.recv() => {
					let Some(question) = question else { return };
					self.ask(question);
				}
				Some((channel, response)) = answers.next() => {
					// Fails when the peer has gone in the meantime.
					drop(self.swarm.behaviour_mut().openings.send_response(channel, response));
				}
				event = self.swarm.select_next_some() => {
					let SwarmEvent::Behaviour(BehaviourEvent::Openings(event)) = event else {
						continue;
					};
					if let Some((request, channel)) = self.handle(event) {
						// Beyond the limit the channel is dropped, which the peer sees as no answer.
						if answers.len() < MAX_ANSWERS {
							let answer = (self.answer)(request);
							answers.push(Box::pin(async move { (channel, answer.await) }));
						}
					}
				}
			}
		}
	}

	fn ask(&mut self, question: Question) {
		let Question {
			peer,
			address,
			request,
			answer,
		} = question;
		// Kept among a bounded number of addresses; a peer that has moved has published its new one.
		self.swarm.add_peer_address(peer, address);
		let openings = &mut self.swarm.behaviour_mut().openings;
		let id = openings.send_request(&peer, request);
		self.asked.insert(id, answer);
	}

	fn finish(&mut self, id: OutboundRequestId, result: Result<OpeningResponse, AskError>) {
		if let Some(answer) = self.asked.remove(&id) {
			// Nobody waits for it if the verdict's time is over.
			drop(answer.send(result));
		}
	}

	fn handle(
		&mut self,
		event: request_response::Event<OpeningRequest, OpeningResponse>,
	) -> Option<(OpeningRequest, ResponseChannel<OpeningResponse>)> {
		match event {
			request_response::Event::Message { message, .. } => match message {
				request_response::Message::Request {
					request, channel, ..
				} => return Some((request, channel)),
				request_response::Message::Response {
					request_id,
					response,
				} => self.finish(request_id, Ok(response)),
			},
			request_response::Event::OutboundFailure {
				request_id, error, ..
			} => self.finish(request_id, Err(AskError::NoAnswer(error.to_string()))),
			request_response::Event::InboundFailure { peer, error, .. } => {
				tracing::debug!("opening not delivered to {peer}: {error}");
			}
			request_response::Event::ResponseSent { .. } => {}
		}
		None
	}
}
