//! Drawing leaves and assigning verifiers.

use crate::{draw::Stream, mock::*, *};
use aria_primitives::{H256, work::DrawStatus};
use frame_support::assert_ok;
use proptest::prelude::*;
use sp_runtime::Perbill;
use std::collections::BTreeSet;

fn receipts(count: u64) -> Vec<aria_primitives::receipt::SignedReceipt> {
	(0..count).map(|salt| receipt(1, salt)).collect()
}

#[test]
fn draw_should_come_after_the_delay_with_every_leaf_of_a_small_batch() {
	run(|| {
		register(1, BOTH);
		register(2, VERIFIER);
		commit(1, &receipts(3));
		skip(DRAW_DELAY - 1);
		assert_eq!(UsefulWork::stats().draws, 0);
		next_block();
		let drawn: Vec<_> = (0..3)
			.map(|id| Draws::<Test>::get(id).expect("drawn"))
			.collect();
		assert_eq!(
			drawn.iter().map(|d| d.leaf_index).collect::<Vec<_>>(),
			[0, 1, 2]
		);
		for draw in &drawn {
			assert_eq!(draw.verifier, account(2), "a worker never verifies itself");
			assert_eq!(draw.deadline, now() + OPEN_WINDOW);
			assert_eq!(draw.status, DrawStatus::Drawn);
		}
		assert_eq!(
			Batches::<Test>::get(0).map(|b| b.state),
			Some(BatchState::Drawn { open: 3 })
		);
		System::assert_last_event(
			Event::Drawn {
				draw: 2,
				batch: 0,
				leaf_index: 2,
				worker: account(1),
				verifier: account(2),
				deadline: now() + OPEN_WINDOW,
			}
			.into(),
		);
	});
}

#[test]
fn draw_should_be_capped_and_use_every_verifier() {
	run(|| {
		register(1, WORKER);
		for seed in 2..=4 {
			register(seed, VERIFIER);
		}
		let (mut leaves, mut verifiers) = (BTreeSet::new(), BTreeSet::new());
		for _ in 0..12 {
			let batch = commit(1, &receipts(64));
			skip(DRAW_DELAY);
			let drawn = Batches::<Test>::get(batch).expect("committed").draw_ids();
			assert_eq!(drawn.clone().count(), 4);
			for id in drawn {
				let draw = Draws::<Test>::get(id).expect("drawn");
				leaves.insert((batch, draw.leaf_index));
				verifiers.insert(draw.verifier);
			}
			skip(OPEN_WINDOW + 1);
			let bond = held(1);
			assert_ok!(UsefulWork::top_up(signed(1), BOND - bond));
		}
		assert_eq!(leaves.len(), 48, "no leaf is drawn twice");
		assert_eq!(verifiers.len(), 3);
	});
}

#[test]
fn draw_should_wait_for_randomness_that_is_newer_than_the_commitment() {
	run(|| {
		register(1, WORKER);
		register(2, VERIFIER);
		commit(1, &receipts(1));
		RandomnessAge::set(2);
		skip(DRAW_DELAY);
		assert_eq!(UsefulWork::stats().draws, 0);
		skip(DRAW_DELAY);
		assert_eq!(UsefulWork::stats().draws, 1);
		RandomnessAvailable::set(false);
		commit(1, &receipts(1));
		skip(DRAW_DELAY);
		assert_eq!(UsefulWork::stats().draws, 1);
		RandomnessAvailable::set(true);
		skip(DRAW_DELAY);
		assert_eq!(UsefulWork::stats().draws, 2);
	});
}

#[test]
fn batch_should_be_given_up_when_nobody_verifies() {
	run(|| {
		// The worker itself does not count.
		register(1, BOTH);
		commit(1, &receipts(2));
		skip(3 * DRAW_DELAY);
		assert!(matches!(
			Batches::<Test>::get(0).map(|b| b.state),
			Some(BatchState::Pending {
				reserved: 2,
				retries: 3
			})
		));
		check();
		skip(DRAW_DELAY);
		System::assert_last_event(
			Event::Unresolved {
				batch: 0,
				draw: None,
			}
			.into(),
		);
		assert_eq!(held(1), BOND);
		assert_ok!(UsefulWork::deregister(signed(1)));
	});
}

#[test]
fn draws_should_follow_the_rate() {
	run(|| {
		SampleRate::set(Perbill::from_percent(25));
		register(1, WORKER);
		register(2, VERIFIER);
		let mut drawn = 0;
		for _ in 0..40 {
			let batch = commit(1, &receipts(2));
			assert_eq!(
				Workers::<Test>::get(account(1)).map(|w| w.exposure),
				Some(1)
			);
			skip(DRAW_DELAY);
			let draws = Batches::<Test>::get(batch).expect("committed").draws;
			if draws == 0 {
				System::assert_last_event(Event::NothingDrawn { batch }.into());
			}
			drawn += draws;
			skip(OPEN_WINDOW + 1);
			let bond = held(1);
			assert_ok!(UsefulWork::top_up(signed(1), BOND - bond));
			check();
		}
		// Half of a leaf is expected of each batch; the draws are the same in every run.
		assert!((12..=28).contains(&drawn), "{drawn}");
	});
}

#[test]
fn service_should_stay_within_its_weight_and_catch_up() {
	run(|| {
		let cost = UsefulWork::service_cost(QueueKind::Draw);
		let limit = <() as WeightInfo>::service_base() + cost;
		ServiceWeight::set(limit);
		UsefulWork::check_constants();
		register(1, WORKER);
		register(2, VERIFIER);
		for salt in 0..3 {
			commit(1, &[receipt(1, salt)]);
		}
		skip(DRAW_DELAY);
		for drawn in 1..=3 {
			assert_eq!(UsefulWork::stats().draws, drawn);
			check();
			let used = UsefulWork::service(now(), limit);
			assert!(used.all_lte(limit));
		}
		assert_eq!(
			UsefulWork::service(now(), limit),
			<() as WeightInfo>::service_base()
		);
	});
}

proptest! {
	#[test]
	fn sample_is_distinct_and_in_range(seed in any::<[u8; 32]>(), bound in 1u32..200, k in 0u32..20) {
		let picks = Stream::new(H256(seed)).sample(k, bound);
		prop_assert_eq!(picks.len() as u32, k.min(bound));
		prop_assert!(picks.windows(2).all(|pair| pair[0] < pair[1]));
		prop_assert!(picks.iter().all(|pick| *pick < bound));
	}
}

#[test]
fn stream_should_reach_every_number() {
	let mut stream = Stream::new(H256::zero());
	let seen: BTreeSet<_> = (0..200).filter_map(|_| stream.below(7)).collect();
	assert_eq!(seen.len(), 7);
	assert_eq!(stream.below(0), None);
}
