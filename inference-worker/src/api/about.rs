//! What a worker runs on, for those who ask.

use crate::energy::Meter;
use aria_engine::Options;
use aria_kernels::Backend;
use aria_primitives::energy::EvidenceGrade;

/// What a worker runs on.
#[derive(Debug, Clone, Default)]
pub struct About {
	/// Instruction set of the kernels.
	pub instruction_set: String,
	/// Threads of the kernels.
	pub threads: usize,
	/// Where energy figures come from, in words.
	pub energy: String,
	/// What they are worth.
	pub grade: EvidenceGrade,
	/// Requests that share passes over the weights.
	pub parallel: usize,
	/// Requests that may wait for a place.
	pub queue: usize,
}

impl About {
	/// Reads what there is.
	pub fn of(backend: &Backend, meter: &Meter, options: &Options) -> Self {
		Self {
			instruction_set: backend.isa().to_string(),
			threads: backend.threads(),
			energy: meter.describe(),
			grade: meter.grade(),
			parallel: options.parallel,
			queue: options.queue,
		}
	}
}
