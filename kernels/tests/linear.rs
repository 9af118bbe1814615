//! Linear layers: every instruction set and number of threads gives the bits of the scalar specification.

mod common;

use aria_kernels::{
	NonFinite, Packing, QuantizedActivations, TernaryMatrix, scalar, ternary::MAX_COLS,
};
use common::{Random, backends, bits};
use proptest::prelude::*;

const PACKINGS: [Packing; 3] = [Packing::TwoBit, Packing::Dense, Packing::Fives];

/// Compares quantisation and a linear layer of every packing with the specification.
fn check_quantize_and_linear(weights: &[i8], cols: usize, scale: f32, x: &[f32]) {
	let rows = weights.len() / cols;
	let mut q = vec![0; x.len()];
	let (mut inv, mut sums, mut expected) = (vec![], vec![], vec![]);
	for (x, q) in x.chunks_exact(cols).zip(q.chunks_exact_mut(cols)) {
		let (a, sum) = scalar::quantize_row(x, q).expect("inputs are finite");
		inv.push(a);
		sums.push(sum);
		for row in weights.chunks_exact(cols) {
			expected.push(scalar::rescale(scalar::ternary_dot(row, q), a, scale));
		}
	}
	let mut out = vec![f32::NAN; expected.len()];
	let mut activations = QuantizedActivations::new();
	for packing in PACKINGS {
		let w = matrix(weights, cols, scale, packing);
		for backend in backends() {
			backend
				.quantize(x, cols, &mut activations)
				.expect("inputs are finite");
			for (token, q) in q.chunks_exact(cols).enumerate() {
				assert_eq!(activations.q(token), q, "{backend:?}");
			}
			assert_eq!(bits(activations.inv()), bits(&inv), "{backend:?}");
			assert_eq!(activations.sums(), sums, "{backend:?}");
			out.fill(f32::NAN);
			backend.linear(&w, &activations, &mut out);
			assert_eq!(
				bits(&out),
				bits(&expected),
				"{packing} {rows}x{cols} {backend:?}"
			);
		}
	}
}

fn matrix(weights: &[i8], cols: usize, scale: f32, packing: Packing) -> TernaryMatrix {
	TernaryMatrix::from_ternary(weights, weights.len() / cols, cols, scale, packing)
		.expect("shape is valid")
}

proptest! {
	#![proptest_config(common::config())]

	#[test]
	fn linear_equals_scalar(
		rows in 1_usize..150, runs in 1_usize..24, tokens in 1_usize..=14, seed: u64,
	) {
		let random = &mut Random(seed);
		let cols = 32 * runs;
		let weights = random.trits(rows * cols);
		check_quantize_and_linear(&weights, cols, 0.37, &random.floats(tokens * cols));
	}

	// Enough of both for products by table lookup, on one thread and on several.
	#[test]
	fn many_rows_by_many_tokens_equal_scalar(
		rows in 190_usize..700, runs in 1_usize..18, tokens in 10_usize..=36, seed: u64,
	) {
		let random = &mut Random(seed);
		let cols = 32 * runs;
		let weights = random.trits(rows * cols);
		check_quantize_and_linear(&weights, cols, 0.37, &random.floats(tokens * cols));
	}

	#[test]
	fn group_equals_each_alone(
		rows in prop::collection::vec(1_usize..200, 1..5), runs in 1_usize..6,
		tokens in prop_oneof![1_usize..=5, 12_usize..=18], seed: u64,
	) {
		let random = &mut Random(seed);
		let cols = 32 * runs;
		let matrices: Vec<TernaryMatrix> = rows
			.iter()
			.enumerate()
			.map(|(i, rows)| matrix(&random.trits(rows * cols), cols, 1.5, PACKINGS[i % 3]))
			.collect();
		let x = random.floats(tokens * cols);
		let mut a = QuantizedActivations::new();
		for backend in backends() {
			backend.quantize(&x, cols, &mut a).expect("inputs are finite");
			let mut together: Vec<Vec<f32>> =
				rows.iter().map(|rows| vec![f32::NAN; tokens * rows]).collect();
			let mut layers: Vec<_> = matrices
				.iter()
				.zip(&mut together)
				.map(|(w, out)| (w, out.as_mut_slice()))
				.collect();
			backend.linear_group(&a, &mut layers);
			for (w, together) in matrices.iter().zip(&together) {
				let mut alone = vec![f32::NAN; together.len()];
				backend.linear(w, &a, &mut alone);
				prop_assert_eq!(bits(&alone), bits(together));
			}
		}
	}

	#[test]
	fn packing_keeps_every_element(rows in 1_usize..140, runs in 1_usize..9, seed: u64) {
		let cols = 32 * runs;
		let trits = Random(seed).trits(rows * cols);
		for packing in PACKINGS {
			let w = matrix(&trits, cols, 1.0, packing);
			let unpacked: Vec<i8> = (0..rows).flat_map(|row| w.row(row)).collect();
			prop_assert_eq!(&unpacked, &trits);
		}
	}

	#[test]
	fn batch_equals_one_token_at_a_time(rows in 1_usize..50, tokens in 2_usize..=9, seed: u64) {
		let random = &mut Random(seed);
		let cols = 96;
		let w = matrix(&random.trits(rows * cols), cols, 2.0, PACKINGS[tokens % 3]);
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
			let weights = vec![weight; 17 * cols];
			for x in [3.0, -3.0, 0.0, 1e-30, f32::MAX] {
				for tokens in [1, 5] {
					check_quantize_and_linear(&weights, cols, 1.0, &vec![x; tokens * cols]);
				}
			}
			let alternating: Vec<f32> = (0..cols)
				.map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })
				.collect();
			check_quantize_and_linear(&weights, cols, 1.0, &alternating);
		}
	}
}

#[test]
fn many_rows_by_many_tokens_equal_scalar_at_extremes() {
	for weight in [1, -1] {
		for cols in [256, 23_040] {
			let weights = vec![weight; 257 * cols];
			check_quantize_and_linear(&weights, cols, 1.0, &vec![1.0; 13 * cols]);
		}
	}
	// Sums of 16 bits that are widened on the way.
	let cols = 2_560;
	for weight in [1, -1] {
		let weights = vec![weight; 515 * cols];
		check_quantize_and_linear(&weights, cols, 1.0, &vec![-1.0; 16 * cols]);
	}
	// Tokens whose values are small beside one whose values are all at the bound, in another run of sixteen.
	let random = &mut Random(11);
	let cols = 1_024;
	let mut x: Vec<f32> = (0..140 * cols)
		.map(|i| if i % cols == 5 { 1.0 } else { 0.1 })
		.collect();
	x[139 * cols..].fill(-1.0);
	check_quantize_and_linear(&random.trits(330 * cols), cols, 1.0, &x);
	check_quantize_and_linear(&vec![1; 330 * cols], cols, 1.0, &x);
}

#[test]
fn every_sign_of_a_triple_equals_scalar_at_extremes() {
	// Rows repeat each of the 27 triples; activations repeat each of the 8 corners.
	let cols = 3 * 1_024;
	let weights: Vec<i8> = (0..27 * cols)
		.map(|i| ((i / cols) / 3_usize.pow((i % 3) as u32) % 3) as i8 - 1)
		.collect();
	let x: Vec<f32> = (0..8 * cols)
		.map(|i| {
			if (i / cols) >> (i % 3) & 1 == 1 {
				1.0
			} else {
				-1.0
			}
		})
		.collect();
	check_quantize_and_linear(&weights, cols, 1.0, &x);
	for x in x.chunks_exact(cols) {
		check_quantize_and_linear(&weights, cols, 1.0, x);
	}
}

#[test]
fn widest_matrix_sums_without_overflow() {
	let cols = MAX_COLS;
	let mut a = QuantizedActivations::new();
	for packing in PACKINGS {
		let w = matrix(&vec![1; 2 * cols], cols, 1.0, packing);
		for backend in backends() {
			for tokens in [1, 2] {
				let mut out = vec![0.0; 2 * tokens];
				backend
					.quantize(&vec![127.0; tokens * cols], cols, &mut a)
					.expect("inputs are finite");
				backend.linear(&w, &a, &mut out);
				assert_eq!(
					out,
					vec![(cols * 127) as f32; 2 * tokens],
					"{packing} {backend:?}"
				);
			}
		}
	}
}

#[test]
fn quantize_rounds_half_to_even_and_reports_scale() {
	let mut x = [0.0; 32];
	x[..6].copy_from_slice(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]);
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		backend.quantize(&x, 32, &mut a).expect("inputs are finite");
		assert_eq!(a.q(0)[..6], [127, 0, 2, 2, 0, -2]);
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
	let weights = random.trits(331 * 640);
	check_quantize_and_linear(&weights, 640, 0.01, &random.floats(7 * 640));
	check_quantize_and_linear(&weights, 640, 0.01, &random.floats(640));
	check_quantize_and_linear(&random.trits(3 * 64), 64, 0.01, &random.floats(300 * 64));
}
