//! Missed openings and verdicts.

use crate::{mock::*, *};
use aria_primitives::work::{DrawStatus, Fault, Verdict};
use frame_support::{assert_noop, assert_ok};

#[test]
fn unopened_leaf_should_cost_as_much_as_a_wrong_answer() {
	run(|| {
		one_draw();
		skip(OPEN_WINDOW);
		assert_eq!(held(1), BOND);
		next_block();
		assert_eq!(held(1), BOND - SLASH);
		// Nobody reported it, so all of it goes to the handler.
		assert_eq!(Slashed::get(), SLASH);
		let fault = Fault::NotOpened;
		System::assert_has_event(
			Event::Slashed {
				who: account(1),
				amount: SLASH,
				reporter: None,
				reward: 0,
				fault: Some(fault),
			}
			.into(),
		);
		System::assert_last_event(
			Event::Settled {
				draw: 0,
				record: None,
				status: DrawStatus::Rejected(fault),
				operations: 0,
			}
			.into(),
		);
		assert!(Records::get().is_empty() && Settlements::get().is_empty());
		assert!(matches!(
			Batches::<Test>::get(0).map(|b| b.state),
			Some(BatchState::Closed { .. })
		));
		assert_eq!(UsefulWork::stats().rejected, 1);
		assert_ok!(UsefulWork::deregister(signed(2)));
	});
}

#[test]
fn silent_verifier_should_be_slashed_and_replaced() {
	run(|| {
		let receipts = one_draw();
		register(3, VERIFIER);
		assert_ok!(open(1, 0, &receipts));
		skip(VERDICT_WINDOW + 1);
		assert_eq!(held(2), BOND - VERIFIER_SLASH);
		let draw = Draws::<Test>::get(0).expect("drawn");
		assert_eq!((&draw.verifier, draw.reassignments), (&account(3), 1));
		assert_eq!(draw.deadline, now() + VERDICT_WINDOW);
		System::assert_last_event(
			Event::Reassigned {
				draw: 0,
				from: account(2),
				to: account(3),
				deadline: draw.deadline,
			}
			.into(),
		);
		check();
		// The one that was replaced is free to leave and has no say any more.
		assert_noop!(
			UsefulWork::verdict(signed(2), 0, Verdict::Accept),
			Error::<Test>::NotTheVerifier
		);
		assert_ok!(UsefulWork::deregister(signed(2)));
		assert_ok!(UsefulWork::verdict(signed(3), 0, Verdict::Accept));
		assert_eq!(UsefulWork::stats().accepted, 1);
	});
}

#[test]
fn draw_should_stay_unresolved_when_every_verifier_is_silent() {
	run(|| {
		let receipts = one_draw();
		for seed in 3..=6 {
			register(seed, VERIFIER);
		}
		assert_ok!(open(1, 0, &receipts));
		// The first verifier and two replacements.
		for _ in 0..2 {
			skip(VERDICT_WINDOW + 1);
			assert_eq!(
				Draws::<Test>::get(0).map(|d| d.status),
				Some(DrawStatus::Opened)
			);
			check();
		}
		skip(VERDICT_WINDOW + 1);
		System::assert_last_event(
			Event::Unresolved {
				batch: 0,
				draw: Some(0),
			}
			.into(),
		);
		assert_eq!(Slashed::get(), 3 * VERIFIER_SLASH);
		assert_eq!(held(1), BOND);
		let record = &Records::get()[&receipts[0].leaf()];
		assert_eq!(record.status, DrawStatus::Unresolved);
		assert_eq!(Settlements::get()[0].status, DrawStatus::Unresolved);
		assert_ok!(UsefulWork::deregister(signed(1)));
	});
}

#[test]
fn draw_should_stay_unresolved_when_there_is_no_other_verifier() {
	run(|| {
		let receipts = one_draw();
		// The worker verifies others, but never itself.
		assert_ok!(UsefulWork::update(signed(1), BOTH, address()));
		assert_ok!(open(1, 0, &receipts));
		skip(VERDICT_WINDOW + 1);
		assert_eq!(
			Draws::<Test>::get(0).map(|d| d.status),
			Some(DrawStatus::Unresolved)
		);
		assert_eq!(held(2), BOND - VERIFIER_SLASH);
	});
}

#[test]
fn slashed_verifier_should_not_be_assigned_before_it_tops_up() {
	run(|| {
		let receipts = one_draw();
		assert_ok!(open(1, 0, &receipts));
		skip(VERDICT_WINDOW + 1);
		assert_eq!(VerifierCount::<Test>::get(), 0);
		commit(1, &[receipt(1, 1)]);
		skip(DRAW_DELAY);
		assert_eq!(UsefulWork::stats().draws, 1);
		assert_ok!(UsefulWork::top_up(signed(2), VERIFIER_SLASH));
		skip(DRAW_DELAY);
		assert_eq!(UsefulWork::stats().draws, 2);
	});
}
