//! Tables for rotary position embeddings.

use crate::math::{exp_f64, ln_f64, sin_cos};
use alloc::vec::Vec;

/// Largest number of positions of a table, within the range of [`sin_cos`].
pub const MAX_POSITIONS: usize = 1 << 20;

/// Which two elements of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairing {
	/// `(d, d + rotary_dim / 2)`: GPT-NeoX, and Hugging Face checkpoints.
	Neox,
	/// `(2d, 2d + 1)`: GGUF files of the `llama` architecture.
	Norm,
}

/// Cosines and sines of `position * inverse_frequency(d)`.
///
/// `inverse_frequency(d) = exp(-(2d / rotary_dim) ln(theta))`. Frequencies, angles, sines and
/// cosines are computed in `f64` by [`crate::math`] and rounded once to `f32`.
#[derive(Clone, Debug)]
pub struct RopeTable {
	half: usize,
	positions: usize,
	/// Per position and pair: cosine, then sine.
	table: Vec<(f32, f32)>,
}

impl RopeTable {
	/// A table for positions `0..max_positions` of heads whose first `rotary_dim` elements rotate.
	///
	/// # Panics
	///
	/// If `theta` is not finite and at least 1, `rotary_dim` is odd, or `max_positions` is above
	/// [`MAX_POSITIONS`].
	pub fn new(theta: f32, rotary_dim: usize, max_positions: usize) -> Self {
		assert!(
			theta.is_finite() && theta >= 1.0,
			"rope theta {theta} is below 1 or not finite"
		);
		assert!(
			rotary_dim.is_multiple_of(2),
			"rotary dimension {rotary_dim} is odd"
		);
		let ln_theta = ln_f64(f64::from(theta));
		let frequencies: Vec<f64> = (0..rotary_dim / 2)
			.map(|d| exp_f64(-((2 * d) as f64 / rotary_dim as f64) * ln_theta))
			.collect();
		Self::from_inverse_frequencies(&frequencies, 1.0, max_positions)
	}

	/// A table from given inverse frequencies, one per pair, for models that scale them; `scale` is a
	/// factor of every cosine and sine, which YaRN calls the attention factor.
	///
	/// # Panics
	///
	/// If a frequency is not within 0..=1, or `max_positions` is above [`MAX_POSITIONS`].
	pub fn from_inverse_frequencies(frequencies: &[f64], scale: f64, max_positions: usize) -> Self {
		assert!(
			max_positions <= MAX_POSITIONS,
			"{max_positions} positions are too many"
		);
		let mut table = Vec::with_capacity(frequencies.len() * max_positions);
		for position in 0..max_positions {
			for frequency in frequencies {
				assert!(
					(0.0..=1.0).contains(frequency),
					"inverse frequency {frequency}"
				);
				let (sin, cos) = sin_cos(position as f64 * frequency);
				table.push(((scale * cos) as f32, (scale * sin) as f32));
			}
		}
		Self {
			half: frequencies.len(),
			positions: max_positions,
			table,
		}
	}

	/// Number of elements of a head that rotate.
	pub fn rotary_dim(&self) -> usize {
		2 * self.half
	}

	/// Number of positions covered.
	pub fn max_positions(&self) -> usize {
		self.positions
	}

	/// `(cosine, sine)` per pair at one position.
	///
	/// # Panics
	///
	/// If the position is outside the table.
	#[inline(always)]
	pub fn at(&self, position: usize) -> &[(f32, f32)] {
		assert!(
			position < self.positions,
			"position {position} of {}",
			self.positions
		);
		&self.table[position * self.half..][..self.half]
	}
}
