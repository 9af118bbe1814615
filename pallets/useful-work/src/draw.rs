//! Drawing leaves and assigning verifiers.

use crate::*;
use alloc::vec::Vec;
use aria_primitives::{
	AccountId, H256,
	work::{BatchId, DrawStatus},
};
use codec::Encode;
use frame_support::{
	pallet_prelude::*,
	traits::{Get, Randomness},
};
use sp_runtime::{
	Perbill,
	traits::{BlakeTwo256, Hash, UniqueSaturatedInto},
};

/// Uniform numbers from one random seed: `blake2b-256(seed || counter)`.
pub(crate) struct Stream {
	seed: H256,
	counter: u32,
}

impl Stream {
	pub(crate) fn new(seed: H256) -> Self {
		Self { seed, counter: 0 }
	}

	/// A number below `bound`, or `None` if there is none. The bias is below 2^-96.
	pub(crate) fn below(&mut self, bound: u32) -> Option<u32> {
		let hash = BlakeTwo256::hash_of(&(self.seed, self.counter));
		self.counter = self.counter.wrapping_add(1);
		let (low, _) = hash.as_bytes().split_first_chunk::<16>()?;
		u128::from_le_bytes(*low)
			.checked_rem(bound.into())
			.and_then(|r| u32::try_from(r).ok())
	}

	/// `k` different numbers below `bound` (all of them if there are fewer), by Floyd's algorithm.
	pub(crate) fn sample(&mut self, k: u32, bound: u32) -> Vec<u32> {
		let mut chosen = Vec::new();
		for top in bound.saturating_sub(k)..bound {
			let pick = self.below(top.saturating_add(1)).unwrap_or(top);
			chosen.push(if chosen.contains(&pick) { top } else { pick });
		}
		chosen.sort_unstable();
		chosen
	}
}

impl<T: Config> Pallet<T> {
	/// Most leaves that can be drawn from a batch of `count`.
	pub(crate) fn most_draws(count: u32) -> u32 {
		T::SampleRate::get()
			.mul_ceil(count)
			.min(T::MaxDrawsPerBatch::get())
	}

	/// How many leaves to draw from a batch of `count`: `SampleRate * count`, rounded up or down at random such that
	/// the expectation is exact, and at most `MaxDrawsPerBatch`.
	fn draws_of(count: u32, stream: &mut Stream) -> u32 {
		const BILLION: u32 = 1_000_000_000;
		let rate = T::SampleRate::get();
		let whole = rate.mul_floor(count);
		let billionths = u64::from(rate.deconstruct())
			.saturating_mul(count.into())
			.checked_rem(BILLION.into())
			.unwrap_or_default();
		let one_more = stream
			.below(BILLION)
			.is_some_and(|r| u64::from(r) < billionths);
		whole
			.saturating_add(one_more.into())
			.min(Self::most_draws(count))
	}

	/// Randomness for a subject that was fixed in block `fixed_at`; `None` if it could have been known then.
	pub(crate) fn stream_for(subject: impl Encode, fixed_at: u32) -> Option<Stream> {
		let (seed, known_since) = T::Randomness::random(&subject.encode());
		let known_since: u32 = known_since.unique_saturated_into();
		let seed = seed.filter(|_| known_since > fixed_at)?;
		Some(Stream::new(BlakeTwo256::hash_of(&seed)))
	}

	/// Draws from a pending batch.
	pub(crate) fn do_draw(id: BatchId, now: u32) -> DispatchResult {
		let batch = Batches::<T>::get(id).ok_or(Error::<T>::UnknownBatch)?;
		let stream = Self::stream_for((b"aria/draw", id), batch.committed_at);
		Self::draw_from(id, batch, stream, now)
	}

	/// Draws from a pending batch with this randomness. Without any, or without a verifier, it is tried again later,
	/// and given up after `MaxDrawRetries`.
	pub(crate) fn draw_from(
		id: BatchId,
		mut batch: BatchOf<T>,
		stream: Option<Stream>,
		now: u32,
	) -> DispatchResult {
		let BatchState::Pending { reserved, retries } = batch.state else {
			return Ok(());
		};
		let picks = stream.and_then(|mut stream| {
			let draws = Self::draws_of(batch.count, &mut stream);
			stream
				.sample(draws, batch.count)
				.into_iter()
				.map(|leaf| {
					let verifier = Self::pick_verifier(&mut stream, &[&batch.worker])?;
					Some((leaf, verifier))
				})
				.collect::<Option<Vec<_>>>()
		});

		let Some(picks) = picks else {
			if retries < T::MaxDrawRetries::get() {
				let retries = retries.saturating_add(1);
				batch.state = BatchState::Pending { reserved, retries };
				Batches::<T>::insert(id, batch);
				return Self::enqueue(QueueKind::Draw, id, now.saturating_add(T::DrawDelay::get()));
			}
			Self::release_exposure(&batch.worker, reserved)?;
			batch.state = BatchState::Closed { at: now };
			Batches::<T>::insert(id, batch);
			Self::deposit_event(Event::Unresolved {
				batch: id,
				draw: None,
			});
			return Ok(());
		};

		let drawn = u32::try_from(picks.len()).map_err(|_| Error::<T>::Overflow)?;
		let unused = reserved.checked_sub(drawn).ok_or(Error::<T>::Overflow)?;
		Self::release_exposure(&batch.worker, unused)?;
		let mut sums = LedgerSums::<T>::get();
		batch.first_draw = sums.draws;
		batch.draws = drawn;
		batch.state = match drawn {
			0 => BatchState::Closed { at: now },
			open => BatchState::Drawn { open },
		};
		for (leaf_index, verifier) in picks {
			let draw = sums.draws;
			sums.draws = draw.checked_add(1).ok_or(Error::<T>::Overflow)?;
			Self::assign(&verifier)?;
			let deadline = now.saturating_add(T::OpenWindow::get());
			Self::enqueue(QueueKind::Open, draw, deadline.saturating_add(1))?;
			Draws::<T>::insert(
				draw,
				Draw {
					batch: id,
					leaf_index,
					worker: batch.worker.clone(),
					verifier: verifier.clone(),
					opened: None,
					status: DrawStatus::Drawn,
					deadline,
					reassignments: 0,
				},
			);
			Self::deposit_event(Event::Drawn {
				draw,
				batch: id,
				leaf_index,
				worker: batch.worker.clone(),
				verifier,
				deadline,
			});
		}
		if drawn == 0 {
			Self::deposit_event(Event::NothingDrawn { batch: id });
		}
		LedgerSums::<T>::put(sums);
		Batches::<T>::insert(id, batch);
		Ok(())
	}

	/// Counts a draw as an obligation of its verifier.
	pub(crate) fn assign(verifier: &AccountId) -> DispatchResult {
		Self::mutate_party(verifier, |party| {
			party.assigned = party.assigned.checked_add(1)?;
			Some(())
		})
	}

	pub(crate) fn release_exposure(worker: &AccountId, leaves: u32) -> DispatchResult {
		Self::mutate_party(worker, |party| {
			party.exposure = party.exposure.checked_sub(leaves)?;
			Some(())
		})
	}

	pub(crate) fn mutate_party(
		who: &AccountId,
		change: impl FnOnce(&mut WorkerOf<T>) -> Option<()>,
	) -> DispatchResult {
		Workers::<T>::try_mutate_exists(who, |party| {
			let party = party.as_mut().ok_or(Error::<T>::NotRegistered)?;
			change(party).ok_or(Error::<T>::Overflow)?;
			Ok(())
		})
	}
}

// `Perbill::mul_floor` and the remainder in `draws_of` count in the same unit.
const _: () = assert!(Perbill::one().deconstruct() == 1_000_000_000);
