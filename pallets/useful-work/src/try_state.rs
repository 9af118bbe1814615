//! Invariants of the storage, checked after every test and by `try-runtime`.

use crate::*;
use alloc::collections::{BTreeMap, BTreeSet};
use aria_primitives::{AccountId, work::DrawStatus};
use frame_support::{ensure, traits::Get, traits::fungible::InspectHold};
use sp_runtime::{
	TryRuntimeError,
	traits::{CheckedAdd, Zero},
};

impl<T: Config> Pallet<T> {
	/// Checks every invariant.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::bonds_are_on_hold()?;
		Self::deposits_are_on_hold()?;
		Self::obligations_are_counted()?;
		Self::verifiers_are_listed()?;
		Self::batches_and_draws_agree()?;
		Self::everything_open_is_queued()?;
		Self::sums_are_consistent()
	}

	/// What a party has bonded is what is on hold for its bond.
	fn bonds_are_on_hold() -> Result<(), TryRuntimeError> {
		for (who, party) in Workers::<T>::iter() {
			let held = T::Currency::balance_on_hold(&HoldReason::Bond.into(), &who);
			ensure!(held == party.bond, "a bond differs from its hold");
		}
		Ok(())
	}

	/// The deposits of an account's batches are what it has on hold for them.
	fn deposits_are_on_hold() -> Result<(), TryRuntimeError> {
		let mut deposits: BTreeMap<AccountId, BalanceOf<T>> = BTreeMap::new();
		for batch in Batches::<T>::iter_values() {
			let sum = deposits.entry(batch.worker).or_insert_with(Zero::zero);
			*sum = sum
				.checked_add(&batch.deposit)
				.ok_or("deposits overflow the balance")?;
		}
		for (who, deposit) in deposits {
			let held = T::Currency::balance_on_hold(&HoldReason::BatchDeposit.into(), &who);
			ensure!(held == deposit, "deposits differ from their hold");
		}
		Ok(())
	}

	/// Exposure and assignments are exactly the pending batches' reservations and the open draws.
	fn obligations_are_counted() -> Result<(), TryRuntimeError> {
		let mut exposure: BTreeMap<AccountId, u64> = BTreeMap::new();
		let mut assigned: BTreeMap<AccountId, u64> = BTreeMap::new();
		for batch in Batches::<T>::iter_values() {
			if let BatchState::Pending { reserved, .. } = batch.state {
				count(&mut exposure, batch.worker, reserved);
			}
		}
		for draw in Draws::<T>::iter_values() {
			if is_open(draw.status) {
				ensure!(draw.worker != draw.verifier, "a worker verifies itself");
				count(&mut exposure, draw.worker, 1);
				count(&mut assigned, draw.verifier, 1);
			}
		}
		for (who, party) in Workers::<T>::iter() {
			ensure!(
				exposure.remove(&who).unwrap_or_default() == u64::from(party.exposure),
				"an exposure is miscounted"
			);
			ensure!(
				assigned.remove(&who).unwrap_or_default() == u64::from(party.assigned),
				"assignments are miscounted"
			);
		}
		ensure!(
			exposure.is_empty() && assigned.is_empty(),
			"a party left with obligations"
		);
		Ok(())
	}

	/// The list holds, without gaps, the parties with the verifier's role and a full bond.
	fn verifiers_are_listed() -> Result<(), TryRuntimeError> {
		let mut expected: BTreeSet<AccountId> = Workers::<T>::iter()
			.filter(|(_, party)| party.roles.verifier && party.bond >= T::Bond::get())
			.map(|(who, _)| who)
			.collect();
		for slot in 0..VerifierCount::<T>::get() {
			let who = VerifierAt::<T>::get(slot).ok_or("the list of verifiers has a gap")?;
			ensure!(
				VerifierSlot::<T>::get(&who) == Some(slot),
				"a verifier's number is wrong"
			);
			ensure!(
				expected.remove(&who),
				"a listed party may not verify, or is listed twice"
			);
		}
		ensure!(expected.is_empty(), "a verifier is not listed");
		let count = VerifierCount::<T>::get() as usize;
		ensure!(
			VerifierAt::<T>::iter_keys().count() == count
				&& VerifierSlot::<T>::iter_keys().count() == count,
			"the list of verifiers has leftovers"
		);
		Ok(())
	}

	/// Every draw belongs to a batch that knows it and how many of its draws are open.
	fn batches_and_draws_agree() -> Result<(), TryRuntimeError> {
		let mut known = 0usize;
		for (id, batch) in Batches::<T>::iter() {
			let mut open = 0u32;
			for draw_id in batch.draw_ids() {
				let draw = Draws::<T>::get(draw_id).ok_or("a batch names a draw that is gone")?;
				ensure!(draw.batch == id, "a draw belongs to another batch");
				ensure!(draw.worker == batch.worker, "a draw names another worker");
				ensure!(draw.leaf_index < batch.count, "a draw names no leaf");
				ensure!(
					draw.opened.is_some()
						|| matches!(draw.status, DrawStatus::Drawn | DrawStatus::Rejected(_)),
					"a draw went on without being opened"
				);
				open = open.saturating_add(is_open(draw.status).into());
				known = known.saturating_add(1);
			}
			ensure!(
				match batch.state {
					BatchState::Pending { reserved, .. } =>
						batch.draws == 0 && reserved == Self::most_draws(batch.count),
					BatchState::Drawn { open: counted } => counted == open && open > 0,
					BatchState::Closed { .. } => open == 0,
				},
				"a batch's state differs from its draws"
			);
			ensure!(
				batch.draws <= T::MaxDrawsPerBatch::get(),
				"a batch has too many draws"
			);
		}
		ensure!(
			known == Draws::<T>::iter_keys().count(),
			"a draw has no batch"
		);
		Ok(())
	}

	/// Whatever waits for a block is in its queue, exactly once; queues have no entries outside their ends.
	fn everything_open_is_queued() -> Result<(), TryRuntimeError> {
		let mut entries: BTreeMap<(QueueKind, u64), u32> = BTreeMap::new();
		for (kind, number, entry) in Queue::<T>::iter() {
			ensure!(
				(QueueHead::<T>::get(kind)..QueueTail::<T>::get(kind)).contains(&number),
				"a queue entry lies outside its queue"
			);
			ensure!(
				entries.insert((kind, entry.id), entry.due).is_none(),
				"something is queued twice"
			);
		}
		for (id, batch) in Batches::<T>::iter() {
			let pending = matches!(batch.state, BatchState::Pending { .. });
			ensure!(
				pending == entries.contains_key(&(QueueKind::Draw, id)),
				"the queue of draws differs from the pending batches"
			);
		}
		for (id, draw) in Draws::<T>::iter() {
			let kind = match draw.status {
				DrawStatus::Drawn => QueueKind::Open,
				DrawStatus::Opened => QueueKind::Verdict,
				_ => continue,
			};
			let due = draw.deadline.saturating_add(1);
			ensure!(
				entries.get(&(kind, id)) == Some(&due),
				"an open draw's deadline is not queued"
			);
		}
		Ok(())
	}

	/// Sums agree with what is stored, as far as that is not pruned.
	fn sums_are_consistent() -> Result<(), TryRuntimeError> {
		let sums = LedgerSums::<T>::get();
		ensure!(sums.receipts >= sums.batches, "a batch without receipts");
		let open = Draws::<T>::iter_values()
			.filter(|draw| is_open(draw.status))
			.count() as u64;
		let settled = sums
			.accepted
			.saturating_add(sums.rejected)
			.saturating_add(sums.unresolved);
		ensure!(
			settled.saturating_add(open) == sums.draws,
			"draws are miscounted"
		);
		ensure!(
			Batches::<T>::iter_keys().all(|id| id < sums.batches)
				&& Draws::<T>::iter_keys().all(|id| id < sums.draws),
			"an identifier was not minted"
		);
		Ok(())
	}
}

fn is_open(status: DrawStatus) -> bool {
	matches!(status, DrawStatus::Drawn | DrawStatus::Opened)
}

fn count(map: &mut BTreeMap<AccountId, u64>, who: AccountId, more: u32) {
	let sum = map.entry(who).or_default();
	*sum = sum.saturating_add(more.into());
}
