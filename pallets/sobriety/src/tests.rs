//! Tests of the pallet.

use crate::{mock::*, *};
use aria_primitives::{
	api::SobrietyView,
	energy::{Energy, EvidenceGrade, Rating},
};
use frame_support::{assert_noop, assert_ok, traits::fungible::Mutate};
use proptest::prelude::*;
use sp_runtime::{DispatchError, TokenError};

const GIGA: u128 = 1_000_000_000;

fn view() -> SobrietyView {
	Sobriety::sobriety_view(&account(1)).expect("attested")
}

#[test]
fn attest_works() {
	run(|| {
		assert_eq!(Sobriety::sobriety_view(&account(1)), None);
		assert_ok!(Sobriety::attest(signed(1), 10, START_MS, battery(40_000)));
		assert_eq!(
			view(),
			SobrietyView {
				microjoules: 40_000,
				operations: 0,
				grade: EvidenceGrade::Battery,
				rating: None,
				attestations: 1,
			}
		);
		assert_eq!(held(1), DEPOSIT);
		System::assert_last_event(
			Event::Attested {
				who: account(1),
				period_start_ms: 10,
				period_end_ms: START_MS,
				energy: battery(40_000),
			}
			.into(),
		);
	});
}

#[test]
fn attest_should_fail_when_the_caller_is_not_registered() {
	run(|| {
		assert_noop!(
			Sobriety::attest(signed(3), 0, 1, battery(1)),
			Error::<Test>::NotRegistered
		);
	});
}

#[test]
fn attest_should_fail_when_energy_is_unknown_or_zero() {
	run(|| {
		let unknown = Energy {
			microjoules: 1,
			grade: EvidenceGrade::Unknown,
		};
		assert_noop!(
			Sobriety::attest(signed(1), 0, 1, unknown),
			Error::<Test>::UnknownGrade
		);
		assert_noop!(
			Sobriety::attest(signed(1), 0, 1, battery(0)),
			Error::<Test>::ZeroEnergy
		);
	});
}

#[test]
fn attest_should_fail_when_the_period_is_empty_or_in_the_future() {
	run(|| {
		for (start, end) in [(5, 5), (6, 5)] {
			assert_noop!(
				Sobriety::attest(signed(1), start, end, battery(1)),
				Error::<Test>::EmptyPeriod
			);
		}
		assert_noop!(
			Sobriety::attest(signed(1), 0, START_MS + 1, battery(1)),
			Error::<Test>::FuturePeriod
		);
	});
}

#[test]
fn attest_should_fail_when_periods_overlap() {
	run(|| {
		assert_ok!(Sobriety::attest(signed(1), 10, 20, battery(1)));
		for (start, end) in [(10, 20), (19, 30), (0, 5), (0, 30)] {
			assert_noop!(
				Sobriety::attest(signed(1), start, end, battery(1)),
				Error::<Test>::OverlappingPeriod
			);
		}
		assert_ok!(Sobriety::attest(signed(1), 20, 21, battery(1)));
		// Others have periods of their own.
		assert_ok!(Sobriety::attest(signed(2), 10, 20, battery(1)));
	});
}

#[test]
fn attest_should_fail_when_the_deposit_cannot_be_paid() {
	run(|| {
		Balances::set_balance(&account(1), DEPOSIT);
		assert_noop!(
			Sobriety::attest(signed(1), 0, 1, battery(1)),
			TokenError::FundsUnavailable
		);
	});
}

#[test]
fn attest_should_fail_when_sums_overflow() {
	new_test_ext().execute_with(|| {
		assert_ok!(Sobriety::attest(signed(1), 0, 1, battery(1)));
		let overflows = |spoil: fn(&mut AccountOf<Test>)| {
			let before = Accounts::<Test>::get(account(1));
			Accounts::<Test>::mutate(account(1), |a| spoil(a.as_mut().unwrap()));
			assert_noop!(
				Sobriety::attest(signed(1), 1, 2, battery(1)),
				Error::<Test>::Overflow
			);
			Accounts::<Test>::set(account(1), before);
		};
		overflows(|a| a.microjoules = u128::MAX);
		overflows(|a| a.attestations = u32::MAX);
	});
}

#[test]
fn sums_should_keep_what_falls_off_the_list() {
	run(|| {
		let estimated = Energy {
			microjoules: 7,
			grade: EvidenceGrade::Estimated,
		};
		assert_ok!(Sobriety::attest(signed(1), 0, 1, estimated));
		for start in 1..=u64::from(LISTED) {
			assert_ok!(Sobriety::attest(signed(1), start, start + 1, battery(10)));
		}
		let list = Attestations::<Test>::get(account(1));
		assert_eq!(list.len(), LISTED as usize);
		assert!(list.iter().all(|a| a.energy == battery(10)));
		assert_eq!(view().microjoules, 7 + 10 * u128::from(LISTED));
		assert_eq!(view().grade, EvidenceGrade::Estimated);
		assert_eq!(view().attestations, LISTED + 1);
		// The deposit is taken once.
		assert_eq!(held(1), DEPOSIT);
	});
}

#[test]
fn rating_should_leave_out_operations_from_before_the_first_attestation() {
	run(|| {
		Credited::set(1_000 * GIGA);
		assert_ok!(Sobriety::attest(signed(1), 0, 1, battery(40_000)));
		assert_eq!((view().operations, view().rating), (0, None));
		Credited::set(1_001 * GIGA);
		assert_eq!((view().operations, view().rating), (GIGA, Some(Rating::A)));
		assert_ok!(Sobriety::attest(signed(1), 1, 2, battery(40_000)));
		assert_eq!((view().operations, view().rating), (GIGA, Some(Rating::B)));
		// The party left and forfeited its operations.
		Credited::set(5 * GIGA);
		assert_eq!((view().operations, view().rating), (0, None));
	});
}

#[test]
fn withdraw_works() {
	run(|| {
		Credited::set(GIGA);
		assert_ok!(Sobriety::attest(signed(1), 10, 20, battery(1)));
		assert_ok!(Sobriety::withdraw(signed(1)));
		assert_eq!(Sobriety::sobriety_view(&account(1)), None);
		assert!(!Attestations::<Test>::contains_key(account(1)));
		assert_eq!(held(1), 0);
		System::assert_last_event(
			Event::Withdrawn {
				who: account(1),
				deposit: DEPOSIT,
			}
			.into(),
		);
		// What comes after starts at zero.
		Credited::set(3 * GIGA);
		assert_ok!(Sobriety::attest(signed(1), 20, 30, battery(1)));
		assert_eq!((view().operations, view().attestations), (0, 1));
	});
}

#[test]
fn withdraw_should_work_when_the_party_has_left() {
	run(|| {
		assert_ok!(Sobriety::attest(signed(1), 10, 20, battery(1)));
		FirstUnregistered::set(0);
		assert_ok!(Sobriety::withdraw(signed(1)));
	});
}

#[test]
fn withdraw_should_fail_when_nothing_is_attested() {
	run(|| {
		assert_noop!(Sobriety::withdraw(signed(1)), Error::<Test>::NoAttestations);
	});
}

#[test]
fn calls_should_fail_when_not_signed() {
	run(|| {
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(
				Sobriety::attest(origin.clone(), 0, 1, battery(1)),
				DispatchError::BadOrigin
			);
			assert_noop!(Sobriety::withdraw(origin), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn try_state_should_fail_when_storage_is_inconsistent() {
	let broken = |spoil: fn(&mut AccountOf<Test>)| {
		new_test_ext().execute_with(|| {
			assert_ok!(Sobriety::attest(signed(1), 10, 20, battery(9)));
			assert_ok!(Sobriety::do_try_state());
			Accounts::<Test>::mutate(account(1), |a| spoil(a.as_mut().unwrap()));
			Sobriety::do_try_state().unwrap_err()
		})
	};
	assert_eq!(
		broken(|a| a.deposit += 1),
		DispatchError::Other("an account's deposit differs from its hold")
	);
	assert_eq!(
		broken(|a| a.attestations = 2),
		DispatchError::Other("attestations are miscounted")
	);
	assert_eq!(
		broken(|a| a.microjoules += 1),
		DispatchError::Other("an account's energy is not the sum of its attestations")
	);
	assert_eq!(
		broken(|a| a.grade = EvidenceGrade::Estimated),
		DispatchError::Other("an account's grade is not its weakest")
	);
	assert_eq!(
		broken(|a| a.last_end_ms += 1),
		DispatchError::Other("an account's last period is not the listed one")
	);
	new_test_ext().execute_with(|| {
		assert_ok!(Sobriety::attest(signed(1), 10, 20, battery(9)));
		Accounts::<Test>::remove(account(1));
		assert_eq!(
			Sobriety::do_try_state(),
			Err(DispatchError::Other("a list belongs to no account"))
		);
	});
}

#[derive(Clone, Debug)]
enum Step {
	Attest(u8, i64, i64, u64, EvidenceGrade),
	Withdraw(u8),
	Credit(u128),
	Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
	let who = 1u8..=3;
	let grade = prop_oneof![
		Just(EvidenceGrade::Unknown),
		Just(EvidenceGrade::Estimated),
		Just(EvidenceGrade::Battery),
		Just(EvidenceGrade::ProcessorCounters),
	];
	prop_oneof![
		8 => (who.clone(), -5i64..20, -5i64..30, 0u64..50_000, grade)
			.prop_map(|(w, s, l, e, g)| Step::Attest(w, s, l, e, g)),
		1 => who.prop_map(Step::Withdraw),
		2 => (0..2 * GIGA).prop_map(Step::Credit),
		3 => (0u64..100).prop_map(Step::Wait),
	]
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

	#[test]
	fn invariants_hold_and_sums_are_exact_after_every_step(
		steps in proptest::collection::vec(step(), 1..150),
	) {
		new_test_ext().execute_with(|| {
			let mut sums = [0u128; 4];
			for step in &steps {
				match *step {
					Step::Attest(who, offset, length, microjoules, grade) => {
						let last = Accounts::<Test>::get(account(who)).map_or(START_MS, |a| a.last_end_ms);
						let start = last.saturating_add_signed(offset);
						let end = start.saturating_add_signed(length);
						let energy = Energy { microjoules, grade };
						let fine = who < 3
							&& grade > EvidenceGrade::Unknown
							&& microjoules > 0
							&& start < end
							&& end <= NowMs::get()
							&& (sums[usize::from(who)] == 0 || offset >= 0);
						let done = Sobriety::attest(signed(who), start, end, energy);
						assert_eq!(done.is_ok(), fine, "{step:?}: {done:?}");
						if fine {
							sums[usize::from(who)] += u128::from(microjoules);
						}
					}
					Step::Withdraw(who) => {
						let done = Sobriety::withdraw(signed(who));
						assert_eq!(done.is_ok(), sums[usize::from(who)] > 0);
						sums[usize::from(who)] = 0;
					}
					Step::Credit(operations) => Credited::set(Credited::get() + operations),
					Step::Wait(ms) => NowMs::set(NowMs::get() + ms),
				}
				for who in 1..=3 {
					let sum = Sobriety::sobriety_view(&account(who)).map_or(0, |v| v.microjoules);
					assert_eq!(sum, sums[usize::from(who)]);
				}
				Sobriety::do_try_state().unwrap_or_else(|error| panic!("{step:?}: {error:?}"));
			}
		});
	}
}
