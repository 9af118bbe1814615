//! Instruction sets: the one place where the CPU is asked what it can do.

use std::{error, fmt, str::FromStr, vec::Vec};

/// Name of the environment variable read by [`Isa::from_env`].
pub const ENV: &str = "ARIA_ISA";

/// A level of the kernels. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
	/// The specification, on any CPU.
	Scalar,
	/// x86-64 with AVX2 and F16C.
	Avx2,
	/// x86-64 with AVX-512 F, BW, VL and VNNI (and AVX2 and F16C).
	Avx512,
}

/// Every level, slowest first.
const ALL: [Isa; 3] = [Isa::Scalar, Isa::Avx2, Isa::Avx512];

/// An instruction set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsaError {
	/// There is no such level.
	Unknown(String),
	/// This CPU does not have it.
	Unsupported(Isa),
}

impl Isa {
	/// The fastest level that this CPU supports.
	pub fn detect() -> Self {
		ALL.into_iter()
			.rfind(|isa| isa.is_supported())
			.unwrap_or(Self::Scalar)
	}

	/// Every level that this CPU supports, slowest first.
	pub fn supported() -> Vec<Self> {
		ALL.into_iter().filter(|isa| isa.is_supported()).collect()
	}

	/// Whether this CPU supports the level. Under Miri only [`Isa::Scalar`] is.
	pub fn is_supported(self) -> bool {
		if self == Self::Scalar {
			return true;
		}
		if cfg!(miri) {
			return false;
		}
		#[cfg(target_arch = "x86_64")]
		match self {
			Self::Scalar => true,
			Self::Avx2 => crate::x86::avx2::is_supported(),
			Self::Avx512 => crate::x86::avx512::is_supported(),
		}
		#[cfg(not(target_arch = "x86_64"))]
		false
	}

	/// The level named by the environment variable `ARIA_ISA`, or [`Isa::detect`] when it is unset.
	///
	/// # Errors
	///
	/// [`IsaError`] when the name is unknown or this CPU does not support the level.
	pub fn from_env() -> Result<Self, IsaError> {
		match std::env::var_os(ENV) {
			None => Ok(Self::detect()),
			Some(name) => Self::from_name(&name.to_string_lossy()),
		}
	}

	/// A level by name, if this CPU supports it.
	///
	/// # Errors
	///
	/// As [`Isa::from_env`].
	pub fn from_name(name: &str) -> Result<Self, IsaError> {
		let isa: Self = name.parse()?;
		if isa.is_supported() {
			Ok(isa)
		} else {
			Err(IsaError::Unsupported(isa))
		}
	}

	/// The name that [`Display`](fmt::Display) prints and [`FromStr`] reads.
	pub fn name(self) -> &'static str {
		match self {
			Self::Scalar => "scalar",
			Self::Avx2 => "avx2",
			Self::Avx512 => "avx512",
		}
	}
}

impl fmt::Display for Isa {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(self.name())
	}
}

impl FromStr for Isa {
	type Err = IsaError;

	fn from_str(name: &str) -> Result<Self, Self::Err> {
		ALL.into_iter()
			.find(|isa| isa.name() == name)
			.ok_or_else(|| IsaError::Unknown(name.to_owned()))
	}
}

impl fmt::Display for IsaError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Unknown(name) => write!(f, "unknown instruction set {name:?}")?,
			Self::Unsupported(isa) => {
				write!(f, "this CPU does not support the instruction set {isa}")?
			}
		}
		f.write_str("; supported here:")?;
		Isa::supported()
			.iter()
			.try_for_each(|isa| write!(f, " {isa}"))
	}
}

impl error::Error for IsaError {}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn names_round_trip() {
		for isa in ALL {
			assert_eq!(isa.to_string().parse(), Ok(isa));
		}
	}

	#[test]
	fn rejects_unknown_name_and_lists_supported_levels() {
		let error = Isa::from_name("mmx").unwrap_err();
		assert_eq!(error, IsaError::Unknown("mmx".into()));
		let message = error.to_string();
		assert!(message.contains("supported here: scalar"), "{message}");
	}

	#[test]
	fn detect_is_the_last_supported_level() {
		assert_eq!(Isa::supported().last(), Some(&Isa::detect()));
		assert_eq!(Isa::supported().first(), Some(&Isa::Scalar));
	}
}
