//! Parameters that a model's publisher recommends.

use super::*;

/// A model whose file recommends parameters.
static ADVISED: LazyLock<Arc<Model>> = LazyLock::new(|| {
	let mut file = support::synth::model(1);
	file.float("general.sampling.temp", 0.6);
	file.float("general.sampling.top_p", 0.9);
	file.int("general.sampling.top_k", 20);
	file.float("general.sampling.penalty_repeat", 1.1);
	Arc::new(Model::from_bytes(&file.bytes(), "advised", Packing::Dense).unwrap())
});

#[tokio::test]
async fn recommended_parameters_should_be_used_where_a_request_leaves_them_out() {
	let server = Server::start(&ADVISED, 8, None).await;
	let listed = server.get("/v1/models").await.json();
	let advice =
		json!({ "temperature": 0.6, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1 });
	assert_eq!(listed["data"][0]["meta"]["sampling"], advice);
	let ask = async |change: Value| {
		let mut body = with(story(), change);
		if body["temperature"] == 0 {
			body.as_object_mut().unwrap().remove("temperature");
		}
		let answer = server.post("/v1/completions", body).await.json();
		verified(&answer, &ADVISED).signed.receipt.sampling
	};
	let advised = ask(json!({ "seed": 5 })).await;
	assert_eq!(advised.temperature_micro, 600_000);
	assert_eq!(advised.top_p_micro, 900_000);
	assert_eq!(advised.top_k, 20);
	assert_eq!(advised.repetition_penalty_micro, 1_100_000);
	// As if the request had said so.
	let said = ask(with(advice, json!({ "seed": 5 }))).await;
	assert_eq!(said, advised);
	let own = json!({ "temperature": 0.5, "top_p": 1, "top_k": -1, "repetition_penalty": 1 });
	let own = ask(own).await;
	assert_eq!(own.temperature_micro, 500_000);
	assert_eq!(own.top_p_micro, 1_000_000);
	assert_eq!((own.top_k, own.repetition_penalty_micro), (0, 1_000_000));
	// The published root does not depend on advice.
	assert_eq!(ADVISED.id, PLAIN.id);
	let plain = Server::demo().await.get("/v1/models").await.json();
	assert_eq!(plain["data"][0]["meta"]["sampling"], Value::Null);
}
