//! The thread pool: every share once, panics handed on, nothing lost between jobs.

use aria_kernels::{Pool, pool::share};
use std::{
	panic::{AssertUnwindSafe, catch_unwind},
	sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

#[test]
fn shares_cover_every_item_once() {
	for items in 0..40 {
		for threads in 1..8 {
			let all: Vec<usize> = (0..threads)
				.flat_map(|t| share(items, t, threads))
				.collect();
			assert_eq!(all, (0..items).collect::<Vec<_>>());
		}
	}
}

#[test]
fn every_part_of_every_job_runs_once() {
	for threads in 0..5 {
		let pool = Pool::new(threads);
		assert_eq!(pool.threads(), threads.max(1));
		for parts in (0..20).cycle().take(1000) {
			let calls: Vec<AtomicUsize> = (0..parts).map(|_| 0.into()).collect();
			pool.run(parts, |part| {
				calls[part].fetch_add(1, Relaxed);
			});
			assert!(calls.iter().all(|calls| calls.load(Relaxed) == 1));
		}
	}
}

#[test]
fn panics_reach_the_caller_and_the_pool_survives() {
	let pool = Pool::new(3);
	for bad in 0..6 {
		let result = catch_unwind(AssertUnwindSafe(|| {
			pool.run(6, |part| assert_ne!(part, bad, "on purpose"));
		}));
		assert!(result.is_err());
	}
	let calls = AtomicUsize::new(0);
	pool.run(5, |_| {
		calls.fetch_add(1, Relaxed);
	});
	assert_eq!(calls.into_inner(), 5);
}

#[test]
fn jobs_inside_jobs_run_inline() {
	let pool = Pool::new(2);
	let calls = AtomicUsize::new(0);
	pool.run(2, |_| {
		let outer = std::thread::current().id();
		pool.run(3, |_| {
			assert_eq!(std::thread::current().id(), outer);
			calls.fetch_add(1, Relaxed);
		});
	});
	assert_eq!(calls.into_inner(), 6);
}

#[test]
fn parts_that_a_busy_thread_has_not_begun_are_taken_by_others() {
	let pool = Pool::new(2);
	let done = AtomicUsize::new(0);
	// The first part does not end before the others have.
	pool.run(9, |part| {
		if part == 0 {
			while done.load(Relaxed) < 8 {
				std::thread::yield_now();
			}
		}
		done.fetch_add(1, Relaxed);
	});
	assert_eq!(done.into_inner(), 9);
}

#[test]
fn callers_on_several_threads_take_turns() {
	let pool = Pool::new(2);
	let calls = AtomicUsize::new(0);
	std::thread::scope(|scope| {
		for _ in 0..4 {
			scope.spawn(|| {
				for _ in 0..200 {
					pool.run(2, |_| {
						calls.fetch_add(1, Relaxed);
					});
				}
			});
		}
	});
	assert_eq!(calls.into_inner(), 1600);
}
