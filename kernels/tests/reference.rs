//! Error bounds of the elementary functions, against correctly rounded values of 128 bits.
//!
//! `cargo test --release -p aria-kernels --test reference -- --nocapture` prints the largest errors.

use aria_kernels::math;
use dashu_float::{CachedFBig, ConstCache, FBig, round::mode::HalfEven};
use std::{cell::RefCell, f64::consts, rc::Rc};

type Big = CachedFBig<HalfEven, 2>;

/// Bits of the reference: more than twice those of the functions.
const PRECISION: usize = 128;

/// Makes reference numbers, which share the constants computed so far.
#[derive(Default)]
struct Reference(Rc<RefCell<ConstCache>>);

impl Reference {
	fn exact(&self, x: f64) -> Big {
		let x = FBig::<HalfEven, 2>::try_from(x).expect("a finite number");
		let x = x.with_precision(PRECISION).value();
		x.into_cached(Rc::clone(&self.0))
	}

	/// The distance in units of `2^-bits` of the exact value's binade.
	fn ulps(&self, x: f64, exact: &Big, bits: i32) -> f64 {
		// Divided before conversion, so that nothing is lost near the smallest numbers.
		let relative = (self.exact(x) - exact.clone()) / exact.clone();
		let mantissa = f64::from_bits(exact.to_f64().value().to_bits() << 12 >> 12 | 1023 << 52);
		relative.to_f64().value().abs() * mantissa * 2_f64.powi(bits)
	}

	/// The distance in units of 2^-53: the last place of numbers from 0.5 to 1.
	fn distance(&self, x: f64, exact: &Big) -> f64 {
		let difference = self.exact(x) - exact.clone();
		difference.to_f64().value().abs() * 2_f64.powi(53)
	}
}

/// About `count` numbers between two positive ones, each binade as dense as the others.
fn sweep_f32(from: f32, to: f32, count: usize) -> impl Iterator<Item = f32> {
	let (from, to) = (from.to_bits(), to.to_bits());
	let step = ((to - from) as usize / count) | 1;
	(from..=to).step_by(step).map(f32::from_bits)
}

/// As [`sweep_f32`].
fn sweep_f64(from: f64, to: f64, count: usize) -> impl Iterator<Item = f64> {
	let (from, to) = (from.to_bits(), to.to_bits());
	let step = ((to - from) as usize / count) | 1;
	(from..=to).step_by(step).map(f64::from_bits)
}

/// The `f32` nearest to `x`, and three on each side.
fn around_f32(x: f64) -> impl Iterator<Item = f32> {
	let nearest = (x as f32).to_bits();
	(nearest.saturating_sub(3)..=nearest.saturating_add(3)).map(f32::from_bits)
}

/// The `f64` nearest to `x`, and three on each side.
fn around_f64(x: f64) -> impl Iterator<Item = f64> {
	let nearest = x.to_bits();
	(nearest.saturating_sub(3)..=nearest.saturating_add(3)).map(f64::from_bits)
}

/// The largest of the errors, and where.
fn worst<T: Copy + std::fmt::Display>(name: &str, errors: impl Iterator<Item = (T, f64)>) -> f64 {
	let mut worst: Option<(T, f64)> = None;
	let mut count = 0;
	for (x, error) in errors {
		count += 1;
		assert!(!error.is_nan(), "{name} {x}");
		if worst.is_none_or(|(_, largest)| error > largest) {
			worst = Some((x, error));
		}
	}
	let (x, error) = worst.expect("at least one number");
	println!("{name}: at most {error:.4} of {count}, at {x}");
	error
}

#[test]
fn exp_is_within_two_ulps() {
	let reference = Reference::default();
	let swept = sweep_f32(1e-9, 87.336, 4000);
	// Where the argument is split: multiples of ln 2 / 2.
	let split = (1..=252).flat_map(|n| around_f32(f64::from(n) * consts::LN_2 / 2.0));
	let signed = swept.chain(split).flat_map(|x| [x, -x]);
	let all = signed.chain(around_f32(88.7228).filter(|x| *x <= 88.722_83));
	let errors = all.filter(|x| *x >= -87.336_54).map(|x| {
		(
			x,
			reference.ulps(math::exp(x).into(), &reference.exact(x.into()).exp(), 23),
		)
	});
	assert!(worst("exp, ulp", errors) < 2.0);
}

#[test]
fn ln_is_within_0_501_ulps() {
	let reference = Reference::default();
	let swept = sweep_f32(f32::from_bits(1), f32::MAX, 4000);
	let split = [
		1.0,
		consts::SQRT_2,
		consts::FRAC_1_SQRT_2,
		2.0,
		1.0e-45,
		1.0e-38,
	];
	let near_one = sweep_f32(0.99, 1.01, 1000);
	let all = swept
		.chain(split.into_iter().flat_map(around_f32))
		.chain(near_one);
	let errors = all.filter(|x| *x > 0.0 && *x != 1.0).map(|x| {
		(
			x,
			reference.ulps(math::ln(x).into(), &reference.exact(x.into()).ln(), 23),
		)
	});
	assert!(worst("ln, ulp", errors) < 0.501);
}

#[test]
fn exp_f64_is_within_two_ulps() {
	let reference = Reference::default();
	let swept = sweep_f64(1e-17, 700.0, 3000);
	let split = (1..=2000)
		.step_by(7)
		.map(|n| f64::from(n) * consts::LN_2 / 2.0);
	let all = swept
		.chain(split.flat_map(around_f64).filter(|x| *x <= 700.0))
		.flat_map(|x| [x, -x]);
	let errors = all.map(|x| {
		let exact = reference.exact(x).exp();
		(x, reference.ulps(math::exp_f64(x), &exact, 52))
	});
	assert!(worst("exp_f64, ulp", errors) < 2.0);
}

#[test]
fn ln_f64_is_within_2_5_ulps() {
	let reference = Reference::default();
	let swept = sweep_f64(f64::MIN_POSITIVE, f64::MAX, 2000);
	let binade = sweep_f64(0.5, 2.0, 5000);
	let split = [
		1.0,
		consts::SQRT_2,
		consts::FRAC_1_SQRT_2,
		2.0,
		10_000.0,
		500_000.0,
	];
	let all = swept
		.chain(binade)
		.chain(split.into_iter().flat_map(around_f64));
	let errors = all.filter(|x| *x != 1.0).map(|x| {
		(
			x,
			reference.ulps(math::ln_f64(x), &reference.exact(x).ln(), 52),
		)
	});
	assert!(worst("ln_f64, ulp", errors) < 2.5);
}

#[test]
fn sin_cos_is_within_two_units_of_2_to_the_minus_53() {
	let reference = Reference::default();
	let swept = sweep_f64(1e-9, f64::from(1 << 20), 2000);
	// Near multiples of pi/2, where most of the angle cancels, and of pi/4, where the part changes.
	let near = (1..1_330_000).step_by(3989).chain(1..200);
	let near = near
		.map(|n| f64::from(n) * consts::FRAC_PI_4)
		.flat_map(around_f64);
	let positions = (0..1_048_576).step_by(4001).map(f64::from);
	let all: Vec<f64> = swept
		.chain(near)
		.chain(positions)
		.filter(|x| *x <= f64::from(1 << 20))
		.flat_map(|x| [x, -x])
		.filter(|x| *x != 0.0)
		.collect();
	let errors = all.iter().map(|x| {
		let (sin, cos) = math::sin_cos(*x);
		let (exact_sin, exact_cos) = reference.exact(*x).sin_cos();
		let sin = reference.distance(sin, &exact_sin);
		let cos = reference.distance(cos, &exact_cos);
		(*x, sin.max(cos))
	});
	assert!(worst("sin_cos, 2^-53", errors) < 2.0);
}
