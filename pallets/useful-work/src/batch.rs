//! Committing and pruning batches.

use crate::*;
use aria_primitives::{
	AccountId, H256,
	consent::TaskKind,
	traits::ConsentCheck,
	work::{BatchId, Totals},
};
use frame_support::{
	ensure,
	pallet_prelude::*,
	traits::{Get, fungible::MutateHold, tokens::Precision},
};
use sp_runtime::traits::{CheckedMul, Zero};

impl<T: Config> Pallet<T> {
	pub(crate) fn do_commit_batch(
		who: AccountId,
		root: H256,
		count: u32,
		totals: Totals,
	) -> DispatchResult {
		let mut party = Workers::<T>::get(&who).ok_or(Error::<T>::NotRegistered)?;
		ensure!(party.roles.worker, Error::<T>::NotAWorker);
		ensure!(
			(1..=T::MaxReceiptsPerBatch::get()).contains(&count),
			Error::<T>::BadReceiptCount
		);
		let at_most = |per_receipt: u64| u64::from(count).saturating_mul(per_receipt);
		ensure!(
			totals.tokens <= at_most(MAX_TOKENS_PER_RECEIPT)
				&& totals.microjoules <= at_most(MAX_MICROJOULES_PER_RECEIPT),
			Error::<T>::ImplausibleTotals
		);
		let reserved = Self::most_draws(count);
		let exposure = party
			.exposure
			.checked_add(reserved)
			.ok_or(Error::<T>::Overflow)?;
		ensure!(
			exposure <= T::MaxOpenObligations::get(),
			Error::<T>::TooManyObligations
		);
		let at_stake = T::SlashAmount::get()
			.checked_mul(&exposure.into())
			.ok_or(Error::<T>::Overflow)?;
		ensure!(
			party.bond >= at_stake.max(T::Bond::get()),
			Error::<T>::BondTooLow
		);
		let consent_version = T::Consent::ensure_permitted(&who, TaskKind::TextGen)?;
		let mut sums = LedgerSums::<T>::get();
		let batch = sums.batches;
		sums.count_batch(count, &totals)
			.ok_or(Error::<T>::Overflow)?;

		let deposit = T::BatchDeposit::get();
		T::Currency::hold(&HoldReason::BatchDeposit.into(), &who, deposit)?;

		let now = Self::now();
		party.exposure = exposure;
		Workers::<T>::insert(&who, party);
		LedgerSums::<T>::put(sums);
		Batches::<T>::insert(
			batch,
			Batch {
				worker: who.clone(),
				root,
				count,
				totals,
				consent_version,
				committed_at: now,
				deposit,
				first_draw: 0,
				draws: 0,
				state: BatchState::Pending {
					reserved,
					retries: 0,
				},
			},
		);
		Self::enqueue(
			QueueKind::Draw,
			batch,
			now.saturating_add(T::DrawDelay::get()),
		)?;
		Self::deposit_event(Event::BatchCommitted {
			batch,
			worker: who,
			root,
			count,
		});
		Ok(())
	}

	pub(crate) fn do_prune(id: BatchId) -> DispatchResult {
		let batch = Batches::<T>::get(id).ok_or(Error::<T>::UnknownBatch)?;
		let BatchState::Closed { at } = batch.state else {
			return Err(Error::<T>::NotPrunable.into());
		};
		let age = Self::now().saturating_sub(at);
		ensure!(age >= T::Retention::get(), Error::<T>::NotPrunable);
		if !batch.deposit.is_zero() {
			T::Currency::release(
				&HoldReason::BatchDeposit.into(),
				&batch.worker,
				batch.deposit,
				Precision::Exact,
			)?;
		}
		for draw in batch.draw_ids() {
			Draws::<T>::remove(draw);
		}
		Batches::<T>::remove(id);
		Self::deposit_event(Event::Pruned {
			batch: id,
			draws: batch.draws,
			deposit: batch.deposit,
		});
		Ok(())
	}
}

impl<Balance> Batch<Balance> {
	/// Identifiers of the draws made from this batch.
	pub fn draw_ids(&self) -> core::ops::Range<u64> {
		self.first_draw..self.first_draw.saturating_add(self.draws.into())
	}
}

impl Sums {
	/// Counts a batch, or `None` on overflow.
	fn count_batch(&mut self, count: u32, totals: &Totals) -> Option<()> {
		self.receipts = self.receipts.checked_add(count.into())?;
		self.batches = self.batches.checked_add(1)?;
		self.tokens = self.tokens.checked_add(totals.tokens)?;
		self.microjoules = self.microjoules.checked_add(totals.microjoules)?;
		Some(())
	}
}
