//! Linear layers with a scale for each block of columns: every instruction set and number of threads gives the
//! bits of the scalar specification.

mod common;

use aria_kernels::{
	Backend, Isa, NonFinite, Packing, QuantizedActivations, TernaryMatrix, math, scalar,
};
use common::{Random, backends, bits};
use proptest::prelude::*;

/// A matrix with positive scales of very different sizes, some of them 0.
fn matrix(rows: usize, cols: usize, block: usize, random: &mut Random) -> TernaryMatrix {
	let codes: Vec<u8> = random
		.trits(rows * cols)
		.iter()
		.map(|w| (w + 1) as u8)
		.collect();
	let mut scales = random.halves(rows * cols / block);
	for scale in &mut scales {
		*scale &= 0x7fff;
		if *scale % 16 == 0 {
			*scale = 0;
		}
	}
	// At least two that differ.
	(scales[0], scales[1]) = (0x3c00, 0x3800);
	let fill = |row: usize, out: &mut [u8]| out.copy_from_slice(&codes[row * cols..][..cols]);
	TernaryMatrix::from_block_codes(rows, cols, block, scales, Packing::TwoBit, fill)
		.expect("shape is valid")
}

/// Compares quantisation and a linear layer with the specification.
fn check(w: &TernaryMatrix, x: &[f32]) {
	let (cols, block) = (w.cols(), w.block().expect("scales differ"));
	let weights: Vec<Vec<i8>> = (0..w.rows()).map(|row| w.row(row)).collect();
	let scales: Vec<Vec<f32>> = (0..w.rows())
		.map(|row| (0..cols / block).map(|i| w.block_scale(row, i)).collect())
		.collect();
	let mut q = vec![0; x.len()];
	let (mut inv, mut sums, mut expected) = (vec![], vec![], vec![]);
	for (x, q) in x.chunks_exact(cols).zip(q.chunks_exact_mut(cols)) {
		let mut factors = Vec::new();
		for (x, q) in x.chunks_exact(block).zip(q.chunks_exact_mut(block)) {
			let (a, sum) = scalar::quantize_row(x, q).expect("inputs are finite");
			factors.push(a);
			sums.push(sum);
		}
		for (weights, scales) in weights.iter().zip(&scales) {
			expected.push(scalar::block_dot(weights, q, &factors, scales));
		}
		inv.extend(factors);
	}
	let mut a = QuantizedActivations::new();
	let mut out = vec![0.0; expected.len()];
	for backend in backends() {
		backend
			.quantize_blocks(x, cols, block, &mut a)
			.expect("inputs are finite");
		assert_eq!(a.block(), block);
		for (token, q) in q.chunks_exact(cols).enumerate() {
			assert_eq!(a.q(token), q, "{backend:?}");
		}
		assert_eq!(bits(a.inv()), bits(&inv), "{backend:?}");
		assert_eq!(a.sums(), sums, "{backend:?}");
		out.fill(f32::NAN);
		backend.linear(w, &a, &mut out);
		assert_eq!(
			bits(&out),
			bits(&expected),
			"{}x{cols} in {block} {backend:?}",
			w.rows()
		);
	}
}

proptest! {
	#![proptest_config(common::config())]

	#[test]
	fn linear_equals_scalar(
		rows in 1_usize..150, blocks in 2_usize..9,
		block in prop::sample::select(vec![32_usize, 64, 96, 128, 160, 256, 288]),
		tokens in prop_oneof![1_usize..=14, 15_usize..=70], seed: u64,
	) {
		let random = &mut Random(seed);
		let w = matrix(rows, block * blocks, block, random);
		check(&w, &random.floats(tokens * w.cols()));
	}

	#[test]
	fn rows_with_one_block_equal_scalar(rows in 2_usize..70, tokens in 1_usize..=4, seed: u64) {
		let random = &mut Random(seed);
		let w = matrix(rows, 96, 96, random);
		check(&w, &random.floats(tokens * 96));
	}
}

#[test]
fn extremes_equal_scalar() {
	for (block, weight) in [(256, 1), (256, -1), (64, 1), (23_040, -1)] {
		let cols = 2 * block;
		let fill = |_: usize, codes: &mut [u8]| codes.fill((weight + 1) as u8);
		let scales = [0x3c00, 0x7bff].repeat(17);
		let w = TernaryMatrix::from_block_codes(17, cols, block, scales, Packing::TwoBit, fill)
			.expect("shape is valid");
		for x in [3.0, -3.0, 0.0, 1e-30, f32::MAX] {
			for tokens in [1, 5] {
				check(&w, &vec![x; tokens * cols]);
			}
		}
	}
}

#[test]
fn large_shapes_equal_scalar_on_all_threads() {
	let random = &mut Random(7);
	let w = matrix(331, 640, 128, random);
	check(&w, &random.floats(640));
	check(&w, &random.floats(131 * 640));
	let w = matrix(200, 1024, 256, random);
	check(&w, &random.floats(7 * 1024));
}

#[test]
fn group_takes_both_kinds_when_a_row_is_a_block() {
	let random = &mut Random(3);
	let by_row = matrix(40, 64, 64, random);
	let trits = random.trits(70 * 64);
	let one = TernaryMatrix::from_ternary(&trits, 70, 64, 0.5, Packing::Dense).expect("valid");
	let x = random.floats(64);
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		backend.quantize(&x, 64, &mut a).expect("inputs are finite");
		let (mut first, mut second) = (vec![0.0; 40], vec![0.0; 70]);
		let mut alone = (first.clone(), second.clone());
		backend.linear_group(&a, &mut [(&by_row, &mut first), (&one, &mut second)]);
		backend.linear(&by_row, &a, &mut alone.0);
		backend.linear(&one, &a, &mut alone.1);
		assert_eq!(bits(&first), bits(&alone.0), "{backend:?}");
		assert_eq!(bits(&second), bits(&alone.1), "{backend:?}");
		for (row, y) in first.iter().enumerate() {
			let dot = scalar::ternary_dot(&by_row.row(row), a.q(0));
			let expected = scalar::rescale(dot, a.inv()[0], by_row.block_scale(row, 0));
			assert_eq!((0.0 + expected).to_bits(), y.to_bits());
		}
	}
}

#[test]
fn activations_of_the_wrong_kind_are_refused() {
	let w = matrix(4, 128, 64, &mut Random(1));
	let run = |block: usize| {
		std::panic::catch_unwind(|| {
			let backend = Backend::new(Isa::Scalar, 1);
			let mut a = QuantizedActivations::new();
			backend
				.quantize_blocks(&[1.0; 128], 128, block, &mut a)
				.expect("inputs are finite");
			backend.linear(&w, &a, &mut [0.0; 4]);
		})
		.is_ok()
	};
	assert_eq!([32, 64, 128].map(run), [false, true, false]);
}

#[test]
fn activations_that_are_not_finite_are_refused() {
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		let mut x = vec![1.0; 3 * 128];
		x[200] = f32::NAN;
		let refused = backend.quantize_blocks(&x, 128, 32, &mut a);
		assert_eq!(refused, Err(NonFinite { index: 200 }));
		assert_eq!(a.tokens(), 0);
	}
}

#[test]
fn known_answer() {
	// Blocks of 32 ones and of 32 minus ones, scales 2 and 0.5; activations 1 and then 3.
	let scales = [2.0, 0.5].map(math::f32_to_f16).to_vec();
	let w = TernaryMatrix::from_block_codes(1, 64, 32, scales, Packing::TwoBit, |_, codes| {
		codes[..32].fill(2);
		codes[32..].fill(0);
	});
	let w = w.expect("valid");
	let mut x = [1.0; 64];
	x[32..].fill(3.0);
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		backend
			.quantize_blocks(&x, 64, 32, &mut a)
			.expect("inputs are finite");
		let mut out = [0.0];
		backend.linear(&w, &a, &mut out);
		assert_eq!(out, [64.0 - 48.0]);
	}
}
