//! The three queues and their service, once per block.

use crate::*;
use frame_support::{
	pallet_prelude::*,
	storage::with_storage_layer,
	traits::{Get, defensive_prelude::*},
	weights::WeightMeter,
};
use sp_runtime::traits::UniqueSaturatedInto;

impl<T: Config> Pallet<T> {
	/// The current block number. A chain of more than 2^32 blocks (800 years of six seconds) stops its clock.
	pub(crate) fn now() -> u32 {
		frame_system::Pallet::<T>::block_number().unique_saturated_into()
	}

	pub(crate) fn enqueue(kind: QueueKind, id: u64, due: u32) -> DispatchResult {
		let tail = QueueTail::<T>::get(kind);
		QueueTail::<T>::insert(kind, tail.checked_add(1).ok_or(Error::<T>::Overflow)?);
		Queue::<T>::insert(kind, tail, QueueEntry { id, due });
		Ok(())
	}

	/// Serves what is due, within the limit; returns the weight used.
	pub(crate) fn service(now: u32, limit: Weight) -> Weight {
		let mut meter = WeightMeter::with_limit(limit);
		if meter.try_consume(T::WeightInfo::service_base()).is_ok() {
			for kind in [QueueKind::Open, QueueKind::Verdict, QueueKind::Draw] {
				Self::service_queue(kind, now, &mut meter);
			}
		}
		meter.consumed()
	}

	pub(crate) fn service_cost(kind: QueueKind) -> Weight {
		match kind {
			QueueKind::Draw => T::WeightInfo::service_draw(T::MaxDrawsPerBatch::get()),
			QueueKind::Open => T::WeightInfo::service_open_expiry(),
			QueueKind::Verdict => T::WeightInfo::service_verdict_expiry(),
		}
	}

	fn service_queue(kind: QueueKind, now: u32, meter: &mut WeightMeter) {
		let cost = Self::service_cost(kind);
		let first = QueueHead::<T>::get(kind);
		// Entries queued meanwhile are never due in the same block.
		let end = QueueTail::<T>::get(kind);
		let mut head = first;
		while head < end && meter.can_consume(cost) {
			if let Some(entry) = Queue::<T>::get(kind, head) {
				if entry.due > now {
					break;
				}
				Queue::<T>::remove(kind, head);
				// Each entry by itself: one that fails leaves no half-made change and does not hold up the rest.
				let served = with_storage_layer(|| match kind {
					QueueKind::Draw => Self::do_draw(entry.id, now),
					QueueKind::Open => Self::expire_opening(entry.id, now),
					QueueKind::Verdict => Self::expire_verdict(entry.id, now),
				});
				let _ = served.defensive_proof("queue entries name batches and draws that exist");
			}
			meter.consume(cost);
			head = head.saturating_add(1);
		}
		if head != first {
			QueueHead::<T>::insert(kind, head);
		}
	}

	/// Asserts what the rest of the pallet assumes of its constants.
	pub(crate) fn check_constants() {
		assert!(
			T::Bond::get() >= T::SlashAmount::get() && T::Bond::get() >= T::VerifierSlash::get(),
			"a bond must cover at least one slash"
		);
		assert!(
			T::DrawDelay::get() >= 2,
			"the randomness of a draw must belong to a block after the commitment"
		);
		assert!(!T::SampleRate::get().is_zero(), "something must be drawn");
		assert!(T::MaxDrawsPerBatch::get() >= 1, "something must be drawn");
		assert!(
			T::MaxReceiptsPerBatch::get() >= 1,
			"a batch must hold something"
		);
		assert!(
			T::OpenWindow::get() >= 1 && T::VerdictWindow::get() >= 1,
			"parties must have a block in which to act"
		);
		assert!(
			T::MaxOpenObligations::get() >= T::MaxDrawsPerBatch::get(),
			"a worker must be able to commit one batch"
		);
		for kind in [QueueKind::Open, QueueKind::Verdict, QueueKind::Draw] {
			let least = T::WeightInfo::service_base().saturating_add(Self::service_cost(kind));
			assert!(
				T::ServiceWeight::get().all_gte(least),
				"the service weight must suffice for one entry of each queue"
			);
		}
	}
}
