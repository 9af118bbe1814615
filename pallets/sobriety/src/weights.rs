//! Weights of `pallet_sobriety`.
//!
//! PLACEHOLDER: estimated by hand from storage accesses, not generated. They are set to err on the high side and are to
//! be replaced by the output of
//! `frame-omni-bencher v1 benchmark pallet --pallet pallet_sobriety --extrinsic '*'`.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{Weight, constants::RocksDbWeight},
};

/// Weight functions needed for `pallet_sobriety`.
pub trait WeightInfo {
	/// `attest` of an account whose list is full, or of a new one.
	fn attest() -> Weight;
	/// `withdraw` of an account whose list is full.
	fn withdraw() -> Weight;
}

/// Estimate from microseconds of computation, kilobytes of proof, reads and writes.
fn estimate<D: Get<frame_support::weights::RuntimeDbWeight>>(
	micros: u64,
	kilobytes: u64,
	reads: u64,
	writes: u64,
) -> Weight {
	Weight::from_parts(
		micros.saturating_mul(1_000_000),
		kilobytes.saturating_mul(1_024),
	)
	.saturating_add(D::get().reads_writes(reads, writes))
}

macro_rules! placeholder_weights {
	($db:ty) => {
		fn attest() -> Weight {
			estimate::<$db>(150, 16, 7, 4)
		}
		fn withdraw() -> Weight {
			estimate::<$db>(100, 16, 4, 4)
		}
	};
}

/// Placeholder weights with the runtime's database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	placeholder_weights!(T::DbWeight);
}

impl WeightInfo for () {
	placeholder_weights!(RocksDbWeight);
}
