//! What the owner of this machine allows at the moment: the consent contract, as every request is held to it.

use aria_primitives::consent::{ConsentView, TaskKind, Terms};
use std::{
	sync::{PoisonError, RwLock},
	time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long a contract stands without having been looked at again: a worker that is cut off from the chain does not
/// hear of a revocation.
const STALE: Duration = Duration::from_secs(600);
/// After how long to ask again whether a contract is there by now, seconds.
const SOON: u64 = 6;
const MINUTE_MS: u64 = 60_000;
/// Windows come again after a week at most.
const MINUTES_OF_A_WEEK: u64 = 7 * 1440;

/// What is known of the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
	/// The worker was told to do without a chain, where there are no contracts.
	Offline,
	/// The chain has not been asked yet.
	#[default]
	Unknown,
	/// There has never been one, and the first is on its way to the chain.
	Granting,
	/// There is none: it was never granted, or it was revoked.
	Missing,
	/// This one is in force.
	Contract(ConsentView),
}

/// This machine's clock, milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
	let now = SystemTime::now().duration_since(UNIX_EPOCH);
	now.map_or(0, |elapsed| elapsed.as_millis() as u64)
}

/// Why a request is outside the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
	/// The chain has not told, or not for a while.
	#[error(
		"whether the owner of this machine consents is not known, because its node does not answer; try again"
	)]
	Unknown,
	/// The first contract is not on the chain yet.
	#[error("the consent contract of this machine's owner is not on the chain yet; try again")]
	Granting,
	/// No contract.
	#[error(
		"the owner of this machine has granted no consent contract, or has revoked it: nothing is answered until the owner grants one with `aria-worker consent grant`"
	)]
	Missing,
	/// Another kind of work.
	#[error(
		"the consent contract of this machine's owner does not allow {0}: the owner can with `aria-worker consent grant --tasks`"
	)]
	Task(&'static str),
	/// Requesters need a score.
	#[error(
		"the consent contract of this machine's owner asks for a contribution score of {0}, and requests to this API have none"
	)]
	Requester(u32),
	/// Another time.
	#[error(
		"the consent contract of this machine's owner does not allow work at this time; its next window begins in {seconds} seconds"
	)]
	Time {
		/// Until the next window begins.
		seconds: u64,
	},
}

impl Refusal {
	/// Seconds after which to try again, where that is of use.
	pub fn retry_after(&self) -> Option<u64> {
		match self {
			Self::Unknown | Self::Granting => Some(SOON),
			Self::Time { seconds } => Some(*seconds),
			Self::Missing | Self::Task(_) | Self::Requester(_) => None,
		}
	}
}

/// The contract of this worker's account, as it was last seen on the chain.
#[derive(Debug)]
pub struct Consent(RwLock<(Standing, Instant)>);

impl Default for Consent {
	fn default() -> Self {
		Self::new(Standing::Unknown)
	}
}

fn name(task: TaskKind) -> &'static str {
	match task {
		TaskKind::TextGen => "text_gen",
		TaskKind::CodeGen => "code_gen",
		TaskKind::Summarization => "summarization",
		TaskKind::Translation => "translation",
		TaskKind::Embedding => "embedding",
	}
}

/// Whether terms allow work for a requester without a score.
fn check(terms: &Terms, task: TaskKind, now_ms: u64) -> Result<(), Refusal> {
	if terms.min_contribution_score > 0 {
		return Err(Refusal::Requester(terms.min_contribution_score));
	}
	if terms.tasks & (1 << task as u8) == 0 {
		return Err(Refusal::Task(name(task)));
	}
	if terms.permits(task, now_ms) {
		return Ok(());
	}
	let this_minute = now_ms - now_ms % MINUTE_MS;
	let begins = (1..=MINUTES_OF_A_WEEK)
		.map(|minutes| this_minute.saturating_add(minutes * MINUTE_MS))
		.find(|at| terms.permits(task, *at));
	// Valid terms have a window in every week.
	let begins = begins.unwrap_or(this_minute + MINUTES_OF_A_WEEK * MINUTE_MS);
	Err(Refusal::Time {
		seconds: (begins - now_ms).div_ceil(1000),
	})
}

impl Consent {
	/// What is known now.
	pub fn new(standing: Standing) -> Self {
		Self(RwLock::new((standing, Instant::now())))
	}

	/// Whether nothing can be answered yet, because the chain has not told, or not taken the first contract yet.
	pub fn is_awaited(&self) -> bool {
		let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
		matches!(known.0, Standing::Unknown | Standing::Granting)
	}

	/// Notes what the chain says now; whether that is something else than before.
	pub fn set(&self, standing: Standing) -> bool {
		let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
		let changed = known.0 != standing;
		*known = (standing, Instant::now());
		changed
	}

	/// Version of the contract in force, 0 without one.
	pub fn version(&self) -> u32 {
		match &self.0.read().unwrap_or_else(PoisonError::into_inner).0 {
			Standing::Contract(view) => view.version,
			_ => 0,
		}
	}

	/// The version of the contract that allows a kind of work at this time, milliseconds since the Unix epoch; 0 where
	/// no chain is followed and so no contract needed.
	///
	/// # Errors
	///
	/// If no contract allows it.
	pub fn permit(&self, task: TaskKind, now_ms: u64) -> Result<u32, Refusal> {
		let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
		let (standing, seen) = &*known;
		match standing {
			Standing::Offline => Ok(0),
			Standing::Unknown => Err(Refusal::Unknown),
			_ if seen.elapsed() > STALE => Err(Refusal::Unknown),
			Standing::Granting => Err(Refusal::Granting),
			Standing::Missing => Err(Refusal::Missing),
			Standing::Contract(view) => check(&view.terms, task, now_ms).map(|()| view.version),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const DAY: u64 = 1440 * MINUTE_MS;
	/// 1970-01-05, a Monday.
	const MONDAY: u64 = 4 * DAY;

	fn under(terms: Terms) -> Consent {
		Consent::new(Standing::Contract(ConsentView {
			terms,
			version: 3,
			changed_at: 9,
		}))
	}

	#[test]
	fn contract_should_allow_its_tasks_in_its_windows() {
		let consent = under(Terms {
			from_minute: 22 * 60,
			until_minute: 6 * 60,
			days: 1,
			tasks: 1 << TaskKind::Embedding as u8,
			..Terms::default()
		});
		let permit = |at| consent.permit(TaskKind::Embedding, at);
		assert_eq!(consent.version(), 3);
		assert_eq!(permit(MONDAY + 23 * 60 * MINUTE_MS), Ok(3));
		assert_eq!(permit(MONDAY + DAY + 6 * 60 * MINUTE_MS - 1), Ok(3));
		let seconds = 6 * 24 * 3600 + 16 * 3600;
		let time = |seconds| Err(Refusal::Time { seconds });
		assert_eq!(permit(MONDAY + DAY + 6 * 60 * MINUTE_MS), time(seconds));
		assert_eq!(permit(MONDAY + 22 * 60 * MINUTE_MS - 1), time(1));
		assert_eq!(
			consent.permit(TaskKind::TextGen, MONDAY + 23 * 60 * MINUTE_MS),
			Err(Refusal::Task("text_gen"))
		);
	}

	#[test]
	fn requesters_without_a_score_should_be_refused_where_one_is_asked_for() {
		let consent = under(Terms {
			min_contribution_score: 5,
			..Terms::default()
		});
		let refused = consent.permit(TaskKind::TextGen, MONDAY);
		assert_eq!(refused, Err(Refusal::Requester(5)));
	}

	#[test]
	fn nothing_should_be_allowed_without_a_contract() {
		let consent = Consent::default();
		let permit = || consent.permit(TaskKind::TextGen, MONDAY);
		assert_eq!(permit(), Err(Refusal::Unknown));
		assert!(consent.set(Standing::Granting));
		assert_eq!(permit(), Err(Refusal::Granting));
		assert!(consent.set(Standing::Missing));
		assert!(!consent.set(Standing::Missing), "nothing new");
		assert_eq!((permit(), consent.version()), (Err(Refusal::Missing), 0));
		consent.set(Standing::Offline);
		assert_eq!(permit(), Ok(0));
	}

	#[test]
	fn contract_should_not_stand_when_the_chain_is_out_of_sight() {
		let consent = under(Terms::default());
		let Some(past) = Instant::now().checked_sub(STALE + Duration::from_secs(1)) else {
			// The machine has not been up for that long.
			return;
		};
		assert_eq!(consent.permit(TaskKind::TextGen, MONDAY), Ok(3));
		consent.0.write().unwrap_or_else(PoisonError::into_inner).1 = past;
		let refused = consent.permit(TaskKind::TextGen, MONDAY);
		assert_eq!(refused, Err(Refusal::Unknown));
	}
}
