//! Opening drawn leaves.

use crate::{mock::*, *};
use aria_primitives::{
	H256, merkle,
	receipt::{Receipt, SignedReceipt},
	work::DrawStatus,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError;

#[test]
fn open_works() {
	run(|| {
		register(1, WORKER);
		register(2, VERIFIER);
		let receipts: Vec<_> = (0..3).map(|salt| receipt(1, salt)).collect();
		commit(1, &receipts);
		skip(DRAW_DELAY);
		assert_ok!(open(1, 1, &receipts));
		let leaf = receipts[1].leaf();
		let draw = Draws::<Test>::get(1).expect("drawn");
		assert_eq!(draw.status, DrawStatus::Opened);
		assert_eq!(draw.deadline, now() + VERDICT_WINDOW);
		let record = Records::get().get(&leaf).cloned().expect("on record");
		assert_eq!(record.status, DrawStatus::Opened);
		assert_eq!((record.worker, record.verifier), (account(1), account(2)));
		assert_eq!((record.batch, record.leaf_index), (0, 1));
		assert_eq!(record.operations, receipts[1].receipt.operations);
		assert_eq!(record.opened_at, now());
		System::assert_last_event(
			Event::Opened {
				draw: 1,
				record: leaf,
				verifier: account(2),
				deadline: now() + VERDICT_WINDOW,
			}
			.into(),
		);
	});
}

#[test]
fn open_should_fail_when_it_is_not_the_callers_turn() {
	run(|| {
		let receipts = one_draw();
		assert_noop!(open(1, 1, &receipts), Error::<Test>::UnknownDraw);
		assert_noop!(open(2, 0, &receipts), Error::<Test>::NotTheWorker);
		assert_ok!(open(1, 0, &receipts));
		assert_noop!(open(1, 0, &receipts), Error::<Test>::NotDrawn);
	});
}

#[test]
fn open_should_work_in_the_last_block_and_fail_after_it() {
	run(|| {
		let receipts = one_draw();
		skip(OPEN_WINDOW);
		// Even if the chain has not served the queue yet.
		System::set_block_number(u64::from(now()) + 1);
		assert_noop!(open(1, 0, &receipts), Error::<Test>::DeadlinePassed);
		System::set_block_number(u64::from(now()) - 1);
		assert_ok!(open(1, 0, &receipts));
	});
}

#[test]
fn open_should_fail_when_the_proof_does_not_lead_to_the_drawn_leaf() {
	run(|| {
		register(1, WORKER);
		register(2, VERIFIER);
		let receipts: Vec<_> = (0..4).map(|salt| receipt(1, salt)).collect();
		commit(1, &receipts);
		skip(DRAW_DELAY);
		let attempt = |draw, index: usize, proof: Vec<H256>| {
			UsefulWork::open(
				signed(1),
				draw,
				Box::new(receipts[index].clone()),
				proof.try_into().expect("short enough"),
			)
		};
		let proof = merkle::proof(&leaves(&receipts), 0).expect("leaf exists");
		// Another leaf with its own proof, the right leaf with another proof, none, one too long.
		assert_noop!(attempt(1, 0, proof.clone()), Error::<Test>::BadProof);
		assert_noop!(attempt(0, 1, proof.clone()), Error::<Test>::BadProof);
		assert_noop!(attempt(0, 0, Vec::new()), Error::<Test>::BadProof);
		let longer = [proof.clone(), vec![H256::zero()]].concat();
		assert_noop!(attempt(0, 0, longer), Error::<Test>::BadProof);
		assert_ok!(attempt(0, 0, proof));
	});
}

#[test]
fn open_should_compare_the_receipts_consent_with_the_batchs() {
	run(|| {
		register(1, WORKER);
		register(2, VERIFIER);
		assert_ok!(UsefulWork::top_up(signed(1), BOND));
		// The batch is committed under version 7.
		let (draw, receipts) = open_changed(|r| r.consent_version = 0);
		assert_noop!(open(1, draw, &receipts), Error::<Test>::WrongConsent);
		let (draw, receipts) = open_changed(|r| r.consent_version = 8);
		assert_noop!(open(1, draw, &receipts), Error::<Test>::WrongConsent);
		// Answered before the owner amended the contract.
		let (draw, receipts) = open_changed(|r| r.consent_version = 6);
		assert_ok!(open(1, draw, &receipts));
		// A runtime without contracts has no versions.
		ConsentVersion::set(Ok(0));
		let (draw, receipts) = open_changed(|r| r.consent_version = 1);
		assert_noop!(open(1, draw, &receipts), Error::<Test>::WrongConsent);
		let (draw, receipts) = open_changed(|r| r.consent_version = 0);
		assert_ok!(open(1, draw, &receipts));
	});
}

/// Commits one receipt that was changed before it was signed, and tries to open it.
fn open_changed(change: impl FnOnce(&mut Receipt)) -> (u64, Vec<SignedReceipt>) {
	let mut changed = receipt(1, 9).receipt;
	change(&mut changed);
	let receipts = vec![sign(1, changed)];
	let batch = commit(1, &receipts);
	skip(DRAW_DELAY);
	let draw = Batches::<Test>::get(batch).expect("committed").first_draw;
	(draw, receipts)
}

#[test]
fn open_should_fail_when_the_receipt_is_false() {
	run(|| {
		register(1, WORKER);
		register(2, VERIFIER);
		// Each of them is slashed at its deadline.
		assert_ok!(UsefulWork::top_up(signed(1), BOND));
		let (draw, receipts) = open_changed(|r| r.worker = account(3));
		assert_noop!(open(1, draw, &receipts), Error::<Test>::WrongWorker);
		let (draw, receipts) = open_changed(|r| r.spec += 1);
		assert_noop!(open(1, draw, &receipts), Error::<Test>::WrongSpec);
		let (draw, receipts) = open_changed(|r| r.prompt_tokens = 0);
		assert_noop!(open(1, draw, &receipts), Error::<Test>::NoTokens);
		let (draw, receipts) = open_changed(|r| r.output_tokens = 0);
		assert_noop!(open(1, draw, &receipts), Error::<Test>::NoTokens);
		let (draw, receipts) = open_changed(|r| r.model = H256::zero());
		assert_noop!(open(1, draw, &receipts), Error::<Test>::UnknownModel);
		let (draw, receipts) = open_changed(|r| r.operations += 1);
		assert_noop!(open(1, draw, &receipts), Error::<Test>::WrongOperations);
		let (draw, receipts) = open_changed(|r| {
			// Beyond 64 bits: no operations at all fit.
			r.prompt_tokens = u32::MAX;
			r.output_tokens = u32::MAX;
			r.operations = u64::MAX;
		});
		assert_noop!(open(1, draw, &receipts), Error::<Test>::WrongOperations);
	});
}

#[test]
fn open_should_fail_when_the_signature_is_not_the_workers() {
	run(|| {
		register(1, WORKER);
		register(2, VERIFIER);
		let receipts = vec![sign(3, receipt(1, 0).receipt)];
		commit(1, &receipts);
		skip(DRAW_DELAY);
		assert_noop!(open(1, 0, &receipts), Error::<Test>::BadSignature);
	});
}

#[test]
fn open_should_fail_when_the_receipt_is_on_record_already() {
	run(|| {
		let receipts = one_draw();
		assert_ok!(open(1, 0, &receipts));
		commit(1, &receipts);
		skip(DRAW_DELAY);
		assert_noop!(
			open(1, 1, &receipts),
			DispatchError::Other("on record already")
		);
	});
}

#[test]
fn open_should_fail_when_the_ledger_refuses() {
	run(|| {
		let receipts = one_draw();
		InsertResult::set(Err(DispatchError::Other("no deposit")));
		assert_noop!(open(1, 0, &receipts), DispatchError::Other("no deposit"));
	});
}
