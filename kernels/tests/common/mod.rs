//! What the equality tests share: every backend, random inputs, and comparison by bits.

#![allow(
	dead_code,
	reason = "each test file is a program of its own and uses a part of this"
)]

use aria_kernels::{Backend, Isa};
use proptest::prelude::ProptestConfig;
use std::sync::OnceLock;

/// Cases from `PROPTEST_CASES` or 48; nothing is written when one fails.
pub(crate) fn config() -> ProptestConfig {
	let default = ProptestConfig::default();
	let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
		default.cases
	} else {
		48
	};
	ProptestConfig {
		cases,
		failure_persistence: None,
		..default
	}
}

/// How far apart the numbers of a sweep are: `usual`, or 1 where `ARIA_EXHAUSTIVE` is set. That takes minutes for each
/// test, and `scripts/test --long` does it.
pub(crate) fn stride(usual: usize) -> usize {
	if std::env::var_os("ARIA_EXHAUSTIVE").is_some() {
		1
	} else {
		usual
	}
}

/// One backend for 1, 2 and 3 threads and every supported level, or the one that `ARIA_ISA` names.
pub(crate) fn backends() -> &'static [Backend] {
	static BACKENDS: OnceLock<Vec<Backend>> = OnceLock::new();
	BACKENDS.get_or_init(|| {
		let only = std::env::var_os(aria_kernels::isa::ENV).map(|_| Isa::from_env());
		let levels = match only {
			Some(isa) => vec![isa.expect("ARIA_ISA names a level of this CPU")],
			None => Isa::supported(),
		};
		for isa in Isa::ALL {
			if isa.is_for_this_architecture() && !isa.is_supported() {
				eprintln!("skipped: this CPU does not support {isa}");
			}
		}
		let each = |isa| (1..=3).map(move |threads| Backend::new(isa, threads));
		levels.into_iter().flat_map(each).collect()
	})
}

/// A small deterministic generator: tests choose seeds, so that failures shrink to few numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
	pub(crate) fn next(&mut self) -> u64 {
		self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
		let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
		let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
		z ^ (z >> 31)
	}

	/// Uniform in -1..1, times a power of two that differs between elements.
	pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
		(0..len)
			.map(|_| {
				let bits = self.next();
				let unit = (bits >> 40) as f32 / (1 << 23) as f32 - 1.0;
				unit * [0.01, 0.5, 1.0, 8.0][(bits & 3) as usize]
			})
			.collect()
	}

	pub(crate) fn trits(&mut self, len: usize) -> Vec<i8> {
		(0..len).map(|_| (self.next() % 3) as i8 - 1).collect()
	}

	/// Finite half-precision bits, subnormals among them.
	pub(crate) fn halves(&mut self, len: usize) -> Vec<u16> {
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

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
	values.iter().map(|x| x.to_bits()).collect()
}

/// Compares an in-place operation of the backend with its specification.
pub(crate) fn check_in_place(
	x: &[f32],
	spec: impl Fn(&mut [f32]),
	op: impl Fn(&Backend, &mut [f32]),
) {
	let mut expected = x.to_vec();
	spec(&mut expected);
	for backend in backends() {
		let mut out = x.to_vec();
		op(backend, &mut out);
		assert_eq!(bits(&out), bits(&expected), "{backend:?}");
	}
}
