//! Rotary embedding and attention: every instruction set and number of threads gives the bits of the scalar
//! specification.

mod common;

use aria_kernels::{AttentionShape, RopePairing, RopeTable, math, scalar};
use common::{Random, backends, bits, check_in_place};
use proptest::prelude::*;

/// Queries and a cache, and what attention over them is to be.
struct Case {
	shape: AttentionShape,
	past: usize,
	q: Vec<f32>,
	keys: Vec<u16>,
	values: Vec<u16>,
}

impl Case {
	fn random(shape: AttentionShape, past: usize, tokens: usize, random: &mut Random) -> Self {
		let cached = (past + tokens) * shape.kv_heads * shape.head_dim;
		let mut halves = || {
			let floats = random.floats(cached);
			floats.into_iter().map(math::f32_to_f16).collect()
		};
		Self {
			shape,
			past,
			keys: halves(),
			values: halves(),
			q: random.floats(tokens * shape.heads * shape.head_dim),
		}
	}

	fn expected(&self) -> Vec<f32> {
		let AttentionShape {
			heads,
			kv_heads,
			head_dim,
		} = self.shape;
		let stride = kv_heads * head_dim;
		let mut expected = vec![0.0; self.q.len()];
		let queries = self.q.chunks_exact(head_dim);
		for (task, (q, out)) in queries.zip(expected.chunks_exact_mut(head_dim)).enumerate() {
			let (token, head) = (task / heads, task % heads);
			let first = head / (heads / kv_heads) * head_dim;
			let mut scores = vec![0.0; self.past + token + 1];
			let (keys, values) = (&self.keys[first..], &self.values[first..]);
			scalar::attention_head(q, keys, values, stride, &mut scores, out);
		}
		expected
	}

	fn check(&self) {
		let expected = bits(&self.expected());
		let mut out = vec![0.0; self.q.len()];
		for backend in backends() {
			out.fill(f32::NAN);
			backend.attention(
				&self.q,
				&self.keys,
				&self.values,
				self.shape,
				self.past,
				&mut out,
			);
			assert_eq!(bits(&out), expected, "{backend:?}");
		}
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
		group in 1_usize..=8, kv_heads in 1_usize..4, head_dim in 1_usize..130,
		past in 0_usize..70, tokens in 1_usize..=9, seed: u64,
	) {
		let shape = AttentionShape { heads: group * kv_heads, kv_heads, head_dim };
		Case::random(shape, past, tokens, &mut Random(seed)).check();
	}

	#[test]
	fn attention_of_long_contexts_equals_scalar(
		group in 1_usize..=8, kv_heads in 1_usize..4, head_dim in 1_usize..70,
		past in 0_usize..600, tokens in prop_oneof![3 => 1_usize..=2, 1 => 1_usize..=40], seed: u64,
	) {
		let shape = AttentionShape { heads: group * kv_heads, kv_heads, head_dim };
		Case::random(shape, past, tokens, &mut Random(seed)).check();
	}

	#[test]
	fn attention_of_any_halves_equals_scalar(
		group in 1_usize..=5, kv_heads in 1_usize..3, head_dim in 1_usize..40,
		past in 0_usize..90, tokens in 1_usize..=5, power in -140_i32..60, seed: u64,
	) {
		let shape = AttentionShape { heads: group * kv_heads, kv_heads, head_dim };
		let random = &mut Random(seed);
		let mut case = Case::random(shape, past, tokens, random);
		case.keys = random.halves(case.keys.len());
		case.values = random.halves(case.values.len());
		// From scores that are all subnormal to scores of which only the largest counts.
		case.q.iter_mut().for_each(|q| *q *= 2_f32.powi(power));
		case.check();
	}

	#[test]
	fn store_halves_equals_scalar(len in 0_usize..70_000, seed: u64) {
		let random = &mut Random(seed);
		let x: Vec<f32> = (0..len).map(|_| any_float(random)).collect();
		let expected: Vec<u16> = x.iter().map(|x| math::f32_to_f16(*x)).collect();
		for backend in backends() {
			let mut out = vec![0xffff; len];
			backend.store_halves(&x, &mut out);
			assert_eq!(out, expected, "{backend:?}");
		}
	}
}

/// Any bits; half of the time, of a magnitude that halves have.
fn any_float(random: &mut Random) -> f32 {
	let bits = random.next();
	let x = f32::from_bits(bits as u32);
	if bits >> 63 == 0 {
		f32::from_bits(x.to_bits() & 0x8fff_ffff | 0x3000_0000)
	} else {
		x
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
	Case::random(shape(10, 5, 128), 60, 9, random).check();
	Case::random(shape(20, 5, 128), 0, 40, random).check();
	Case::random(shape(20, 5, 128), 700, 1, random).check();
	Case::random(shape(4, 1, 64), 300, 1, random).check();
	Case::random(shape(40, 1, 20), 130, 3, random).check();
}

#[test]
fn attention_to_equal_keys_is_the_mean() {
	let shape = AttentionShape {
		heads: 3,
		kv_heads: 1,
		head_dim: 5,
	};
	let mut case = Case::random(shape, 63, 1, &mut Random(3));
	case.keys.fill(0x3c00);
	case.values = (0..64)
		.flat_map(|t| [math::f32_to_f16(t as f32); 5])
		.collect();
	assert_eq!(case.expected(), [31.5; 15]);
	case.check();
}

#[test]
fn attention_follows_the_largest_key() {
	let shape = AttentionShape {
		heads: 2,
		kv_heads: 2,
		head_dim: 17,
	};
	let mut case = Case::random(shape, 99, 1, &mut Random(4));
	let row = 2 * 17;
	case.q.fill(1e30);
	case.keys.iter_mut().for_each(|key| *key &= 0x3fff);
	// The largest finite half, and the same after saturation.
	case.keys[70 * row..][..row].fill(math::f32_to_f16(1e9));
	let values: Vec<f32> = case.values[70 * row..][..row]
		.iter()
		.map(|v| math::f16_to_f32(*v))
		.collect();
	assert_eq!(case.expected(), values);
	case.check();
}
