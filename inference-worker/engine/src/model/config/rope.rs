//! Rotary frequencies, plain and changed for longer contexts.
//!
//! Source of the formulae: `modeling_rope_utils.py` of huggingface/transformers; the YaRN paper (arXiv 2309.00071). All
//! of it in binary64 with the functions of [`aria_kernels::math`].

use super::{ConfigError, ModelConfig};
use aria_kernels::{
	RopeTable,
	math::{exp_f64, ln_f64},
};
use serde::Serialize;

/// How frequencies are changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
	/// Not at all.
	None,
	/// Each is divided by a factor: the tensor `rope_freqs` of GGUF, or Llama 3's rule rounded to binary32 as the
	/// converter does.
	Factors(Vec<f32>),
	/// YaRN.
	Yarn {
		/// How many times the original context.
		factor: f32,
		/// Positions that the model was first trained on.
		original: u32,
		/// Rotations in the original context above which a frequency stays.
		beta_fast: f32,
		/// Rotations below which a frequency is divided by the factor.
		beta_slow: f32,
		/// Factor of cosines and sines; 0.1 ln(factor) + 1 if the files do not say.
		attention: Option<f32>,
	},
}

const TAU: f64 = 2.0 * core::f64::consts::PI;

/// `theta^(-2d / head_dim)` for each pair.
fn plain(theta: f32, head_dim: usize) -> Vec<f64> {
	let ln_theta = ln_f64(f64::from(theta));
	let exponent = |d: usize| (2 * d) as f64 / head_dim as f64;
	(0..head_dim / 2)
		.map(|d| exp_f64(-exponent(d) * ln_theta))
		.collect()
}

impl RopeScaling {
	/// Llama 3's rule: long waves are stretched, short ones stay, those between are mixed.
	pub(super) fn llama3(
		theta: f32,
		head_dim: usize,
		factor: f64,
		low: f64,
		high: f64,
		original: f64,
	) -> Self {
		let factors = plain(theta, head_dim).into_iter().map(|frequency| {
			let waves = original * frequency / TAU;
			let scaled = if waves < low {
				factor
			} else if waves > high {
				1.0
			} else {
				let smooth = (waves - low) / (high - low);
				1.0 / ((1.0 - smooth) / factor + smooth)
			};
			scaled as f32
		});
		Self::Factors(factors.collect())
	}

	pub(super) fn check(&self, head_dim: usize) -> Result<(), ConfigError> {
		let good = |value: &f32| value.is_finite() && *value >= 1.0 && *value <= 1e6;
		match self {
			Self::None => Ok(()),
			Self::Factors(factors) if factors.len() != head_dim / 2 => Err(ConfigError::Shape(
				"there is not one factor for each rotary frequency",
			)),
			Self::Factors(factors) if !factors.iter().all(good) => Err(ConfigError::Shape(
				"a factor of a rotary frequency is not between 1 and 1000000",
			)),
			Self::Factors(_) => Ok(()),
			Self::Yarn {
				factor,
				original,
				beta_fast,
				beta_slow,
				attention,
			} => {
				let betas = good(beta_fast) && *beta_slow > 0.0 && beta_slow < beta_fast;
				let attention = attention.is_none_or(|value| (0.1..=10.0).contains(&value));
				if good(factor) && *original > 0 && betas && attention {
					Ok(())
				} else {
					Err(ConfigError::Shape(
						"the parameters of YaRN are out of range",
					))
				}
			}
		}
	}
}

/// Frequencies of each pair, and the factor of cosines and sines.
fn frequencies(config: &ModelConfig) -> (Vec<f64>, f64) {
	let (theta, head_dim) = (config.rope_theta, config.head_dim);
	let mut frequencies = plain(theta, head_dim);
	match &config.rope_scaling {
		RopeScaling::None => (frequencies, 1.0),
		RopeScaling::Factors(factors) => {
			for (frequency, factor) in frequencies.iter_mut().zip(factors) {
				*frequency /= f64::from(*factor);
			}
			(frequencies, 1.0)
		}
		RopeScaling::Yarn {
			factor,
			original,
			beta_fast,
			beta_slow,
			attention,
		} => {
			let factor = f64::from(*factor);
			// The pair that makes that number of rotations in the original context.
			let pair = |rotations: f32| {
				let waves = f64::from(*original) / (f64::from(rotations) * TAU);
				head_dim as f64 * ln_f64(waves.max(f64::MIN_POSITIVE))
					/ (2.0 * ln_f64(f64::from(theta)))
			};
			let last = (head_dim - 1) as f64;
			let low = pair(*beta_fast).floor().max(0.0);
			let high = pair(*beta_slow).ceil().min(last);
			let width = if high > low { high - low } else { 0.001 };
			for (d, frequency) in frequencies.iter_mut().enumerate() {
				let stretched = ((d as f64 - low) / width).clamp(0.0, 1.0);
				*frequency = *frequency / factor * stretched + *frequency * (1.0 - stretched);
			}
			let default = || {
				if factor > 1.0 {
					0.1 * ln_f64(factor) + 1.0
				} else {
					1.0
				}
			};
			(frequencies, attention.map_or_else(default, f64::from))
		}
	}
}

/// The angles of all positions of a model.
pub fn rope_table(config: &ModelConfig) -> RopeTable {
	let (frequencies, scale) = frequencies(config);
	RopeTable::from_inverse_frequencies(&frequencies, scale, config.context)
}

#[cfg(test)]
mod tests {
	use super::*;

	/// Values of `_compute_llama3_parameters` for Llama 3.1 (theta 500000, head 128, factor 8, 1, 4, 8192), to six digits:
	/// the first pair stays, the last is divided by 8.
	#[test]
	fn llama3_should_keep_short_waves_and_stretch_long_ones() {
		let RopeScaling::Factors(factors) =
			RopeScaling::llama3(500_000.0, 128, 8.0, 1.0, 4.0, 8192.0)
		else {
			panic!("not factors");
		};
		assert_eq!((factors[0], factors[63]), (1.0, 8.0));
		assert!(factors.is_sorted());
		let between: Vec<f32> = factors
			.iter()
			.copied()
			.filter(|f| *f > 1.0 && *f < 8.0)
			.collect();
		assert!((5..9).contains(&between.len()), "{between:?}");
	}
}
