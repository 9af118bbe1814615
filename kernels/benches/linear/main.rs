//! Linear layers against what bounds them: `scripts/bench kernels`, or
//! `cargo bench -p aria-kernels --bench linear -- FILTER`.
//!
//! Groups are `decode/SHAPE/THREADS` (one token; weights in DRAM, or in the second-level cache for
//! the smallest shape) and `prefill/SHAPE/THREADS` (128 tokens). Within a group the limit comes
//! first: `read`, a plain read of the bytes that two bits for a weight take, or `peak`, the multiply
//! instructions alone. `ARIA_PEERS` may name a library with other projects' kernels: see
//! `peers.rs`.

#[path = "../common/limits.rs"]
mod limits;
mod peers;

use aria_kernels::{Backend, Isa, Packing, Pool, QuantizedActivations, TernaryMatrix, pool::share};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use std::{cell::LazyCell, hint::black_box, time::Duration};

/// Rows and columns of published layers; the first one fits the second-level cache.
const SHAPES: [(usize, usize); 6] = [
	(640, 2560),
	(2560, 2560),
	(2560, 6912),
	(6912, 2560),
	(4096, 14_336),
	(3072, 23_040),
];
const PACKINGS: [Packing; 3] = [Packing::TwoBit, Packing::Dense, Packing::Fives];
const THREADS: [usize; 2] = [1, 2];
const PREFILL_TOKENS: usize = 128;
/// Weights per round when they come from DRAM: at two bits, several times a last-level cache.
const DRAM_WEIGHTS: usize = 1 << 30;

fn main() {
	let mut criterion = Criterion::default()
		.sample_size(10)
		.warm_up_time(Duration::from_millis(200))
		.measurement_time(Duration::from_millis(800))
		.configure_from_args();
	let peers = peers::Peers::from_env();
	for (rows, cols) in SHAPES {
		let weights = Weights::new(rows, cols);
		for threads in THREADS {
			let pool = Pool::new(threads);
			let name = |kind| format!("{kind}/{rows}x{cols}/{threads}");
			let mut group = criterion.benchmark_group(name("decode"));
			decode(&mut group, &weights, &pool, peers.as_ref());
			group.finish();
			let mut group = criterion.benchmark_group(name("prefill"));
			prefill(&mut group, &weights, &pool, peers.as_ref());
			group.finish();
		}
	}
	criterion.final_summary();
}

/// Weights, made when a benchmark that the filter lets through asks for them.
struct Weights {
	rows: usize,
	cols: usize,
	ternary: LazyCell<Vec<i8>, Box<dyn FnOnce() -> Vec<i8>>>,
}

impl Weights {
	fn new(rows: usize, cols: usize) -> Self {
		let random = move || {
			let codes = limits::random(rows * cols);
			codes.map(|r| (r % 3) as i8 - 1).collect()
		};
		Self {
			rows,
			cols,
			ternary: LazyCell::new(Box::new(random)),
		}
	}

	fn count(&self) -> usize {
		self.rows * self.cols
	}

	fn pack(&self, packing: Packing) -> TernaryMatrix {
		TernaryMatrix::from_ternary(&self.ternary, self.rows, self.cols, 0.01, packing)
			.expect("valid")
	}
}

/// Backends for every instruction set of this CPU that has kernels for the packing; the specification would take
/// minutes.
fn backends(threads: usize, packing: Packing) -> impl Iterator<Item = Backend> {
	let fast = Isa::supported()
		.into_iter()
		.filter(move |isa| match packing {
			Packing::TwoBit | Packing::Dense => *isa != Isa::Scalar,
			Packing::Fives => *isa == Isa::Avx512Vbmi,
		});
	fast.map(move |isa| Backend::new(isa, threads))
}

fn decode(
	group: &mut BenchmarkGroup<'_, WallTime>,
	weights: &Weights,
	pool: &Pool,
	peers: Option<&peers::Peers>,
) {
	let (rows, cols) = (weights.rows, weights.cols);
	let copies = if weights.count() < 1 << 21 {
		1
	} else {
		DRAM_WEIGHTS / weights.count()
	};
	group.throughput(Throughput::Elements((weights.count() * copies) as u64));

	group.bench_function("read", |b| {
		let bytes = limits::Pages::new(weights.count() / 4 * copies);
		b.iter(|| limits::read(pool, &bytes));
	});

	let x = limits::normal(cols);
	let mut a = QuantizedActivations::new();
	let mut out = vec![0.0; rows];
	for packing in PACKINGS {
		let matrices = LazyCell::new(|| {
			(0..copies)
				.map(|_| weights.pack(packing))
				.collect::<Vec<_>>()
		});
		for backend in backends(pool.threads(), packing) {
			backend.quantize(&x, cols, &mut a).expect("finite");
			group.bench_function(format!("{packing}-{}", backend.isa()), |b| {
				let matrices = &*matrices;
				b.iter(|| {
					for w in matrices {
						backend.linear(w, &a, &mut out);
					}
					black_box(&mut out);
				});
			});
		}
	}
	for peer in peers.into_iter().flat_map(|peers| peers.iter(cols)) {
		group.bench_function(peer.name(), |b| {
			let packed = peer.pack(&weights.ternary, cols, copies);
			let x = peer.quantize(&x, 1, cols);
			b.iter(|| packed.multiply(pool, &x, &mut out));
		});
	}
}

fn prefill(
	group: &mut BenchmarkGroup<'_, WallTime>,
	weights: &Weights,
	pool: &Pool,
	peers: Option<&peers::Peers>,
) {
	let (rows, cols) = (weights.rows, weights.cols);
	let products = weights.count() * PREFILL_TOKENS;
	group.throughput(Throughput::Elements(products as u64));
	for (name, peak) in limits::peaks() {
		group.bench_function(format!("peak-{name}"), |b| {
			b.iter(|| {
				let threads = pool.threads();
				pool.run(threads, |thread| {
					peak(share(products, thread, threads).len())
				});
			});
		});
	}
	let x = limits::normal(PREFILL_TOKENS * cols);
	let mut a = QuantizedActivations::new();
	let mut out = vec![0.0; PREFILL_TOKENS * rows];
	for packing in PACKINGS {
		let w = LazyCell::new(|| weights.pack(packing));
		for backend in backends(pool.threads(), packing) {
			backend.quantize(&x, cols, &mut a).expect("finite");
			group.bench_function(format!("{packing}-{}", backend.isa()), |b| {
				let w = &*w;
				b.iter(|| backend.linear(w, &a, black_box(&mut out)));
			});
		}
	}
	for peer in peers.into_iter().flat_map(|peers| peers.iter(cols)) {
		group.bench_function(peer.name(), |b| {
			let packed = peer.pack(&weights.ternary, cols, 1);
			let x = peer.quantize(&x, PREFILL_TOKENS, cols);
			b.iter(|| packed.multiply(pool, &x, &mut out));
		});
	}
}
