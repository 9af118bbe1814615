//! The service around the engine: openings between two machines, and a worker without a chain from start to end.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use aria_primitives::{
	AccountId, H256,
	opening::{Opening, OpeningError, OpeningRequest, OpeningResponse},
	receipt::{Receipt, SignedReceipt, output_hash, request_hash},
};
use aria_worker::{
	p2p::{self, Answer, Network},
	receipts::journal::Journal,
	service::{self, ApiArgs, Handle, ServiceArgs},
};
use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};
use prometheus::Registry;
use sp_core::{Pair, sr25519};
use std::{
	path::PathBuf,
	sync::{Arc, LazyLock},
	time::Duration,
};
use tokio::{
	io::{AsyncReadExt, AsyncWriteExt},
	net::TcpStream,
};

fn local() -> Multiaddr {
	"/ip4/127.0.0.1/tcp/0".parse().unwrap()
}

fn request(verifier: &sr25519::Pair, draw: u64) -> OpeningRequest {
	let account = AccountId::new(verifier.public().0);
	let payload = OpeningRequest::signing_payload(&H256::zero(), draw, &account);
	OpeningRequest {
		draw,
		verifier: account,
		signature: verifier.sign(&payload),
	}
}

/// An opening with a prompt of so many tokens.
fn opening(tokens: u32) -> Opening {
	let pair = sr25519::Pair::from_seed(&[1; 32]);
	let prompt: Vec<u32> = (0..tokens).collect();
	let receipt = Receipt {
		spec: 1,
		model: H256::zero(),
		worker: AccountId::new(pair.public().0),
		request: request_hash(&H256::zero(), &prompt),
		output: output_hash(&[1]),
		trace_root: H256::zero(),
		prompt_tokens: tokens,
		output_tokens: 1,
		sampling: Default::default(),
		operations: 1,
		consent_version: 1,
		energy: Default::default(),
		times: Default::default(),
	};
	let signature = pair.sign(&receipt.signing_payload());
	Opening {
		receipt: SignedReceipt { receipt, signature },
		salt: H256::zero(),
		prompt,
		output: vec![1],
		constraints: Default::default(),
	}
}

/// Signed once, since signatures are random.
static DRAWN: LazyLock<Opening> = LazyLock::new(|| opening(100_000));

fn assigned() -> sr25519::Pair {
	sr25519::Pair::from_seed(&[2; 32])
}

/// Opens draw 1, of many tokens, to one verifier; draw 2 is too long for the protocol.
async fn worker() -> Network {
	let answer: Answer = Arc::new(|request| {
		Box::pin(async move {
			let answer: OpeningResponse =
				if request.verifier != AccountId::new(assigned().public().0) {
					Err(OpeningError::NotAssigned)
				} else {
					match request.draw {
						1 => Ok(DRAWN.clone()),
						2 => Ok(opening(3_000_000)),
						_ => Err(OpeningError::UnknownDraw),
					}
				};
			answer
		})
	});
	Network::start(Keypair::generate_ed25519(), local(), answer)
		.await
		.unwrap()
}

async fn verifier() -> Network {
	let answer: Answer = Arc::new(|_| Box::pin(async { Err(OpeningError::Gone) }));
	Network::start(Keypair::generate_ed25519(), local(), answer)
		.await
		.unwrap()
}

#[tokio::test]
async fn opening_should_reach_the_assigned_verifier_only() {
	let (worker, verifier) = (worker().await, verifier().await);
	let address = worker.address().to_string().into_bytes();
	let ask = |request| verifier.ask(&address, request);
	let handed = ask(request(&assigned(), 1)).await.unwrap();
	assert!(handed.as_ref() == Ok(&*DRAWN));
	let stranger = sr25519::Pair::from_seed(&[3; 32]);
	assert_eq!(
		ask(request(&stranger, 1)).await.unwrap(),
		Err(OpeningError::NotAssigned)
	);
	assert_eq!(
		ask(request(&assigned(), 9)).await.unwrap(),
		Err(OpeningError::UnknownDraw)
	);
	// An answer beyond the protocol's bound is never sent, and the connection stays of use.
	assert!(ask(request(&assigned(), 2)).await.is_err());
	assert!(ask(request(&assigned(), 1)).await.unwrap().is_ok());
}

#[tokio::test]
async fn useless_addresses_should_be_errors() {
	let verifier = verifier().await;
	let request = request(&assigned(), 1);
	let someone = Keypair::generate_ed25519().public().to_peer_id();
	let nobody = format!("/ip4/127.0.0.1/tcp/1/p2p/{someone}");
	for address in [
		&b""[..],
		b"\xff",
		b"nonsense",
		b"/ip4/127.0.0.1/tcp/1",
		nobody.as_bytes(),
	] {
		assert!(verifier.ask(address, request.clone()).await.is_err());
	}
	// Another peer's name at the worker's address must not be believed.
	let worker = worker().await;
	let mut address = worker.address().clone();
	address.pop();
	let address = address.with(Protocol::P2p(someone)).to_string();
	let result = verifier.ask(address.as_bytes(), request).await;
	assert!(result.is_err(), "{result:?}");
}

#[tokio::test]
async fn announced_address_should_name_this_peer() {
	let worker = worker().await;
	let me = worker.address().iter().last().unwrap();
	let there: Multiaddr = "/ip4/203.0.113.7/tcp/30400".parse().unwrap();
	let mut full = there.clone();
	full.push(me);
	for address in [&there, &full] {
		let announced = worker.clone().announced_at(address.clone()).unwrap();
		assert_eq!(announced.address(), &full);
	}
	let someone = Keypair::generate_ed25519().public().to_peer_id();
	let wrong = there.with(Protocol::P2p(someone));
	assert!(worker.clone().announced_at(wrong).is_err());
}

/// The answer to a GET, once the worker is there and ready.
async fn get(port: u16, path: &str) -> String {
	for _ in 0..200 {
		if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
			let request =
				format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
			stream.write_all(request.as_bytes()).await.unwrap();
			let mut answer = String::new();
			stream.read_to_string(&mut answer).await.unwrap();
			if !answer.ends_with(r#"{"status":"loading"}"#) {
				return answer;
			}
			assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
		}
		tokio::time::sleep(Duration::from_millis(50)).await;
	}
	panic!("nobody answers");
}

fn offline(port: u16, dir: &std::path::Path) -> ServiceArgs {
	ServiceArgs {
		models: vec![
			PathBuf::from(env!("CARGO_MANIFEST_DIR"))
				.join("models/aria-demo.gguf")
				.into(),
		],
		api: ApiArgs {
			port,
			..ApiArgs::default()
		},
		offline: true,
		state_dir: Some(dir.to_owned()),
		threads: Some(1),
		..ServiceArgs::default()
	}
}

#[tokio::test]
async fn offline_worker_should_serve_until_it_is_told_to_end() {
	let dir = tempfile::tempdir().unwrap();
	let probe = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
	let port = probe.local_addr().unwrap().port();
	// While somebody else has the port, the error names it.
	let taken = service::run(
		offline(port, dir.path()),
		Registry::new(),
		Handle::default(),
		std::future::pending(),
	)
	.await;
	let error = format!("{:#}", taken.unwrap_err());
	assert!(error.contains(&port.to_string()), "{error}");
	drop(probe);

	let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
	let running = tokio::spawn(service::run(
		offline(port, dir.path()),
		Registry::new(),
		Handle::default(),
		async {
			drop(stopped.await);
		},
	));
	let answer = get(port, "/health").await;
	assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
	assert!(
		Journal::open(dir.path()).is_err(),
		"the journal is the running worker's"
	);
	drop(stop);
	let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
	ended.unwrap().unwrap().unwrap();
	assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn worker_without_key_should_not_start_on_a_chain() {
	let dir = tempfile::tempdir().unwrap();
	let args = ServiceArgs {
		offline: false,
		..offline(0, dir.path())
	};
	let error = service::run(
		args,
		Registry::new(),
		Handle::default(),
		std::future::pending(),
	)
	.await
	.unwrap_err();
	assert!(error.to_string().contains("--worker-key"), "{error}");
}

#[test]
fn network_identity_should_stay_the_same_and_private() {
	let dir = tempfile::tempdir().unwrap();
	let file = dir.path().join("network.key");
	let made = p2p::identity(&file).unwrap().public();
	assert_eq!(p2p::identity(&file).unwrap().public(), made);
	#[cfg(unix)]
	{
		use std::os::unix::fs::PermissionsExt;
		let mode = std::fs::metadata(&file).unwrap().permissions().mode();
		assert_eq!(mode & 0o777, 0o600);
	}
	std::fs::write(&file, b"damaged").unwrap();
	assert!(p2p::identity(&file).is_err());
}
