//! Several models behind one API.

use super::*;
use aria_kernels::I2Block;
use aria_worker::models::ModelChoice;

#[tokio::test]
async fn model_should_be_loaded_when_a_request_names_it() {
	let dir = tempfile::tempdir().unwrap();
	let choice = |name: &str, seed| {
		let path = dir.path().join(name);
		std::fs::write(&path, support::synth::model(seed).bytes()).unwrap();
		ModelChoice {
			name: Some(name.to_owned()),
			model: path,
		}
	};
	let choices = [choice("first", 1), choice("second", 2)];
	let models = Models::open(
		&choices,
		None,
		backend(),
		I2Block::B128,
		Options::default(),
		None,
		None,
	)
	.unwrap();
	let engine = models.wait_for_first().await.unwrap().engine;
	let metrics = Metrics::new(&Registry::new()).unwrap();
	let server = Server::of(models, engine, metrics, Guard::default()).await;
	let listed = async || {
		let list = server.get("/v1/models").await.json();
		let field = |model: &Value| (model["id"].clone(), model["ready"].clone());
		let list: Vec<_> = list["data"].as_array().unwrap().iter().map(field).collect();
		json!(list)
	};
	assert_eq!(listed().await, json!([["first", true], ["second", false]]));
	let second = server.get("/v1/models/second").await.json();
	assert_eq!(second["meta"]["model_root"], Value::Null);
	assert_eq!(second["meta"]["context_length"], 96);

	let mut refusals = 0;
	let answer = loop {
		let reply = server.complete(json!({ "model": "second" })).await;
		if reply.status == 200 {
			break reply.json();
		}
		let kind = (
			"server_error".to_owned(),
			Value::Null,
			json!("model_loading"),
		);
		assert_eq!(reply.error(503), kind);
		let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
		assert!(seconds > 0);
		refusals += 1;
		tokio::time::sleep(Duration::from_millis(5)).await;
	};
	assert!(refusals > 0);
	assert_eq!(listed().await, json!([["first", true], ["second", true]]));
	// Who answered is in the answer, its fingerprint and its receipt.
	let bytes = support::synth::model(2).bytes();
	let expected = Model::from_bytes(&bytes, "", Packing::Dense).unwrap();
	let file = verified(&answer, &expected);
	assert_eq!(file.signed.receipt.model, expected.id);
	assert_eq!(answer["model"], "second");
	let root = hex::encode(expected.id.as_bytes());
	assert_eq!(
		answer["system_fingerprint"],
		format!("aria-1-{}", &root[..16])
	);
	let second = server.get("/v1/models/second").await.json();
	assert_eq!(second["meta"]["model_root"], format!("0x{root}"));
	let first = server.complete(json!({ "model": "first" })).await.json();
	assert_ne!(first["system_fingerprint"], answer["system_fingerprint"]);
	let nobody = server.complete(json!({ "model": "third" })).await;
	assert_eq!(nobody.error(404), field("model", "model_not_found"));
}

#[tokio::test]
async fn models_should_be_listed_with_context_and_root() {
	let server = Server::demo().await;
	let list = server.get("/v1/models").await.json();
	assert_eq!(list["object"], "list");
	let model = &list["data"][0];
	assert_eq!(model["id"], "aria-demo");
	assert_eq!(model["owned_by"], "aria");
	assert_eq!(model["meta"]["context_length"], 256);
	let root = format!("0x{}", hex::encode(DEMO.id.as_bytes()));
	assert_eq!(model["meta"]["model_root"], root);
	// Embedding 2048 x 256; 6 blocks of 786_432 ternary weights and 1_536 in norms; the last norm.
	let parameters = 2048 * 256 + 6 * (786_432 + 1_536) + 256;
	assert_eq!(model["meta"]["n_params"], parameters);
	assert_eq!(&server.get("/v1/models/aria-demo").await.json(), model);
	assert_eq!(&server.get("/models").await.json()["data"][0], model);
	assert_eq!(
		server.get("/v1/models/nobody/else").await.error(404),
		field("model", "model_not_found")
	);
}

#[tokio::test]
async fn models_should_be_found_by_the_names_of_their_files() {
	let dir = tempfile::tempdir().unwrap();
	let choice = |file: &str, own: &str| -> ModelChoice {
		let path = dir.path().join(file);
		let mut model = support::synth::model(1);
		model.text("general.name", own);
		std::fs::write(&path, model.bytes()).unwrap();
		path.into()
	};
	let long = "n".repeat(201);
	// The last ones can't be called as they call themselves.
	let choices = [
		choice("one-q2.gguf", "One"),
		choice("two.gguf", "org/Two 2B"),
		choice("three.gguf", " "),
		choice("four.gguf", "a\nb"),
		choice("five.gguf", &long),
	];
	let models = Models::open(
		&choices,
		None,
		backend(),
		I2Block::B128,
		Options::default(),
		None,
		None,
	)
	.unwrap();
	let engine = models.wait_for_first().await.unwrap().engine;
	let metrics = Metrics::new(&Registry::new()).unwrap();
	let server = Server::of(models, engine, metrics, Guard::default()).await;
	let list = server.get("/v1/models").await.json();
	let ids: Vec<_> = list["data"]
		.as_array()
		.unwrap()
		.iter()
		.map(|model| model["id"].clone())
		.collect();
	assert_eq!(
		json!(ids),
		json!(["One", "org/Two 2B", "three", "four", "five"])
	);
	for (name, id) in [
		("One.gguf", "One"),
		("one-q2.gguf", "One"),
		("one-q2", "One"),
		("org%2FTwo%202B", "org/Two 2B"),
		("two", "org/Two 2B"),
		("three.gguf", "three"),
	] {
		let model = server.get(&format!("/v1/models/{name}")).await.json();
		assert_eq!(model["id"], id, "{name}");
	}
	let answer = server
		.complete(json!({ "model": "one-q2.gguf" }))
		.await
		.json();
	assert_eq!(answer["model"], "One");
	let reply = server.complete(json!({ "model": "six.gguf" })).await;
	assert_eq!(reply.error(404), field("model", "model_not_found"));
}
