//! Rotary embedding and attention: every instruction set and number of threads gives the bits of the scalar
//! specification.

mod common;

use aria_kernels::{AttentionShape, RopePairing, RopeTable, scalar};
use common::{Random, backends, bits, check_in_place};
use proptest::prelude::*;

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

proptest! {
	#![proptest_config(common::config())]

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
}

#[test]
fn large_shapes_equal_scalar_on_all_threads() {
	let random = &mut Random(7);
	let shape = |heads, kv_heads, head_dim| AttentionShape {
		heads,
		kv_heads,
		head_dim,
	};
	check_attention(shape(10, 5, 128), 60, 9, random);
	check_attention(shape(4, 1, 64), 300, 1, random);
}
