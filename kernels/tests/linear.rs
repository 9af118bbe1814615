//! Linear layers: every instruction set and number of threads gives the bits of the scalar specification.

mod common;

use aria_kernels::{NonFinite, QuantizedActivations, TernaryMatrix, scalar};
use common::{Random, backends, bits};
use proptest::prelude::*;

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

proptest! {
	#![proptest_config(common::config())]

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
fn large_shapes_equal_scalar_on_all_threads() {
	let random = &mut Random(7);
	let w = TernaryMatrix::from_ternary(&random.trits(331 * 640), 331, 640, 0.01)
		.expect("shape is valid");
	check_quantize_and_linear(&w, &random.floats(7 * 640));
}
