//! What the machine can do at most, reading memory and multiplying; and numbers to work on.

#![allow(dead_code, reason = "each benchmark uses a part of this")]

use aria_kernels::{Pool, pool::share};
use memmap2::MmapMut;
use std::hint::black_box;

/// Bytes in large pages, as packed weights have them, all written once.
pub(crate) struct Pages(MmapMut);

impl Pages {
	pub(crate) fn new(len: usize) -> Self {
		let mut pages = MmapMut::map_anon(len).expect("memory");
		#[cfg(target_os = "linux")]
		let _ = pages.advise(memmap2::Advice::HugePage);
		pages.fill(1);
		Self(pages)
	}
}

/// Reads every byte once, each thread its share.
pub(crate) fn read(pool: &Pool, bytes: &Pages) {
	let threads = pool.threads();
	pool.run(threads, |thread| {
		let range = share(bytes.0.len() / 256, thread, threads);
		let part = &bytes.0[range.start * 256..range.end * 256];
		#[cfg(target_arch = "x86_64")]
		if is_x86_feature_detected!("avx2") {
			// SAFETY: the CPU has AVX2.
			black_box(unsafe { sum_avx2(part) });
			return;
		}
		black_box(sum(part));
	});
}

/// In ascending order, which is what the CPU's prefetcher looks for.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_avx2(bytes: &[u8]) -> u64 {
	use core::arch::x86_64::*;
	let mut lanes = [_mm256_setzero_si256(); 8];
	for chunk in bytes.as_chunks::<256>().0 {
		for (i, lane) in lanes.iter_mut().enumerate() {
			// SAFETY: a chunk has 256 bytes, and `i` is at most 7.
			let words = unsafe { _mm256_loadu_si256(chunk.as_ptr().add(32 * i).cast()) };
			*lane = _mm256_add_epi64(*lane, words);
		}
	}
	let sum = lanes.into_iter().reduce(|a, b| _mm256_add_epi64(a, b));
	sum.map_or(0, |sum| _mm256_extract_epi64::<0>(sum) as u64)
}

/// Adds all words in 32 lanes, so that additions do not wait for each other.
#[inline(always)]
fn sum(bytes: &[u8]) -> u64 {
	let mut lanes = [0_u64; 32];
	for chunk in bytes.as_chunks::<256>().0 {
		for (lane, word) in lanes.iter_mut().zip(chunk.as_chunks::<8>().0) {
			*lane = lane.wrapping_add(u64::from_le_bytes(*word));
		}
	}
	lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

/// Does a given number of products of bytes, from registers.
pub(crate) type Peak = fn(usize);

/// The multiply instructions of this CPU.
pub(crate) fn peaks() -> Vec<(&'static str, Peak)> {
	#[cfg(target_arch = "x86_64")]
	return x86::peaks();
	#[cfg(target_arch = "aarch64")]
	return aarch64::peaks();
	#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
	Vec::new()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
	use super::Peak;
	use core::arch::asm;

	/// `$products` for each of eight instructions.
	macro_rules! peak {
		($name:ident, $products:literal, $($line:literal),* $(,)?) => {
			fn $name(products: usize) {
				for _ in 0..products / (8 * $products) {
					// SAFETY: the instructions change only the registers named, whose wide forms are
					// named with them; `peaks` checked that the CPU has the instructions.
					unsafe {
						asm!(
							$($line,)*
							out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
							out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
							options(nomem, nostack, preserves_flags),
						);
					}
				}
			}
		};
	}

	peak!(
		maddubs,
		32,
		"vpmaddubsw ymm0, ymm0, ymm8",
		"vpmaddubsw ymm1, ymm1, ymm8",
		"vpmaddubsw ymm2, ymm2, ymm8",
		"vpmaddubsw ymm3, ymm3, ymm8",
		"vpmaddubsw ymm4, ymm4, ymm8",
		"vpmaddubsw ymm5, ymm5, ymm8",
		"vpmaddubsw ymm6, ymm6, ymm8",
		"vpmaddubsw ymm7, ymm7, ymm8",
	);
	// With the addition that 16-bit sums need.
	peak!(
		maddubs_add,
		16,
		"vpmaddubsw ymm0, ymm8, ymm8",
		"vpaddw ymm4, ymm4, ymm0",
		"vpmaddubsw ymm1, ymm8, ymm8",
		"vpaddw ymm5, ymm5, ymm1",
		"vpmaddubsw ymm2, ymm8, ymm8",
		"vpaddw ymm6, ymm6, ymm2",
		"vpmaddubsw ymm3, ymm8, ymm8",
		"vpaddw ymm7, ymm7, ymm3",
	);
	peak!(
		dpbusd_256,
		32,
		"{{vex}} vpdpbusd ymm0, ymm8, ymm8",
		"{{vex}} vpdpbusd ymm1, ymm8, ymm8",
		"{{vex}} vpdpbusd ymm2, ymm8, ymm8",
		"{{vex}} vpdpbusd ymm3, ymm8, ymm8",
		"{{vex}} vpdpbusd ymm4, ymm8, ymm8",
		"{{vex}} vpdpbusd ymm5, ymm8, ymm8",
		"{{vex}} vpdpbusd ymm6, ymm8, ymm8",
		"{{vex}} vpdpbusd ymm7, ymm8, ymm8",
	);
	peak!(
		dpbusd_512,
		64,
		"vpdpbusd zmm0, zmm8, zmm8",
		"vpdpbusd zmm1, zmm8, zmm8",
		"vpdpbusd zmm2, zmm8, zmm8",
		"vpdpbusd zmm3, zmm8, zmm8",
		"vpdpbusd zmm4, zmm8, zmm8",
		"vpdpbusd zmm5, zmm8, zmm8",
		"vpdpbusd zmm6, zmm8, zmm8",
		"vpdpbusd zmm7, zmm8, zmm8",
	);

	pub(super) fn peaks() -> Vec<(&'static str, Peak)> {
		let mut peaks: Vec<(&'static str, Peak)> = Vec::new();
		if is_x86_feature_detected!("avx2") {
			peaks.push(("maddubs", maddubs));
			peaks.push(("maddubs+add", maddubs_add));
		}
		if is_x86_feature_detected!("avxvnni") {
			peaks.push(("dpbusd-256", dpbusd_256));
		}
		if is_x86_feature_detected!("avx512vnni") {
			peaks.push(("dpbusd-512", dpbusd_512));
		}
		peaks
	}
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
	use super::Peak;
	use core::arch::asm;

	/// Sixteen products for each of four lanes, eight instructions.
	fn sdot(products: usize) {
		for _ in 0..products / (8 * 16) {
			// SAFETY: the instructions change only the registers named, and `peaks` checked that the
			// CPU has them.
			unsafe {
				asm!(
					".arch_extension dotprod",
					"sdot v0.4s, v8.16b, v8.16b", "sdot v1.4s, v8.16b, v8.16b",
					"sdot v2.4s, v8.16b, v8.16b", "sdot v3.4s, v8.16b, v8.16b",
					"sdot v4.4s, v8.16b, v8.16b", "sdot v5.4s, v8.16b, v8.16b",
					"sdot v6.4s, v8.16b, v8.16b", "sdot v7.4s, v8.16b, v8.16b",
					out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _,
					out("v5") _, out("v6") _, out("v7") _,
					options(nomem, nostack, preserves_flags),
				);
			}
		}
	}

	pub(super) fn peaks() -> Vec<(&'static str, Peak)> {
		if std::arch::is_aarch64_feature_detected!("dotprod") {
			vec![("sdot", sdot)]
		} else {
			Vec::new()
		}
	}
}

/// Pseudo-random numbers (xorshift), the same in every run, others for each length.
pub(crate) fn random(len: usize) -> impl Iterator<Item = u32> {
	let mut state = 0x9e37_79b9_u32 ^ len as u32;
	(0..len).map(move |_| {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		state >> 8
	})
}

/// Roughly normal values, with deviation 1.
pub(crate) fn normal(len: usize) -> Vec<f32> {
	random(12 * len)
		.map(|r| r as f32 / (1 << 24) as f32)
		.collect::<Vec<_>>()
		.chunks_exact(12)
		.map(|twelve| twelve.iter().sum::<f32>() - 6.0)
		.collect()
}
