//! Nothing is answered outside the owner's consent contract.

use super::*;
use aria_primitives::consent::TaskKind;
use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

async fn under(standing: Standing) -> Server {
	let guard = Guard {
		consent: Some(standing),
		..Guard::default()
	};
	Server::guarded(&DEMO, 8, guard).await
}

impl Server {
	/// Asks each endpoint that works for others; the replies.
	async fn works(&self) -> Vec<Reply> {
		let talk = json!({ "model": "aria-demo", "input": "Hello", "max_output_tokens": 16 });
		vec![
			self.complete(json!({})).await,
			self.complete(json!({ "stream": true })).await,
			self.chat(json!({})).await,
			self.chat(json!({ "stream": true })).await,
			self.post("/v1/responses", talk.clone()).await,
			self.post("/v1/responses", with(talk, json!({ "stream": true })))
				.await,
		]
	}

	/// That each of them is refused because of the owner's consent; what one of them says, and when to come again.
	async fn refuses(&self, status: u16) -> (String, Option<u64>) {
		let kind = match status {
			403 => "permission_error",
			_ => "server_error",
		};
		let mut said = None;
		for reply in self.works().await {
			let expected = (kind.to_owned(), Value::Null, json!("consent"));
			assert_eq!(reply.error(status), expected, "{}", reply.body);
			let message = reply.json()["error"]["message"]
				.as_str()
				.unwrap()
				.to_owned();
			let again = reply.header("retry-after");
			said = Some((message, again.map(|seconds| seconds.parse().unwrap())));
		}
		assert_eq!(self.engine.queued(), 0);
		let worker = aria_primitives::AccountId::new(self.signer.public().0);
		let models = HashSet::from([self.engine.model().id]);
		let all = self
			.journal
			.waiting(&worker, &models, 0..=u32::MAX, 9)
			.await;
		assert_eq!(all.unwrap(), [], "a receipt for what was refused");
		said.unwrap()
	}
}

/// Terms whose window began, or begins, so many minutes from now.
fn window(begins: i64, minutes: i64) -> Terms {
	let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
	let now = (now.as_secs() / 60) as i64;
	let until = (now + begins + minutes).rem_euclid(1440) as u16;
	Terms {
		from_minute: (now + begins).rem_euclid(1440) as u16,
		// Midnight is the end of a day here, not its beginning.
		until_minute: if until == 0 { 1440 } else { until },
		..Terms::default()
	}
}

#[tokio::test]
async fn nothing_should_be_answered_without_a_contract() {
	let server = under(Standing::Missing).await;
	let (message, again) = server.refuses(403).await;
	assert!(message.contains("aria-worker consent grant"), "{message}");
	assert_eq!(again, None, "coming again does not help");
	assert_eq!(
		server.get("/v1/status").await.json()["consent_version"],
		Value::Null
	);
	// What does no work for anybody is as ever.
	assert_eq!(server.get("/health").await.status, 200);
	assert_eq!(server.get("/v1/models").await.status, 200);
	for standing in [Standing::Unknown, Standing::Granting] {
		let (_, again) = under(standing).await.refuses(503).await;
		assert!(again.is_some());
	}
}

#[tokio::test]
async fn contract_should_hold_from_the_next_request_and_until_it_is_revoked() {
	let server = under(Standing::Missing).await;
	server.refuses(403).await;
	server.consent.set(contract(Terms::default()));
	let answer = server.complete(json!({})).await.json();
	let version = &answer["aria"]["receipt_file"]["receipt"]["consent_version"];
	assert_eq!(version, 7);
	server.consent.set(Standing::Contract(ConsentView {
		terms: Terms::default(),
		version: 8,
		changed_at: 2,
	}));
	let answer = server.complete(json!({})).await.json();
	let receipt = &answer["aria"]["receipt_file"];
	assert_eq!(receipt["receipt"]["consent_version"], 8);
	server.consent.set(Standing::Missing);
	assert_eq!(
		server.complete(json!({})).await.error(403).2,
		json!("consent")
	);
	// Executing a receipt again is work as well.
	let verify = server.post("/v1/verify", receipt.clone()).await;
	assert_eq!(verify.error(403).2, json!("consent"));
}

#[tokio::test]
async fn other_tasks_times_and_requesters_should_be_refused() {
	let embedding = Terms {
		tasks: 1 << TaskKind::Embedding as u8,
		..Terms::default()
	};
	let (message, _) = under(contract(embedding)).await.refuses(403).await;
	assert!(message.contains("text_gen"), "{message}");
	let scored = Terms {
		min_contribution_score: 1,
		..Terms::default()
	};
	let (message, _) = under(contract(scored)).await.refuses(403).await;
	assert!(message.contains("contribution score of 1"), "{message}");
	let (_, again) = under(contract(window(120, 60))).await.refuses(503).await;
	let again = again.unwrap();
	assert!((118 * 60..=120 * 60).contains(&again), "{again}");
	let open = under(contract(window(-60, 120))).await;
	for reply in open.works().await {
		assert_eq!(reply.status, 200, "{}", reply.body);
	}
}

#[tokio::test]
async fn answer_should_end_when_consent_is_withdrawn() {
	for (path, request) in [
		(
			"/v1/completions",
			json!({ "prompt": long().prompt, "max_tokens": 200 }),
		),
		(
			"/v1/responses",
			json!({ "input": "Hello", "max_output_tokens": 200 }),
		),
	] {
		for stream in [false, true] {
			let server = Server::demo().await;
			let hot =
				json!({ "model": "aria-demo", "temperature": 100, "seed": 3, "stream": stream });
			let body = with(request.clone(), hot).to_string();
			// Others have the only place until consent is withdrawn.
			let before = [(); 3].map(|()| server.engine.submit(long()).unwrap());
			let asked = server.send("POST", path, "", body.as_bytes());
			let withdraw = async {
				while server.engine.queued() < 4 {
					tokio::time::sleep(Duration::from_millis(1)).await;
				}
				server.consent.set(Standing::Missing);
				drop(before);
			};
			let (reply, ()) = tokio::join!(asked, withdraw);
			if stream {
				assert!(reply.body.contains("no consent contract"), "{}", reply.body);
				assert!(!reply.body.contains("receipt_id"), "{}", reply.body);
			} else {
				assert_eq!(reply.error(403).2, json!("consent"));
			}
			server.idle().await;
			assert_eq!(server.journal.counts().receipts, 0);
		}
	}
}

#[tokio::test]
async fn worker_without_a_chain_should_need_no_contract() {
	let server = under(Standing::Offline).await;
	let answer = server.complete(json!({})).await.json();
	let receipt = &answer["aria"]["receipt_file"]["receipt"];
	assert_eq!(receipt["consent_version"], 0);
}
