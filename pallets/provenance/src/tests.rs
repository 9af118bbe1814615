//! Tests of the pallet.

use crate::{mock::*, *};
use aria_primitives::{
	H256,
	provenance::ModelView,
	traits::ProvenanceLedger,
	work::{DrawStatus, Fault},
};
use frame_support::{assert_noop, assert_ok, traits::fungible::Mutate};
use proptest::prelude::*;
use sp_runtime::{DispatchError, TokenError};

fn skip_retention() {
	System::set_block_number(System::block_number() + u64::from(RETENTION) + 1);
}

#[test]
fn register_model_works() {
	run(|| {
		System::set_block_number(5);
		assert_ok!(register(1, 7));
		assert_eq!(
			Provenance::model_view(&hash(7)),
			Some(ModelView {
				publisher: account(1),
				name: b"tiny".to_vec(),
				licence: b"MIT".to_vec(),
				operations: COST,
				bytes: 1_000,
			})
		);
		assert_eq!(
			Models::<Test>::get(hash(7)).map(|m| (m.registered_at, m.records)),
			Some((5, 0))
		);
		assert_eq!(Provenance::operations(&hash(7)), Some(COST));
		assert_eq!(Provenance::operations(&hash(8)), None);
		assert_eq!(Provenance::model_count(), 1);
		assert_eq!(held(HoldReason::Model, 1), MODEL_DEPOSIT);
		System::assert_last_event(
			Event::ModelRegistered {
				model: hash(7),
				publisher: account(1),
				name: bounded("tiny"),
			}
			.into(),
		);
	});
}

#[test]
fn register_model_should_fail_when_it_is_registered() {
	run(|| {
		assert_ok!(register(1, 7));
		assert_noop!(register(2, 7), Error::<Test>::AlreadyRegistered);
	});
}

#[test]
fn register_model_should_fail_when_its_name_is_empty() {
	run(|| {
		assert_noop!(
			Provenance::register_model(signed(1), hash(7), bounded(""), bounded("MIT"), COST, 1),
			Error::<Test>::EmptyName
		);
	});
}

#[test]
fn register_model_should_fail_when_the_deposit_cannot_be_paid() {
	run(|| {
		Balances::set_balance(&account(1), MODEL_DEPOSIT);
		assert_noop!(register(1, 7), TokenError::FundsUnavailable);
	});
}

#[test]
fn deregister_model_works() {
	run(|| {
		assert_ok!(register(1, 7));
		assert_ok!(Provenance::deregister_model(signed(1), hash(7)));
		assert_eq!(Provenance::model_view(&hash(7)), None);
		assert_eq!(Provenance::model_count(), 0);
		assert_eq!(held(HoldReason::Model, 1), 0);
		System::assert_last_event(
			Event::ModelDeregistered {
				model: hash(7),
				publisher: account(1),
				deposit: MODEL_DEPOSIT,
			}
			.into(),
		);
	});
}

#[test]
fn deregister_model_should_fail_when_unknown_or_not_the_publishers() {
	run(|| {
		assert_noop!(
			Provenance::deregister_model(signed(1), hash(7)),
			Error::<Test>::UnknownModel
		);
		assert_ok!(register(1, 7));
		assert_noop!(
			Provenance::deregister_model(signed(2), hash(7)),
			Error::<Test>::NotThePublisher
		);
	});
}

#[test]
fn deregister_model_should_fail_when_records_refer_to_it() {
	run(|| {
		assert_ok!(register(1, 7));
		assert_ok!(Provenance::insert(hash(1), record(2, hash(7))));
		assert_noop!(
			Provenance::deregister_model(signed(1), hash(7)),
			Error::<Test>::InUse
		);
		Provenance::set_status(&hash(1), DrawStatus::Accepted);
		skip_retention();
		assert_ok!(Provenance::prune_record(signed(3), hash(1)));
		assert_ok!(Provenance::deregister_model(signed(1), hash(7)));
	});
}

#[test]
fn insert_works() {
	run(|| {
		assert_ok!(register(1, 7));
		assert_ok!(Provenance::insert(hash(1), record(2, hash(7))));
		assert_eq!(Provenance::record(&hash(1)), Some(record(2, hash(7))));
		assert_eq!(Provenance::record(&hash(2)), None);
		assert_eq!(held(HoldReason::Record, 2), RECORD_DEPOSIT);
		assert_eq!(Models::<Test>::get(hash(7)).map(|m| m.records), Some(1));
		System::assert_last_event(
			Event::RecordInserted {
				id: hash(1),
				worker: account(2),
				model: hash(7),
			}
			.into(),
		);
	});
}

#[test]
fn insert_should_fail_when_the_model_is_unknown() {
	run(|| {
		assert_noop!(
			Provenance::insert(hash(1), record(2, hash(7))),
			Error::<Test>::UnknownModel
		);
	});
}

#[test]
fn insert_should_fail_when_the_deposit_cannot_be_paid() {
	run(|| {
		assert_ok!(register(1, 7));
		Balances::set_balance(&account(2), RECORD_DEPOSIT);
		assert_noop!(
			Provenance::insert(hash(1), record(2, hash(7))),
			TokenError::FundsUnavailable
		);
	});
}

#[test]
fn insert_should_fail_when_the_identifier_is_or_was_recorded() {
	run(|| {
		assert_ok!(register(1, 7));
		assert_ok!(Provenance::insert(hash(1), record(2, hash(7))));
		let again = || Provenance::insert(hash(1), record(2, hash(7)));
		assert_noop!(again(), Error::<Test>::AlreadyRecorded);
		Provenance::set_status(&hash(1), DrawStatus::Accepted);
		skip_retention();
		assert_ok!(Provenance::prune_record(signed(2), hash(1)));
		assert_noop!(again(), Error::<Test>::AlreadyRecorded);
	});
}

#[test]
fn insert_should_fail_when_a_models_records_overflow() {
	new_test_ext().execute_with(|| {
		assert_ok!(register(1, 7));
		Models::<Test>::mutate(hash(7), |m| m.as_mut().unwrap().records = u32::MAX);
		assert_noop!(
			Provenance::insert(hash(1), record(2, hash(7))),
			Error::<Test>::Overflow
		);
	});
}

#[test]
fn set_status_works() {
	run(|| {
		assert_ok!(register(1, 7));
		assert_ok!(Provenance::insert(hash(1), record(2, hash(7))));
		let status = DrawStatus::Rejected(Fault::WrongToken);
		Provenance::set_status(&hash(1), status);
		assert_eq!(Provenance::record(&hash(1)).map(|r| r.status), Some(status));
		System::assert_last_event(
			Event::RecordMarked {
				id: hash(1),
				status,
			}
			.into(),
		);
	});
}

#[test]
fn set_status_should_do_nothing_when_there_is_no_record() {
	run(|| {
		let events = System::event_count();
		Provenance::set_status(&hash(1), DrawStatus::Accepted);
		assert_eq!(Provenance::record(&hash(1)), None);
		assert_eq!(System::event_count(), events);
	});
}

#[test]
fn prune_record_works() {
	run(|| {
		assert_ok!(register(1, 7));
		assert_ok!(Provenance::insert(hash(1), record(2, hash(7))));
		Provenance::set_status(&hash(1), DrawStatus::Unresolved);
		skip_retention();
		assert_ok!(Provenance::prune_record(signed(3), hash(1)));
		assert_eq!(Provenance::record(&hash(1)), None);
		assert_eq!(Provenance::records_of(&account(2), 9), Vec::<H256>::new());
		assert!(!LatestRecords::<Test>::contains_key(account(2)));
		assert_eq!(held(HoldReason::Record, 2), IDENTIFIER_DEPOSIT);
		System::assert_last_event(
			Event::RecordPruned {
				id: hash(1),
				worker: account(2),
				deposit: RECORD_DEPOSIT - IDENTIFIER_DEPOSIT,
			}
			.into(),
		);
		assert_noop!(
			Provenance::prune_record(signed(3), hash(1)),
			Error::<Test>::UnknownRecord
		);
	});
}

#[test]
fn prune_record_should_fail_when_it_is_not_settled_or_too_young() {
	run(|| {
		assert_ok!(register(1, 7));
		assert_ok!(Provenance::insert(hash(1), record(2, hash(7))));
		for status in [DrawStatus::Drawn, DrawStatus::Opened] {
			Provenance::set_status(&hash(1), status);
			assert_noop!(
				Provenance::prune_record(signed(2), hash(1)),
				Error::<Test>::NotSettled
			);
		}
		Provenance::set_status(&hash(1), DrawStatus::Accepted);
		System::set_block_number(1 + u64::from(RETENTION));
		assert_noop!(
			Provenance::prune_record(signed(2), hash(1)),
			Error::<Test>::NotPrunable
		);
		System::set_block_number(2 + u64::from(RETENTION));
		assert_ok!(Provenance::prune_record(signed(2), hash(1)));
	});
}

#[test]
fn calls_should_fail_when_not_signed() {
	run(|| {
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(
				Provenance::register_model(
					origin.clone(),
					hash(7),
					bounded("tiny"),
					bounded("MIT"),
					COST,
					1
				),
				DispatchError::BadOrigin
			);
			assert_noop!(
				Provenance::deregister_model(origin.clone(), hash(7)),
				DispatchError::BadOrigin
			);
			assert_noop!(
				Provenance::prune_record(origin, hash(1)),
				DispatchError::BadOrigin
			);
		}
	});
}

#[test]
fn lists_should_name_the_latest_records_newest_first() {
	run(|| {
		assert_ok!(register(1, 7));
		for id in 1..=5 {
			assert_ok!(Provenance::insert(hash(id), record(2, hash(7))));
		}
		assert_ok!(Provenance::insert(hash(6), record(3, hash(7))));
		let of = |who, limit| Provenance::records_of(&account(who), limit);
		assert_eq!(of(2, u32::MAX), [hash(5), hash(4), hash(3)]);
		assert_eq!(of(2, 2), [hash(5), hash(4)]);
		assert_eq!(of(2, 0), []);
		assert_eq!(of(3, 9), [hash(6)]);
		// Records that fell off the list are pruned like others.
		skip_retention();
		for id in [1, 4] {
			Provenance::set_status(&hash(id), DrawStatus::Accepted);
			assert_ok!(Provenance::prune_record(signed(1), hash(id)));
		}
		assert_eq!(of(2, 9), [hash(5), hash(3)]);
	});
}

#[test]
fn models_should_be_paged() {
	run(|| {
		for model in 1..=5 {
			assert_ok!(register(1, model));
		}
		let all = Provenance::models(0, u32::MAX);
		assert_eq!(all.len(), 5);
		assert_eq!(Provenance::models(1, 2), all[1..3]);
		assert_eq!(Provenance::models(5, 2), []);
		assert_eq!(Provenance::models(0, 0), []);
	});
}

#[test]
fn try_state_should_fail_when_storage_is_inconsistent() {
	let broken = |spoil: fn()| {
		new_test_ext().execute_with(|| {
			assert_ok!(register(1, 7));
			assert_ok!(Provenance::insert(hash(1), record(2, hash(7))));
			assert_ok!(Provenance::do_try_state());
			spoil();
			Provenance::do_try_state().unwrap_err()
		})
	};
	assert_eq!(
		broken(|| Models::<Test>::mutate(hash(7), |m| m.as_mut().unwrap().deposit += 1)),
		DispatchError::Other("deposits differ from their hold")
	);
	assert_eq!(
		broken(|| Models::<Test>::mutate(hash(7), |m| m.as_mut().unwrap().records += 1)),
		DispatchError::Other("a model's records are miscounted")
	);
	assert_eq!(
		broken(|| Records::<Test>::mutate(hash(1), |r| r.as_mut().unwrap().model = hash(8))),
		DispatchError::Other("a record's model is not registered")
	);
	assert_eq!(
		broken(|| RecordDeposits::<Test>::remove(hash(1))),
		DispatchError::Other("a record has no deposit of its worker")
	);
	assert_eq!(
		broken(|| LatestRecords::<Test>::mutate(account(3), |l| l.try_push(hash(1)).unwrap())),
		DispatchError::Other("a list names what is no record of its worker")
	);
}

#[derive(Clone, Debug)]
enum Step {
	Register(u8, u8),
	Deregister(u8, u8),
	Insert(u8, u8, u8),
	Mark(u8, DrawStatus),
	Prune(u8),
	Blocks(u64),
}

fn step() -> impl Strategy<Value = Step> {
	let who = 1u8..=3;
	let model = 7u8..=8;
	let id = 1u8..=20;
	let status = prop_oneof![
		Just(DrawStatus::Opened),
		Just(DrawStatus::Accepted),
		Just(DrawStatus::Rejected(Fault::NotOpened)),
	];
	prop_oneof![
		2 => (who.clone(), model.clone()).prop_map(|(w, m)| Step::Register(w, m)),
		1 => (who.clone(), model.clone()).prop_map(|(w, m)| Step::Deregister(w, m)),
		5 => (id.clone(), who, model).prop_map(|(i, w, m)| Step::Insert(i, w, m)),
		5 => (id.clone(), status).prop_map(|(i, s)| Step::Mark(i, s)),
		5 => id.prop_map(Step::Prune),
		2 => (1u64..8).prop_map(Step::Blocks),
	]
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

	#[test]
	fn invariants_hold_after_every_step(steps in proptest::collection::vec(step(), 1..150)) {
		new_test_ext().execute_with(|| {
			let mut recorded = std::collections::BTreeSet::new();
			for step in &steps {
				match *step {
					Step::Register(who, model) => {
						let _ = register(who, model);
					}
					Step::Deregister(who, model) => {
						let _ = Provenance::deregister_model(signed(who), hash(model));
					}
					Step::Insert(id, who, model) => {
						let done = frame_support::storage::with_storage_layer(|| {
							Provenance::insert(hash(id), record(who, hash(model)))
						});
						// An identifier is recorded once.
						assert!(done.is_err() || recorded.insert(id));
					}
					Step::Mark(id, status) => Provenance::set_status(&hash(id), status),
					Step::Prune(id) => {
						let _ = Provenance::prune_record(signed(1), hash(id));
					}
					Step::Blocks(blocks) => {
						System::set_block_number(System::block_number() + blocks);
					}
				}
				Provenance::do_try_state().unwrap_or_else(|error| panic!("{step:?}: {error:?}"));
			}
		});
	}
}
