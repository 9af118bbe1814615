//! Hostile and broken clients: what each may cost is bounded, and others are served meanwhile.

use super::*;
use std::time::Instant;

/// Limits that a test can wait for.
fn short() -> Limits {
	Limits {
		header: Duration::from_millis(400),
		body: Duration::from_millis(400),
		write: Duration::from_millis(400),
		..Limits::default()
	}
}

async fn guarded(limits: Limits) -> Server {
	let guard = Guard {
		limits,
		..Guard::default()
	};
	Server::guarded(&DEMO, 8, guard).await
}

impl Server {
	async fn socket(&self) -> TcpStream {
		TcpStream::connect(self.address).await.unwrap()
	}

	/// Others are served as ever.
	async fn is_well(&self) {
		assert_eq!(self.complete(json!({})).await.status, 200);
	}
}

/// What comes until the server closes the connection, which it must soon.
async fn rest(socket: &mut TcpStream) -> String {
	let mut bytes = Vec::new();
	let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut bytes));
	// A reset is an end as well.
	drop(read.await.expect("the server keeps the connection"));
	String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends pieces until the server takes no more; how many bytes that were.
async fn flood(socket: &mut TcpStream, piece: &[u8], most: usize) -> usize {
	let mut sent = 0;
	while sent < most && socket.write_all(piece).await.is_ok() {
		sent += piece.len();
	}
	sent
}

#[tokio::test]
async fn garbage_should_be_refused() {
	let server = guarded(short()).await;
	for garbage in [
		&b"\x00\x01\x02\x03\xff\xfe\r\n\r\n"[..],
		b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a handshake of TLS\r\n\r\n",
		b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		b"GET / HTTP/9.9\r\n\r\n",
		b"GET /v1/models HTTP/1.1\r\nhost: a\r\ncontent-length: minus one\r\n\r\n",
		b"GET /v1/models HTTP/1.1\r\nbad header\r\n\r\n",
	] {
		let mut socket = server.socket().await;
		socket.write_all(garbage).await.unwrap();
		let answer = rest(&mut socket).await;
		let refused = answer.is_empty()
			|| answer.starts_with("HTTP/1.1 4")
			|| answer.starts_with("HTTP/1.1 505");
		assert!(refused, "{garbage:?}: {answer}");
	}
	server.is_well().await;
}

#[tokio::test]
async fn endless_headers_should_be_refused() {
	let server = guarded(short()).await;
	let many = "x-a: b\r\n".repeat(200);
	let long = format!("x-a: {}\r\n", "b".repeat(40_000));
	for headers in [many, long] {
		let mut socket = server.socket().await;
		let head = format!("GET /v1/models HTTP/1.1\r\nhost: worker\r\n{headers}\r\n");
		drop(socket.write_all(head.as_bytes()).await);
		let answer = rest(&mut socket).await;
		assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
	}
	let mut socket = server.socket().await;
	socket.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
	let sent = flood(&mut socket, "x-a: ".repeat(1000).as_bytes(), 1 << 30).await;
	assert!(sent < 32 << 20, "{sent} bytes were taken");
	server.is_well().await;
}

#[tokio::test]
async fn slow_headers_and_idle_connections_should_be_closed() {
	let server = guarded(short()).await;
	let (mut silent, mut dripping, mut idle) = (
		server.socket().await,
		server.socket().await,
		server.socket().await,
	);
	let start = Instant::now();
	idle.write_all(b"GET /health HTTP/1.1\r\nhost: worker\r\n\r\n")
		.await
		.unwrap();
	assert!(rest(&mut idle).await.starts_with("HTTP/1.1 200"));
	rest(&mut silent).await;
	// A byte now and then keeps no connection open.
	let drip = async {
		while dripping.write_all(b"G").await.is_ok() {
			tokio::time::sleep(Duration::from_millis(50)).await;
		}
	};
	drip.await;
	assert!(start.elapsed() < Duration::from_secs(10));
	server.is_well().await;
}

#[tokio::test]
async fn slow_body_should_be_408() {
	let server = guarded(short()).await;
	let mut socket = server.socket().await;
	let head = "POST /v1/completions HTTP/1.1\r\nhost: worker\r\ncontent-length: 1000\r\n\r\n{";
	socket.write_all(head.as_bytes()).await.unwrap();
	let reply = parse(rest(&mut socket).await.as_bytes());
	assert_eq!(reply.error(408), request_error(json!("request_timeout")));
	server.is_well().await;
}

#[tokio::test]
async fn huge_bodies_should_be_refused_before_they_are_read() {
	let server = guarded(short()).await;
	let (announced, chunked) = ("content-length: 104857600", "transfer-encoding: chunked");
	for (header, most) in [(announced, 8 << 20), (chunked, 24 << 20)] {
		let mut socket = server.socket().await;
		let head = format!("POST /v1/completions HTTP/1.1\r\nhost: worker\r\n{header}\r\n\r\n");
		socket.write_all(head.as_bytes()).await.unwrap();
		let mut piece = vec![b' '; 1 << 16];
		if header == chunked {
			piece = [&b"10000\r\n"[..], &piece, b"\r\n"].concat();
		}
		let (mut reader, mut writer) = socket.split();
		let mut answer = Vec::new();
		let send = async {
			let mut sent = 0;
			while sent < 100 << 20 && writer.write_all(&piece).await.is_ok() {
				sent += piece.len();
			}
			sent
		};
		let (sent, _) = tokio::join!(send, reader.read_to_end(&mut answer));
		// What lies in the system's buffers counts as sent.
		assert!(sent < most, "{header}: {sent} bytes were taken");
		if !answer.is_empty() {
			let code = json!("request_too_large");
			assert_eq!(parse(&answer).error(413), request_error(code));
		}
	}
	server.is_well().await;
}

#[tokio::test]
async fn memory_of_bodies_should_be_bounded() {
	let limits = Limits {
		bodies: 0,
		..Limits::default()
	};
	let server = guarded(limits).await;
	// One longest body is always allowed, and this may become one.
	let mut slow = server.socket().await;
	let head = "POST /v1/completions HTTP/1.1\r\nhost: worker\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n";
	slow.write_all(head.as_bytes()).await.unwrap();
	let refused = loop {
		let reply = server.complete(json!({})).await;
		if reply.status != 200 {
			break reply;
		}
	};
	let (kind, _, code) = refused.error(429);
	assert_eq!(
		(&*kind, code),
		("rate_limit_error", json!("too_many_bodies"))
	);
	assert!(refused.header("retry-after").is_some());
	drop(slow);
	while server.complete(json!({})).await.status == 429 {}
	server.is_well().await;
}

#[tokio::test]
async fn stream_that_nobody_reads_should_be_dropped() {
	let limits = Limits {
		connections: 1,
		..short()
	};
	let server = guarded(limits).await;
	let body = with(
		talk(),
		json!({ "n": 16, "stream": true, "logprobs": true, "top_logprobs": 20, "temperature": 100, "max_completion_tokens": 200 }),
	)
	.to_string();
	let slow = server
		.open("POST", "/v1/chat/completions", "", body.as_bytes())
		.await;
	// It has the only place, until the server has waited long enough.
	let busy = server.get("/health").await;
	assert_eq!((busy.status, busy.header("retry-after")), (503, Some("2")));
	let start = Instant::now();
	while server.get("/health").await.status != 200 {
		assert!(
			start.elapsed() < Duration::from_secs(60),
			"the connection is kept"
		);
		tokio::time::sleep(Duration::from_millis(20)).await;
	}
	server.idle().await;
	server.is_well().await;
	drop(slow);
}

#[tokio::test]
async fn answers_should_end_in_time() {
	let limits = Limits {
		answer: Duration::from_millis(50),
		..Limits::default()
	};
	let server = guarded(limits).await;
	// The place is taken by one that takes longer.
	let occupy = |count| -> Vec<_> {
		std::iter::repeat_with(|| server.engine.submit(long()).unwrap())
			.take(count)
			.collect()
	};
	let events = occupy(4);
	let whole = server.complete(json!({})).await;
	let code = json!("answer_timeout");
	assert_eq!(
		whole.error(504),
		("server_error".into(), Value::Null, code.clone())
	);
	// However long this took, there is something to wait for again.
	let more = occupy(3);
	let stream = server.chat(json!({ "stream": true })).await.events();
	let last: Value = serde_json::from_str(stream.last().unwrap()).unwrap();
	assert_eq!(last["error"]["code"], code);
	drop((events, more));
	server.idle().await;
}

#[tokio::test]
async fn web_pages_should_need_permission() {
	let ask =
		"access-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n";
	let body = story().to_string();
	let post = async |server: &Server, origin: &str| {
		let headers = format!("origin: {origin}\r\n");
		server
			.send("POST", "/v1/completions", &headers, body.as_bytes())
			.await
	};
	let strict = Server::demo().await;
	let refused = post(&strict, "https://chat.example").await;
	let (kind, _, code) = refused.error(403);
	assert_eq!(
		(&*kind, code),
		("permission_error", json!("origin_not_allowed"))
	);
	assert_eq!(refused.header("access-control-allow-origin"), None);
	// The API's own pages, under its address.
	let own = format!("{0}\r\norigin: http://{0}", strict.address);
	let mut socket = strict.socket().await;
	let request = format!("GET /health HTTP/1.1\r\nconnection: close\r\nhost: {own}\r\n\r\n");
	socket.write_all(request.as_bytes()).await.unwrap();
	assert_eq!(parse(rest(&mut socket).await.as_bytes()).status, 200);
	assert_eq!(strict.options("").await.status, 405);

	let guard = Guard {
		origins: vec!["https://chat.example".parse().unwrap()],
		api_key: Some("sk-1"),
		..Guard::default()
	};
	let server = Server::guarded(&DEMO, 8, guard).await;
	// A browser asks without a key.
	let allowed = server
		.options(&format!("origin: https://chat.example\r\n{ask}"))
		.await;
	assert_eq!((allowed.status, &*allowed.body), (204, ""));
	let header = |name: &str| allowed.header(name).map(str::to_owned);
	assert_eq!(
		header("access-control-allow-origin").as_deref(),
		Some("https://chat.example")
	);
	assert_eq!(
		header("access-control-allow-headers").as_deref(),
		Some("authorization")
	);
	let unauthorized = post(&server, "https://chat.example").await;
	assert_eq!(unauthorized.status, 401);
	assert!(unauthorized.header("access-control-allow-origin").is_some());
	assert_eq!(post(&server, "https://other.example").await.status, 403);

	let guard = Guard {
		origins: vec!["*".parse::<Origin>().unwrap()],
		..Guard::default()
	};
	let open = Server::guarded(&DEMO, 8, guard).await;
	let answer = post(&open, "https://anybody.example").await;
	assert_eq!(
		(answer.status, answer.header("access-control-allow-origin")),
		(200, Some("*"))
	);
}

#[tokio::test]
async fn client_that_sends_all_of_a_long_body_should_see_why_it_is_refused() {
	let server = Server::demo().await;
	let body = vec![b' '; (8 << 20) + 2];
	for _ in 0..5 {
		let mut socket = server.open("POST", "/v1/completions", "", &body).await;
		let mut bytes = Vec::new();
		socket.read_to_end(&mut bytes).await.unwrap();
		assert_eq!(
			parse(&bytes).error(413),
			request_error(json!("request_too_large"))
		);
	}
}

#[tokio::test]
async fn compressed_bodies_should_be_read_up_to_the_same_length() {
	use flate2::{
		Compression,
		write::{GzEncoder, ZlibEncoder},
	};
	use std::io::Write;
	let server = Server::demo().await;
	let gzip = |bytes: &[u8]| {
		let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
		writer.write_all(bytes).unwrap();
		writer.finish().unwrap()
	};
	let zlib = |bytes: &[u8]| {
		let mut writer = ZlibEncoder::new(Vec::new(), Compression::fast());
		writer.write_all(bytes).unwrap();
		writer.finish().unwrap()
	};
	let send = async |encoding: &str, body: &[u8]| {
		let header = format!("content-encoding: {encoding}\r\n");
		server.send("POST", "/v1/completions", &header, body).await
	};
	let body = story().to_string();
	let expected = server.complete(json!({})).await.json()["choices"].clone();
	for (encoding, body) in [
		("gzip", gzip(body.as_bytes())),
		("X-GZIP", gzip(body.as_bytes())),
		("deflate", zlib(body.as_bytes())),
		("identity", body.clone().into_bytes()),
	] {
		let reply = send(encoding, &body).await;
		assert_eq!(reply.status, 200, "{encoding}: {}", reply.body);
		assert_eq!(reply.json()["choices"], expected);
	}
	let bomb = gzip(&vec![b' '; (8 << 20) + 1]);
	assert!(bomb.len() < 100_000);
	let reply = send("gzip", &bomb).await;
	assert_eq!(reply.error(413), request_error(json!("request_too_large")));
	let reply = send("gzip", body.as_bytes()).await;
	assert_eq!(reply.error(400), request_error(Value::Null));
	for encoding in ["br", "gzip, gzip", "gzip\r\ncontent-encoding: gzip"] {
		let reply = send(encoding, &gzip(body.as_bytes())).await;
		assert_eq!(
			reply.error(415),
			request_error(json!("unsupported_encoding"))
		);
	}
}
