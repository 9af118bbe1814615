//! Loading the model that is measured.

use super::memory;
use crate::cli::output;
use anyhow::{Context, Result};
use aria_engine::model::{LoadOptions, Model};
use aria_kernels::Packing;
use std::{path::Path, time::Instant};

/// A model in memory.
pub(super) struct Loaded {
	pub(super) model: Model,
	pub(super) packing: Packing,
	/// Time of loading, seconds.
	pub(super) seconds: f64,
	/// Most memory in use while it was loaded, bytes.
	pub(super) peak: Option<u64>,
}

impl Loaded {
	/// Loads it.
	pub(super) fn open(path: &Path, options: LoadOptions) -> Result<Self> {
		memory::forget_peak();
		let start = Instant::now();
		let model =
			Model::open(path, options).with_context(|| format!("can't load {}", path.display()))?;
		let loaded = Self {
			model,
			packing: options.packing,
			seconds: start.elapsed().as_secs_f64(),
			peak: memory::peak(),
		};
		output::note(format_args!(
			"{}: {} weights, {} packing, loaded in {:.2} s",
			loaded.model.name,
			loaded.model.parameters(),
			loaded.packing,
			loaded.seconds,
		));
		Ok(loaded)
	}
}
