//! Normalisation, activation functions and softmax: every instruction set and number of threads gives the bits of the
//! scalar specification.

mod common;

use aria_kernels::scalar;
use common::{Random, check_in_place};
use proptest::prelude::*;

proptest! {
	#![proptest_config(common::config())]

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
}

#[test]
fn softmax_of_equal_values_is_uniform() {
	let mut values = [4.0; 8];
	scalar::softmax(&mut values);
	assert_eq!(values, [0.125; 8]);
}

#[test]
fn argmax_takes_the_lowest_of_equals() {
	assert_eq!(scalar::argmax(&[1.0, 3.0, 2.0, 3.0]), 1);
	assert_eq!(scalar::argmax(&[f32::NAN, -1.0]), 1);
	assert_eq!(scalar::argmax(&[]), 0);
}

#[test]
fn log_softmax_matches_double_precision() {
	let logits: Vec<f32> = (0..1000)
		.map(|i| ((i * 7919) % 1000) as f32 / 50.0 - 10.0)
		.collect();
	let sum: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
	for token in [0, 1, 500, 999] {
		let exact = f64::from(logits[token]) - sum.ln();
		assert!((f64::from(scalar::log_softmax_at(&logits, token)) - exact).abs() < 1e-5);
	}
}
