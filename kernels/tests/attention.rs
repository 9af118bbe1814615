//! Rotary embedding and attention: every instruction set and number of threads gives the bits of the scalar
//! specification.

mod common;

use aria_kernels::{
	AttentionJob, AttentionShape, Backend, Isa, KV_PAGE_ROWS, RopePairing, RopeTable, math, scalar,
};
use common::{Random, backends, bits, check_in_place, stride};
use proptest::prelude::*;
use std::ops::Range;

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
		check_batch(self.shape, &[self]);
	}

	fn paged(&self) -> [Paged; 2] {
		let seed = self.past + self.q.len();
		[(&self.keys, 1), (&self.values, 2)].map(|(cache, salt)| {
			Paged::new(cache, self.shape, &mut Random((4 * seed + salt) as u64))
		})
	}
}

/// Pages somewhere in one piece of memory, whose other elements are NaN.
struct Paged {
	memory: Vec<u16>,
	pages: Vec<Range<usize>>,
}

impl Paged {
	fn new(cache: &[u16], shape: AttentionShape, random: &mut Random) -> Self {
		let row = shape.kv_heads * shape.head_dim;
		let full = KV_PAGE_ROWS * row;
		let mut starts: Vec<usize> = (0..cache.len().div_ceil(full)).collect();
		for i in (1..starts.len()).rev() {
			starts.swap(i, random.next() as usize % (i + 1));
		}
		// A gap of any length before each page.
		let each = full + random.next() as usize % 70;
		let mut paged = Self {
			memory: vec![0x7e00; starts.len() * each],
			pages: Vec::new(),
		};
		for (start, rows) in starts.iter().zip(cache.chunks(full)) {
			let end = (start + 1) * each;
			let page = &mut paged.memory[end - full..end];
			for (i, row) in rows.chunks(row).enumerate() {
				for (head, part) in row.chunks(shape.head_dim).enumerate() {
					let start = (head * KV_PAGE_ROWS + i) * shape.head_dim;
					page[start..][..part.len()].copy_from_slice(part);
				}
			}
			paged.pages.push(end - full..end);
		}
		paged
	}

	fn pages(&self) -> Vec<&[u16]> {
		let pages = self.pages.iter();
		pages.map(|page| &self.memory[page.clone()]).collect()
	}
}

/// Compares cases of one shape, computed at once, with the specification.
fn check_batch(shape: AttentionShape, cases: &[&Case]) {
	let expected: Vec<f32> = cases.iter().flat_map(|case| case.expected()).collect();
	let paged: Vec<[Paged; 2]> = cases.iter().map(|case| case.paged()).collect();
	let pages: Vec<[Vec<&[u16]>; 2]> = paged
		.iter()
		.map(|paged| paged.each_ref().map(Paged::pages))
		.collect();
	let jobs = cases.iter().zip(&pages).map(|(case, [keys, values])| {
		let (q, past) = (case.q.as_slice(), case.past);
		AttentionJob {
			q,
			keys,
			values,
			past,
		}
	});
	let jobs: Vec<AttentionJob<'_>> = jobs.collect();
	let mut out = vec![0.0; expected.len()];
	for backend in backends() {
		out.fill(f32::NAN);
		match jobs.as_slice() {
			[job] => backend.attention(job.q, job.keys, job.values, shape, job.past, &mut out),
			jobs => backend.attention_batch(jobs, shape, &mut out),
		}
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
	fn batch_equals_scalar(
		group in 1_usize..=8, kv_heads in 1_usize..4, head_dim in 1_usize..70,
		sequences in prop::collection::vec((0_usize..300, 1_usize..=3), 0..12), seed: u64,
	) {
		let shape = AttentionShape { heads: group * kv_heads, kv_heads, head_dim };
		let random = &mut Random(seed);
		let cases: Vec<Case> = sequences
			.into_iter()
			.map(|(past, tokens)| Case::random(shape, past, tokens, random))
			.collect();
		check_batch(shape, &cases.iter().collect::<Vec<_>>());
	}

	#[test]
	fn stored_rows_are_halves_in_their_places(
		heads in 1_usize..5, head_dim in 1_usize..70, row in 0..KV_PAGE_ROWS, seed: u64,
	) {
		let x = Random(seed).floats(heads * head_dim);
		for backend in backends() {
			let mut page = vec![0x7e00; KV_PAGE_ROWS * x.len()];
			backend.store_row(&x, head_dim, &mut page, row);
			for (head, rows) in page.chunks_exact(KV_PAGE_ROWS * head_dim).enumerate() {
				for (i, halves) in rows.chunks_exact(head_dim).enumerate() {
					let x = &x[head * head_dim..][..head_dim];
					let expected: Vec<u16> = match i == row {
						true => x.iter().map(|x| math::f32_to_f16(*x)).collect(),
						false => vec![0x7e00; head_dim],
					};
					prop_assert_eq!(halves, expected, "{:?}", backend);
				}
			}
		}
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

#[test]
fn narrowing_of_a_sweep_of_all_floats_equals_scalar() {
	let mut bits = (0..=u32::MAX).step_by(stride(100_003));
	let mut x = Vec::new();
	loop {
		x.clear();
		x.extend(bits.by_ref().take(1 << 20).map(f32::from_bits));
		if x.is_empty() {
			return;
		}
		let expected: Vec<u16> = x.iter().map(|x| math::f32_to_f16(*x)).collect();
		for backend in backends() {
			let mut out = vec![0xffff; x.len()];
			backend.store_halves(&x, &mut out);
			assert!(out == expected, "{backend:?} from {:e}", x[0]);
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
	let shape = shape(20, 5, 128);
	let each = [(0, 1), (700, 1), (63, 1), (64, 1), (130, 40), (20, 1)];
	let cases = each.map(|(past, tokens)| Case::random(shape, past, tokens, random));
	check_batch(shape, &cases.each_ref());
}

#[test]
fn cache_without_the_needed_rows_is_refused() {
	let shape = AttentionShape {
		heads: 2,
		kv_heads: 1,
		head_dim: 4,
	};
	let page = [0; KV_PAGE_ROWS * 4];
	let attend = |keys: &[&[u16]], values: &[&[u16]]| {
		std::panic::catch_unwind(|| {
			let backend = Backend::new(Isa::Scalar, 1);
			backend.attention(&[0.0; 8], keys, values, shape, 65, &mut [0.0; 8]);
		})
		.is_ok()
	};
	assert!(attend(&[&page, &page], &[&page, &page]));
	assert!(attend(&[&page, &page, &page], &[&page, &page]));
	assert!(!attend(&[&page, &page[1..]], &[&page, &page]));
	assert!(!attend(&[&page, &page], &[&page[1..], &page]));
	assert!(!attend(&[&page], &[&page, &page]));
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
