//! What the pallet tells of: a section of [`crate::pallet`], whose names it uses.

use frame_support::pallet_macros::pallet_section;

/// Events.
#[pallet_section]
mod events {
	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A party has bonded and registered.
		Registered {
			/// Who.
			who: AccountId,
			/// What it does.
			roles: Roles,
			/// Its bond.
			bond: BalanceOf<T>,
		},
		/// A party has changed its roles or address.
		Updated {
			/// Who.
			who: AccountId,
			/// What it does from now on.
			roles: Roles,
		},
		/// A party has left and has its bond back.
		Deregistered {
			/// Who.
			who: AccountId,
			/// The bond that was released.
			bond: BalanceOf<T>,
		},
		/// A party has added to its bond.
		ToppedUp {
			/// Who.
			who: AccountId,
			/// How much.
			amount: BalanceOf<T>,
			/// The bond with it.
			bond: BalanceOf<T>,
		},
		/// A batch is committed and waits for its draw.
		BatchCommitted {
			/// The batch.
			batch: BatchId,
			/// Who committed it.
			worker: AccountId,
			/// Merkle root of its receipts.
			root: H256,
			/// How many receipts.
			count: u32,
		},
		/// The draw of a batch picked none of its leaves; it is over.
		NothingDrawn {
			/// The batch.
			batch: BatchId,
		},
		/// A leaf is drawn; its worker has to open it.
		Drawn {
			/// The draw.
			draw: DrawId,
			/// The batch drawn from.
			batch: BatchId,
			/// Which leaf of it.
			leaf_index: u32,
			/// Whose answer.
			worker: AccountId,
			/// Who re-executes it.
			verifier: AccountId,
			/// Last block in which it may be opened.
			deadline: u32,
		},
		/// A leaf is open; its verifier has to re-execute it.
		Opened {
			/// The draw.
			draw: DrawId,
			/// Identifier of its record.
			record: H256,
			/// Who re-executes it.
			verifier: AccountId,
			/// Last block for the verdict.
			deadline: u32,
		},
		/// A draw is decided, for or against the worker.
		Settled {
			/// The draw.
			draw: DrawId,
			/// Its record; none if the leaf was never opened.
			record: Option<H256>,
			/// The decision.
			status: DrawStatus,
			/// Multiply-accumulates credited.
			operations: u64,
		},
		/// A bond was slashed.
		Slashed {
			/// Whose.
			who: AccountId,
			/// How much of it, at most what was left.
			amount: BalanceOf<T>,
			/// Who found the fault; none for missed deadlines.
			reporter: Option<AccountId>,
			/// The reporter's share, part of the amount.
			reward: BalanceOf<T>,
			/// The fault; none for a verifier who gave no verdict.
			fault: Option<Fault>,
		},
		/// A verifier was silent and another one takes over.
		Reassigned {
			/// The draw.
			draw: DrawId,
			/// Who was silent.
			from: AccountId,
			/// Who takes over.
			to: AccountId,
			/// Last block for the verdict.
			deadline: u32,
		},
		/// Nobody could be found who verifies; nobody is credited.
		Unresolved {
			/// The batch.
			batch: BatchId,
			/// The draw; none if the batch could not even be drawn from.
			draw: Option<DrawId>,
		},
		/// A batch and its draws were removed, the deposit released.
		Pruned {
			/// The batch.
			batch: BatchId,
			/// How many draws went with it.
			draws: u32,
			/// The deposit.
			deposit: BalanceOf<T>,
		},
	}
}
