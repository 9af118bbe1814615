//! What Prometheus reads.

use super::*;

/// A metric's value, with its labels as they are written.
async fn value(server: &Server, name: &str) -> Option<f64> {
	let reply = server.get("/metrics").await;
	assert_eq!(reply.status, 200);
	assert_eq!(
		reply.header("content-type"),
		Some("text/plain; version=0.0.4")
	);
	let line = reply
		.body
		.lines()
		.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
	line.map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn metrics_should_add_up_to_the_answers() {
	let server = Server::demo().await;
	assert_eq!(value(&server, "aria_prompt_tokens_total").await, Some(0.0));
	let (mut prompt, mut output) = (0, 0);
	for n in [1, 3] {
		let body = with(story(), json!({ "n": n, "temperature": 1, "seed": 1 }));
		let usage = server.post("/v1/completions", body).await.json()["usage"].clone();
		// Each choice reads the prompt.
		prompt += n * usage["prompt_tokens"].as_u64().unwrap();
		output += usage["completion_tokens"].as_u64().unwrap();
	}
	let streamed = server.chat(json!({ "stream": true })).await.chunks();
	let file = verified(streamed.last().unwrap(), &DEMO);
	prompt += file.prompt.len() as u64;
	output += file.output.len() as u64;
	assert_eq!(server.complete(json!({ "n": 0 })).await.status, 400);
	assert_eq!(server.get("/v1/models/nobody").await.status, 404);
	assert_eq!(server.get("/made/up").await.status, 404);
	for (name, expected) in [
		("aria_prompt_tokens_total", prompt as f64),
		("aria_tokens_predicted_total", output as f64),
		("aria_receipts_total", 5.0),
		("aria_requests_processing", 0.0),
		("aria_time_to_first_token_seconds_count", 5.0),
		("aria_time_per_output_token_seconds_count", 5.0),
		("aria_e2e_request_latency_seconds_count", 5.0),
		("aria_requests_deferred", 0.0),
		(
			"aria_http_requests_total{path=\"/v1/completions\",status=\"200\"}",
			2.0,
		),
		(
			"aria_http_requests_total{path=\"/v1/completions\",status=\"400\"}",
			1.0,
		),
		(
			"aria_http_requests_total{path=\"/v1/chat/completions\",status=\"200\"}",
			1.0,
		),
		(
			"aria_http_requests_total{path=\"/v1/models/{*id}\",status=\"404\"}",
			1.0,
		),
		(
			"aria_http_requests_total{path=\"other\",status=\"404\"}",
			1.0,
		),
	] {
		assert_eq!(value(&server, name).await, Some(expected), "{name}");
	}
	// One answer at a time: the first token is the prompt's, and drafts make passes fewer.
	let passes = value(&server, "aria_n_decode_total").await.unwrap();
	assert!((5.0..=output as f64 + 5.0).contains(&passes), "{passes}");
	let fed = |what| value(&server, what);
	assert_eq!(fed("aria_iteration_tokens_total_count").await, Some(passes));
	assert!(fed("aria_iteration_tokens_total_sum").await.unwrap() >= passes);
	for name in [
		"aria_prompt_seconds_total",
		"aria_tokens_predicted_seconds_total",
		"aria_predicted_tokens_seconds",
	] {
		assert!(value(&server, name).await.unwrap() > 0.0, "{name}");
	}
}

#[tokio::test]
async fn requests_should_count_while_they_are_answered() {
	let server = Server::demo().await;
	let body = with(
		story(),
		json!({ "prompt": long().prompt, "temperature": 100, "seed": 3, "max_tokens": 250, "stream": true }),
	);
	let body = body.to_string();
	let mut socket = server
		.open("POST", "/v1/completions", "", body.as_bytes())
		.await;
	socket.read_exact(&mut [0; 64]).await.unwrap();
	assert_eq!(value(&server, "aria_requests_processing").await, Some(1.0));
	// There is one place.
	let waits = server
		.open("POST", "/v1/completions", "", body.as_bytes())
		.await;
	while value(&server, "aria_requests_deferred").await != Some(1.0) {
		tokio::time::sleep(Duration::from_millis(1)).await;
	}
	drop((socket, waits));
	server.idle().await;
	while value(&server, "aria_requests_processing").await != Some(0.0) {
		tokio::time::sleep(Duration::from_millis(2)).await;
	}
	assert_eq!(value(&server, "aria_requests_deferred").await, Some(0.0));
	assert_eq!(value(&server, "aria_receipts_total").await, Some(0.0));
}

#[tokio::test]
async fn documents_should_name_the_metrics_that_there_are() {
	let server = Server::demo().await;
	assert_eq!(server.complete(json!({})).await.status, 200);
	let text = server.get("/metrics").await.body;
	let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
	let mut there: Vec<&str> = kinds.map(|kind| kind.split_once(' ').unwrap().0).collect();
	there.sort_unstable();
	let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
	let dashboard = std::fs::read_to_string(docs.join("grafana.json")).unwrap();
	serde_json::from_str::<Value>(&dashboard).unwrap();
	let page = std::fs::read_to_string(docs.join("monitoring.md")).unwrap();
	for text in [dashboard, page] {
		let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
		let mut named: Vec<&str> = words.filter(|word| word.starts_with("aria_")).collect();
		named
			.iter_mut()
			.for_each(|name| *name = name.trim_end_matches("_bucket"));
		named.sort_unstable();
		named.dedup();
		assert_eq!(named, there);
	}
}
