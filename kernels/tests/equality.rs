//! Every instruction set and number of threads gives the bits of the scalar specification.

use aria_kernels::{
	AttentionShape, Backend, Isa, NonFinite, QuantizedActivations, RopePairing, RopeTable,
	TernaryMatrix, math, scalar,
};
use proptest::prelude::*;
use std::sync::OnceLock;

/// One backend for every supported level and 1, 2 and 3 threads.
fn backends() -> &'static [Backend] {
	static BACKENDS: OnceLock<Vec<Backend>> = OnceLock::new();
	BACKENDS.get_or_init(|| {
		for isa in [Isa::Scalar, Isa::Avx2, Isa::Avx512] {
			if !isa.is_supported() {
				eprintln!("skipped: this CPU does not support {isa}");
			}
		}
		let each = |isa| (1..=3).map(move |threads| Backend::new(isa, threads));
		Isa::supported().into_iter().flat_map(each).collect()
	})
}

/// A small deterministic generator: tests choose seeds, so that failures shrink to few numbers.
struct Random(u64);

impl Random {
	fn next(&mut self) -> u64 {
		self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
		let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
		let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
		z ^ (z >> 31)
	}

	/// Uniform in -1..1, times a power of two that differs between elements.
	fn floats(&mut self, len: usize) -> Vec<f32> {
		(0..len)
			.map(|_| {
				let bits = self.next();
				let unit = (bits >> 40) as f32 / (1 << 23) as f32 - 1.0;
				unit * [0.01, 0.5, 1.0, 8.0][(bits & 3) as usize]
			})
			.collect()
	}

	fn trits(&mut self, len: usize) -> Vec<i8> {
		(0..len).map(|_| (self.next() % 3) as i8 - 1).collect()
	}

	/// Finite half-precision bits, subnormals among them.
	fn halves(&mut self, len: usize) -> Vec<u16> {
		(0..len)
			.map(|_| {
				let bits = self.next() as u16;
				if bits & 0x7c00 == 0x7c00 {
					bits & !0x4000
				} else {
					bits
				}
			})
			.collect()
	}
}

fn bits(values: &[f32]) -> Vec<u32> {
	values.iter().map(|x| x.to_bits()).collect()
}

fn check_quantize_and_linear(w: &TernaryMatrix, x: &[f32]) {
	let (rows, cols) = (w.rows(), w.cols());
	let mut q = vec![0; x.len()];
	let (mut inv, mut sums, mut expected) = (vec![], vec![], vec![]);
	for (x, q) in x.chunks_exact(cols).zip(q.chunks_exact_mut(cols)) {
		let (a, sum) = scalar::quantize_row(x, q).expect("inputs are finite");
		inv.push(a);
		sums.push(sum);
		for row in 0..rows {
			let dot = scalar::ternary_dot(&w.row(row), q);
			expected.push(scalar::rescale(dot, a, w.scale()));
		}
	}
	let mut out = vec![f32::NAN; expected.len()];
	let mut activations = QuantizedActivations::new();
	for backend in backends() {
		backend
			.quantize(x, cols, &mut activations)
			.expect("inputs are finite");
		assert_eq!(activations.q(), q, "{backend:?}");
		assert_eq!(bits(activations.inv()), bits(&inv), "{backend:?}");
		assert_eq!(activations.sums(), sums, "{backend:?}");
		out.fill(f32::NAN);
		backend.linear(w, &activations, &mut out);
		assert_eq!(bits(&out), bits(&expected), "{backend:?}");
	}
}

fn check_head(rows: &[u16], cols: usize, x: &[f32]) {
	let wide: Vec<f32> = rows.iter().map(|h| math::f16_to_f32(*h)).collect();
	let mut expected = vec![];
	for x in x.chunks_exact(cols) {
		for (row, wide) in rows.chunks_exact(cols).zip(wide.chunks_exact(cols)) {
			let logit = scalar::reduce_dot_f16(row, x);
			assert_eq!(logit.to_bits(), scalar::reduce_dot(wide, x).to_bits());
			expected.push(logit);
		}
	}
	let mut out = vec![0.0; expected.len()];
	for backend in backends() {
		out.fill(f32::NAN);
		backend.head_f16(rows, cols, x, &mut out);
		assert_eq!(bits(&out), bits(&expected), "{backend:?}");
		out.fill(f32::NAN);
		backend.head_f32(&wide, cols, x, &mut out);
		assert_eq!(bits(&out), bits(&expected), "{backend:?}");
	}
}

fn check_attention(shape: AttentionShape, past: usize, tokens: usize, random: &mut Random) {
	let AttentionShape {
		heads,
		kv_heads,
		head_dim,
	} = shape;
	let stride = kv_heads * head_dim;
	let q = random.floats(tokens * heads * head_dim);
	let keys = random.floats((past + tokens) * stride);
	let values = random.floats((past + tokens) * stride);
	let mut expected = vec![0.0; q.len()];
	for token in 0..tokens {
		for head in 0..heads {
			let task = (token * heads + head) * head_dim;
			let first = head / (heads / kv_heads) * head_dim;
			let mut scores = vec![0.0; past + token + 1];
			let (keys, values) = (&keys[first..], &values[first..]);
			let out = &mut expected[task..][..head_dim];
			let q = &q[task..][..head_dim];
			scalar::attention_head(q, keys, values, stride, &mut scores, out);
		}
	}
	let mut out = vec![0.0; q.len()];
	for backend in backends() {
		out.fill(f32::NAN);
		backend.attention(&q, &keys, &values, shape, past, &mut out);
		assert_eq!(bits(&out), bits(&expected), "{backend:?}");
	}
}

/// Compares an in-place operation of the backend with its specification.
fn check_in_place(x: &[f32], spec: impl Fn(&mut [f32]), op: impl Fn(&Backend, &mut [f32])) {
	let mut expected = x.to_vec();
	spec(&mut expected);
	for backend in backends() {
		let mut out = x.to_vec();
		op(backend, &mut out);
		assert_eq!(bits(&out), bits(&expected), "{backend:?}");
	}
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

	#[test]
	fn linear_equals_scalar(
		rows in 1_usize..70, runs in 1_usize..24, tokens in 1_usize..=9, seed: u64,
	) {
		let random = &mut Random(seed);
		let cols = 32 * runs;
		let w = TernaryMatrix::from_ternary(&random.trits(rows * cols), rows, cols, 0.37)
			.expect("shape is valid");
		check_quantize_and_linear(&w, &random.floats(tokens * cols));
	}

	#[test]
	fn packing_keeps_every_element(rows in 1_usize..40, runs in 1_usize..9, seed: u64) {
		let cols = 32 * runs;
		let trits = Random(seed).trits(rows * cols);
		let w = TernaryMatrix::from_ternary(&trits, rows, cols, 1.0).expect("shape is valid");
		let unpacked: Vec<i8> = (0..rows).flat_map(|row| w.row(row)).collect();
		prop_assert_eq!(unpacked, trits);
	}

	#[test]
	fn head_equals_scalar(
		rows in 1_usize..40, cols in 1_usize..300, tokens in 1_usize..=9, seed: u64,
	) {
		let random = &mut Random(seed);
		check_head(&random.halves(rows * cols), cols, &random.floats(tokens * cols));
	}

	#[test]
	fn rms_norm_equals_scalar(cols in 1_usize..3000, rows in 1_usize..=9, seed: u64) {
		let random = &mut Random(seed);
		let (x, weight) = (random.floats(rows * cols), random.floats(cols));
		check_in_place(
			&x,
			|out| scalar::rms_norm(&x, &weight, 1e-5, out),
			|backend, out| backend.rms_norm(&x, &weight, 1e-5, out),
		);
	}

	#[test]
	fn rope_equals_scalar(
		heads in 1_usize..20, half in 1_usize..70, extra in 0_usize..5, tokens in 1_usize..=9,
		past in 0_usize..100, neox: bool, seed: u64,
	) {
		let (head_dim, table) = (2 * half + extra, RopeTable::new(10_000.0, 2 * half, 128));
		let pairing = if neox { RopePairing::Neox } else { RopePairing::Norm };
		let positions: Vec<usize> = (past..past + tokens).collect();
		check_in_place(
			&Random(seed).floats(tokens * heads * head_dim),
			|x| {
				for (x, position) in x.chunks_exact_mut(heads * head_dim).zip(&positions) {
					scalar::rope_row(x, head_dim, &table, *position, pairing);
				}
			},
			|backend, x| backend.rope(x, head_dim, &table, &positions, pairing),
		);
	}

	#[test]
	fn attention_equals_scalar(
		groups in 1_usize..4, kv_heads in 1_usize..4, head_dim in 1_usize..130,
		past in 0_usize..70, tokens in 1_usize..=9, seed: u64,
	) {
		let shape = AttentionShape { heads: groups * kv_heads, kv_heads, head_dim };
		check_attention(shape, past, tokens, &mut Random(seed));
	}

	#[test]
	fn activations_equal_scalar(len in 0_usize..70_000, seed: u64) {
		let random = &mut Random(seed);
		let (gate, up) = (random.floats(len), random.floats(len));
		check_in_place(&gate, |x| scalar::silu_mul(x, &up), |b, x| b.silu_mul(x, &up));
		check_in_place(
			&gate,
			|x| scalar::squared_relu_mul(x, &up),
			|b, x| b.squared_relu_mul(x, &up),
		);
		check_in_place(&gate, |x| scalar::add(x, &up), |b, x| b.add(x, &up));
	}

	#[test]
	fn batch_equals_one_token_at_a_time(rows in 1_usize..50, tokens in 2_usize..=9, seed: u64) {
		let random = &mut Random(seed);
		let cols = 96;
		let w = TernaryMatrix::from_ternary(&random.trits(rows * cols), rows, cols, 2.0)
			.expect("shape is valid");
		let x = random.floats(tokens * cols);
		let mut a = QuantizedActivations::new();
		for backend in backends() {
			let mut batch = vec![0.0; tokens * rows];
			backend.quantize(&x, cols, &mut a).expect("inputs are finite");
			backend.linear(&w, &a, &mut batch);
			for (x, batch) in x.chunks_exact(cols).zip(batch.chunks_exact(rows)) {
				let mut single = vec![0.0; rows];
				backend.quantize(x, cols, &mut a).expect("inputs are finite");
				backend.linear(&w, &a, &mut single);
				prop_assert_eq!(bits(batch), bits(&single));
			}
		}
	}
}

#[test]
fn linear_equals_scalar_at_extremes() {
	for weight in [1, -1, 0] {
		for cols in [32, 256, 288, 23_040] {
			let w = TernaryMatrix::from_ternary(&vec![weight; 17 * cols], 17, cols, 1.0)
				.expect("shape is valid");
			for x in [3.0, -3.0, 0.0, 1e-30, f32::MAX] {
				check_quantize_and_linear(&w, &vec![x; 5 * cols]);
			}
			let alternating: Vec<f32> = (0..cols)
				.map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })
				.collect();
			check_quantize_and_linear(&w, &alternating);
		}
	}
}

#[test]
fn linear_sums_without_overflow() {
	let cols = 23_040;
	let w = TernaryMatrix::from_ternary(&vec![1; cols], 1, cols, 1.0).expect("shape is valid");
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		let mut out = [0.0];
		backend
			.quantize(&vec![127.0; cols], cols, &mut a)
			.expect("inputs are finite");
		backend.linear(&w, &a, &mut out);
		assert_eq!(out, [(cols * 127) as f32], "{backend:?}");
	}
}

#[test]
fn large_shapes_equal_scalar_on_all_threads() {
	let random = &mut Random(7);
	let w = TernaryMatrix::from_ternary(&random.trits(331 * 640), 331, 640, 0.01)
		.expect("shape is valid");
	check_quantize_and_linear(&w, &random.floats(7 * 640));
	check_head(&random.halves(257 * 201), 201, &random.floats(3 * 201));
	check_head(&random.halves(1031 * 64), 64, &random.floats(64));
	check_attention(
		AttentionShape {
			heads: 10,
			kv_heads: 5,
			head_dim: 128,
		},
		60,
		9,
		random,
	);
	check_attention(
		AttentionShape {
			heads: 4,
			kv_heads: 1,
			head_dim: 64,
		},
		300,
		1,
		random,
	);
}

#[test]
fn quantize_rounds_half_to_even_and_reports_scale() {
	let mut x = [0.0; 32];
	x[..6].copy_from_slice(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]);
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		backend.quantize(&x, 32, &mut a).expect("inputs are finite");
		assert_eq!(a.q()[..6], [127, 0, 2, 2, 0, -2]);
		assert_eq!((a.inv(), a.sums()), (&[1.0][..], &[129][..]));
	}
}

#[test]
fn rejects_activations_that_are_not_finite() {
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
			let mut x = vec![1.0; 3 * 64];
			x[100] = bad;
			x[150] = bad;
			assert_eq!(
				backend.quantize(&x, 64, &mut a),
				Err(NonFinite { index: 100 })
			);
			assert_eq!(a.tokens(), 0);
		}
	}
}

#[test]
fn softmax_of_equal_values_is_uniform() {
	let mut values = [4.0; 8];
	math::softmax(&mut values);
	assert_eq!(values, [0.125; 8]);
}
