//! Joining, changing, leaving, and the numbered list of verifiers.

use crate::*;
use alloc::vec::Vec;
use aria_primitives::{AccountId, work::Fault, work::Roles};
use frame_support::{
	ensure,
	pallet_prelude::*,
	traits::{
		Get, Imbalance, OnUnbalanced,
		fungible::{Balanced, BalancedHold, MutateHold},
		tokens::Precision,
	},
};
use sp_runtime::traits::{CheckedAdd, CheckedSub, Zero};

impl<T: Config> Pallet<T> {
	pub(crate) fn do_register(who: AccountId, roles: Roles, address: Address) -> DispatchResult {
		ensure!(
			!Workers::<T>::contains_key(&who),
			Error::<T>::AlreadyRegistered
		);
		Self::ensure_reachable(roles, &address)?;
		let bond = T::Bond::get();
		T::Currency::hold(&HoldReason::Bond.into(), &who, bond)?;
		let party = Worker {
			roles,
			address,
			bond,
			credited_operations: 0,
			accepted: 0,
			rejected: 0,
			exposure: 0,
			assigned: 0,
		};
		Self::sync_verifier(&who, Some(&party))?;
		Workers::<T>::insert(&who, party);
		Self::deposit_event(Event::Registered { who, roles, bond });
		Ok(())
	}

	pub(crate) fn do_update(who: AccountId, roles: Roles, address: Address) -> DispatchResult {
		let mut party = Workers::<T>::get(&who).ok_or(Error::<T>::NotRegistered)?;
		Self::ensure_reachable(roles, &address)?;
		party.roles = roles;
		party.address = address;
		Self::sync_verifier(&who, Some(&party))?;
		Workers::<T>::insert(&who, party);
		Self::deposit_event(Event::Updated { who, roles });
		Ok(())
	}

	pub(crate) fn do_deregister(who: AccountId) -> DispatchResult {
		let party = Workers::<T>::get(&who).ok_or(Error::<T>::NotRegistered)?;
		ensure!(party.open_obligations() == 0, Error::<T>::OpenObligations);
		let bond = party.bond;
		T::Currency::release(&HoldReason::Bond.into(), &who, bond, Precision::Exact)?;
		Self::sync_verifier(&who, None)?;
		Workers::<T>::remove(&who);
		Self::deposit_event(Event::Deregistered { who, bond });
		Ok(())
	}

	pub(crate) fn do_top_up(who: AccountId, amount: BalanceOf<T>) -> DispatchResult {
		let mut party = Workers::<T>::get(&who).ok_or(Error::<T>::NotRegistered)?;
		party.bond = party
			.bond
			.checked_add(&amount)
			.ok_or(Error::<T>::Overflow)?;
		T::Currency::hold(&HoldReason::Bond.into(), &who, amount)?;
		let bond = party.bond;
		Self::sync_verifier(&who, Some(&party))?;
		Workers::<T>::insert(&who, party);
		Self::deposit_event(Event::ToppedUp { who, amount, bond });
		Ok(())
	}

	fn ensure_reachable(roles: Roles, address: &Address) -> DispatchResult {
		ensure!(roles.worker || roles.verifier, Error::<T>::NoRole);
		ensure!(!address.is_empty(), Error::<T>::NoAddress);
		Ok(())
	}

	/// Slashes at most `amount` of a party's bond and stores the party. A reporter gets its share of what was there
	/// to slash, the rest goes to `OnSlash`, as does the share of a reporter that can't receive it.
	pub(crate) fn slash(
		who: &AccountId,
		amount: BalanceOf<T>,
		reporter: Option<&AccountId>,
		fault: Option<Fault>,
	) -> DispatchResult {
		let mut party = Workers::<T>::get(who).ok_or(Error::<T>::NotRegistered)?;
		let (credit, _) = T::Currency::slash(&HoldReason::Bond.into(), who, amount.min(party.bond));
		let taken = credit.peek();
		party.bond = party.bond.checked_sub(&taken).ok_or(Error::<T>::Overflow)?;
		Self::sync_verifier(who, Some(&party))?;
		Workers::<T>::insert(who, party);

		let mut rest = credit;
		let mut reward = Zero::zero();
		if let Some(reporter) = reporter {
			let (share, others) = rest.split(T::ReporterShare::get().mul_floor(taken));
			let offered = share.peek();
			rest = match T::Currency::resolve(reporter, share) {
				Ok(()) => {
					reward = offered;
					others
				}
				Err(share) => others.merge(share),
			};
		}
		T::OnSlash::on_unbalanced(rest);
		Self::deposit_event(Event::Slashed {
			who: who.clone(),
			amount: taken,
			reporter: reporter.cloned(),
			reward,
			fault,
		});
		Ok(())
	}

	/// Puts a party on the list of verifiers, or takes it off, as its role and bond say. The last one of the list
	/// moves into a gap, so the numbers stay without gaps.
	fn sync_verifier(who: &AccountId, party: Option<&WorkerOf<T>>) -> DispatchResult {
		let wanted = party.is_some_and(|p| p.roles.verifier && p.bond >= T::Bond::get());
		match (wanted, VerifierSlot::<T>::get(who)) {
			(true, None) => {
				let slot = VerifierCount::<T>::get();
				VerifierCount::<T>::put(slot.checked_add(1).ok_or(Error::<T>::Overflow)?);
				VerifierAt::<T>::insert(slot, who);
				VerifierSlot::<T>::insert(who, slot);
			}
			(false, Some(slot)) => {
				let last = VerifierCount::<T>::get()
					.checked_sub(1)
					.ok_or(Error::<T>::Overflow)?;
				VerifierCount::<T>::put(last);
				VerifierSlot::<T>::remove(who);
				if let Some(moved) = VerifierAt::<T>::take(last)
					&& slot != last
				{
					VerifierAt::<T>::insert(slot, &moved);
					VerifierSlot::<T>::insert(moved, slot);
				}
			}
			_ => {}
		}
		Ok(())
	}

	/// A verifier other than those excluded, uniformly; `None` if there is no other.
	pub(crate) fn pick_verifier(
		stream: &mut draw::Stream,
		excluded: &[&AccountId],
	) -> Option<AccountId> {
		let mut gaps: Vec<u32> = excluded
			.iter()
			.filter_map(|who| VerifierSlot::<T>::get(*who))
			.collect();
		gaps.sort_unstable();
		gaps.dedup();
		let choices = VerifierCount::<T>::get().checked_sub(u32::try_from(gaps.len()).ok()?)?;
		let mut slot = stream.below(choices)?;
		for gap in gaps {
			if slot >= gap {
				slot = slot.checked_add(1)?;
			}
		}
		VerifierAt::<T>::get(slot)
	}
}
