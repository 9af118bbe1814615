//! Elementary functions that give the same bits on every machine.
//!
//! Only `+ - * /`, comparisons and bit moves: libm differs between platforms, and a fused
//! multiply-add rounds once where two operations round twice. Rust never contracts `a * b + c`.

/// Adding and subtracting this rounds an `f32` of magnitude below 2^22 to the nearest integer,
/// ties to even, because one unit in the last place of 1.5 * 2^23 is 1.
const ROUND_F32: f32 = 12_582_912.0;
/// The same for an `f64` of magnitude below 2^51.
const ROUND_F64: f64 = 6_755_399_441_055_744.0;

/// Below this, [`exp`] is zero: results would be subnormal.
const EXP_MIN: f32 = -87.336_54;
/// Above this, [`exp`] is infinite.
const EXP_MAX: f32 = 88.722_83;

/// Rounds to the nearest integer, ties to even. Defined for `|x| < 2^22`.
#[inline(always)]
pub fn round_half_even(x: f32) -> f32 {
	(x + ROUND_F32) - ROUND_F32
}

/// [`round_half_even`] as an integer, in steps that vectorise. Defined for `|x| < 2^22`.
#[inline(always)]
pub fn round_to_int(x: f32) -> i32 {
	// Around 1.5 * 2^23 the bits count units.
	((x + ROUND_F32).to_bits() as i32).wrapping_sub(ROUND_F32.to_bits() as i32)
}

/// `2^n` for `-126 <= n <= 127`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
	f32::from_bits(((n + 127) as u32) << 23)
}

/// The exponential function, within 2 units in the last place for normal results.
///
/// Results that would be subnormal are zero; `exp(0) == 1` exactly.
/// Method: `x = n ln 2 + r` with `ln 2` in two parts, then a polynomial of degree 7 in `r` (Cephes).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
	const LOG2_E: f32 = core::f32::consts::LOG2_E;
	// 355/512: nine bits, so that n * LN2_HIGH is exact.
	const LN2_HIGH: f32 = 0.693_359_4;
	const LN2_LOW: f32 = -2.121_944_4e-4;

	let clamped = if x < EXP_MIN { EXP_MIN } else { x };
	let clamped = if clamped > EXP_MAX { EXP_MAX } else { clamped };
	let shifted = clamped * LOG2_E + ROUND_F32;
	let n_float = shifted - ROUND_F32;
	let n = (shifted.to_bits() as i32).wrapping_sub(ROUND_F32.to_bits() as i32);
	let r = (clamped - n_float * LN2_HIGH) - n_float * LN2_LOW;

	let mut p = 1.987_569_1e-4;
	p = p * r + 1.398_2e-3;
	p = p * r + 8.333_452e-3;
	p = p * r + 4.166_579_6e-2;
	p = p * r + 1.666_666_5e-1;
	p = p * r + 0.5;
	let y = (p * (r * r) + r) + 1.0;

	// Two factors, because n reaches 128. NaN gives a harmless n: it is put back below.
	let n = n.clamp(-126, 128);
	let half = n >> 1;
	let y = (y * power_of_two(half)) * power_of_two(n - half);
	let y = if x < EXP_MIN { 0.0 } else { y };
	let y = if x > EXP_MAX { f32::INFINITY } else { y };
	if x.is_nan() { x } else { y }
}

/// The natural logarithm of a positive finite number, computed in `f64` and rounded once.
///
/// `ln(0)` is `-inf`; negative numbers give NaN; infinity and NaN are returned as they are.
pub fn ln(x: f32) -> f32 {
	if x.is_nan() || x == f32::INFINITY {
		return x;
	}
	if x == 0.0 {
		return f32::NEG_INFINITY;
	}
	if x < 0.0 {
		return f32::NAN;
	}
	ln_f64(f64::from(x)) as f32
}

/// The natural logarithm of a positive normal `f64`.
///
/// `x = m * 2^e` with m in [0.707, 1.414], then `2 atanh((m - 1) / (m + 1))` as a series.
pub fn ln_f64(x: f64) -> f64 {
	const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
	const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
	const MANTISSA: u64 = (1 << 52) - 1;

	let bits = x.to_bits();
	let mut exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
	let mut m = f64::from_bits((bits & MANTISSA) | (1023 << 52));
	if m > core::f64::consts::SQRT_2 {
		m *= 0.5;
		exponent += 1;
	}
	let s = (m - 1.0) / (m + 1.0);
	let z = s * s;
	let mut series = 0.0;
	let mut k = 23;
	while k >= 3 {
		series = (series + 1.0 / f64::from(k)) * z;
		k -= 2;
	}
	let e = f64::from(exponent);
	e * LN2_HIGH + (2.0 * (s + s * series) + e * LN2_LOW)
}

/// The exponential function in `f64`, for `|x| <= 700`; beyond, the nearer end is used.
pub fn exp_f64(x: f64) -> f64 {
	const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
	const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
	let x = x.clamp(-700.0, 700.0);
	let n = (x * core::f64::consts::LOG2_E + ROUND_F64) - ROUND_F64;
	let r = (x - n * LN2_HIGH) - n * LN2_LOW;
	// Taylor to degree 15: the next term is below 2^-66 for |r| <= 0.35.
	let mut sum = 1.0;
	let mut k = 15;
	while k >= 1 {
		sum = 1.0 + sum * r / f64::from(k);
		k -= 1;
	}
	sum * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

/// Sine and cosine of an angle in radians, `(sin, cos)`, for `|x| <= 2^20`.
///
/// Method: subtract a multiple of pi/2 held in three parts, then Taylor series.
pub fn sin_cos(x: f64) -> (f64, f64) {
	// pi/2 in 33 + 33 + 53 bits (fdlibm): n times each of the first two is exact for n < 2^20.
	const PIO2_1: f64 = 1.570_796_326_734_125_6;
	const PIO2_2: f64 = 6.077_100_506_303_966e-11;
	const PIO2_3: f64 = 2.022_266_248_795_950_6e-21;

	let n = (x * core::f64::consts::FRAC_2_PI + ROUND_F64) - ROUND_F64;
	let r = ((x - n * PIO2_1) - n * PIO2_2) - n * PIO2_3;
	let z = r * r;
	let mut sin = 1.0;
	let mut k = 18;
	while k >= 2 {
		sin = 1.0 - sin * z / f64::from(k * (k + 1));
		k -= 2;
	}
	sin *= r;
	let mut cos = 1.0;
	let mut k = 17;
	while k >= 1 {
		cos = 1.0 - cos * z / f64::from(k * (k + 1));
		k -= 2;
	}
	match (n as i64) & 3 {
		0 => (sin, cos),
		1 => (cos, -sin),
		2 => (-sin, -cos),
		_ => (-cos, sin),
	}
}

/// The correctly rounded square root. Negative numbers give NaN.
#[cfg(feature = "std")]
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
	x.sqrt()
}

/// The correctly rounded square root. Negative numbers give NaN.
#[cfg(not(feature = "std"))]
#[inline]
pub fn sqrt(x: f32) -> f32 {
	sqrt_by_integers(x)
}

/// The correctly rounded square root by integer arithmetic: what [`sqrt`] is without `std`.
pub fn sqrt_by_integers(x: f32) -> f32 {
	if x.is_nan() || x == 0.0 || x == f32::INFINITY {
		return x;
	}
	if x < 0.0 {
		return f32::NAN;
	}
	let bits = x.to_bits();
	let stored = (bits >> 23) as i32;
	let (mut mantissa, mut exponent) = if stored == 0 {
		(u64::from(bits), -149)
	} else {
		(u64::from(bits & 0x7f_ffff | 0x80_0000), stored - 150)
	};
	// x = mantissa * 2^exponent. Make the mantissa about 60 bits and the exponent even: the root
	// then has 30 bits, six more than kept. It is never a tie, so the lowest bit can be sticky.
	let mut shift = mantissa.leading_zeros() as i32 - 4;
	if (exponent - shift) & 1 != 0 {
		shift -= 1;
	}
	mantissa <<= shift;
	exponent -= shift;
	let root = mantissa.isqrt();
	let sticky = u64::from(root * root != mantissa);
	// root < 2^30 and the sticky bit make an integer that f64 holds exactly: one rounding to f32.
	let doubled = (root << 1 | sticky) as f64;
	let scale = f64::from_bits(((exponent / 2 - 1 + 1023) as u64) << 52);
	(doubled * scale) as f32
}

/// The largest finite half-precision number.
pub const MAX_HALF: f32 = 65_504.0;

/// Converts to IEEE 754 half-precision bits, rounded to nearest even, subnormals kept.
///
/// Finite numbers beyond [`MAX_HALF`] become that, with their sign: one large key must not end an
/// answer. Infinities stay, and a NaN becomes quiet, so that they are noticed later.
#[inline(always)]
pub fn f32_to_f16(x: f32) -> u16 {
	const SMALLEST_NORMAL: u32 = (127 - 14) << 23;
	const REBIAS: u32 = (127 - 15) << 23;
	const INFINITY: u32 = 0x7f80_0000;
	const MAX_HALF_BITS: u32 = 0x7bff;

	let sign = (x.to_bits() >> 16) & 0x8000;
	let magnitude = x.to_bits() & 0x7fff_ffff;
	let half = if magnitude < SMALLEST_NORMAL {
		// The last place of 0.5 is 2^-24, that of subnormal halves: the addition rounds.
		(f32::from_bits(magnitude) + 0.5).to_bits() - 0.5_f32.to_bits()
	} else if magnitude < INFINITY {
		// Half a unit of the places kept, less if that is a tie to even. A carry is right: it goes
		// into the exponent.
		let rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
		((rounded - REBIAS) >> 13).min(MAX_HALF_BITS)
	} else if magnitude == INFINITY {
		0x7c00
	} else {
		0x7e00 | ((magnitude >> 13) & 0x3ff)
	};
	(sign | half) as u16
}

/// Converts IEEE 754 half-precision bits to `f32`, exactly. A NaN becomes quiet.
#[inline(always)]
pub fn f16_to_f32(half: u16) -> f32 {
	let sign = u32::from(half & 0x8000) << 16;
	let exponent = u32::from(half >> 10) & 0x1f;
	let mantissa = u32::from(half & 0x3ff);
	let magnitude = match exponent {
		// Subnormal: mantissa * 2^-24, exact in f32.
		0 => (mantissa as f32 * f32::from_bits(0x3380_0000)).to_bits(),
		31 if mantissa == 0 => 0x7f80_0000,
		31 => 0x7fc0_0000 | mantissa << 13,
		_ => (exponent + 112) << 23 | mantissa << 13,
	};
	f32::from_bits(sign | magnitude)
}
