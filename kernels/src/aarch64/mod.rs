//! Kernels for AArch64.
//!
//! A function with `#[target_feature]` may run only where `is_supported` of its module is true;
//! [`crate::Backend`] holds that proof.

pub(crate) mod dotprod;
pub(crate) mod i8mm;
pub(crate) mod neon;

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		Isa, portable,
		ternary::{
			PANEL_ROWS,
			codes::{BLOCK_COLS, BLOCK_STEPS, Codes},
		},
	};

	/// Backends multiply even numbers of steps only; kernels must not rely on it.
	#[test]
	fn multiply_equals_portable_for_every_number_of_steps() {
		let mut codes = Codes::zeroed();
		for (i, code) in codes
			.0
			.as_flattened_mut()
			.as_flattened_mut()
			.iter_mut()
			.enumerate()
		{
			*code = (i * i / 7 % 3) as u8;
		}
		let q: Vec<i8> = (0..13 * BLOCK_COLS)
			.map(|i| (i * i % 255) as u8 as i8)
			.map(|q| q.max(-127))
			.collect();
		for isa in Isa::supported() {
			for steps in 1..=BLOCK_STEPS {
				for tokens in 1..=13 {
					let steps = &codes.0[..steps];
					let mut expected = vec![[3; PANEL_ROWS]; tokens];
					let mut sums = expected.clone();
					portable::multiply(steps, &q, BLOCK_COLS, &mut expected);
					// SAFETY: the CPU has the features of the level.
					unsafe {
						match isa {
							Isa::I8mm => i8mm::multiply(steps, &q, BLOCK_COLS, &mut sums),
							Isa::Dotprod => dotprod::multiply(steps, &q, BLOCK_COLS, &mut sums),
							Isa::Neon => neon::multiply(steps, &q, BLOCK_COLS, &mut sums),
							_ => portable::multiply(steps, &q, BLOCK_COLS, &mut sums),
						}
					}
					assert_eq!(sums, expected, "{isa} {} {tokens}", steps.len());
				}
			}
		}
	}
}
