//! Logits: every instruction set and number of threads gives the bits of the scalar specification.

mod common;

use aria_kernels::{Candidate, HeadError, HeadMatrix, QuantizedActivations, math, scalar};
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

/// A head of the given rows, with a dither that uses every value.
fn head_int8(values: &[f32], cols: usize) -> HeadMatrix {
	let dither: Vec<u8> = (0..cols).map(|i| (i * 7 % 16) as u8).collect();
	HeadMatrix::new(values.len() / cols, cols, &dither, |row, out| {
		out.copy_from_slice(&values[row * cols..][..cols]);
	})
	.expect("rows are finite")
}

/// Compares logits in eight bits, and the `k` best of each token, with the specification.
fn check_head_int8(values: &[f32], cols: usize, x: &[f32], k: usize) {
	let head = head_int8(values, cols);
	let (rows, tokens) = (values.len() / cols, x.len() / cols);
	let mut q = vec![0; cols];
	let mut n = vec![0; cols];
	let mut expected = vec![];
	for x in x.chunks_exact(cols) {
		let (a, _) = scalar::quantize_row(x, &mut q).expect("finite");
		for (row, values) in values.chunks_exact(cols).enumerate() {
			let scale = scalar::quantize_head_row(values, &mut n).expect("finite");
			assert_eq!((head.scale(row), head.row(row)), (scale, n.clone()));
			expected.push(scalar::rescale(scalar::head_dot(&n, &q), a, scale));
		}
	}
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		backend.quantize(x, cols, &mut a).expect("finite");
		let mut out = vec![f32::NAN; expected.len()];
		backend.head_int8(&head, &a, &mut out);
		assert_eq!(bits(&out), bits(&expected), "{backend:?}");
		let counts: Vec<usize> = (0..tokens).map(|token| k + token).collect();
		let together = backend.head_top_k(&head, &a, &counts);
		for (token, k) in counts.into_iter().enumerate() {
			let mut best: Vec<Candidate> = expected[token * rows..][..rows]
				.iter()
				.zip(0..)
				.map(|(logit, id)| Candidate { id, logit: *logit })
				.collect();
			best.sort_by(|x, y| y.logit.total_cmp(&x.logit).then(x.id.cmp(&y.id)));
			best.truncate(k);
			let found = &together[token];
			assert_eq!(found.candidates, best, "{backend:?}");
			assert!(
				(best.len()..=rows).contains(&found.computed),
				"{} of {rows}",
				found.computed
			);
			backend
				.quantize(&x[token * cols..][..cols], cols, &mut a)
				.expect("finite");
			assert_eq!(
				&backend.head_top_k(&head, &a, &[k])[0],
				found,
				"{backend:?}"
			);
		}
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

	#[test]
	fn int8_equals_scalar(
		rows in 1_usize..200, cols in 1_usize..400, tokens in 1_usize..=3, k in 0_usize..50,
		seed: u64,
	) {
		let random = &mut Random(seed);
		check_head_int8(&random.floats(rows * cols), cols, &random.floats(tokens * cols), k);
	}

	#[test]
	fn equal_logits_are_ordered_by_id(
		rows in 1_usize..300, kinds in 1_usize..4, k in 1_usize..40, seed: u64,
	) {
		// Few different rows, so that most logits have equals.
		let random = &mut Random(seed);
		let cols = 64;
		let kinds: Vec<Vec<f32>> = (0..kinds).map(|_| random.floats(cols)).collect();
		let values: Vec<f32> = (0..rows)
			.flat_map(|row| kinds[(row * row + row / 3) % kinds.len()].clone())
			.collect();
		check_head_int8(&values, cols, &random.floats(cols), k);
	}
}

#[test]
fn large_heads_equal_scalar_on_all_threads() {
	let random = &mut Random(7);
	check_head(&random.halves(257 * 201), 201, &random.floats(3 * 201));
	check_head(&random.halves(1031 * 64), 64, &random.floats(64));
}

#[test]
fn int8_equals_scalar_at_extremes() {
	let cols = 23_040;
	for x in [1.0, -1.0, 0.0] {
		let mut values = vec![1.0; 3 * cols];
		values[cols..2 * cols].fill(-1.0);
		values[2 * cols..].fill(0.0);
		check_head_int8(&values, cols, &vec![x; cols], 3);
	}
	let alternating: Vec<f32> = (0..cols)
		.map(|i| if i % 2 == 0 { 8.0 } else { -8.0 })
		.collect();
	check_head_int8(&alternating, cols, &alternating, 1);
}

#[test]
fn rows_of_zeros_have_bounds_beside_infinite_logits() {
	let cols = 64;
	let mut values = vec![-1.0; 40 * cols];
	values[17 * cols..18 * cols].fill(0.0);
	values[33 * cols..34 * cols].fill(1e-38);
	check_head_int8(&values, cols, &vec![f32::MAX; cols], 3);
	check_head_int8(&vec![0.0; 5 * cols], cols, &vec![f32::MAX; cols], 3);
}

#[test]
fn large_vocabulary_computes_few_logits() {
	let (rows, cols) = (20_000, 256);
	let random = &mut Random(3);
	let values = random.floats(rows * cols);
	// A hidden state that points to one row, as those of a confident model do.
	let x: Vec<f32> = values[777 * cols..][..cols].to_vec();
	let head = head_int8(&values, cols);
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		backend.quantize(&x, cols, &mut a).expect("finite");
		let best = &backend.head_top_k(&head, &a, &[1])[0];
		assert_eq!(best.candidates[0].id, 777);
		assert!(best.computed < rows / 20, "{} of {rows}", best.computed);
	}
}

#[test]
fn states_made_against_a_dither_are_harmless_to_another() {
	let (rows, cols, target) = (2000, 1024, 321);
	let random = &mut Random(5);
	let values = random.floats(rows * cols);
	let mut dither = || -> Vec<u8> { (0..cols).map(|_| (random.next() % 16) as u8).collect() };
	let (known, secret) = (dither(), dither());
	let head = |dither: &[u8]| {
		HeadMatrix::new(rows, cols, dither, |row, out| {
			out.copy_from_slice(&values[row * cols..][..cols]);
		})
		.expect("rows are finite")
	};
	let (known, secret, dither) = (head(&known), head(&secret), known);
	// A little of the row, and much of what its first plane leaves out.
	let x: Vec<f32> = known
		.row(target)
		.iter()
		.zip(dither)
		.map(|(n, u)| {
			let rest = (i32::from(*n) + 120 + i32::from(u)) % 16;
			f32::from(*n) / 25.0 + 2.0 * (rest as f32 - 7.5)
		})
		.collect();
	let mut a = QuantizedActivations::new();
	for backend in backends() {
		backend.quantize(&x, cols, &mut a).expect("finite");
		let mut logits = vec![0.0; rows];
		backend.head_int8(&secret, &a, &mut logits);
		let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
		assert_eq!(logits[target], largest);
		assert_eq!(
			backend.head_top_k(&secret, &a, &[1])[0].candidates[0].id,
			target as u32,
			"{backend:?}"
		);
		assert_ne!(
			backend.head_top_k(&known, &a, &[1])[0].candidates[0].id,
			target as u32,
			"the state is made against it"
		);
	}
}

#[test]
fn rejects_heads_that_do_not_fit() {
	let zeros = |_: usize, out: &mut [f32]| out.fill(0.0);
	let error = |result: Result<HeadMatrix, HeadError>| result.map(|_| ()).unwrap_err();
	assert_eq!(
		error(HeadMatrix::new(0, 8, &[0; 8], zeros)),
		HeadError::Shape { rows: 0, cols: 8 }
	);
	assert_eq!(
		error(HeadMatrix::new(1, 1 << 17, &[0; 1 << 17], zeros)),
		HeadError::Shape {
			rows: 1,
			cols: 1 << 17
		}
	);
	assert_eq!(
		error(HeadMatrix::new(1, 8, &[0; 7], zeros)),
		HeadError::Dither
	);
	assert_eq!(
		error(HeadMatrix::new(1, 8, &[16; 8], zeros)),
		HeadError::Dither
	);
	let infinite = |row: usize, out: &mut [f32]| out.fill(if row == 2 { f32::NAN } else { 1.0 });
	assert_eq!(
		error(HeadMatrix::new(4, 8, &[0; 8], infinite)),
		HeadError::NonFinite { row: 2 }
	);
}
