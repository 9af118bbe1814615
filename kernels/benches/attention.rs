//! Attention and the elementwise operations against a plain read of the bytes that they read:
//! `cargo bench -p aria-kernels --bench attention`.
//!
//! Attention of one token reads every cached key and value once, `4 kv_heads head_dim` bytes for
//! each position and layer: `read` is that. Elementwise operations work on data in the second-level
//! cache; their bytes are those of all operands, read or written. The best of many rounds counts.

#[path = "common/limits.rs"]
mod limits;

use aria_kernels::{
	AttentionJob, AttentionShape, Backend, Isa, KV_PAGE_ROWS, Pool, QuantizedActivations,
	RopePairing, RopeTable,
};
use std::{hint::black_box, time::Instant};

/// Heads of BitNet b1.58 2B4T.
const SHAPE: AttentionShape = AttentionShape {
	heads: 20,
	kv_heads: 5,
	head_dim: 128,
};
const HIDDEN: usize = 2560;
const THREADS: [usize; 2] = [1, 2];
/// Bytes of all layers' caches in a round: several times a last-level cache.
const CACHE_BYTES: usize = 128 << 20;
/// How often each layer is measured.
const ROUNDS: usize = 10;

fn main() {
	for threads in THREADS {
		for context in [128, 1024, 4096] {
			decode(context, threads);
		}
		batch(8, 1024, threads);
		prefill(512, threads);
	}
	elementwise();
}

/// Seconds of the fastest of many rounds of `f`.
fn best(rounds: usize, mut f: impl FnMut()) -> f64 {
	(0..rounds)
		.map(|_| {
			let start = Instant::now();
			f();
			start.elapsed().as_secs_f64()
		})
		.fold(f64::INFINITY, f64::min)
}

/// The fast instruction sets of this CPU.
fn backends(threads: usize) -> impl Iterator<Item = Backend> {
	let fast = Isa::supported()
		.into_iter()
		.filter(|isa| *isa != Isa::Scalar);
	fast.map(move |isa| Backend::new(isa, threads))
}

/// Values in -1..1, the same in every run.
fn values(len: usize) -> Vec<f32> {
	let mut state = 0x9e37_79b9_u32;
	let mut next = || {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		(state >> 8) as f32 / (1 << 23) as f32 - 1.0
	};
	(0..len).map(|_| next()).collect()
}

/// A cache in pages.
fn paged(halves: &[u16]) -> Vec<&[u16]> {
	let page = KV_PAGE_ROWS * SHAPE.kv_heads * SHAPE.head_dim;
	halves.chunks(page).collect()
}

/// One token after `context` others, in as many layers as make the caches larger than the CPU's.
fn decode(context: usize, threads: usize) {
	let len = context * SHAPE.kv_heads * SHAPE.head_dim;
	let bytes = 2 * size_of::<u16>() * len;
	let layers = CACHE_BYTES.div_ceil(bytes);
	let pages: Vec<_> = (0..layers).map(|_| limits::Pages::new(bytes)).collect();
	let pool = Pool::new(threads);
	let mut page = pages.iter().cycle();
	let seconds = best(ROUNDS * layers, || {
		page.next()
			.into_iter()
			.for_each(|page| limits::read(&pool, page));
	});
	let report = |name: &str, seconds: f64| {
		println!(
			"attention 1 token, context {context}, {threads} threads, {name}: {:.1} µs, {:.1} GB/s",
			seconds * 1e6,
			bytes as f64 / seconds / 1e9
		);
	};
	report("read", seconds);
	drop((pages, pool));
	let q = values(SHAPE.heads * SHAPE.head_dim);
	let mut out = vec![0.0; q.len()];
	for backend in backends(threads) {
		let mut halves = vec![0; len];
		backend.store_halves(&values(len), &mut halves);
		let cache = vec![(halves.clone(), halves); layers];
		let cache: Vec<_> = cache.iter().map(|(k, v)| (paged(k), paged(v))).collect();
		let mut layer = cache.iter().cycle();
		let seconds = best(ROUNDS * layers, || {
			if let Some((keys, values)) = layer.next() {
				backend.attention(&q, keys, values, SHAPE, context - 1, black_box(&mut out));
			}
		});
		report(backend.isa().name(), seconds);
	}
}

/// One token of each of some sequences.
fn batch(sequences: usize, context: usize, threads: usize) {
	let len = context * SHAPE.kv_heads * SHAPE.head_dim;
	let layers = CACHE_BYTES.div_ceil(2 * size_of::<u16>() * len * sequences);
	let q = values(sequences * SHAPE.heads * SHAPE.head_dim);
	let mut out = vec![0.0; q.len()];
	for backend in backends(threads) {
		let mut halves = vec![0; len];
		backend.store_halves(&values(len), &mut halves);
		let caches = vec![halves; 2 * sequences * layers];
		let caches: Vec<_> = caches.iter().map(|cache| paged(cache)).collect();
		let mut layer = caches.chunks_exact(2 * sequences).cycle();
		let seconds = best(ROUNDS * layers, || {
			let Some(caches) = layer.next() else { return };
			let queries = q.chunks_exact(SHAPE.heads * SHAPE.head_dim);
			let jobs = queries.zip(caches.as_chunks().0);
			let jobs = jobs.map(|(q, [keys, values])| AttentionJob {
				q,
				keys,
				values,
				past: context - 1,
			});
			backend.attention_batch(&jobs.collect::<Vec<_>>(), SHAPE, black_box(&mut out));
		});
		println!(
			"attention {sequences} x 1 token, context {context}, {threads} threads, {}: {:.1} µs, {:.1} GB/s",
			backend.isa(),
			seconds * 1e6,
			(4 * len * sequences) as f64 / seconds / 1e9
		);
	}
}

/// All tokens of a prompt at once.
fn prefill(tokens: usize, threads: usize) {
	let x = values(tokens * SHAPE.kv_heads * SHAPE.head_dim);
	let q = values(tokens * SHAPE.heads * SHAPE.head_dim);
	let mut out = vec![0.0; q.len()];
	for backend in backends(threads) {
		let mut halves = vec![0; x.len()];
		backend.store_halves(&x, &mut halves);
		let cache = paged(&halves);
		let seconds = best(20, || {
			backend.attention(&q, &cache, &cache, SHAPE, 0, black_box(&mut out));
		});
		let products = SHAPE.heads * SHAPE.head_dim * tokens * (tokens + 1);
		println!(
			"attention {tokens} tokens, {threads} threads, {}: {:.0} µs, {:.1} billion products/s",
			backend.isa(),
			seconds * 1e6,
			products as f64 / seconds / 1e9
		);
	}
}

/// Operations on the rows of one token, and of sixteen: on one thread, in the second-level cache.
fn elementwise() {
	let table = RopeTable::new(500_000.0, SHAPE.head_dim, 4096);
	for backend in backends(1) {
		for tokens in [1, 16] {
			let x = values(tokens * HIDDEN);
			let y = values(tokens * HIDDEN);
			let mut out = x.clone();
			let mut halves = vec![0; x.len()];
			let mut quantized = QuantizedActivations::new();
			let positions: Vec<usize> = (1000..1000 + tokens).collect();
			let report = |name: &str, bytes_each: usize, f: &mut dyn FnMut()| {
				let repeats = 20;
				let seconds = best(200, || (0..repeats).for_each(|_| f())) / repeats as f64;
				println!(
					"{} {name}, {tokens} x {HIDDEN}: {:.2} µs, {:.1} GB/s",
					backend.isa(),
					seconds * 1e6,
					(bytes_each * x.len()) as f64 / seconds / 1e9
				);
			};
			report("copy", 8, &mut || black_box(&mut out).copy_from_slice(&x));
			report("add", 12, &mut || backend.add(black_box(&mut out), &y));
			out.copy_from_slice(&x);
			report("rms_norm", 8, &mut || {
				backend.rms_norm(&x, &y[..HIDDEN], 1e-5, black_box(&mut out));
			});
			report("quantize", 5, &mut || {
				let _ = black_box(backend.quantize(black_box(&x), HIDDEN, &mut quantized));
			});
			report("store_halves", 6, &mut || {
				backend.store_halves(&x, black_box(&mut halves));
			});
			report("rope", 8, &mut || {
				backend.rope(
					black_box(&mut out),
					SHAPE.head_dim,
					&table,
					&positions,
					RopePairing::Neox,
				);
			});
			report("squared_relu_mul", 12, &mut || {
				backend.squared_relu_mul(black_box(&mut out), &y);
			});
			out.copy_from_slice(&x);
			report("silu_mul", 12, &mut || {
				backend.silu_mul(black_box(&mut out), &y);
			});
			out.copy_from_slice(&x);
			report("softmax", 8, &mut || backend.softmax(black_box(&mut out)));
		}
	}
}
