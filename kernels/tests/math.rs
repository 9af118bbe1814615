//! The elementary functions against the platform's in double precision, their edges, and half precision.
//!
//! `reference.rs` has their error bounds; here are more numbers, and with `ARIA_EXHAUSTIVE` every `f32`.

mod common;

use aria_kernels::{RopeTable, math};
use common::stride;

/// Distance between `x` and the exact value, in units in the last place of the exact value.
fn ulps(x: f32, exact: f64) -> f64 {
	let nearest = exact as f32;
	let next = f32::from_bits((nearest.to_bits() & 0x7fff_ffff) + 1);
	((f64::from(x) - exact) / (f64::from(next) - f64::from(nearest.abs()))).abs()
}

/// Every `step`-th positive float bit pattern between two values, and its negative; see [`stride`].
fn sweep(from: f32, to: f32, step: usize) -> impl Iterator<Item = f32> {
	(from.to_bits()..=to.to_bits())
		.step_by(stride(step))
		.map(f32::from_bits)
		.flat_map(|x| [x, -x])
}

#[test]
fn exp_is_within_two_ulps() {
	let worst = sweep(1e-9, 87.3, 97)
		.map(|x| ulps(math::exp(x), f64::from(x).exp()))
		.fold(0.0, f64::max);
	assert!(worst < 2.0, "{worst}");
}

#[test]
fn exp_edges() {
	assert_eq!(math::exp(0.0), 1.0);
	assert_eq!(math::exp(-0.0), 1.0);
	assert_eq!(math::exp(f32::NEG_INFINITY), 0.0);
	assert_eq!(math::exp(-1e30), 0.0);
	assert_eq!(math::exp(f32::INFINITY), f32::INFINITY);
	assert_eq!(math::exp(1e30), f32::INFINITY);
	assert!(math::exp(88.72).is_finite() && math::exp(88.72) > 3.3e38);
	assert!(math::exp(-87.33) > 0.0);
	assert!(math::exp(f32::NAN).is_nan());
}

#[test]
fn ln_is_within_one_ulp() {
	let worst = sweep(f32::from_bits(1), f32::MAX, 1009)
		.filter(|x| *x > 0.0 && *x != 1.0)
		.map(|x| ulps(math::ln(x), f64::from(x).ln()))
		.fold(0.0, f64::max);
	assert!(worst < 0.51, "{worst}");
	assert_eq!(math::ln(1.0), 0.0);
	assert_eq!(math::ln(0.0), f32::NEG_INFINITY);
	assert_eq!(math::ln(f32::INFINITY), f32::INFINITY);
	assert!(math::ln(-1.0).is_nan() && math::ln(f32::NAN).is_nan());
}

#[test]
fn f64_functions_are_close_to_the_platform() {
	for i in 0..200_000 {
		let x = f64::from(i) * 5.2371;
		let (sin, cos) = math::sin_cos(x);
		assert!((sin - x.sin()).abs() < 1e-15, "sin {x}");
		assert!((cos - x.cos()).abs() < 1e-15, "cos {x}");
		assert!((math::sin_cos(-x).0 + sin).abs() < 1e-15, "sin -{x}");
		let x = f64::from(i - 100_000) * 1.7e-4;
		assert!((math::exp_f64(x) / x.exp() - 1.0).abs() < 1e-14, "exp {x}");
		let x = f64::from(i + 1) * 0.0173;
		assert!((math::ln_f64(x) - x.ln()).abs() < 1e-14, "ln {x}");
	}
}

#[test]
fn square_root_by_integers_is_correctly_rounded() {
	let all = (0..=f32::INFINITY.to_bits())
		.step_by(stride(997))
		.chain(0..5000)
		.map(f32::from_bits);
	for x in all.chain([f32::MAX, f32::MIN_POSITIVE, 4.0, 0.25]) {
		assert_eq!(
			math::sqrt_by_integers(x).to_bits(),
			x.sqrt().to_bits(),
			"{x:e}"
		);
	}
	assert!(math::sqrt_by_integers(-1.0).is_nan());
}

#[test]
fn half_precision_known_answers() {
	let cases = [
		(0x0000, 0.0),
		(0x3c00, 1.0),
		(0xc000, -2.0),
		(0x7bff, 65504.0),
		(0x0001, 5.960_464_5e-8),
		(0x03ff, 6.097_555e-5),
		(0x0400, 6.103_515_6e-5),
		(0x3555, 0.333_251_95),
		(0xfc00, f32::NEG_INFINITY),
	];
	for (half, expected) in cases {
		assert_eq!(math::f16_to_f32(half), expected, "{half:#06x}");
	}
	assert_eq!(math::f16_to_f32(0x8000).to_bits(), 0x8000_0000);
	assert!(math::f16_to_f32(0x7c01).is_nan());
}

/// Every finite half without its sign.
fn magnitudes() -> std::ops::RangeInclusive<u16> {
	0..=0x7bff
}

/// The conversion by definition: the nearest half, the even one of two.
fn check_narrowing(x: f32, expected: u16) {
	assert_eq!(math::f32_to_f16(x), expected, "{x:e}");
	assert_eq!(math::f32_to_f16(-x), expected | 0x8000, "-{x:e}");
	#[cfg(target_arch = "x86_64")]
	if is_x86_feature_detected!("f16c") && x < 65_520.0 {
		// SAFETY: the CPU has F16C.
		assert_eq!(unsafe { narrowed_by_the_cpu(x) }, expected, "{x:e}");
	}
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "f16c")]
fn narrowed_by_the_cpu(x: f32) -> u16 {
	use core::arch::x86_64::*;
	let halves = _mm_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm_set_ss(x));
	_mm_cvtsi128_si32(halves) as u16
}

#[test]
fn every_half_survives_widening_and_narrowing() {
	for half in 0..=u16::MAX {
		let wide = math::f16_to_f32(half);
		let quiet = if wide.is_nan() { 0x0200 } else { 0 };
		assert_eq!(math::f32_to_f16(wide), half | quiet, "{half:#06x}");
	}
}

#[test]
fn narrowing_rounds_to_nearest_even() {
	for half in magnitudes() {
		let x = math::f16_to_f32(half);
		// Above the largest one, the unit is that of its binade.
		let next = if half == 0x7bff {
			65_536.0
		} else {
			math::f16_to_f32(half + 1)
		};
		let above = (half + 1).min(0x7bff);
		let even = if half % 2 == 0 { half } else { above };
		let middle = (x + next) / 2.0;
		check_narrowing(middle, even);
		check_narrowing(middle.next_down(), half);
		check_narrowing(middle.next_up(), above);
		check_narrowing(x.next_up(), half);
		check_narrowing(next.next_down(), above);
	}
}

#[test]
fn narrowing_limits_finite_numbers_only() {
	for x in [65_504.0, 65_519.0, 65_520.0, 65_536.0, 1e9, f32::MAX] {
		check_narrowing(x, 0x7bff);
	}
	assert_eq!(math::f16_to_f32(0x7bff), math::MAX_HALF);
	assert_eq!(math::f32_to_f16(f32::INFINITY), 0x7c00);
	assert_eq!(math::f32_to_f16(f32::NEG_INFINITY), 0xfc00);
	assert!(math::f16_to_f32(math::f32_to_f16(f32::NAN)).is_nan());
	check_narrowing(f32::from_bits(1), 0);
	check_narrowing(2_f32.powi(-25), 0);
}

#[test]
fn rope_table_matches_double_precision() {
	let table = RopeTable::new(500_000.0, 128, 4096);
	for position in [0, 1, 17, 4095] {
		for (d, (cos, sin)) in table.at(position).iter().enumerate() {
			let angle = position as f64 * 500_000_f64.powf(-(d as f64) / 64.0);
			assert!(
				(f64::from(*cos) - angle.cos()).abs() < 1e-7,
				"{position} {d}"
			);
			assert!(
				(f64::from(*sin) - angle.sin()).abs() < 1e-7,
				"{position} {d}"
			);
		}
	}
}
