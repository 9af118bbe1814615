//! Weights of `pallet_useful_work`.
//!
//! PLACEHOLDER: estimated by hand from storage accesses, not generated. They are set to err on the high side (each
//! access of the consent, provenance and settlement traits counts as three more, every signature check as 100 µs) and
//! are to be replaced by the output of
//! `frame-omni-bencher v1 benchmark pallet --pallet pallet_useful_work --extrinsic '*'`.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{Weight, constants::RocksDbWeight},
};

/// Weight functions needed for `pallet_useful_work`.
pub trait WeightInfo {
	/// `register`.
	fn register() -> Weight;
	/// `update`.
	fn update() -> Weight;
	/// `deregister`.
	fn deregister() -> Weight;
	/// `commit_batch`.
	fn commit_batch() -> Weight;
	/// `top_up`.
	fn top_up() -> Weight;
	/// `open` with a proof of `p` hashes.
	fn open(p: u32) -> Weight;
	/// `verdict`, the worse of both.
	fn verdict() -> Weight;
	/// `prune` of a batch with `d` draws.
	fn prune(d: u32) -> Weight;
	/// Looking at the three queues, none of them due.
	fn service_base() -> Weight;
	/// Drawing a batch, `d` leaves of it.
	fn service_draw(d: u32) -> Weight;
	/// A leaf that was not opened in time.
	fn service_open_expiry() -> Weight;
	/// A verdict that did not come in time.
	fn service_verdict_expiry() -> Weight;
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
		fn register() -> Weight {
			estimate::<$db>(100, 8, 5, 6)
		}
		fn update() -> Weight {
			estimate::<$db>(60, 8, 4, 5)
		}
		fn deregister() -> Weight {
			estimate::<$db>(100, 8, 6, 7)
		}
		fn commit_batch() -> Weight {
			estimate::<$db>(120, 12, 9, 8)
		}
		fn top_up() -> Weight {
			estimate::<$db>(80, 8, 4, 5)
		}
		fn open(p: u32) -> Weight {
			estimate::<$db>(250, 16, 10, 9)
				.saturating_add(Weight::from_parts(2_000_000, 0).saturating_mul(p.into()))
		}
		fn verdict() -> Weight {
			estimate::<$db>(200, 24, 16, 16)
		}
		fn prune(d: u32) -> Weight {
			estimate::<$db>(80, 8, 3, 3)
				.saturating_add(estimate::<$db>(5, 1, 1, 1).saturating_mul(d.into()))
		}
		fn service_base() -> Weight {
			estimate::<$db>(20, 6, 9, 0)
		}
		fn service_draw(d: u32) -> Weight {
			estimate::<$db>(60, 8, 8, 6)
				.saturating_add(estimate::<$db>(30, 6, 5, 5).saturating_mul(d.into()))
		}
		fn service_open_expiry() -> Weight {
			estimate::<$db>(150, 24, 15, 14)
		}
		fn service_verdict_expiry() -> Weight {
			estimate::<$db>(150, 24, 18, 16)
		}
	};
}

/// Placeholder weights with the runtime's database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	placeholder_weights!(T::DbWeight);
}

impl WeightInfo for () {
	placeholder_weights!(RocksDbWeight);
}
