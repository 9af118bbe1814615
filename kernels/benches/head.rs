//! The head 128256x2560 against a plain read of it: `scripts/bench kernels`, or
//! `cargo bench -p aria-kernels --bench head -- FILTER`.
//!
//! Groups are `head/THREADS`: `read`, a plain read of one byte for each weight; `int8`, all logits;
//! `top-K-STATE`, the best tokens, where the hidden state is `random` or `confident`: a third of its
//! length along one row, as after training. Prints also how many logits were computed, and how far
//! eight-bit logits are from half-precision ones.

#![allow(clippy::print_stdout, reason = "a benchmark reports")]

#[path = "common/limits.rs"]
mod limits;

use aria_kernels::{Backend, HeadMatrix, Isa, Pool, QuantizedActivations};
use criterion::{Criterion, Throughput};
use std::{hint::black_box, time::Duration};

const ROWS: usize = 128_256;
const COLS: usize = 2560;
const THREADS: [usize; 2] = [1, 2];

fn main() {
	let mut criterion = Criterion::default()
		.sample_size(20)
		.warm_up_time(Duration::from_millis(200))
		.measurement_time(Duration::from_secs(2))
		.configure_from_args();
	let dither: Vec<u8> = limits::random(COLS).map(|r| (r % 16) as u8).collect();
	let rows = limits::normal(ROWS * COLS);
	let head = HeadMatrix::new(ROWS, COLS, &dither, |row, out| {
		out.copy_from_slice(&rows[row * COLS..][..COLS]);
	})
	.expect("finite");
	let random = limits::normal(COLS);
	let confident: Vec<f32> = random
		.iter()
		.zip(&rows[4711 * COLS..])
		.map(|(x, row)| x + 0.35 * row)
		.collect();
	report_loss(&head, &rows, &random);
	let bytes = limits::Pages::new(ROWS * COLS);
	for threads in THREADS {
		let pool = Pool::new(threads);
		let mut group = criterion.benchmark_group(format!("head/{ROWS}x{COLS}/{threads}"));
		group.throughput(Throughput::Elements((ROWS * COLS) as u64));
		group.bench_function("read", |b| b.iter(|| limits::read(&pool, &bytes)));
		for isa in Isa::supported()
			.into_iter()
			.filter(|isa| *isa != Isa::Scalar)
		{
			let backend = Backend::new(isa, threads);
			let mut a = QuantizedActivations::new();
			let mut out = vec![0.0; ROWS];
			backend.quantize(&random, COLS, &mut a).expect("finite");
			group.bench_function(format!("int8-{isa}"), |b| {
				b.iter(|| backend.head_int8(&head, &a, black_box(&mut out)));
			});
			for (state, x) in [("random", &random), ("confident", &confident)] {
				backend.quantize(x, COLS, &mut a).expect("finite");
				for k in [1, 40] {
					let computed = backend.head_top_k(&head, &a, &[k])[0].computed;
					println!("top-{k}, {state} hidden state: {computed} of {ROWS} logits computed");
					group.bench_function(format!("top-{k}-{state}-{isa}"), |b| {
						b.iter(|| black_box(backend.head_top_k(&head, &a, &[k])));
					});
				}
			}
		}
		group.finish();
	}
	criterion.final_summary();
}

/// Prints the error of eight-bit logits, relative to the standard deviation of the exact ones.
fn report_loss(head: &HeadMatrix, rows: &[f32], x: &[f32]) {
	let backend = Backend::new(Isa::detect(), THREADS[1]);
	let mut a = QuantizedActivations::new();
	backend.quantize(x, COLS, &mut a).expect("finite");
	let mut logits = vec![0.0; ROWS];
	backend.head_int8(head, &a, &mut logits);
	let (mut squares, mut errors, mut largest) = (0.0, 0.0, 0.0_f64);
	for (row, logit) in rows.chunks_exact(COLS).zip(&logits) {
		let exact: f64 = row
			.iter()
			.zip(x)
			.map(|(w, x)| f64::from(*w) * f64::from(*x))
			.sum();
		let error = f64::from(*logit) - exact;
		squares += exact * exact;
		errors += error * error;
		largest = largest.max(error.abs());
	}
	let deviation = (squares / ROWS as f64).sqrt();
	println!(
		"eight-bit logits, in standard deviations of the logits: error {:.5} (root mean square), {:.5} (largest)",
		(errors / ROWS as f64).sqrt() / deviation,
		largest / deviation
	);
}
