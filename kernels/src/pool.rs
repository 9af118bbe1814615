//! A small pool of threads that run the parts of one job at a time.
//!
//! The caller takes part as thread 0. Each thread begins with its own parts, which follow each other in
//! memory, and then steals parts that others have not begun: a thread that the system does not run holds up
//! nobody, and a job that is done does not wait for it to wake. Workers wait for the next job by
//! spinning for some tens of microseconds, the usual gap between two layers, and then sleep.

use std::{
	any::Any,
	cell::Cell,
	fmt,
	marker::PhantomData,
	ops::Range,
	panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
	sync::{
		Arc, Condvar, Mutex, MutexGuard, PoisonError,
		atomic::{AtomicBool, AtomicUsize, Ordering},
	},
	thread::JoinHandle,
};

/// Iterations of the spin loop before a thread sleeps.
const SPINS: usize = 2_000;

thread_local! {
	/// Set while this thread runs a job, so that a job inside a job runs inline.
	static IN_JOB: Cell<bool> = const { Cell::new(false) };
}

/// The borrowed function of a job, with its lifetime erased.
type Job = *const (dyn Fn(usize) + Sync);

/// What the caller and the workers share.
struct Shared {
	/// Counts jobs: a worker that sees it change may have a job to run, or must stop.
	epoch: AtomicUsize,
	/// Parts of the current job, for each thread those it begins with.
	queues: Box<[Queue]>,
	/// Workers inside the current job.
	inside: AtomicUsize,
	stop: AtomicBool,
	state: Mutex<State>,
	/// Wakes workers.
	posted: Condvar,
	/// Wakes the caller.
	finished: Condvar,
}

/// Parts that nobody has begun, in a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Queue {
	next: AtomicUsize,
	end: AtomicUsize,
}

#[derive(Default)]
struct State {
	/// The function, while workers may begin with it.
	job: Option<JobPointer>,
	/// Workers asleep.
	asleep: usize,
	/// Whether the caller sleeps.
	caller_asleep: bool,
	/// The first panic of the current job.
	panic: Option<Box<dyn Any + Send>>,
}

#[derive(Clone, Copy)]
struct JobPointer(Job);

// SAFETY: the function behind the pointer is `Sync`, and `Pool::run` does not return, nor unwind,
// before the pointer is taken back and every worker that got it has finished calling it.
unsafe impl Send for JobPointer {}

/// A fixed set of threads.
pub struct Pool {
	shared: Arc<Shared>,
	workers: Vec<JoinHandle<()>>,
	/// One job at a time.
	turn: Mutex<()>,
}

impl fmt::Debug for Pool {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.debug_struct("Pool")
			.field("threads", &self.threads())
			.finish_non_exhaustive()
	}
}

impl Pool {
	/// A pool of `threads` threads, the caller included; 0 counts as 1.
	///
	/// Fewer are used when the system refuses to start more.
	pub fn new(threads: usize) -> Self {
		let threads = threads.max(1);
		let shared = Arc::new(Shared {
			epoch: AtomicUsize::new(0),
			queues: (0..threads).map(|_| Queue::default()).collect(),
			inside: AtomicUsize::new(0),
			stop: AtomicBool::new(false),
			state: Mutex::default(),
			posted: Condvar::new(),
			finished: Condvar::new(),
		});
		let mut workers = Vec::new();
		for index in 1..threads {
			let shared = Arc::clone(&shared);
			let name = format!("aria-kernels-{index}");
			let spawned = std::thread::Builder::new()
				.name(name)
				.spawn(move || shared.work(index));
			match spawned {
				Ok(handle) => workers.push(handle),
				Err(_) => break,
			}
		}
		Self {
			shared,
			workers,
			turn: Mutex::new(()),
		}
	}

	/// Number of threads, the caller included.
	pub fn threads(&self) -> usize {
		self.workers.len() + 1
	}

	/// Calls `f(part)` once for each of `parts` parts and returns when all calls have returned.
	///
	/// Callers from several threads take turns. Inside a job the calls are made one after the other.
	///
	/// # Panics
	///
	/// With the first panic of a call of `f`, after all running calls have ended; others may then not have
	/// begun.
	pub fn run(&self, parts: usize, f: impl Fn(usize) + Sync) {
		if self.workers.is_empty() || parts <= 1 || IN_JOB.get() {
			return (0..parts).for_each(f);
		}
		let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
		let job: &(dyn Fn(usize) + Sync) = &f;
		// SAFETY: only the lifetime changes; `JobPointer` says why the borrow lives long enough.
		let job: Job = unsafe { std::mem::transmute(job) };

		let threads = self.threads();
		for (thread, queue) in self.shared.queues.iter().take(threads).enumerate() {
			let own = share(parts, thread, threads);
			queue.next.store(own.start, Ordering::Relaxed);
			queue.end.store(own.end, Ordering::Relaxed);
		}
		self.shared.post(Some(JobPointer(job)));
		let own = run_one(|| self.shared.take_parts(0, &f));
		self.shared.lock().job = None;
		self.shared.wait_until_left();

		let panic = self.shared.lock().panic.take();
		if let Some(payload) = own.err().or(panic) {
			resume_unwind(payload);
		}
	}
}

impl Drop for Pool {
	fn drop(&mut self) {
		self.shared.stop.store(true, Ordering::Relaxed);
		self.shared.post(None);
		for worker in self.workers.drain(..) {
			// A worker catches the panics of jobs: there is nothing to report.
			let _ = worker.join();
		}
	}
}

/// Calls `f` as part of a job, catching its panic.
fn run_one(f: impl FnOnce()) -> Result<(), Box<dyn Any + Send>> {
	IN_JOB.set(true);
	let result = catch_unwind(AssertUnwindSafe(f));
	IN_JOB.set(false);
	result
}

impl Shared {
	fn lock(&self) -> MutexGuard<'_, State> {
		self.state.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// Publishes a job, or the order to stop, and wakes sleeping workers.
	fn post(&self, job: Option<JobPointer>) {
		let mut state = self.lock();
		state.job = job;
		self.epoch.fetch_add(1, Ordering::Release);
		let wake = state.asleep > 0;
		drop(state);
		if wake {
			self.posted.notify_all();
		}
	}

	/// Calls `f` with the thread's own parts, then with those stolen from other threads, which have not begun them.
	fn take_parts(&self, thread: usize, f: &(dyn Fn(usize) + Sync)) {
		let (before, own) = self.queues.split_at(thread);
		for queue in own.iter().chain(before) {
			let end = queue.end.load(Ordering::Relaxed);
			while queue.next.load(Ordering::Relaxed) < end {
				let part = queue.next.fetch_add(1, Ordering::Relaxed);
				if part < end {
					f(part);
				}
			}
		}
	}

	/// The loop of a worker. `thread` is its number in jobs.
	fn work(&self, thread: usize) {
		let mut seen = 0;
		loop {
			self.wait_for_post(seen);
			let job = {
				let state = self.lock();
				seen = self.epoch.load(Ordering::Acquire);
				if state.job.is_some() {
					// Before the job can be taken back.
					self.inside.fetch_add(1, Ordering::Relaxed);
				}
				state.job
			};
			if self.stop.load(Ordering::Relaxed) {
				return;
			}
			let Some(job) = job else {
				continue;
			};
			// SAFETY: `Pool::run` waits for `inside` to reach zero before its borrow ends.
			let result = run_one(|| self.take_parts(thread, unsafe { &*job.0 }));
			if let Err(payload) = result {
				self.lock().panic.get_or_insert(payload);
			}
			if self.inside.fetch_sub(1, Ordering::AcqRel) == 1 && self.lock().caller_asleep {
				self.finished.notify_one();
			}
		}
	}

	/// Waits until the epoch differs from `seen`.
	fn wait_for_post(&self, seen: usize) {
		for _ in 0..SPINS {
			if self.epoch.load(Ordering::Acquire) != seen {
				return;
			}
			std::hint::spin_loop();
		}
		let mut state = self.lock();
		while self.epoch.load(Ordering::Acquire) == seen {
			state.asleep += 1;
			state = self
				.posted
				.wait(state)
				.unwrap_or_else(PoisonError::into_inner);
			state.asleep -= 1;
		}
	}

	/// Waits until no worker is inside the current job.
	fn wait_until_left(&self) {
		for _ in 0..SPINS {
			if self.inside.load(Ordering::Acquire) == 0 {
				return;
			}
			std::hint::spin_loop();
		}
		let mut state = self.lock();
		while self.inside.load(Ordering::Acquire) != 0 {
			state.caller_asleep = true;
			state = self
				.finished
				.wait(state)
				.unwrap_or_else(PoisonError::into_inner);
			state.caller_asleep = false;
		}
	}
}

/// The share of thread `thread` of `threads` in `items` items: ranges of nearly equal length.
pub fn share(items: usize, thread: usize, threads: usize) -> Range<usize> {
	let start = |t: usize| {
		let (each, rest) = (items / threads, items % threads);
		t * each + t.min(rest)
	};
	start(thread)..start(thread + 1)
}

/// A mutable slice that several threads write, each in its own places.
pub(crate) struct Disjoint<'a, T> {
	start: *mut T,
	len: usize,
	borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a `&mut [T]` whose parts go to other threads, as `split_at_mut` would allow;
// `part` leaves it to its caller that parts do not overlap.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
	pub(crate) fn new(slice: &'a mut [T]) -> Self {
		Self {
			start: slice.as_mut_ptr(),
			len: slice.len(),
			borrow: PhantomData,
		}
	}

	/// `len` elements from `start`.
	///
	/// # Safety
	///
	/// No two parts that are alive at the same time overlap.
	#[expect(clippy::mut_from_ref, reason = "the caller keeps parts apart")]
	pub(crate) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
		assert!(
			start <= self.len && len <= self.len - start,
			"part {start}+{len} of {}",
			self.len
		);
		// SAFETY: in bounds by the check above, and exclusive by the caller's promise.
		unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
	}
}
