//! What the runtime API shows.

use crate::mock::*;
use aria_primitives::work::{DrawStatus, Verdict};
use frame_support::assert_ok;

#[test]
fn views_should_show_parties_batches_and_draws() {
	run(|| {
		let receipts = one_draw();
		assert_ok!(open(1, 0, &receipts));

		let worker = UsefulWork::worker_view(&account(1)).expect("registered");
		assert_eq!((worker.bond, worker.open_obligations), (BOND, 1));
		assert_eq!(worker.address, address().into_inner());
		assert_eq!(UsefulWork::worker_view(&account(3)), None);
		assert_eq!(UsefulWork::workers(0, 10).len(), 2);
		assert_eq!(UsefulWork::workers(1, u32::MAX).len(), 1);
		assert_eq!(UsefulWork::workers(u32::MAX, 1), []);

		let batch = UsefulWork::batch_view(0).expect("committed");
		assert_eq!((batch.worker, batch.draws), (account(1), vec![0]));
		assert_eq!(UsefulWork::batch_view(1), None);

		let draw = UsefulWork::draw_view(0).expect("drawn");
		assert_eq!(draw.record, Some(receipts[0].leaf()));
		assert_eq!(draw.status, DrawStatus::Opened);
		for seed in [1, 2] {
			assert_eq!(UsefulWork::open_draws(&account(seed)), [(0, draw.clone())]);
		}
		assert_eq!(UsefulWork::open_draws(&account(3)), []);
		assert_eq!(UsefulWork::draws(0, u32::MAX), [(0, draw)]);
		assert_eq!(UsefulWork::draws(0, 0), []);
		assert_eq!(UsefulWork::draws(u64::MAX, 1), []);

		assert_ok!(UsefulWork::verdict(signed(2), 0, Verdict::Accept));
		assert_eq!(UsefulWork::open_draws(&account(2)), []);
		let stats = UsefulWork::stats();
		assert_eq!((stats.draws, stats.accepted, stats.rejected), (1, 1, 0));
		assert_eq!((stats.workers, stats.models), (2, 1));
	});
}
