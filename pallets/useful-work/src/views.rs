//! Reads for the runtime API and for other pallets.

use crate::*;
use alloc::vec::Vec;
use aria_primitives::{
	AccountId,
	api::MAX_PAGE,
	traits::{ProvenanceLedger, VerifiedWork},
	work::{BatchId, BatchView, DrawId, DrawStatus, DrawView, LedgerStats, WorkerView},
};
use sp_runtime::traits::UniqueSaturatedInto;

/// Draws that [`Pallet::open_draws`] looks at, newest first.
const OPEN_DRAWS_WINDOW: u64 = 4_096;

impl<T: Config> Pallet<T> {
	/// A registered party.
	pub fn worker_view(who: &AccountId) -> Option<WorkerView> {
		Workers::<T>::get(who).map(Self::view_of_worker)
	}

	/// Registered parties in storage order, `skip` of them left out, at most `limit` and [`MAX_PAGE`].
	pub fn workers(skip: u32, limit: u32) -> Vec<(AccountId, WorkerView)> {
		Workers::<T>::iter()
			.skip(skip as usize)
			.take(limit.min(MAX_PAGE) as usize)
			.map(|(who, worker)| (who, Self::view_of_worker(worker)))
			.collect()
	}

	/// A batch.
	pub fn batch_view(id: BatchId) -> Option<BatchView> {
		let batch = Batches::<T>::get(id)?;
		Some(BatchView {
			draws: batch.draw_ids().collect(),
			worker: batch.worker,
			root: batch.root,
			count: batch.count,
			totals: batch.totals,
			committed_at: batch.committed_at,
		})
	}

	/// A draw.
	pub fn draw_view(id: DrawId) -> Option<DrawView> {
		Draws::<T>::get(id).map(Self::view_of_draw)
	}

	/// The draws numbered `from` and up, those that are pruned left out; at most `limit` and [`MAX_PAGE`] numbers are
	/// looked at.
	pub fn draws(from: DrawId, limit: u32) -> Vec<(DrawId, DrawView)> {
		let end = from
			.saturating_add(limit.min(MAX_PAGE).into())
			.min(LedgerSums::<T>::get().draws);
		(from..end)
			.filter_map(|id| Some((id, Self::draw_view(id)?)))
			.collect()
	}

	/// Draws not yet settled in which `who` is the worker or the verifier, oldest first, at most [`MAX_PAGE`]. Looks at
	/// the latest few thousand draws only.
	pub fn open_draws(who: &AccountId) -> Vec<(DrawId, DrawView)> {
		let end = LedgerSums::<T>::get().draws;
		(end.saturating_sub(OPEN_DRAWS_WINDOW)..end)
			.filter_map(|id| Some((id, Draws::<T>::get(id)?)))
			.filter(|(_, draw)| {
				matches!(draw.status, DrawStatus::Drawn | DrawStatus::Opened)
					&& (draw.worker == *who || draw.verifier == *who)
			})
			.map(|(id, draw)| (id, Self::view_of_draw(draw)))
			.take(MAX_PAGE as usize)
			.collect()
	}

	/// Sums over the whole ledger.
	pub fn stats() -> LedgerStats {
		let sums = LedgerSums::<T>::get();
		LedgerStats {
			receipts: sums.receipts,
			batches: sums.batches,
			draws: sums.draws,
			accepted: sums.accepted,
			rejected: sums.rejected,
			tokens: sums.tokens,
			microjoules: sums.microjoules,
			workers: Workers::<T>::count(),
			models: T::Ledger::model_count(),
		}
	}

	fn view_of_worker(worker: WorkerOf<T>) -> WorkerView {
		WorkerView {
			roles: worker.roles,
			bond: worker.bond.unique_saturated_into(),
			credited_operations: worker.credited_operations,
			accepted: worker.accepted,
			rejected: worker.rejected,
			open_obligations: worker.open_obligations(),
			address: worker.address.into_inner(),
		}
	}

	fn view_of_draw(draw: Draw) -> DrawView {
		DrawView {
			batch: draw.batch,
			leaf_index: draw.leaf_index,
			worker: draw.worker,
			verifier: draw.verifier,
			record: draw.opened.map(|opened| opened.record),
			status: draw.status,
			deadline: draw.deadline,
		}
	}
}

impl<T: Config> VerifiedWork for Pallet<T> {
	fn credited_operations(worker: &AccountId) -> u128 {
		Workers::<T>::get(worker).map_or(0, |party| party.credited_operations)
	}

	fn is_registered(worker: &AccountId) -> bool {
		Workers::<T>::contains_key(worker)
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn register_for_benchmark(worker: &AccountId) {
		use aria_primitives::work::Roles;
		benchmarking::fund::<T>(worker);
		let roles = Roles {
			worker: true,
			verifier: false,
		};
		let address = benchmarking::address();
		Self::do_register(worker.clone(), roles, address)
			.expect("the account is funded and not registered; qed");
	}
}
