//! Tests of the journal.

use super::*;
use aria_engine::{FinishReason, Generation, Timings};
use sp_core::{Pair, sr25519};

fn receipt(seed: u8) -> ReceiptFile {
	receipt_under(1, seed)
}

/// A receipt of an answer under this version of the consent contract.
fn receipt_under(consent: u32, seed: u8) -> ReceiptFile {
	let generation = Generation {
		prompt: vec![1, 2, 3],
		tokens: vec![u32::from(seed), 5],
		text: "two words".into(),
		logprobs: vec![-0.5, -0.5],
		trace_root: H256::repeat_byte(seed),
		sampling: Default::default(),
		constraints: Default::default(),
		cached_tokens: 0,
		operations: 77,
		energy: Default::default(),
		finish: FinishReason::Stop,
		timings: Timings::default(),
	};
	let pair = sr25519::Pair::from_seed(&[1; 32]);
	ReceiptFile::sign(
		&generation,
		H256::zero(),
		consent,
		H256::repeat_byte(9),
		&pair,
	)
}

async fn ids(journal: &Journal) -> Vec<H256> {
	let worker = receipt(0).signed.receipt.worker;
	let model = HashSet::from([H256::zero()]);
	let waiting = journal.waiting(&worker, &model, 1..=1, usize::MAX).await;
	waiting.unwrap().into_iter().map(|(id, _)| id).collect()
}

fn held(journal: &Journal, id: &H256) -> Entry {
	journal.get(id).unwrap().unwrap()
}

fn refusal(dir: &Path) -> String {
	match Journal::open(dir) {
		Ok(_) => "opened".into(),
		Err(error) => error.to_string(),
	}
}

#[tokio::test]
async fn restart_should_keep_receipts_and_batches() {
	let dir = tempfile::tempdir().unwrap();
	// Signatures are random: the same answer twice is two receipts.
	let files: Vec<ReceiptFile> = (0..5).map(receipt).collect();
	let mut leaves = Vec::new();
	{
		let journal = Journal::open(dir.path()).unwrap();
		for file in &files {
			leaves.push(journal.record(file.clone()).await.unwrap());
		}
		// The same receipt again is nothing new.
		assert_eq!(journal.record(files[4].clone()).await.unwrap(), leaves[4]);
		let root = journal.begin_batch(leaves[..3].to_vec(), 7, 40).await;
		journal.commit_batch(root.unwrap(), 9).await.unwrap();
		journal.begin_batch(vec![leaves[3]], 10, 50).await.unwrap();
	}
	let journal = Journal::open(dir.path()).unwrap();
	assert_eq!(ids(&journal).await, [leaves[4]]);
	assert_eq!(held(&journal, &leaves[0]).file, files[0]);
	assert_eq!(
		held(&journal, &leaves[2]).place.committed(),
		Some(Committed {
			batch: 9,
			leaf_index: 2
		})
	);
	assert_eq!(held(&journal, &leaves[3]).place, Place::Pending);
	let pending = journal.pending();
	assert_eq!(pending.len(), 1);
	assert_eq!((pending[0].from, pending[0].until), (10, 50));
	let (file, proof) = journal.leaf(9, 1).unwrap().unwrap();
	let root = merkle::root(&leaves[..3]);
	assert!(merkle::verify(&root, 3, 1, &file.signed.leaf(), &proof));
	let shown = journal.proof(&leaves[1]).unwrap();
	assert_eq!((shown.root, shown.count, &shown.path), (root, 3, &proof));
	assert_eq!((shown.at.batch, shown.at.leaf_index), (9, 1));
	assert_eq!(journal.proof(&leaves[3]), None, "not final");
	let none = |batch, leaf| journal.leaf(batch, leaf).unwrap().is_none();
	assert!(none(9, 3) && none(8, 0));
	// Given up, it waits again, before younger ones.
	journal.drop_batch(pending[0].root, true).await.unwrap();
	assert_eq!(ids(&journal).await, leaves[3..]);
	drop(journal);
	assert_eq!(ids(&Journal::open(dir.path()).unwrap()).await, leaves[3..]);
}

#[tokio::test]
async fn receipts_should_be_duties_to_the_chain_they_were_written_on() {
	let dir = tempfile::tempdir().unwrap();
	let (one, two) = (H256::repeat_byte(1), H256::repeat_byte(2));
	let mut journal = Journal::open(dir.path()).unwrap();
	let mut leaves = Vec::new();
	for seed in 0..3 {
		leaves.push(journal.record(receipt(seed)).await.unwrap());
	}
	// Written before there was a chain, they are for the first one.
	journal.go_to(one).await.unwrap();
	let root = journal.begin_batch(vec![leaves[0]], 0, 40).await.unwrap();
	journal.commit_batch(root, 3).await.unwrap();
	journal.begin_batch(vec![leaves[1]], 4, 40).await.unwrap();
	journal.go_to(two).await.unwrap();
	for restart in [false, true] {
		if restart {
			drop(journal);
			journal = Journal::open(dir.path()).unwrap();
		}
		assert!(ids(&journal).await.is_empty() && journal.pending().is_empty());
		assert!(
			journal.leaf(3, 0).unwrap().is_none(),
			"a batch of the other chain"
		);
		for id in &leaves {
			assert_eq!(held(&journal, id).place, Place::OtherChain);
		}
		assert!(journal.begin_batch(vec![leaves[2]], 0, 9).await.is_err());
	}
	// The same numbers on this chain are other batches.
	let other = journal.record(receipt(9)).await.unwrap();
	let root = journal.begin_batch(vec![other], 0, 40).await.unwrap();
	journal.commit_batch(root, 3).await.unwrap();
	assert_eq!(journal.leaf(3, 0).unwrap().unwrap().0.signed.leaf(), other);
	let counts = journal.counts();
	assert_eq!((counts.receipts, counts.waiting), (4, 0));
	assert_eq!((counts.pending, counts.committed), (0, 1));
	// Back on the first chain everything is due again.
	journal.go_to(one).await.unwrap();
	drop(journal);
	let journal = Journal::open(dir.path()).unwrap();
	assert_eq!(ids(&journal).await, [leaves[2]]);
	assert_eq!(journal.pending()[0].leaves, [leaves[1]]);
	assert_eq!(
		journal.leaf(3, 0).unwrap().unwrap().0.signed.leaf(),
		leaves[0]
	);
	assert_eq!(held(&journal, &other).place, Place::OtherChain);
	let lines = || std::fs::read(dir.path().join(FILE_NAME)).unwrap();
	let before = lines();
	journal.go_to(one).await.unwrap();
	assert_eq!(lines(), before, "the chain it is on is nothing new");
}

#[tokio::test]
async fn latest_receipts_should_come_in_pages() {
	let dir = tempfile::tempdir().unwrap();
	let journal = Journal::open(dir.path()).unwrap();
	let mut leaves = Vec::new();
	for seed in 0..5 {
		leaves.push(journal.record(receipt(seed)).await.unwrap());
	}
	let page = |before, limit| {
		let page = journal.latest(before, limit).unwrap();
		let numbers = page.iter().map(|one| (one.number, one.id));
		numbers.collect::<Vec<_>>()
	};
	assert_eq!(page(None, 2), [(4, leaves[4]), (3, leaves[3])]);
	assert_eq!(page(Some(3), 2), [(2, leaves[2]), (1, leaves[1])]);
	assert_eq!(page(Some(1), 2), [(0, leaves[0])]);
	assert_eq!(page(Some(0), 2), []);
	assert_eq!(page(Some(u64::MAX), 9).len(), 5);
	assert_eq!(page(None, 0), []);
}

#[tokio::test]
async fn receipts_of_another_key_or_model_should_not_be_gathered() {
	let dir = tempfile::tempdir().unwrap();
	let journal = Journal::open(dir.path()).unwrap();
	journal.record(receipt(0)).await.unwrap();
	let other = AccountId::new([7; 32]);
	assert!(
		journal
			.waiting(&other, &HashSet::from([H256::zero()]), 1..=1, 10)
			.await
			.unwrap()
			.is_empty()
	);
	let worker = receipt(0).signed.receipt.worker;
	assert!(
		journal
			.waiting(&worker, &HashSet::from([H256::repeat_byte(1)]), 1..=1, 10)
			.await
			.unwrap()
			.is_empty()
	);
	assert_eq!(ids(&journal).await.len(), 1);
}

#[tokio::test]
async fn receipts_should_be_gathered_by_their_consent() {
	let dir = tempfile::tempdir().unwrap();
	let mut journal = Journal::open(dir.path()).unwrap();
	let mut leaves = Vec::new();
	// Without a contract, as off the chain; under the first; under the second.
	for version in 0..3 {
		leaves.push(journal.record(receipt_under(version, 0)).await.unwrap());
	}
	for restart in [false, true] {
		if restart {
			drop(journal);
			journal = Journal::open(dir.path()).unwrap();
		}
		let gathered = async |versions| {
			let worker = receipt(0).signed.receipt.worker;
			let models = HashSet::from([H256::zero()]);
			let waiting = journal.waiting(&worker, &models, versions, 10).await;
			let ids = waiting.unwrap().into_iter().map(|(id, _)| id);
			ids.collect::<Vec<_>>()
		};
		assert_eq!(gathered(1..=1).await, [leaves[1]]);
		assert_eq!(gathered(1..=2).await, leaves[1..]);
	}
}

#[tokio::test]
async fn snapshot_should_be_read_beside_the_worker_and_change_nothing() {
	let dir = tempfile::tempdir().unwrap();
	assert!(Snapshot::read(dir.path()).is_err(), "there is no journal");
	let journal = Journal::open(dir.path()).unwrap();
	let id = journal.record(receipt(3)).await.unwrap();
	let path = dir.path().join(FILE_NAME);
	// The worker is in the middle of a line.
	let mut file = std::fs::OpenOptions::new()
		.append(true)
		.open(&path)
		.unwrap();
	std::io::Write::write_all(&mut file, b"{\"receipt\":").unwrap();
	let before = std::fs::read(&path).unwrap();
	let snapshot = Snapshot::read(dir.path()).unwrap();
	assert_eq!(snapshot.get(&id).unwrap(), Some(held(&journal, &id)));
	assert_eq!(snapshot.get(&H256::zero()).unwrap(), None);
	assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn batch_of_receipts_that_do_not_wait_should_be_refused() {
	let dir = tempfile::tempdir().unwrap();
	let journal = Journal::open(dir.path()).unwrap();
	let id = journal.record(receipt(0)).await.unwrap();
	assert!(journal.begin_batch(vec![], 0, 1).await.is_err());
	assert!(journal.begin_batch(vec![H256::zero()], 0, 1).await.is_err());
	let root = journal.begin_batch(vec![id], 0, 1).await.unwrap();
	assert!(journal.begin_batch(vec![id], 0, 1).await.is_err());
	assert!(journal.commit_batch(H256::zero(), 0).await.is_err());
	journal.drop_batch(root, false).await.unwrap();
	assert!(ids(&journal).await.is_empty());
	drop(journal);
	assert!(ids(&Journal::open(dir.path()).unwrap()).await.is_empty());
}

#[tokio::test]
async fn torn_last_line_should_be_cut_off_at_any_byte() {
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join(FILE_NAME);
	let journal = Journal::open(dir.path()).unwrap();
	journal.record(receipt(0)).await.unwrap();
	let whole = std::fs::read(&path).unwrap();
	let second = receipt(1);
	journal.record(second.clone()).await.unwrap();
	drop(journal);
	let both = std::fs::read(&path).unwrap();
	for cut in (whole.len() + 1..both.len()).step_by(37) {
		std::fs::write(&path, &both[..cut]).unwrap();
		let journal = Journal::open(dir.path()).unwrap();
		assert_eq!(ids(&journal).await.len(), 1, "cut at {cut}");
		assert_eq!(std::fs::read(&path).unwrap(), whole);
		journal.record(second.clone()).await.unwrap();
		assert_eq!(std::fs::read(&path).unwrap(), both);
	}
}

#[tokio::test]
async fn damage_before_the_end_should_be_refused() {
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join(FILE_NAME);
	let journal = Journal::open(dir.path()).unwrap();
	let id = journal.record(receipt(0)).await.unwrap();
	journal.record(receipt(1)).await.unwrap();
	journal.begin_batch(vec![id], 0, 1).await.unwrap();
	drop(journal);
	let text = std::fs::read_to_string(&path).unwrap();
	let lines: Vec<&str> = text.lines().collect();
	for damaged in [
		format!("{{\n{text}"),
		format!("{}\n\n{}\n", lines[0], lines[1]),
		// A batch of a receipt that is not there.
		format!("{}\n{}\n", lines[1], lines[2]),
		format!("{}\n", lines[2]),
		text.replacen(&lines[2][20..30], "0000000000", 1),
	] {
		std::fs::write(&path, &damaged).unwrap();
		let error = refusal(dir.path());
		assert!(error.contains("is damaged"), "{error}");
		// Nothing is cut from a file that is not understood.
		assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
	}
}

#[tokio::test]
async fn second_worker_should_be_refused() {
	let dir = tempfile::tempdir().unwrap();
	let first = Journal::open(dir.path()).unwrap();
	assert!(refusal(dir.path()).contains("in use"));
	drop(first);
	assert_eq!(refusal(dir.path()), "opened");
}
