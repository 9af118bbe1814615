//! Logits: every instruction set and number of threads gives the bits of the scalar specification.

mod common;

use aria_kernels::{math, scalar};
use common::{Random, backends, bits};
use proptest::prelude::*;

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

proptest! {
	#![proptest_config(common::config())]

	#[test]
	fn head_equals_scalar(
		rows in 1_usize..40, cols in 1_usize..300, tokens in 1_usize..=9, seed: u64,
	) {
		let random = &mut Random(seed);
		check_head(&random.halves(rows * cols), cols, &random.floats(tokens * cols));
	}
}

#[test]
fn large_heads_equal_scalar_on_all_threads() {
	let random = &mut Random(7);
	check_head(&random.halves(257 * 201), 201, &random.floats(3 * 201));
	check_head(&random.halves(1031 * 64), 64, &random.floats(64));
}
