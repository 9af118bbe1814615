//! What all handlers share.

use super::{
	ApiError,
	about::About,
	bounds::{Limits, memory},
	fields::Fields,
	origins::Origin,
	session::Session,
};
use crate::{
	chain::{Consent, link::ChainLink, now_ms},
	keys::Keys,
	metrics::Metrics,
	models::{Health, Models, Served},
	receipts::{journal::Journal, keys::ReceiptKeys},
};
use aria_engine::model::Model;
use aria_primitives::{H256, ModelId, SPEC_VERSION, consent::TaskKind};
use sp_core::sr25519;
use std::{
	sync::Arc,
	time::{Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Semaphore;

/// What the API needs.
pub struct ApiState {
	/// What clients may ask for.
	pub models: Models,
	/// Signs receipts.
	pub signer: Arc<sr25519::Pair>,
	/// Where receipts are on disk before an answer ends.
	pub journal: Journal,
	/// Makes the keys with which clients see their receipts again.
	pub receipt_keys: ReceiptKeys,
	/// What the owner of this machine allows.
	pub consent: Arc<Consent>,
	/// What the worker runs on.
	pub about: About,
	/// The link to the chain; none off the chain.
	pub chain: Option<Arc<ChainLink>>,
	/// A key that clients may send.
	pub api_key: Option<String>,
	/// Other keys that clients may send. With neither, any key is accepted.
	pub keys: Keys,
	/// Counts what happens.
	pub metrics: Metrics,
	/// What connections and requests may cost.
	pub limits: Limits,
	/// Web pages that may use the API.
	pub origins: Vec<Origin>,
	/// Alters a token of each answer before signing it, to test that verifiers notice.
	#[cfg(feature = "fault-injection")]
	pub alter_token: bool,
}

/// The state and what does not change while the server runs.
pub(crate) struct Shared {
	pub(super) api: Arc<ApiState>,
	/// Seconds since the Unix epoch at which the API was made.
	pub(super) started: u64,
	pub(super) session: Session,
	/// Memory for bodies that are being read.
	pub(super) bodies: Arc<Semaphore>,
}

impl Shared {
	/// Begins to serve.
	pub(crate) fn new(api: Arc<ApiState>) -> Arc<Self> {
		Arc::new(Self {
			bodies: memory(&api.limits),
			api,
			started: unix_seconds(),
			session: Session::new(),
		})
	}

	/// What the engines are doing. What may not be answered yet is being loaded.
	pub(crate) fn health(&self) -> Health {
		match self.api.models.health(self.api.limits.stuck) {
			Health::Ready if self.api.consent.is_awaited() => Health::Loading,
			health => health,
		}
	}

	/// When an answer that begins now must have ended.
	pub(crate) fn deadline(&self) -> Instant {
		Instant::now() + self.api.limits.answer
	}

	/// The version of the owner's consent contract that allows this work now.
	pub(super) fn permit(&self, task: TaskKind) -> Result<u32, ApiError> {
		let permitted = self.api.consent.permit(task, now_ms());
		permitted.map_err(|refusal| ApiError::outside_consent(&refusal))
	}

	/// Whether a receipt's prompt and answer may be shown to somebody with this key; not to anybody without one.
	pub(crate) fn may_read(&self, id: &H256, key: Option<&str>) -> Result<bool, ApiError> {
		match key {
			None => Ok(false),
			Some(key) if self.api.receipt_keys.fits(id, key) => Ok(true),
			Some(_) => Err(ApiError::wrong_receipt_key()),
		}
	}

	/// The model that a request names.
	pub(super) fn model(&self, fields: &Fields) -> Result<Served, ApiError> {
		match fields.text("model")? {
			Some(name) => self.model_called(name),
			None => Err(ApiError::invalid("model", "model is missing")),
		}
	}

	/// The model that a request names, the first if it names none.
	pub(super) fn model_or_first(&self, fields: &Fields) -> Result<Served, ApiError> {
		match fields.text("model")? {
			Some(name) => self.model_called(name),
			None => self.first_model(),
		}
	}

	/// The model of a receipt; if it is not served here, the first, which will say so.
	pub(super) async fn model_with_root(&self, root: &ModelId) -> Result<Served, ApiError> {
		match self.api.models.with_root(root).await {
			Ok(Some(served)) => Ok(served),
			Ok(None) => self.first_model(),
			Err(error) => Err(ApiError::unavailable("the receipt's model", error)),
		}
	}

	pub(super) fn first_model(&self) -> Result<Served, ApiError> {
		let first = self.api.models.first();
		first.map_err(|error| ApiError::unavailable("the first model", error))
	}

	pub(super) fn model_called(&self, name: &str) -> Result<Served, ApiError> {
		let found = self.api.models.get(name);
		found.map_err(|error| ApiError::unavailable(name, error))
	}
}

/// `system_fingerprint`: what decides every bit of an answer.
pub(super) fn fingerprint(model: &Model) -> String {
	let root = hex::encode(model.id.as_bytes());
	format!("aria-{SPEC_VERSION}-{}", root.get(..16).unwrap_or(&root))
}

pub(super) fn unix_seconds() -> u64 {
	SystemTime::now()
		.duration_since(UNIX_EPOCH)
		.map_or(0, |elapsed| elapsed.as_secs())
}

/// 128 random bits in hex.
pub(super) fn random_hex() -> String {
	hex::encode(rand::random::<[u8; 16]>())
}
