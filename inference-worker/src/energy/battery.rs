//! A battery's discharge, from Linux's power supply tree.
//!
//! Source: the kernel's Documentation/power/power_supply_class.rst: energy in µWh, charge in µAh, voltage in µV.

use super::file::number;
use std::path::{Path, PathBuf};

/// The machine's batteries and mains.
#[derive(Debug, Clone, Default)]
pub(super) struct Batteries {
	batteries: Vec<PathBuf>,
	mains: Vec<PathBuf>,
}

/// What is left in a battery, microjoules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
	Energy(u64),
	/// Charge in µAh at a voltage in µV.
	Charge(u64, u64),
}

fn text(folder: &Path, name: &str) -> String {
	let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
	text.trim().to_owned()
}

impl Batteries {
	/// Looks below `root`; batteries of mice and the like are left out.
	pub(super) fn find(root: &Path) -> Self {
		let mut found = Self::default();
		for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
			let folder = entry.path();
			if text(&folder, "scope") == "Device" {
				continue;
			}
			match text(&folder, "type").as_str() {
				"Battery" if charge(&folder).is_some() => found.batteries.push(folder),
				"Mains" | "USB" => found.mains.push(folder),
				_ => {}
			}
		}
		found.batteries.sort();
		found
	}

	pub(super) fn is_empty(&self) -> bool {
		self.batteries.is_empty()
	}

	pub(super) fn describe(&self) -> String {
		let state = if self.is_discharging() {
			"discharging"
		} else {
			"not discharging now"
		};
		format!("the battery ({state})")
	}

	/// Whether the machine runs from its batteries alone.
	pub(super) fn is_discharging(&self) -> bool {
		let mut any = false;
		for battery in &self.batteries {
			match text(battery, "status").as_str() {
				"Discharging" => any = true,
				"Charging" => return false,
				_ => {}
			}
		}
		any && !self
			.mains
			.iter()
			.any(|mains| number(&mains.join("online")) == Some(1))
	}

	/// What is left in each battery, or nothing while they do not discharge.
	pub(super) fn read(&self) -> Vec<Option<Charge>> {
		if !self.is_discharging() {
			return Vec::new();
		}
		self.batteries.iter().map(|path| charge(path)).collect()
	}

	/// Microjoules taken between two readings; `None` if the batteries did not discharge at both, or their coarse figure shows no step.
	pub(super) fn between(before: &[Option<Charge>], after: &[Option<Charge>]) -> Option<u64> {
		if before.len() != after.len() {
			return None;
		}
		let mut sum = 0u64;
		for (before, after) in before.iter().zip(after) {
			let used = match ((*before)?, (*after)?) {
				// 1 µWh is 3600 µJ.
				(Charge::Energy(before), Charge::Energy(after)) => {
					u128::from(before.checked_sub(after)?) * 3600
				}
				// 1 µAh at 1 µV is 3600·10⁻⁶ µJ.
				(Charge::Charge(before, from), Charge::Charge(after, to)) => {
					let mean = (u128::from(from) + u128::from(to)) / 2;
					let product = u128::from(before.checked_sub(after)?).checked_mul(mean)?;
					product.checked_mul(3600)? / 1_000_000
				}
				_ => return None,
			};
			sum = sum.saturating_add(u64::try_from(used).ok()?);
		}
		(sum > 0).then_some(sum)
	}
}

fn charge(folder: &Path) -> Option<Charge> {
	if let Some(energy) = number(&folder.join("energy_now")) {
		return Some(Charge::Energy(energy));
	}
	let charge = number(&folder.join("charge_now"))?;
	Some(Charge::Charge(charge, number(&folder.join("voltage_now"))?))
}
