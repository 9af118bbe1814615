//! Tests of the pallet.

use crate::{mock::*, *};
use aria_primitives::{
	consent::{ConsentView, TaskKind, Terms},
	traits::ConsentCheck,
};
use frame_support::{assert_noop, assert_ok, traits::fungible::Mutate};
use proptest::prelude::*;
use sp_runtime::{DispatchError, TokenError};

const MINUTE: u64 = 60_000;
/// 1970-01-05, a Monday.
const MONDAY: u64 = 4 * 1440 * MINUTE;

fn invalid() -> Terms {
	Terms {
		cpu_percent: 0,
		..Terms::default()
	}
}

fn nights() -> Terms {
	Terms {
		from_minute: 22 * 60,
		until_minute: 6 * 60,
		days: 1,
		tasks: 1 << TaskKind::TextGen as u8,
		..Terms::default()
	}
}

fn version(seed: u8) -> Option<u32> {
	Consent::consent_view(&account(seed)).map(|view| view.version)
}

#[test]
fn grant_works() {
	run(|| {
		System::set_block_number(7);
		assert_eq!(Consent::consent_view(&account(1)), None);
		assert_ok!(Consent::grant(signed(1), nights()));
		assert_eq!(
			Consent::consent_view(&account(1)),
			Some(ConsentView {
				terms: nights(),
				version: 1,
				changed_at: 7,
			})
		);
		assert_eq!(held(HoldReason::Contract, 1), CONTRACT_DEPOSIT);
		assert_eq!(held(HoldReason::Version, 1), VERSION_DEPOSIT);
		System::assert_last_event(
			Event::Granted {
				who: account(1),
				terms: nights(),
				version: 1,
			}
			.into(),
		);
	});
}

#[test]
fn grant_should_fail_when_there_is_a_contract() {
	run(|| {
		assert_ok!(Consent::grant(signed(1), Terms::default()));
		assert_noop!(
			Consent::grant(signed(1), nights()),
			Error::<Test>::AlreadyGranted
		);
	});
}

#[test]
fn grant_should_fail_when_terms_are_out_of_range() {
	run(|| {
		assert_noop!(
			Consent::grant(signed(1), invalid()),
			Error::<Test>::InvalidTerms
		);
	});
}

#[test]
fn grant_should_fail_when_a_deposit_cannot_be_paid() {
	run(|| {
		for short in [VERSION_DEPOSIT, VERSION_DEPOSIT + CONTRACT_DEPOSIT] {
			Balances::set_balance(&account(1), short);
			assert_noop!(
				Consent::grant(signed(1), Terms::default()),
				TokenError::FundsUnavailable
			);
		}
		// The existential deposit can't be held.
		Balances::set_balance(&account(1), VERSION_DEPOSIT + CONTRACT_DEPOSIT + 1);
		assert_ok!(Consent::grant(signed(1), Terms::default()));
	});
}

#[test]
fn amend_works() {
	run(|| {
		assert_ok!(Consent::grant(signed(1), Terms::default()));
		System::set_block_number(9);
		assert_ok!(Consent::amend(signed(1), nights()));
		assert_eq!(
			Consent::consent_view(&account(1)),
			Some(ConsentView {
				terms: nights(),
				version: 2,
				changed_at: 9,
			})
		);
		assert_eq!(held(HoldReason::Contract, 1), CONTRACT_DEPOSIT);
		System::assert_last_event(
			Event::Amended {
				who: account(1),
				terms: nights(),
				version: 2,
			}
			.into(),
		);
	});
}

#[test]
fn amend_should_fail_when_there_is_no_contract_or_terms_are_out_of_range() {
	run(|| {
		assert_noop!(
			Consent::amend(signed(1), nights()),
			Error::<Test>::NoContract
		);
		assert_ok!(Consent::grant(signed(1), Terms::default()));
		assert_noop!(
			Consent::amend(signed(1), invalid()),
			Error::<Test>::InvalidTerms
		);
		assert_noop!(
			Consent::amend(signed(2), nights()),
			Error::<Test>::NoContract
		);
	});
}

#[test]
fn revoke_works() {
	run(|| {
		assert_ok!(Consent::grant(signed(1), Terms::default()));
		assert_ok!(Consent::revoke(signed(1)));
		assert_eq!(Consent::consent_view(&account(1)), None);
		assert_eq!(held(HoldReason::Contract, 1), 0);
		assert_eq!(held(HoldReason::Version, 1), VERSION_DEPOSIT);
		System::assert_last_event(
			Event::Revoked {
				who: account(1),
				version: 1,
				deposit: CONTRACT_DEPOSIT,
			}
			.into(),
		);
		assert_noop!(Consent::revoke(signed(1)), Error::<Test>::NoContract);
		assert_noop!(
			Consent::amend(signed(1), nights()),
			Error::<Test>::NoContract
		);
	});
}

#[test]
fn versions_should_go_on_when_a_contract_is_granted_again() {
	run(|| {
		assert_ok!(Consent::grant(signed(1), Terms::default()));
		assert_ok!(Consent::amend(signed(1), nights()));
		assert_ok!(Consent::revoke(signed(1)));
		assert_ok!(Consent::grant(signed(1), Terms::default()));
		assert_eq!(version(1), Some(3));
		// The deposit for the number is taken once.
		assert_eq!(held(HoldReason::Version, 1), VERSION_DEPOSIT);
		// Others have numbers of their own.
		assert_ok!(Consent::grant(signed(2), Terms::default()));
		assert_eq!(version(2), Some(1));
	});
}

#[test]
fn grant_and_amend_should_fail_when_versions_are_exhausted() {
	run(|| {
		assert_ok!(Consent::grant(signed(1), Terms::default()));
		Contracts::<Test>::mutate(account(1), |c| c.as_mut().unwrap().version = u32::MAX);
		LastVersions::<Test>::mutate(account(1), |v| v.as_mut().unwrap().version = u32::MAX);
		assert_noop!(
			Consent::amend(signed(1), nights()),
			Error::<Test>::VersionsExhausted
		);
		assert_ok!(Consent::revoke(signed(1)));
		assert_noop!(
			Consent::grant(signed(1), nights()),
			Error::<Test>::VersionsExhausted
		);
	});
}

#[test]
fn calls_should_fail_when_not_signed() {
	run(|| {
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(
				Consent::grant(origin.clone(), nights()),
				DispatchError::BadOrigin
			);
			assert_noop!(
				Consent::amend(origin.clone(), nights()),
				DispatchError::BadOrigin
			);
			assert_noop!(Consent::revoke(origin), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn check_should_follow_the_contract_as_it_changes() {
	run(|| {
		let ask = |task, now_ms| {
			NowMs::set(now_ms);
			Consent::ensure_permitted(&account(1), task)
		};
		let outside = Err(Error::<Test>::OutsideTerms.into());
		let none = Err(Error::<Test>::NoContract.into());
		assert_eq!(ask(TaskKind::TextGen, MONDAY), none);

		assert_ok!(Consent::grant(signed(1), nights()));
		assert_eq!(ask(TaskKind::TextGen, MONDAY), outside);
		assert_eq!(ask(TaskKind::TextGen, MONDAY + 22 * 60 * MINUTE), Ok(1));
		assert_eq!(ask(TaskKind::TextGen, MONDAY + 30 * 60 * MINUTE - 1), Ok(1));
		assert_eq!(ask(TaskKind::TextGen, MONDAY + 30 * 60 * MINUTE), outside);
		assert_eq!(ask(TaskKind::CodeGen, MONDAY + 22 * 60 * MINUTE), outside);

		assert_ok!(Consent::amend(signed(1), Terms::default()));
		assert_eq!(ask(TaskKind::CodeGen, MONDAY), Ok(2));
		assert_ok!(Consent::revoke(signed(1)));
		assert_eq!(ask(TaskKind::TextGen, MONDAY), none);
		assert_eq!(
			Consent::ensure_permitted(&account(2), TaskKind::TextGen),
			none
		);
	});
}

#[test]
fn try_state_should_fail_when_storage_is_inconsistent() {
	let broken = |spoil: fn()| {
		new_test_ext().execute_with(|| {
			assert_ok!(Consent::grant(signed(1), Terms::default()));
			assert_ok!(Consent::do_try_state());
			spoil();
			Consent::do_try_state().unwrap_err()
		})
	};
	assert_eq!(
		broken(|| Contracts::<Test>::mutate(account(1), |c| c.as_mut().unwrap().terms = invalid())),
		DispatchError::Other("terms in force are invalid")
	);
	assert_eq!(
		broken(|| Contracts::<Test>::mutate(account(1), |c| c.as_mut().unwrap().version = 2)),
		DispatchError::Other("a contract's version is not the account's last")
	);
	assert_eq!(
		broken(|| Contracts::<Test>::mutate(account(1), |c| c.as_mut().unwrap().deposit += 1)),
		DispatchError::Other("a contract's deposit differs from its hold")
	);
	assert_eq!(
		broken(|| LastVersions::<Test>::mutate(account(1), |v| v.as_mut().unwrap().deposit += 1)),
		DispatchError::Other("a version's deposit differs from its hold")
	);
}

#[derive(Clone, Debug)]
enum Step {
	Grant(u8, bool),
	Amend(u8, bool),
	Revoke(u8),
	Fund(u8, u128),
}

fn step() -> impl Strategy<Value = Step> {
	let who = 1u8..=3;
	prop_oneof![
		3 => (who.clone(), any::<bool>()).prop_map(|(w, v)| Step::Grant(w, v)),
		3 => (who.clone(), any::<bool>()).prop_map(|(w, v)| Step::Amend(w, v)),
		3 => who.clone().prop_map(Step::Revoke),
		1 => (who, 0..200u128).prop_map(|(w, n)| Step::Fund(w, n)),
	]
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

	#[test]
	fn invariants_hold_and_versions_rise_after_every_step(
		steps in proptest::collection::vec(step(), 1..100),
	) {
		new_test_ext().execute_with(|| {
			let terms = |valid| if valid { nights() } else { invalid() };
			let mut last = [0u32; 4];
			for step in &steps {
				let (who, done) = match *step {
					Step::Grant(who, valid) => (who, Consent::grant(signed(who), terms(valid))),
					Step::Amend(who, valid) => (who, Consent::amend(signed(who), terms(valid))),
					Step::Revoke(who) => {
						let _ = Consent::revoke(signed(who));
						continue;
					}
					Step::Fund(who, amount) => {
						Balances::set_balance(&account(who), amount);
						continue;
					}
				};
				if done.is_ok() {
					let now = version(who).expect("just set");
					assert_eq!(now, last[usize::from(who)] + 1);
					last[usize::from(who)] = now;
				}
				Consent::do_try_state().unwrap_or_else(|error| panic!("{step:?}: {error:?}"));
			}
			Consent::do_try_state().expect("invariants hold");
		});
	}
}
