//! Weights of `pallet_provenance`.
//!
//! PLACEHOLDER: estimated by hand from storage accesses, not generated. They are set to err on the high side and are to
//! be replaced by the output of
//! `frame-omni-bencher v1 benchmark pallet --pallet pallet_provenance --extrinsic '*'`.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{Weight, constants::RocksDbWeight},
};

/// Weight functions needed for `pallet_provenance`.
pub trait WeightInfo {
	/// `register_model`.
	fn register_model() -> Weight;
	/// `deregister_model`.
	fn deregister_model() -> Weight;
	/// `prune_record` of a worker whose list is full.
	fn prune_record() -> Weight;
	/// `ProvenanceLedger::insert` for a worker whose list is full, for the pallets that insert.
	fn insert() -> Weight;
	/// `ProvenanceLedger::set_status`, for the pallets that mark.
	fn set_status() -> Weight;
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
		fn register_model() -> Weight {
			estimate::<$db>(100, 12, 4, 4)
		}
		fn deregister_model() -> Weight {
			estimate::<$db>(100, 12, 4, 4)
		}
		fn prune_record() -> Weight {
			estimate::<$db>(150, 24, 6, 6)
		}
		fn insert() -> Weight {
			estimate::<$db>(150, 24, 5, 6)
		}
		fn set_status() -> Weight {
			estimate::<$db>(40, 4, 1, 1)
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
