//! The sampler's numbers: as options give them, and in millionths, as receipts hold them.

pub(super) use crate::api::top_p_micro;

/// Parses a temperature.
pub(super) fn temperature(text: &str) -> Result<f64, String> {
	between(text, 0.0, 100.0)
}

/// Parses what logits are divided by.
pub(super) fn repetition_penalty(text: &str) -> Result<f64, String> {
	between(text, 0.0, 100.0)
}

/// Parses a probability.
pub(super) fn probability(text: &str) -> Result<f64, String> {
	between(text, 0.0, 1.0)
}

/// Parses what is subtracted from logits.
pub(super) fn penalty(text: &str) -> Result<f64, String> {
	between(text, -100.0, 100.0)
}

fn between(text: &str, low: f64, high: f64) -> Result<f64, String> {
	text.parse()
		.ok()
		.filter(|value| (low..=high).contains(value))
		.ok_or_else(|| format!("expected a number between {low} and {high}"))
}

/// Millionths of a number that is not negative.
pub(super) fn micro(value: f64) -> u32 {
	(value * 1e6).round() as u32
}

/// Millionths of a number of either sign.
pub(super) fn signed_micro(value: f64) -> i32 {
	(value * 1e6).round() as i32
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn numbers_should_be_within_their_limits() {
		assert_eq!(temperature("0.7"), Ok(0.7));
		assert_eq!(probability("1"), Ok(1.0));
		assert_eq!(penalty("-1.5"), Ok(-1.5));
		for wrong in ["", "x", "nan", "inf", "-0.1", "101", "1e300"] {
			assert!(temperature(wrong).is_err(), "{wrong}");
			assert!(probability(wrong).is_err(), "{wrong}");
		}
		assert!(probability("1.01").is_err());
		assert!(penalty("-101").is_err());
	}

	#[test]
	fn top_p_of_nothing_should_not_switch_it_off() {
		assert_eq!(top_p_micro(0.0), 1);
		assert_eq!(top_p_micro(1e-9), 1);
		assert_eq!(top_p_micro(0.95), 950_000);
	}
}
