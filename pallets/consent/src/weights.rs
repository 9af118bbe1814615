//! Weights of `pallet_consent`.
//!
//! PLACEHOLDER: estimated by hand from storage accesses, not generated. They are set to err on the high side and are to
//! be replaced by the output of
//! `frame-omni-bencher v1 benchmark pallet --pallet pallet_consent --extrinsic '*'`.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{Weight, constants::RocksDbWeight},
};

/// Weight functions needed for `pallet_consent`.
pub trait WeightInfo {
	/// `grant`, the account's first.
	fn grant() -> Weight;
	/// `amend`.
	fn amend() -> Weight;
	/// `revoke`.
	fn revoke() -> Weight;
	/// `ConsentCheck::ensure_permitted`, for the pallets that ask.
	fn ensure_permitted() -> Weight;
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
		fn grant() -> Weight {
			estimate::<$db>(150, 12, 4, 4)
		}
		fn amend() -> Weight {
			estimate::<$db>(60, 8, 2, 2)
		}
		fn revoke() -> Weight {
			estimate::<$db>(100, 12, 3, 3)
		}
		fn ensure_permitted() -> Weight {
			estimate::<$db>(20, 4, 2, 0)
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
