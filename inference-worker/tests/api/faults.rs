//! What goes wrong while an answer is made.

use super::*;
use std::collections::HashSet;

#[tokio::test]
async fn full_queue_should_be_429_with_retry_after() {
	let server = Server::start(&DEMO, 1, None).await;
	let mut running = server.engine.submit(long()).unwrap();
	// Its first token shows that it has left the queue.
	assert!(matches!(running.recv().await, Some(Event::Token(_))));
	let waiting = server.engine.submit(long()).unwrap();
	let reply = server.complete(json!({})).await;
	assert_eq!(
		reply.error(429),
		("rate_limit_error".into(), Value::Null, json!("queue_full"))
	);
	assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
	drop((running, waiting));
	server.idle().await;
	assert_eq!(server.complete(json!({})).await.status, 200);
}

#[tokio::test]
async fn client_that_goes_away_should_cancel_its_answer() {
	let server = Server::demo().await;
	for stream in [false, true] {
		let mut body = story();
		body["prompt"] = json!(long().prompt);
		let hot = json!({ "temperature": 100, "seed": 3, "max_tokens": 250, "stream": stream });
		let body = with(body, hot).to_string();
		let mut socket = server
			.open("POST", "/v1/completions", "", body.as_bytes())
			.await;
		if stream {
			socket.read_exact(&mut [0; 64]).await.unwrap();
		}
		while server.engine.queued() == 0 {
			tokio::time::sleep(Duration::from_millis(1)).await;
		}
		drop(socket);
		server.idle().await;
	}
	// An answer that went on to its end would have a receipt.
	let worker = aria_primitives::AccountId::new(server.signer.public().0);
	let model = HashSet::from([server.engine.model().id]);
	assert_eq!(
		server
			.journal
			.waiting(&worker, &model, 7..=7, 9)
			.await
			.unwrap(),
		[]
	);
	assert_eq!(server.complete(json!({})).await.status, 200);
	let waiting = server.journal.waiting(&worker, &model, 7..=7, 9).await;
	assert_eq!(waiting.unwrap().len(), 1);
}

#[tokio::test]
async fn damaged_weights_should_be_500_or_an_error_inside_the_stream() {
	let server = Server::start(&DAMAGED, 8, None).await;
	let expected = ("server_error".to_owned(), Value::Null, json!("not_finite"));
	assert_eq!(server.complete(json!({})).await.error(500), expected);
	let events = server.chat(json!({ "stream": true })).await.events();
	let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
	assert_eq!(last["error"]["type"], "server_error");
	assert_eq!(last["error"]["code"], "not_finite");
	assert_eq!(events.len(), 2, "role, error, and no [DONE]");
}
