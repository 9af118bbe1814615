//! Opening, verdicts, deadlines, settlement.

use crate::*;
use aria_primitives::{
	AccountId, H256, SPEC_VERSION, merkle,
	provenance::Record,
	receipt::SignedReceipt,
	traits::{OnSettled, ProvenanceLedger},
	work::{DrawId, DrawStatus, Fault, Settlement, Verdict},
};
use frame_support::{ensure, pallet_prelude::*, traits::Get};

impl<T: Config> Pallet<T> {
	pub(crate) fn do_open(
		who: AccountId,
		id: DrawId,
		signed: &SignedReceipt,
		proof: &[H256],
	) -> DispatchResult {
		let mut draw = Draws::<T>::get(id).ok_or(Error::<T>::UnknownDraw)?;
		ensure!(draw.worker == who, Error::<T>::NotTheWorker);
		ensure!(draw.status == DrawStatus::Drawn, Error::<T>::NotDrawn);
		let now = Self::now();
		ensure!(now <= draw.deadline, Error::<T>::DeadlinePassed);
		let batch = Batches::<T>::get(draw.batch).ok_or(Error::<T>::UnknownBatch)?;
		let record = signed.leaf();
		ensure!(
			merkle::verify(&batch.root, batch.count, draw.leaf_index, &record, proof),
			Error::<T>::BadProof
		);
		let receipt = &signed.receipt;
		ensure!(receipt.worker == who, Error::<T>::WrongWorker);
		ensure!(receipt.spec == SPEC_VERSION, Error::<T>::WrongSpec);
		ensure!(
			receipt.prompt_tokens > 0 && receipt.output_tokens > 0,
			Error::<T>::NoTokens
		);
		// An answer is older than its batch, so its contract is not younger; versions begin at 1 where there are contracts.
		let consent = batch.consent_version.min(1)..=batch.consent_version;
		ensure!(
			consent.contains(&receipt.consent_version),
			Error::<T>::WrongConsent
		);
		let operations = T::Ledger::operations(&receipt.model)
			.ok_or(Error::<T>::UnknownModel)?
			.of(receipt.prompt_tokens, receipt.output_tokens);
		ensure!(
			operations == Some(receipt.operations),
			Error::<T>::WrongOperations
		);
		// Last, because it costs most.
		ensure!(signed.verify_signature(), Error::<T>::BadSignature);

		T::Ledger::insert(
			record,
			Record {
				model: receipt.model,
				worker: who,
				verifier: draw.verifier.clone(),
				batch: draw.batch,
				leaf_index: draw.leaf_index,
				request: receipt.request,
				output: receipt.output,
				trace_root: receipt.trace_root,
				prompt_tokens: receipt.prompt_tokens,
				output_tokens: receipt.output_tokens,
				operations: receipt.operations,
				energy: receipt.energy,
				status: DrawStatus::Opened,
				opened_at: now,
			},
		)?;
		draw.opened = Some(OpenedReceipt {
			record,
			model: receipt.model,
			operations: receipt.operations,
		});
		draw.status = DrawStatus::Opened;
		Self::await_verdict(id, &mut draw, now)?;
		Self::deposit_event(Event::Opened {
			draw: id,
			record,
			verifier: draw.verifier.clone(),
			deadline: draw.deadline,
		});
		Draws::<T>::insert(id, draw);
		Ok(())
	}

	pub(crate) fn do_verdict(who: AccountId, id: DrawId, verdict: Verdict) -> DispatchResult {
		let draw = Draws::<T>::get(id).ok_or(Error::<T>::UnknownDraw)?;
		ensure!(draw.verifier == who, Error::<T>::NotTheVerifier);
		ensure!(draw.status == DrawStatus::Opened, Error::<T>::NotOpen);
		let now = Self::now();
		ensure!(now <= draw.deadline, Error::<T>::DeadlinePassed);
		let status = match verdict {
			Verdict::Accept => DrawStatus::Accepted,
			Verdict::Reject(fault) => {
				Self::slash(&draw.worker, T::SlashAmount::get(), Some(&who), Some(fault))?;
				DrawStatus::Rejected(fault)
			}
		};
		Self::settle(id, draw, status, now)
	}

	/// A leaf that was not opened in time costs as much as a wrong answer; nobody reported it, so nobody is paid.
	pub(crate) fn expire_opening(id: DrawId, now: u32) -> DispatchResult {
		let Some(draw) = Self::overdue(id, DrawStatus::Drawn, now) else {
			return Ok(());
		};
		let fault = Fault::NotOpened;
		Self::slash(&draw.worker, T::SlashAmount::get(), None, Some(fault))?;
		Self::settle(id, draw, DrawStatus::Rejected(fault), now)
	}

	/// A verifier that gave no verdict in time is slashed and replaced.
	pub(crate) fn expire_verdict(id: DrawId, now: u32) -> DispatchResult {
		let Some(draw) = Self::overdue(id, DrawStatus::Opened, now) else {
			return Ok(());
		};
		// The receipt is fixed since the commitment, so the randomness may be of any block.
		let stream = Self::stream_for((b"aria/reassign", id, draw.reassignments), 0);
		Self::replace_verifier(id, draw, stream, now)
	}

	/// Slashes the silent verifier and assigns another one with this randomness; without another one, or after
	/// `MaxReassignments`, the draw ends unresolved.
	pub(crate) fn replace_verifier(
		id: DrawId,
		mut draw: Draw,
		stream: Option<draw::Stream>,
		now: u32,
	) -> DispatchResult {
		let silent = draw.verifier.clone();
		Self::slash(&silent, T::VerifierSlash::get(), None, None)?;
		let next = stream
			.filter(|_| draw.reassignments < T::MaxReassignments::get())
			.and_then(|mut stream| Self::pick_verifier(&mut stream, &[&draw.worker, &silent]));
		let Some(next) = next else {
			return Self::settle(id, draw, DrawStatus::Unresolved, now);
		};
		Self::unassign(&silent)?;
		Self::assign(&next)?;
		draw.verifier = next.clone();
		draw.reassignments = draw.reassignments.saturating_add(1);
		Self::await_verdict(id, &mut draw, now)?;
		Self::deposit_event(Event::Reassigned {
			draw: id,
			from: silent,
			to: next,
			deadline: draw.deadline,
		});
		Draws::<T>::insert(id, draw);
		Ok(())
	}

	fn overdue(id: DrawId, status: DrawStatus, now: u32) -> Option<Draw> {
		Draws::<T>::get(id).filter(|draw| draw.status == status && now > draw.deadline)
	}

	fn await_verdict(id: DrawId, draw: &mut Draw, now: u32) -> DispatchResult {
		draw.deadline = now.saturating_add(T::VerdictWindow::get());
		Self::enqueue(QueueKind::Verdict, id, draw.deadline.saturating_add(1))
	}

	fn unassign(verifier: &AccountId) -> DispatchResult {
		Self::mutate_party(verifier, |party| {
			party.assigned = party.assigned.checked_sub(1)?;
			Some(())
		})
	}

	/// Ends a draw: counts it, frees both parties, marks the record, tells the others.
	fn settle(id: DrawId, mut draw: Draw, status: DrawStatus, now: u32) -> DispatchResult {
		let accepted = status == DrawStatus::Accepted;
		let rejected = matches!(status, DrawStatus::Rejected(_));
		let claimed = draw.opened.map_or(0, |opened| opened.operations);
		let credited = if accepted { claimed } else { 0 };

		Self::mutate_party(&draw.worker, |party| {
			party.exposure = party.exposure.checked_sub(1)?;
			party.accepted = party.accepted.checked_add(accepted.into())?;
			party.rejected = party.rejected.checked_add(rejected.into())?;
			party.credited_operations = party.credited_operations.checked_add(credited.into())?;
			Some(())
		})?;
		Self::unassign(&draw.verifier)?;

		let mut batch = Batches::<T>::get(draw.batch).ok_or(Error::<T>::UnknownBatch)?;
		if let BatchState::Drawn { open } = batch.state {
			batch.state = match open.checked_sub(1).ok_or(Error::<T>::Overflow)? {
				0 => BatchState::Closed { at: now },
				open => BatchState::Drawn { open },
			};
		}
		Batches::<T>::insert(draw.batch, batch);

		let mut sums = LedgerSums::<T>::get();
		let counter = if accepted {
			&mut sums.accepted
		} else if rejected {
			&mut sums.rejected
		} else {
			&mut sums.unresolved
		};
		*counter = counter.checked_add(1).ok_or(Error::<T>::Overflow)?;
		LedgerSums::<T>::put(sums);

		draw.status = status;
		Self::deposit_event(if accepted || rejected {
			Event::Settled {
				draw: id,
				record: draw.opened.map(|opened| opened.record),
				status,
				operations: credited,
			}
		} else {
			Event::Unresolved {
				batch: draw.batch,
				draw: Some(id),
			}
		});
		if let Some(opened) = draw.opened {
			T::Ledger::set_status(&opened.record, status);
			T::OnSettled::on_settled(&Settlement {
				record: opened.record,
				worker: draw.worker.clone(),
				model: opened.model,
				operations: opened.operations,
				status,
			});
		}
		Draws::<T>::insert(id, draw);
		Ok(())
	}
}
