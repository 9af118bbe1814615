//! `GET /v1/status` and `/v1/energy`: what this worker is, what it runs on, and how it is connected.

use super::Shared;
use crate::text::to_hex;
use aria_primitives::SPEC_VERSION;
use axum::{Json, extract::State};
use serde_json::{Value, json};
use sp_core::{Pair, crypto::Ss58Codec};
use std::sync::Arc;

/// `GET /v1/status`.
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
	let (api, about) = (&shared.api, &shared.api.about);
	let models: Vec<Value> = api
		.models
		.list()
		.iter()
		.map(|model| {
			let root = model.facts.as_ref().map(|facts| facts.id);
			json!({
				"id": &*model.name,
				"ready": model.ready,
				"context_length": model.config.context,
				"model_root": root.map(|root| to_hex(root.as_bytes())),
				"requests": model.requests,
			})
		})
		.collect();
	let consent = api.consent.version();
	Json(json!({
		"object": "status",
		"version": env!("CARGO_PKG_VERSION"),
		"backend": "native",
		"specification": SPEC_VERSION,
		"uptime_seconds": shared.session.uptime().as_secs(),
		"models_count": models.len(),
		"models": models,
		"slots": { "parallel": about.parallel, "queue": about.queue },
		"machine": { "instruction_set": about.instruction_set, "threads": about.threads },
		"energy": { "source": about.energy, "grade": about.grade },
		"account": api.signer.public().to_ss58check(),
		"consent_version": (consent > 0).then_some(consent),
		"chain": api.chain.as_ref().map(|link| link.to_json()),
	}))
}

/// `GET /v1/energy`.
pub(super) async fn energy(State(shared): State<Arc<Shared>>) -> Json<Value> {
	Json(shared.session.to_json())
}
