//! # Useful work
//!
//! Turns answers of language models into verified work.
//!
//! ## Overview
//!
//! A *worker* bonds, answers requests off the chain and signs a receipt for each answer. Receipts gather into a
//! *batch*: one call commits their Merkle root. Randomness that did not exist at the commitment draws leaves of the
//! batch and assigns each to a *verifier*, another bonded party. The worker opens the leaf: its receipt becomes a
//! record of the ledger, and the prompt and tokens go to the verifier off the chain. The verifier re-executes the
//! answer, which the numeric specification makes bit-exact, and gives a verdict.
//!
//! ```text
//! commit_batch --draw--> Drawn --open--> Opened --verdict--> Accepted | Rejected
//!                          |                |
//!                          | OpenWindow     | VerdictWindow: verifier slashed, another one assigned,
//!                          v                v or, after MaxReassignments,
//!                   Rejected(NotOpened)   Unresolved
//! ```
//!
//! An accepted draw credits its operations to the worker. The credit is a claim and pays nothing by itself: payment
//! is somebody else's business, through [`Config::OnSettled`] and [`VerifiedWork`](aria_primitives::traits::VerifiedWork).
//!
//! ## Properties
//!
//! - A leaf that is not opened costs as much as a wrong answer, so hiding one is never the better choice.
//! - A worker's bond covers [`Config::SlashAmount`] for every leaf that is or can be drawn from its open batches.
//! - A receipt earns once: its leaf hash is the identifier of its record, and a record can't be inserted twice.
//! - Every hold is returned: the bond on [`Pallet::deregister`], a batch's deposit on [`Pallet::prune`].
//! - Work in hooks is metered by [`Config::ServiceWeight`]; what does not fit waits for the next block. A party is
//!   never late because the chain was: deadlines are compared by block number, not by when the queue is served.
//!
//! ## Assumptions
//!
//! - [`Config::Randomness`] is fixed after the block that it names. BABE's parent-block randomness lets the author of
//!   a block know its own output early and drop that block, so a worker who also authors blocks can refuse a draw at
//!   the cost of a block; [`Config::DrawDelay`] of at least two keeps it from *choosing* one.
//! - One verifier decides. It can reject falsely (to earn the reporter's share) or accept falsely (to help a friend);
//!   committed verdicts of several verifiers and disputes that the runtime referees replace this, and
//!   [`DrawStatus`](aria_primitives::work::DrawStatus) leaves room for them. In particular `Reject(NotOpened)`, by
//!   which a verifier reports that nothing was handed over off the chain, rests on its word alone.
//! - Distinct receipts for the same answer are distinct leaves. Requesters' nonces, not this pallet, tell them apart.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
	not(any(test, feature = "runtime-benchmarks")),
	deny(
		clippy::arithmetic_side_effects,
		clippy::indexing_slicing,
		clippy::expect_used,
		clippy::unwrap_used
	)
)]

extern crate alloc;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

use frame_support::pallet_macros::import_section;

mod batch;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod draw;
mod events;
#[cfg(test)]
mod mock;
mod queue;
mod register;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "try-runtime"))]
mod try_state;
mod types;
mod verdict;
mod views;
pub mod weights;

/// Log target of this pallet.
pub const LOG_TARGET: &str = "runtime::useful-work";

#[import_section(events::events)]
#[frame_support::pallet]
#[expect(clippy::expect_used, reason = "in code that the macro generates")]
pub mod pallet {
	use super::*;
	use alloc::boxed::Box;
	use aria_primitives::{
		AccountId, H256,
		merkle::MAX_PROOF_LEN,
		receipt::SignedReceipt,
		traits::{ConsentCheck, OnSettled, ProvenanceLedger},
		work::{BatchId, DrawId, DrawStatus, Fault, Roles, Totals, Verdict},
	};
	use frame_support::{
		pallet_prelude::*,
		traits::{OnUnbalanced, Randomness, fungible, fungible::hold},
	};
	use frame_system::pallet_prelude::*;
	use sp_runtime::Perbill;

	/// Balance of [`Config::Currency`].
	pub type BalanceOf<T> = <<T as Config>::Currency as fungible::Inspect<AccountId>>::Balance;
	/// Funds that were slashed.
	pub type CreditOf<T> = fungible::Credit<AccountId, <T as Config>::Currency>;
	/// A registered party.
	pub type WorkerOf<T> = Worker<BalanceOf<T>>;
	/// A committed batch.
	pub type BatchOf<T> = Batch<BalanceOf<T>>;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: frame_system::Config<AccountId = AccountId> {
		/// Holds bonds and deposits.
		type Currency: hold::Mutate<AccountId, Reason = Self::RuntimeHoldReason>
			+ hold::Balanced<AccountId>;

		/// The runtime's hold reason.
		type RuntimeHoldReason: From<HoldReason>;

		/// Randomness for draws, with the block since which it could be known. `None` postpones the draw.
		type Randomness: Randomness<Option<Self::Hash>, BlockNumberFor<Self>>;

		/// Consent contracts of workers.
		type Consent: ConsentCheck;

		/// Models and records.
		type Ledger: ProvenanceLedger;

		/// Told when a draw of an opened receipt ends.
		type OnSettled: OnSettled;

		/// Gets slashed funds, less the reporter's share.
		type OnSlash: OnUnbalanced<CreditOf<Self>>;

		/// Weights.
		type WeightInfo: WeightInfo;

		/// Bond of a registered party. Below it, a worker can't commit and a verifier is not assigned.
		#[pallet::constant]
		type Bond: Get<BalanceOf<Self>>;

		/// Deposit for a batch and its draws, until they are pruned.
		#[pallet::constant]
		type BatchDeposit: Get<BalanceOf<Self>>;

		/// What a worker loses for a wrong answer, and for a leaf that it does not open.
		#[pallet::constant]
		type SlashAmount: Get<BalanceOf<Self>>;

		/// What a verifier loses for a verdict that does not come.
		#[pallet::constant]
		type VerifierSlash: Get<BalanceOf<Self>>;

		/// Part of a worker's slash that goes to the verifier who found the fault.
		#[pallet::constant]
		type ReporterShare: Get<Perbill>;

		/// Blocks between a commitment and its draw; at least two, so that the randomness, which is the parent
		/// block's, belongs to a block after the commitment.
		#[pallet::constant]
		type DrawDelay: Get<u32>;

		/// Part of the receipts of a batch that is drawn.
		#[pallet::constant]
		type SampleRate: Get<Perbill>;

		/// Most leaves drawn from one batch, whatever the rate.
		#[pallet::constant]
		type MaxDrawsPerBatch: Get<u32>;

		/// Draw attempts without randomness or verifier after which a batch is given up.
		#[pallet::constant]
		type MaxDrawRetries: Get<u32>;

		/// Blocks that a worker has to open a leaf.
		#[pallet::constant]
		type OpenWindow: Get<u32>;

		/// Blocks that a verifier has for its verdict.
		#[pallet::constant]
		type VerdictWindow: Get<u32>;

		/// Silent verifiers that are replaced before a draw stays unresolved.
		#[pallet::constant]
		type MaxReassignments: Get<u32>;

		/// Most receipts in a batch.
		#[pallet::constant]
		type MaxReceiptsPerBatch: Get<u32>;

		/// Most leaves, open or possibly to be drawn, that a worker may be answerable for when it commits.
		#[pallet::constant]
		type MaxOpenObligations: Get<u32>;

		/// Blocks for which a batch that is over stays readable.
		#[pallet::constant]
		type Retention: Get<u32>;

		/// Most weight that draws and deadlines take of one block.
		#[pallet::constant]
		type ServiceWeight: Get<Weight>;
	}

	/// Why funds are on hold.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Bond of a registered party.
		#[codec(index = 0)]
		Bond,
		/// Deposit for a batch.
		#[codec(index = 1)]
		BatchDeposit,
	}

	/// Registered parties.
	// Blake2: keys are chosen by users.
	#[pallet::storage]
	pub type Workers<T: Config> = CountedStorageMap<_, Blake2_128Concat, AccountId, WorkerOf<T>>;

	/// How many verifiers may be assigned: registered for it, with a full bond.
	#[pallet::storage]
	pub type VerifierCount<T: Config> = StorageValue<_, u32, ValueQuery>;

	/// Verifiers that may be assigned, numbered without gaps; as many as pay a bond.
	// Twox: keys are minted here.
	#[pallet::storage]
	pub type VerifierAt<T: Config> = StorageMap<_, Twox64Concat, u32, AccountId>;

	/// Number of each verifier in [`VerifierAt`].
	#[pallet::storage]
	pub type VerifierSlot<T: Config> = StorageMap<_, Blake2_128Concat, AccountId, u32>;

	/// Batches; each is paid for by a deposit until it is pruned.
	#[pallet::storage]
	pub type Batches<T: Config> = StorageMap<_, Twox64Concat, BatchId, BatchOf<T>>;

	/// Draws; they go with their batch.
	#[pallet::storage]
	pub type Draws<T: Config> = StorageMap<_, Twox64Concat, DrawId, Draw>;

	/// Entries of the queues; at most one for each pending batch and two for each draw.
	#[pallet::storage]
	pub type Queue<T: Config> =
		StorageDoubleMap<_, Twox64Concat, QueueKind, Twox64Concat, u64, QueueEntry>;

	/// Number of the first entry of each queue.
	#[pallet::storage]
	pub type QueueHead<T: Config> = StorageMap<_, Twox64Concat, QueueKind, u64, ValueQuery>;

	/// Number of the entry after the last one of each queue.
	#[pallet::storage]
	pub type QueueTail<T: Config> = StorageMap<_, Twox64Concat, QueueKind, u64, ValueQuery>;

	/// Sums over everything ever committed.
	#[pallet::storage]
	pub type LedgerSums<T: Config> = StorageValue<_, Sums, ValueQuery>;

	#[pallet::error]
	pub enum Error<T> {
		/// The account is registered already; use `update`.
		AlreadyRegistered,
		/// The account is not registered; call `register` first.
		NotRegistered,
		/// At least one role is needed.
		NoRole,
		/// The address is empty; peers must be able to reach the party.
		NoAddress,
		/// The party still has pending batches or open draws; wait until they end.
		OpenObligations,
		/// The party is not registered as a worker; use `update`.
		NotAWorker,
		/// The bond is below the minimum, or does not cover a slash for every leaf that can be drawn from the
		/// worker's open batches; use `top_up`, or wait until some end.
		BondTooLow,
		/// A batch holds at least one receipt and at most `MaxReceiptsPerBatch`.
		BadReceiptCount,
		/// The sums are more than so many receipts can stand for.
		ImplausibleTotals,
		/// Too many leaves are open or can be drawn; wait until some end.
		TooManyObligations,
		/// There is no such batch; it may have been pruned.
		UnknownBatch,
		/// There is no such draw; it may have been pruned.
		UnknownDraw,
		/// Only the worker whose leaf was drawn may open it.
		NotTheWorker,
		/// Only the assigned verifier may give the verdict.
		NotTheVerifier,
		/// The draw does not wait for an opening: it is open or settled.
		NotDrawn,
		/// The draw does not wait for a verdict: it is not open yet, or settled.
		NotOpen,
		/// The deadline has passed.
		DeadlinePassed,
		/// The proof does not lead from the receipt to the committed root at the drawn leaf.
		BadProof,
		/// The receipt names another worker.
		WrongWorker,
		/// The receipt follows another numeric specification than the chain's.
		WrongSpec,
		/// The receipt's model is not registered.
		UnknownModel,
		/// A receipt has at least one prompt token and one output token.
		NoTokens,
		/// The receipt's operations are not those of its model and token counts.
		WrongOperations,
		/// The signature is not the worker's.
		BadSignature,
		/// The batch is not over, or its retention period has not passed.
		NotPrunable,
		/// A counter or balance would leave its range.
		Overflow,
		/// The receipt names no consent contract, or one that came after its batch.
		WrongConsent,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		/// Serves the queues: missed openings, missed verdicts, then draws, as far as `ServiceWeight` goes.
		fn on_initialize(_: BlockNumberFor<T>) -> Weight {
			Self::service(Self::now(), T::ServiceWeight::get())
		}

		fn integrity_test() {
			Self::check_constants();
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Registers the caller as a worker, a verifier, or both.
		///
		/// ## Dispatch Origin
		///
		/// Signed.
		///
		/// ## Details
		///
		/// Holds `Bond`. A worker is slashed for wrong answers and for leaves that it does not open, a verifier for
		/// verdicts that it does not give. `address` is the multiaddress at which verifiers fetch openings.
		///
		/// ## Errors
		///
		/// [`Error::AlreadyRegistered`], [`Error::NoRole`], [`Error::NoAddress`], and the currency's when the caller
		/// can't pay the bond.
		///
		/// ## Events
		///
		/// [`Event::Registered`].
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::register())]
		pub fn register(origin: OriginFor<T>, roles: Roles, address: Address) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_register(who, roles, address)
		}

		/// Changes the caller's roles and address.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by a registered party.
		///
		/// ## Details
		///
		/// Obligations taken on in a role stay when the role is dropped.
		///
		/// ## Errors
		///
		/// [`Error::NotRegistered`], [`Error::NoRole`], [`Error::NoAddress`].
		///
		/// ## Events
		///
		/// [`Event::Updated`].
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::update())]
		pub fn update(origin: OriginFor<T>, roles: Roles, address: Address) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_update(who, roles, address)
		}

		/// Leaves, and releases the bond.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by a registered party.
		///
		/// ## Details
		///
		/// Credited operations and counts of settled draws are forfeited. Deposits of batches stay on hold until the
		/// batches are pruned.
		///
		/// ## Errors
		///
		/// [`Error::NotRegistered`], [`Error::OpenObligations`].
		///
		/// ## Events
		///
		/// [`Event::Deregistered`].
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::deregister())]
		pub fn deregister(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_deregister(who)
		}

		/// Commits a batch of receipts.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by a registered worker with a full bond.
		///
		/// ## Details
		///
		/// `root` is the Merkle root over the leaf hashes of `count` signed receipts. Holds `BatchDeposit` until the
		/// batch is pruned. After `DrawDelay` blocks leaves are drawn: keep the receipts, salts, prompts and tokens
		/// until the batch is over. `totals` are claims for the ledger's sums; they earn nothing.
		///
		/// ## Errors
		///
		/// [`Error::NotRegistered`], [`Error::NotAWorker`], [`Error::BadReceiptCount`],
		/// [`Error::ImplausibleTotals`], [`Error::TooManyObligations`], [`Error::BondTooLow`], those of the consent
		/// contract, and the currency's when the caller can't pay the deposit.
		///
		/// ## Events
		///
		/// [`Event::BatchCommitted`].
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::commit_batch())]
		pub fn commit_batch(
			origin: OriginFor<T>,
			root: H256,
			count: u32,
			totals: Totals,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_commit_batch(who, root, count, totals)
		}

		/// Adds to the caller's bond.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by a registered party.
		///
		/// ## Details
		///
		/// A party that was slashed below `Bond` commits and is assigned again once it is full.
		///
		/// ## Errors
		///
		/// [`Error::NotRegistered`], [`Error::Overflow`], and the currency's when the caller can't pay.
		///
		/// ## Events
		///
		/// [`Event::ToppedUp`].
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::top_up())]
		pub fn top_up(
			origin: OriginFor<T>,
			#[pallet::compact] amount: BalanceOf<T>,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_top_up(who, amount)
		}

		/// Opens a drawn leaf: its receipt becomes a record of the ledger.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by the worker whose leaf was drawn.
		///
		/// ## Details
		///
		/// `proof` leads from the receipt's leaf hash to the committed root. Prompt and tokens stay off the chain: the
		/// worker hands them to the assigned verifier, over the protocol of `aria_primitives::opening`.
		///
		/// ## Errors
		///
		/// [`Error::UnknownDraw`], [`Error::NotTheWorker`], [`Error::NotDrawn`], [`Error::DeadlinePassed`],
		/// [`Error::BadProof`], [`Error::WrongWorker`], [`Error::WrongSpec`], [`Error::NoTokens`],
		/// [`Error::WrongConsent`], [`Error::UnknownModel`], [`Error::WrongOperations`], [`Error::BadSignature`], and
		/// the ledger's, such as when the receipt is on record already or the worker can't pay the record's deposit. A
		/// leaf that can't be opened for any of these reasons is slashed at the deadline.
		///
		/// ## Events
		///
		/// [`Event::Opened`].
		#[pallet::call_index(5)]
		#[pallet::weight(T::WeightInfo::open(proof.len() as u32))]
		pub fn open(
			origin: OriginFor<T>,
			#[pallet::compact] draw: DrawId,
			receipt: Box<SignedReceipt>,
			proof: BoundedVec<H256, ConstU32<MAX_PROOF_LEN>>,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_open(who, draw, &receipt, &proof)
		}

		/// Gives the verdict on an opened leaf.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by the assigned verifier.
		///
		/// ## Details
		///
		/// `Accept` credits the operations to the worker. `Reject` slashes `SlashAmount` of the worker's bond, of
		/// which `ReporterShare` goes to the verifier. `Reject(NotOpened)` says that the worker did not hand over
		/// prompt and tokens off the chain; it costs the same.
		///
		/// ## Errors
		///
		/// [`Error::UnknownDraw`], [`Error::NotTheVerifier`], [`Error::NotOpen`], [`Error::DeadlinePassed`].
		///
		/// ## Events
		///
		/// [`Event::Settled`], after [`Event::Slashed`] for a rejection.
		#[pallet::call_index(6)]
		#[pallet::weight(T::WeightInfo::verdict())]
		pub fn verdict(
			origin: OriginFor<T>,
			#[pallet::compact] draw: DrawId,
			verdict: Verdict,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			Self::do_verdict(who, draw, verdict)
		}

		/// Removes a batch that is over, with its draws, and releases its deposit to its worker.
		///
		/// ## Dispatch Origin
		///
		/// Signed, by anyone.
		///
		/// ## Details
		///
		/// Possible once `Retention` blocks have passed since the batch ended. Records stay in the ledger.
		///
		/// ## Errors
		///
		/// [`Error::UnknownBatch`], [`Error::NotPrunable`].
		///
		/// ## Events
		///
		/// [`Event::Pruned`].
		#[pallet::call_index(7)]
		#[pallet::weight(T::WeightInfo::prune(T::MaxDrawsPerBatch::get()))]
		pub fn prune(origin: OriginFor<T>, #[pallet::compact] batch: BatchId) -> DispatchResult {
			ensure_signed(origin)?;
			Self::do_prune(batch)
		}
	}
}
