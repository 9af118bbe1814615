//! Reads for the runtime API.

use crate::*;
use alloc::vec::Vec;
use aria_primitives::{
	AccountId, H256, ModelId,
	api::MAX_PAGE,
	provenance::{ModelView, Record},
};

impl<T: Config> Pallet<T> {
	/// A registered model.
	pub fn model_view(model: &ModelId) -> Option<ModelView> {
		Models::<T>::get(model).map(Self::view_of_model)
	}

	/// Registered models in storage order, `skip` of them left out, at most `limit` and [`MAX_PAGE`].
	pub fn models(skip: u32, limit: u32) -> Vec<(ModelId, ModelView)> {
		Models::<T>::iter()
			.skip(skip as usize)
			.take(limit.min(MAX_PAGE) as usize)
			.map(|(id, model)| (id, Self::view_of_model(model)))
			.collect()
	}

	/// A record.
	pub fn record(id: &H256) -> Option<Record> {
		Records::<T>::get(id)
	}

	/// Identifiers of a worker's latest records, newest first, at most `limit`, [`MAX_PAGE`] and
	/// [`Config::MaxRecordsPerWorker`].
	pub fn records_of(worker: &AccountId, limit: u32) -> Vec<H256> {
		LatestRecords::<T>::get(worker)
			.into_iter()
			.rev()
			.take(limit.min(MAX_PAGE) as usize)
			.collect()
	}

	fn view_of_model(model: ModelOf<T>) -> ModelView {
		ModelView {
			publisher: model.publisher,
			name: model.name.into_inner(),
			licence: model.licence.into_inner(),
			operations: model.operations,
			bytes: model.bytes,
		}
	}
}
