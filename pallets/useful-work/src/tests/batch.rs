//! Committing and pruning.

use crate::{mock::*, *};
use aria_primitives::{
	H256,
	work::{Totals, Verdict},
};
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};
use sp_runtime::DispatchError;

fn commit_raw(seed: u8, count: u32, totals: Totals) -> sp_runtime::DispatchResult {
	UsefulWork::commit_batch(signed(seed), H256::repeat_byte(1), count, totals)
}

fn deposit_held(seed: u8) -> u128 {
	Balances::balance_on_hold(&HoldReason::BatchDeposit.into(), &account(seed))
}

#[test]
fn commit_batch_works() {
	run(|| {
		register(1, WORKER);
		let totals = Totals {
			tokens: 50,
			operations: 60,
			microjoules: 70,
		};
		assert_ok!(commit_raw(1, 3, totals));
		let batch = Batches::<Test>::get(0).expect("committed");
		assert_eq!(
			(batch.count, batch.totals, batch.consent_version),
			(3, totals, 7)
		);
		assert_eq!(deposit_held(1), DEPOSIT);
		assert_eq!(
			Workers::<Test>::get(account(1)).map(|w| w.exposure),
			Some(3)
		);
		let stats = UsefulWork::stats();
		assert_eq!((stats.batches, stats.receipts), (1, 3));
		assert_eq!((stats.tokens, stats.microjoules), (50, 70));
		System::assert_last_event(
			Event::BatchCommitted {
				batch: 0,
				worker: account(1),
				root: H256::repeat_byte(1),
				count: 3,
			}
			.into(),
		);
	});
}

#[test]
fn commit_batch_should_fail_when_the_caller_is_no_worker() {
	run(|| {
		assert_noop!(
			commit_raw(1, 1, Totals::default()),
			Error::<Test>::NotRegistered
		);
		register(1, VERIFIER);
		assert_noop!(
			commit_raw(1, 1, Totals::default()),
			Error::<Test>::NotAWorker
		);
	});
}

#[test]
fn commit_batch_should_fail_when_count_or_totals_are_out_of_range() {
	run(|| {
		register(1, WORKER);
		for count in [0, 65, u32::MAX] {
			assert_noop!(
				commit_raw(1, count, Totals::default()),
				Error::<Test>::BadReceiptCount
			);
		}
		let tokens = Totals {
			tokens: 2 * MAX_TOKENS_PER_RECEIPT + 1,
			..Totals::default()
		};
		let energy = Totals {
			microjoules: 2 * MAX_MICROJOULES_PER_RECEIPT + 1,
			..Totals::default()
		};
		for totals in [tokens, energy] {
			assert_noop!(commit_raw(1, 2, totals), Error::<Test>::ImplausibleTotals);
			assert_ok!(commit_raw(1, 3, totals));
		}
	});
}

#[test]
fn commit_batch_should_fail_when_consent_is_missing() {
	run(|| {
		register(1, WORKER);
		ConsentVersion::set(Err(DispatchError::Other("not now")));
		assert_noop!(
			commit_raw(1, 1, Totals::default()),
			DispatchError::Other("not now")
		);
	});
}

#[test]
fn commit_batch_should_fail_when_the_bond_does_not_cover_every_leaf() {
	run(|| {
		register(1, WORKER);
		// A bond of ten slashes covers ten leaves: two batches of four and one of two.
		for count in [64, 4, 2] {
			assert_ok!(commit_raw(1, count, Totals::default()));
		}
		assert_noop!(
			commit_raw(1, 1, Totals::default()),
			Error::<Test>::BondTooLow
		);
		assert_ok!(UsefulWork::top_up(signed(1), 2 * SLASH));
		assert_ok!(commit_raw(1, 2, Totals::default()));
		// And twelve is the limit, whatever the bond.
		assert_ok!(UsefulWork::top_up(signed(1), 2 * SLASH));
		assert_noop!(
			commit_raw(1, 1, Totals::default()),
			Error::<Test>::TooManyObligations
		);
	});
}

#[test]
fn commit_batch_should_fail_when_the_bond_was_slashed() {
	run(|| {
		register(1, WORKER);
		assert_ok!(UsefulWork::slash(&account(1), 1, None, None));
		assert_noop!(
			commit_raw(1, 1, Totals::default()),
			Error::<Test>::BondTooLow
		);
		assert_ok!(UsefulWork::top_up(signed(1), 1));
		assert_ok!(commit_raw(1, 1, Totals::default()));
	});
}

#[test]
fn commit_batch_should_fail_when_the_deposit_can_not_be_paid() {
	run(|| {
		register(1, WORKER);
		assert_ok!(UsefulWork::top_up(signed(1), FUNDS - BOND - DEPOSIT));
		assert_noop!(
			commit_raw(1, 1, Totals::default()),
			DispatchError::Token(sp_runtime::TokenError::FundsUnavailable)
		);
	});
}

#[test]
fn prune_should_remove_batch_and_draws_after_the_retention_period() {
	run(|| {
		let receipts = one_draw();
		assert_noop!(UsefulWork::prune(signed(9), 0), Error::<Test>::NotPrunable);
		assert_noop!(UsefulWork::prune(signed(9), 1), Error::<Test>::UnknownBatch);
		assert_ok!(open(1, 0, &receipts));
		assert_ok!(UsefulWork::verdict(signed(2), 0, Verdict::Accept));
		skip(RETENTION - 1);
		assert_noop!(UsefulWork::prune(signed(9), 0), Error::<Test>::NotPrunable);
		next_block();
		// A worker that has left still gets its deposit back.
		assert_ok!(UsefulWork::deregister(signed(1)));
		assert_eq!(Balances::free_balance(account(1)), FUNDS - DEPOSIT);
		assert_ok!(UsefulWork::prune(signed(9), 0));
		assert_eq!(Balances::free_balance(account(1)), FUNDS);
		assert!(Batches::<Test>::get(0).is_none() && Draws::<Test>::get(0).is_none());
		assert_eq!(Records::get().len(), 1);
		System::assert_last_event(
			Event::Pruned {
				batch: 0,
				draws: 1,
				deposit: DEPOSIT,
			}
			.into(),
		);
	});
}
