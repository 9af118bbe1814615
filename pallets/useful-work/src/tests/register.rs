//! Joining, changing, leaving, topping up.

use crate::{mock::*, *};
use aria_primitives::work::Roles;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{DispatchError, TokenError, traits::BadOrigin};

#[test]
fn register_works() {
	run(|| {
		register(1, BOTH);
		assert_eq!(held(1), BOND);
		assert_eq!(Balances::free_balance(account(1)), FUNDS - BOND);
		assert_eq!(VerifierAt::<Test>::get(0), Some(account(1)));
		System::assert_last_event(
			Event::Registered {
				who: account(1),
				roles: BOTH,
				bond: BOND,
			}
			.into(),
		);
	});
}

#[test]
fn register_should_fail_when_registered_already() {
	run(|| {
		register(1, WORKER);
		assert_noop!(
			UsefulWork::register(signed(1), BOTH, address()),
			Error::<Test>::AlreadyRegistered
		);
	});
}

#[test]
fn register_should_fail_when_roles_address_or_funds_are_missing() {
	run(|| {
		assert_noop!(
			UsefulWork::register(signed(1), Roles::default(), address()),
			Error::<Test>::NoRole
		);
		assert_noop!(
			UsefulWork::register(signed(1), BOTH, Address::default()),
			Error::<Test>::NoAddress
		);
		assert_noop!(
			UsefulWork::register(signed(100), BOTH, address()),
			DispatchError::Token(TokenError::FundsUnavailable)
		);
	});
}

#[test]
fn calls_should_fail_when_unsigned_or_not_registered() {
	run(|| {
		let none = RuntimeOrigin::none;
		assert_noop!(UsefulWork::register(none(), BOTH, address()), BadOrigin);
		assert_noop!(UsefulWork::deregister(RuntimeOrigin::root()), BadOrigin);
		assert_noop!(UsefulWork::prune(none(), 0), BadOrigin);
		assert_noop!(
			UsefulWork::update(signed(1), BOTH, address()),
			Error::<Test>::NotRegistered
		);
		assert_noop!(
			UsefulWork::deregister(signed(1)),
			Error::<Test>::NotRegistered
		);
		assert_noop!(
			UsefulWork::top_up(signed(1), 1),
			Error::<Test>::NotRegistered
		);
	});
}

#[test]
fn update_should_move_between_lists() {
	run(|| {
		for seed in 1..=3 {
			register(seed, VERIFIER);
		}
		// The last verifier takes the number of the one that leaves the list.
		assert_ok!(UsefulWork::update(signed(1), WORKER, address()));
		assert_eq!(VerifierCount::<Test>::get(), 2);
		assert_eq!(VerifierAt::<Test>::get(0), Some(account(3)));
		check();
		assert_ok!(UsefulWork::update(signed(1), BOTH, address()));
		assert_eq!(VerifierSlot::<Test>::get(account(1)), Some(2));
		assert_noop!(
			UsefulWork::update(signed(1), Roles::default(), address()),
			Error::<Test>::NoRole
		);
	});
}

#[test]
fn deregister_should_release_the_bond() {
	run(|| {
		register(1, BOTH);
		register(2, BOTH);
		assert_ok!(UsefulWork::deregister(signed(1)));
		assert_eq!(Balances::free_balance(account(1)), FUNDS);
		assert_eq!(Workers::<Test>::count(), 1);
		System::assert_last_event(
			Event::Deregistered {
				who: account(1),
				bond: BOND,
			}
			.into(),
		);
	});
}

#[test]
fn deregister_should_fail_when_obligations_are_open() {
	run(|| {
		let receipts = {
			register(1, WORKER);
			register(2, VERIFIER);
			vec![receipt(1, 0)]
		};
		commit(1, &receipts);
		assert_noop!(
			UsefulWork::deregister(signed(1)),
			Error::<Test>::OpenObligations
		);
		assert_ok!(UsefulWork::deregister(signed(2)));
		register(2, VERIFIER);
		skip(DRAW_DELAY);
		assert_noop!(
			UsefulWork::deregister(signed(1)),
			Error::<Test>::OpenObligations
		);
		assert_noop!(
			UsefulWork::deregister(signed(2)),
			Error::<Test>::OpenObligations
		);
	});
}

#[test]
fn top_up_should_restore_a_slashed_verifier() {
	run(|| {
		one_draw();
		register(3, VERIFIER);
		assert_ok!(UsefulWork::slash(&account(3), 30, None, None));
		assert_eq!(VerifierSlot::<Test>::get(account(3)), None);
		check();
		assert_ok!(UsefulWork::top_up(signed(3), 29));
		assert_eq!(VerifierSlot::<Test>::get(account(3)), None);
		assert_ok!(UsefulWork::top_up(signed(3), 1));
		assert_eq!(VerifierSlot::<Test>::get(account(3)), Some(1));
		assert_eq!(held(3), BOND);
		System::assert_last_event(
			Event::ToppedUp {
				who: account(3),
				amount: 1,
				bond: BOND,
			}
			.into(),
		);
		assert_noop!(
			UsefulWork::top_up(signed(3), FUNDS),
			DispatchError::Token(TokenError::FundsUnavailable)
		);
		assert_noop!(
			UsefulWork::top_up(signed(3), u128::MAX),
			Error::<Test>::Overflow
		);
	});
}
