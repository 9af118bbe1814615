//! Keys of the file: made and revoked while the worker runs.

use super::*;

impl Server {
	fn keys(&self) -> KeyFile {
		KeyFile::new(self._state_dir.path().join(KEYS))
	}

	/// Asks for a short answer with a key.
	async fn with_key(&self, key: &str) -> Reply {
		let headers = format!("authorization: Bearer {key}\r\n");
		let body = story().to_string();
		self.send("POST", "/v1/completions", &headers, body.as_bytes())
			.await
	}

	/// Asks until the status is the expected one: the worker looks at the file once a second.
	async fn until(&self, key: &str, status: u16) -> Reply {
		let end = std::time::Instant::now() + Duration::from_secs(20);
		loop {
			let reply = self.with_key(key).await;
			if reply.status == status {
				return reply;
			}
			assert!(std::time::Instant::now() < end, "still {}", reply.status);
			tokio::time::sleep(Duration::from_millis(50)).await;
		}
	}
}

#[tokio::test]
async fn keys_should_be_taken_and_refused_as_the_file_changes() {
	let server = Server::demo().await;
	assert_eq!(
		server.with_key("anything").await.status,
		200,
		"there is no file"
	);
	let alice = server.keys().add("alice", None, None).unwrap();
	let reply = server.until("anything", 401).await;
	assert_eq!(reply.error(401).2, "invalid_api_key");
	assert_eq!(server.complete(json!({})).await.status, 401);
	let reply = server.with_key(&alice).await;
	assert_eq!(reply.status, 200);
	assert_eq!(reply.header("x-ratelimit-limit-requests"), None);
	assert_eq!(server.get("/health").await.status, 200);
	let bob = server.keys().add("bob", None, None).unwrap();
	server.until(&bob, 200).await;
	server.keys().revoke("alice").unwrap();
	server.until(&alice, 401).await;
	assert_eq!(server.with_key(&bob).await.status, 200);
	// With the last key gone nobody may ask.
	server.keys().revoke("bob").unwrap();
	server.until(&bob, 401).await;
}

#[tokio::test]
async fn damaged_file_should_leave_in_force_what_was() {
	let server = Server::demo().await;
	let key = server.keys().add("alice", None, None).unwrap();
	server.until("other", 401).await;
	std::fs::write(server._state_dir.path().join(KEYS), "{").unwrap();
	tokio::time::sleep(Duration::from_millis(1500)).await;
	assert_eq!(server.with_key(&key).await.status, 200);
	assert_eq!(server.with_key("other").await.status, 401);
}

#[tokio::test]
async fn limits_of_a_key_should_be_told_and_kept() {
	let server = Server::demo().await;
	let requests = server.keys().add("requests", Some(2), None).unwrap();
	let tokens = server.keys().add("tokens", None, Some(10)).unwrap();
	server.until("other", 401).await;
	let reply = server.with_key(&requests).await;
	assert_eq!(reply.status, 200);
	assert_eq!(reply.header("x-ratelimit-limit-requests"), Some("2"));
	assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some("1"));
	assert_eq!(server.with_key(&requests).await.status, 200);
	let reply = server.with_key(&requests).await;
	let expected = (
		"rate_limit_error".into(),
		Value::Null,
		json!("rate_limit_exceeded"),
	);
	assert_eq!(reply.error(429), expected);
	assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some("0"));
	let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
	assert!((1..=60).contains(&wait));
	// The other key has its own limit: what its first answer took is more than it may have in a minute.
	let reply = server.with_key(&tokens).await;
	assert_eq!(reply.status, 200);
	assert_eq!(reply.header("x-ratelimit-remaining-tokens"), Some("10"));
	let reply = server.with_key(&tokens).await;
	assert_eq!(reply.error(429).2, "rate_limit_exceeded");
	assert_eq!(reply.header("x-ratelimit-remaining-tokens"), Some("0"));
}

#[tokio::test]
async fn key_should_be_needed_except_for_health_when_configured() {
	let server = Server::start(&DEMO, 8, Some("secret")).await;
	let expected = (
		"authentication_error".to_owned(),
		Value::Null,
		json!("invalid_api_key"),
	);
	for headers in [
		"",
		"authorization: Bearer wrong\r\n",
		"authorization: secret\r\n",
		"authorization: Basic secret\r\n",
	] {
		for (method, path) in [
			("POST", "/v1/completions"),
			("POST", "/chat/completions"),
			("GET", "/v1/models"),
			("GET", "/v1/receipts/0x00"),
		] {
			let reply = server.send(method, path, headers, b"{}").await;
			assert_eq!(reply.error(401), expected, "{path} {headers}");
		}
	}
	for scheme in ["Bearer", "bearer"] {
		let headers = format!("authorization: {scheme} secret\r\n");
		let reply = server.send("GET", "/v1/models", &headers, b"").await;
		assert_eq!(reply.status, 200);
	}
	for path in ["/health", "/v1/health"] {
		let reply = server.get(path).await;
		assert_eq!(
			(reply.status, reply.json()),
			(200, json!({ "status": "ok" }))
		);
	}
	let open = Server::demo().await;
	let any = "authorization: Bearer anything\r\n";
	assert_eq!(open.send("GET", "/models", any, b"").await.status, 200);
}
