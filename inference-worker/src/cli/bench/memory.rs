//! The machine's memory: how fast it is read, and how much of it this program took.

use aria_kernels::Backend;
use std::time::Instant;

/// Bytes per second of plain reads with all threads of a backend: the best of some rounds.
pub(in crate::cli) fn bandwidth(backend: &Backend, words: &[u64], rounds: u32) -> f64 {
	let mut best = 0.0f64;
	for _ in 0..rounds {
		let start = Instant::now();
		let threads = backend.threads();
		backend.pool().run(threads, |thread| {
			let each = words.len().div_ceil(threads);
			let own = words.chunks(each).nth(thread).unwrap_or_default();
			let mut sums = [0u64; 16];
			let (chunks, _) = own.as_chunks::<16>();
			for chunk in chunks {
				for (sum, word) in sums.iter_mut().zip(chunk) {
					*sum = sum.wrapping_add(*word);
				}
			}
			std::hint::black_box(sums);
		});
		best = best.max(size_of_val(words) as f64 / start.elapsed().as_secs_f64());
	}
	best
}

/// Largest memory in use since the start or since [`forget_peak`], bytes; none where the system does not say.
pub(super) fn peak() -> Option<u64> {
	let status = std::fs::read_to_string("/proc/self/status").ok()?;
	let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
	let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
	Some(kilobytes * 1024)
}

/// Lets [`peak`] begin anew where the system allows it; elsewhere it goes on from the start.
pub(super) fn forget_peak() {
	// proc_pid_clear_refs(5): 5 resets the peak of the resident set.
	drop(std::fs::write("/proc/self/clear_refs", "5"));
}
