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
fn every_thread_runs_every_job_once() {
	for threads in 0..5 {
		let pool = Pool::new(threads);
		assert_eq!(pool.threads(), threads.max(1));
		for _ in 0..500 {
			let calls: Vec<AtomicUsize> = (0..pool.threads()).map(|_| 0.into()).collect();
			pool.run(|thread, threads| {
				assert_eq!(threads, calls.len());
				calls[thread].fetch_add(1, Relaxed);
			});
			assert!(calls.iter().all(|calls| calls.load(Relaxed) == 1));
		}
	}
}

#[test]
fn panics_reach_the_caller_and_the_pool_survives() {
	let pool = Pool::new(3);
	for bad in 0..3 {
		let result = catch_unwind(AssertUnwindSafe(|| {
			pool.run(|thread, _| assert_ne!(thread, bad, "on purpose"));
		}));
		assert!(result.is_err());
	}
	let calls = AtomicUsize::new(0);
	pool.run(|_, _| {
		calls.fetch_add(1, Relaxed);
	});
	assert_eq!(calls.into_inner(), 3);
}

#[test]
fn jobs_inside_jobs_run_inline() {
	let pool = Pool::new(2);
	let calls = AtomicUsize::new(0);
	pool.run(|_, _| {
		pool.run(|thread, threads| {
			assert_eq!((thread, threads), (0, 1));
			calls.fetch_add(1, Relaxed);
		});
	});
	assert_eq!(calls.into_inner(), 2);
}

#[test]
fn callers_on_several_threads_take_turns() {
	let pool = Pool::new(2);
	let calls = AtomicUsize::new(0);
	std::thread::scope(|scope| {
		for _ in 0..4 {
			scope.spawn(|| {
				for _ in 0..200 {
					pool.run(|_, _| {
						calls.fetch_add(1, Relaxed);
					});
				}
			});
		}
	});
	assert_eq!(calls.into_inner(), 1600);
}
