//! Random sequences of calls and blocks: the invariants hold after each, and no funds appear.

use crate::{mock::*, *};
use aria_primitives::{
	receipt::SignedReceipt,
	work::{DrawStatus, Fault, Roles, Totals, Verdict},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
	Register(u8, bool, bool),
	Update(u8, bool, bool),
	Deregister(u8),
	TopUp(u8, u128),
	Commit(u8, u8),
	Open(usize),
	Verdict(usize, Option<Fault>),
	Prune(u64),
	Randomness(bool),
	Blocks(u32),
}

fn step() -> impl Strategy<Value = Step> {
	let who = 1u8..=4;
	let fault = prop_oneof![
		3 => Just(None),
		1 => Just(Some(Fault::WrongToken)),
		1 => Just(Some(Fault::NotOpened)),
	];
	prop_oneof![
		1 => (who.clone(), any::<bool>(), any::<bool>()).prop_map(|(w, a, b)| Step::Register(w, a, b)),
		1 => (who.clone(), any::<bool>(), any::<bool>()).prop_map(|(w, a, b)| Step::Update(w, a, b)),
		1 => who.clone().prop_map(Step::Deregister),
		2 => (who.clone(), 0..300u128).prop_map(|(w, n)| Step::TopUp(w, n)),
		5 => (who, 0u8..7).prop_map(|(w, n)| Step::Commit(w, n)),
		9 => any::<usize>().prop_map(Step::Open),
		9 => (any::<usize>(), fault).prop_map(|(d, f)| Step::Verdict(d, f)),
		1 => (0u64..6).prop_map(Step::Prune),
		1 => any::<bool>().prop_map(Step::Randomness),
		5 => (1u32..5).prop_map(Step::Blocks),
	]
}

/// One of the draws with this status, if there is any.
fn waiting(status: DrawStatus, pick: usize) -> Option<(u64, Draw)> {
	let mut draws: Vec<_> = Draws::<Test>::iter()
		.filter(|(_, draw)| draw.status == status)
		.collect();
	draws.sort_by_key(|(id, _)| *id);
	let count = draws.len();
	(count > 0).then(|| draws.swap_remove(pick % count))
}

/// Applies a step; a call that fails changes nothing, which the invariants show.
fn apply(step: &Step, batches: &mut BTreeMap<u64, Vec<SignedReceipt>>) {
	let roles = |worker, verifier| Roles { worker, verifier };
	let seed_of = |who| {
		(1..=9)
			.find(|seed| account(*seed) == who)
			.expect("a test account")
	};
	let _ = match *step {
		Step::Register(who, w, v) => UsefulWork::register(signed(who), roles(w, v), address()),
		Step::Update(who, w, v) => UsefulWork::update(signed(who), roles(w, v), address()),
		Step::Deregister(who) => UsefulWork::deregister(signed(who)),
		Step::TopUp(who, amount) => UsefulWork::top_up(signed(who), amount),
		Step::Commit(who, count) => {
			let id = LedgerSums::<Test>::get().batches;
			let receipts: Vec<_> = (0..u64::from(count))
				.map(|leaf| receipt(who, id * 100 + leaf))
				.collect();
			let root = aria_primitives::merkle::root(&leaves(&receipts));
			let done = UsefulWork::commit_batch(signed(who), root, count.into(), Totals::default());
			if done.is_ok() {
				batches.insert(id, receipts);
			}
			done
		}
		Step::Open(pick) => match waiting(DrawStatus::Drawn, pick) {
			Some((id, draw)) => open(seed_of(draw.worker), id, &batches[&draw.batch]),
			None => Ok(()),
		},
		Step::Verdict(pick, fault) => match waiting(DrawStatus::Opened, pick) {
			Some((id, draw)) => UsefulWork::verdict(
				signed(seed_of(draw.verifier)),
				id,
				fault.map_or(Verdict::Accept, Verdict::Reject),
			),
			None => Ok(()),
		},
		Step::Prune(batch) => UsefulWork::prune(signed(9), batch),
		Step::Randomness(available) => {
			RandomnessAvailable::set(available);
			Ok(())
		}
		Step::Blocks(blocks) => {
			skip(blocks);
			Ok(())
		}
	};
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

	#[test]
	fn invariants_hold_after_every_step(steps in proptest::collection::vec(step(), 1..200)) {
		new_test_ext().execute_with(|| {
			let issued = Balances::total_issuance();
			let mut batches = BTreeMap::new();
			register(1, WORKER);
			register(2, BOTH);
			register(3, VERIFIER);
			for step in &steps {
				apply(step, &mut batches);
				UsefulWork::do_try_state().unwrap_or_else(|error| panic!("{step:?}: {error:?}"));
				assert_eq!(Balances::total_issuance() + Slashed::get(), issued);
			}
			// Left alone, everything ends: no draw stays open for ever.
			RandomnessAvailable::set(true);
			skip(4 * (DRAW_DELAY + OPEN_WINDOW + VERDICT_WINDOW + 3));
			check();
			assert!(Draws::<Test>::iter_values()
				.all(|draw| !matches!(draw.status, DrawStatus::Drawn | DrawStatus::Opened)));
			for who in Workers::<Test>::iter_keys().collect::<Vec<_>>() {
				UsefulWork::do_deregister(who).expect("nothing is open");
			}
		});
	}
}
