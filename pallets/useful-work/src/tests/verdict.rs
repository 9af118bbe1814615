//! Verdicts, credit and slashing.

use crate::{mock::*, *};
use aria_primitives::{
	traits::VerifiedWork,
	work::{DrawStatus, Fault, Settlement, Verdict},
};
use frame_support::{assert_noop, assert_ok};

#[test]
fn accept_should_credit_the_operations_once() {
	run(|| {
		let receipts = one_draw();
		assert_ok!(open(1, 0, &receipts));
		assert_ok!(UsefulWork::verdict(signed(2), 0, Verdict::Accept));
		let leaf = receipts[0].leaf();
		let operations = receipts[0].receipt.operations;
		assert_eq!(operations, 10 * 4 + 2 * 10 + 100 * 2);
		System::assert_last_event(
			Event::Settled {
				draw: 0,
				record: Some(leaf),
				status: DrawStatus::Accepted,
				operations,
			}
			.into(),
		);
		let worker = Workers::<Test>::get(account(1)).expect("registered");
		assert_eq!(worker.credited_operations, u128::from(operations));
		assert_eq!((worker.accepted, worker.rejected), (1, 0));
		assert_eq!(worker.open_obligations(), 0);
		assert_eq!(
			UsefulWork::credited_operations(&account(1)),
			operations.into()
		);
		assert!(!UsefulWork::is_registered(&account(3)));
		assert_eq!(Records::get()[&leaf].status, DrawStatus::Accepted);
		assert_eq!(
			Settlements::get(),
			[Settlement {
				record: leaf,
				worker: account(1),
				model: MODEL,
				operations,
				status: DrawStatus::Accepted,
			}]
		);
		assert_eq!((held(1), held(2), Slashed::get()), (BOND, BOND, 0));
		assert_noop!(
			UsefulWork::verdict(signed(2), 0, Verdict::Accept),
			Error::<Test>::NotOpen
		);
		check();
		// The old deadline passes without effect.
		skip(VERDICT_WINDOW + 1);
		assert_eq!(held(2), BOND);
	});
}

#[test]
fn reject_should_slash_the_worker_and_pay_the_reporter() {
	for fault in [
		Fault::WrongOpening,
		Fault::WrongToken,
		Fault::WrongTrace,
		Fault::WrongCount,
		Fault::NotOpened,
	] {
		run(|| {
			let receipts = one_draw();
			assert_ok!(open(1, 0, &receipts));
			let before = Balances::total_issuance();
			assert_ok!(UsefulWork::verdict(signed(2), 0, Verdict::Reject(fault)));
			System::assert_has_event(
				Event::Slashed {
					who: account(1),
					amount: SLASH,
					reporter: Some(account(2)),
					reward: SLASH / 10,
					fault: Some(fault),
				}
				.into(),
			);
			System::assert_last_event(
				Event::Settled {
					draw: 0,
					record: Some(receipts[0].leaf()),
					status: DrawStatus::Rejected(fault),
					operations: 0,
				}
				.into(),
			);
			assert_eq!(held(1), BOND - SLASH);
			assert_eq!(Slashed::get(), SLASH - SLASH / 10);
			assert_eq!(
				Balances::free_balance(account(2)),
				FUNDS - BOND + SLASH / 10
			);
			// The mock drops what it is handed, which burns it.
			assert_eq!(Balances::total_issuance(), before - Slashed::get());
			let worker = Workers::<Test>::get(account(1)).expect("registered");
			assert_eq!((worker.accepted, worker.rejected), (0, 1));
			assert_eq!(worker.credited_operations, 0);
			let status = Records::get()[&receipts[0].leaf()].status;
			assert_eq!(status, DrawStatus::Rejected(fault));
			assert_eq!(Settlements::get()[0].status, status);
		});
	}
}

#[test]
fn slash_should_take_what_is_left_when_the_bond_is_smaller() {
	run(|| {
		let receipts = one_draw();
		assert_ok!(open(1, 0, &receipts));
		assert_ok!(UsefulWork::slash(&account(1), BOND - 30, None, None));
		let verdict = Verdict::Reject(Fault::WrongTrace);
		assert_ok!(UsefulWork::verdict(signed(2), 0, verdict));
		System::assert_has_event(
			Event::Slashed {
				who: account(1),
				amount: 30,
				reporter: Some(account(2)),
				reward: 3,
				fault: Some(Fault::WrongTrace),
			}
			.into(),
		);
		assert_eq!(held(1), 0);
		assert_ok!(UsefulWork::deregister(signed(1)));
	});
}

#[test]
fn verdict_should_fail_when_it_is_not_the_callers_turn() {
	run(|| {
		let receipts = one_draw();
		let verdict = |seed, draw| UsefulWork::verdict(signed(seed), draw, Verdict::Accept);
		assert_noop!(verdict(2, 7), Error::<Test>::UnknownDraw);
		assert_noop!(verdict(2, 0), Error::<Test>::NotOpen);
		assert_noop!(verdict(1, 0), Error::<Test>::NotTheVerifier);
		assert_ok!(open(1, 0, &receipts));
		assert_noop!(verdict(3, 0), Error::<Test>::NotTheVerifier);
		skip(VERDICT_WINDOW);
		System::set_block_number(u64::from(now()) + 1);
		assert_noop!(verdict(2, 0), Error::<Test>::DeadlinePassed);
		System::set_block_number(u64::from(now()) - 1);
		assert_ok!(verdict(2, 0));
	});
}
