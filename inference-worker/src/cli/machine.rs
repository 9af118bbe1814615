//! What a command that computes needs of the machine.

use crate::service::I2sBlock;
use anyhow::Result;
use aria_engine::model::{Dither, LoadOptions};
use aria_kernels::{Backend, Isa};
use clap::Args;

/// Options of commands that compute.
#[derive(Args)]
pub(crate) struct Machine {
	/// Number of threads; one per core if not given. Answers do not depend on it.
	#[arg(long)]
	threads: Option<usize>,
	/// Instruction set (scalar, avx2, avx512, neon); the best one if not given. Answers do not depend on it.
	#[arg(long, env = "ARIA_ISA")]
	isa: Option<String>,
	/// Block size of I2_S tensors, in weights, which the file does not say: 64 if they were quantised on ARM since November 2025.
	#[arg(long, value_enum, default_value = "128")]
	i2s_block: I2sBlock,
}

impl Machine {
	/// How a model is loaded for a backend.
	pub(crate) fn load_options(&self, backend: &Backend) -> LoadOptions {
		LoadOptions {
			packing: backend.packing(),
			i2_block: self.i2s_block.into(),
			dither: Dither::random(),
		}
	}

	pub(crate) fn backend(&self) -> Result<Backend> {
		let isa = match &self.isa {
			Some(name) => Isa::from_name(name).map_err(|error| anyhow::anyhow!("{error}"))?,
			None => Isa::detect(),
		};
		anyhow::ensure!(isa.is_supported(), "this CPU does not support {isa}");
		let cores = || std::thread::available_parallelism().map_or(1, usize::from);
		let threads = self.threads.unwrap_or_else(cores).clamp(1, 1024);
		Ok(Backend::new(isa, threads))
	}
}
