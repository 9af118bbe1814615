//! Prints the speed of the linear layer, the head and two smaller steps:
//! `cargo run --release -p aria-kernels --example throughput [THREADS]`.

use aria_kernels::{Backend, Isa, QuantizedActivations, TernaryMatrix};
use std::{error::Error, hint::black_box, time::Instant};

const ROWS: usize = 6912;
const COLS: usize = 2560;
const VOCABULARY: usize = 32_000;
/// Together larger than a last-level cache of 32 MB.
const MATRICES: usize = 24;

fn main() -> Result<(), Box<dyn Error>> {
	let threads = std::env::args().nth(1).map_or(Ok(1), |n| n.parse())?;
	let values: Vec<i8> = (0..ROWS * COLS).map(|i| ((i * i) % 3) as i8 - 1).collect();
	let matrix = TernaryMatrix::from_ternary(&values, ROWS, COLS, 1.0)?;
	let matrices = vec![matrix; MATRICES];
	let head = vec![0x3c00_u16; VOCABULARY * COLS];
	for isa in Isa::supported() {
		let backend = Backend::new(isa, threads);
		let mut activations = QuantizedActivations::new();
		for tokens in [1, 4, 32] {
			let x: Vec<f32> = (0..tokens * COLS).map(|i| (i % 17) as f32 - 8.0).collect();
			let mut out = vec![0.0; tokens * ROWS];
			backend.quantize(&x, COLS, &mut activations)?;
			let seconds = best(|| {
				for matrix in &matrices {
					backend.linear(matrix, &activations, &mut out);
				}
				black_box(&out);
			});
			let bytes = (MATRICES * matrices[0].packed_bytes()) as f64;
			let products = (MATRICES * ROWS * COLS * tokens) as f64;
			println!(
				"{isa} threads={threads} linear tokens={tokens}: {:.1} GB/s of weights, {:.1} GMAC/s",
				bytes / seconds / 1e9,
				products / seconds / 1e9,
			);
		}
		let x = vec![1.0; COLS];
		let seconds = best(|| {
			for _ in 0..100 {
				let _ = black_box(backend.quantize(black_box(&x), COLS, &mut activations));
			}
		});
		println!("{isa} quantize {COLS}: {:.2} µs", seconds * 1e4);
		let mut gate = vec![1.0; COLS];
		let seconds = best(|| {
			for _ in 0..100 {
				backend.silu_mul(black_box(&mut gate), &x);
			}
		});
		println!("{isa} silu_mul {COLS}: {:.2} µs", seconds * 1e4);
		let mut out = vec![0.0; VOCABULARY];
		let seconds = best(|| backend.head_f16(&head, COLS, &x, &mut out));
		let bytes = size_of_val(head.as_slice()) as f64;
		println!(
			"{isa} threads={threads} head_f16: {:.1} GB/s",
			bytes / seconds / 1e9
		);
	}
	Ok(())
}

/// Seconds of the fastest of five runs.
fn best(mut f: impl FnMut()) -> f64 {
	(0..5)
		.map(|_| {
			let start = Instant::now();
			f();
			start.elapsed().as_secs_f64()
		})
		.fold(f64::INFINITY, f64::min)
}
