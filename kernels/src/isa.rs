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
	/// x86-64 with AVX-VNNI: dot products of bytes in 256 bits (and AVX2 and F16C).
	AvxVnni,
	/// x86-64 with AVX-512 F, BW, VL and VNNI (and AVX2 and F16C).
	Avx512,
	/// x86-64 with AVX-512 VBMI, permutations of bytes, beside [`Avx512`](Self::Avx512).
	Avx512Vbmi,
	/// AArch64 with NEON: every one.
	Neon,
	/// AArch64 with dot products of bytes (`FEAT_DotProd`).
	Dotprod,
	/// AArch64 with matrix products of bytes (`FEAT_I8MM`), and dot products.
	I8mm,
}

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
	/// Every level of every architecture, slowest first.
	pub const ALL: [Self; 8] = [
		Self::Scalar,
		Self::Avx2,
		Self::AvxVnni,
		Self::Avx512,
		Self::Avx512Vbmi,
		Self::Neon,
		Self::Dotprod,
		Self::I8mm,
	];

	/// The fastest level that this CPU supports.
	pub fn detect() -> Self {
		Self::ALL
			.into_iter()
			.rfind(|isa| isa.is_supported())
			.unwrap_or(Self::Scalar)
	}

	/// Every level that this CPU supports, slowest first.
	pub fn supported() -> Vec<Self> {
		Self::ALL
			.into_iter()
			.filter(|isa| isa.is_supported())
			.collect()
	}

	/// Whether this CPU supports the level. Under Miri only [`Isa::Scalar`] is.
	pub fn is_supported(self) -> bool {
		match self {
			Self::Scalar => true,
			_ if cfg!(miri) => false,
			#[cfg(target_arch = "x86_64")]
			Self::Avx2 => crate::x86::avx2::is_supported(),
			#[cfg(target_arch = "x86_64")]
			Self::AvxVnni => crate::x86::avxvnni::is_supported(),
			#[cfg(target_arch = "x86_64")]
			Self::Avx512 => crate::x86::avx512::is_supported(),
			#[cfg(target_arch = "x86_64")]
			Self::Avx512Vbmi => crate::x86::avx512vbmi::is_supported(),
			#[cfg(target_arch = "aarch64")]
			Self::Neon => crate::aarch64::neon::is_supported(),
			#[cfg(target_arch = "aarch64")]
			Self::Dotprod => crate::aarch64::dotprod::is_supported(),
			#[cfg(target_arch = "aarch64")]
			Self::I8mm => crate::aarch64::i8mm::is_supported(),
			_ => false,
		}
	}

	/// Whether the level belongs to the architecture that this program is compiled for.
	pub fn is_for_this_architecture(self) -> bool {
		match self {
			Self::Scalar => true,
			Self::Avx2 | Self::AvxVnni | Self::Avx512 | Self::Avx512Vbmi => {
				cfg!(target_arch = "x86_64")
			}
			Self::Neon | Self::Dotprod | Self::I8mm => cfg!(target_arch = "aarch64"),
		}
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
			Self::AvxVnni => "avxvnni",
			Self::Avx512 => "avx512",
			Self::Avx512Vbmi => "avx512vbmi",
			Self::Neon => "neon",
			Self::Dotprod => "dotprod",
			Self::I8mm => "i8mm",
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
		Self::ALL
			.into_iter()
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
		for isa in Isa::ALL {
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
