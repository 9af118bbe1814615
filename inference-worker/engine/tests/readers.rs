//! Readers on files that were damaged in a thousand ways: none may panic, or take more memory than its file justifies.
//!
//! `scripts/fuzz` looks for more such files; what it found is at the end of this file.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

#[path = "../fuzz/readers.rs"]
mod readers;
#[path = "../fuzz/seeds.rs"]
mod seeds;

use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

/// What may happen to a file.
#[derive(Debug, Clone)]
enum Damage {
	Cut(Index),
	Flip(Index, u8),
	/// A number of one to eight bytes that is much too large, or negative.
	Huge(Index, u8, bool),
	/// A piece comes again at another place.
	Again(Index, Index, u8),
	Lose(Index, u8),
	/// Text that means something to a parser.
	Word(Index, &'static str),
}

const WORDS: [&str; 12] = [
	"null",
	"-1",
	"1e999",
	"18446744073709551615",
	"4294967296",
	"[",
	"{",
	"\"",
	"{{",
	"{%",
	"\u{10ffff}",
	"0.5",
];

impl Damage {
	fn apply(&self, bytes: &mut Vec<u8>) {
		let place = |index: &Index| index.index(bytes.len().max(1));
		match self {
			Self::Cut(at) => bytes.truncate(place(at)),
			Self::Flip(at, mask) => {
				let at = place(at);
				if let Some(byte) = bytes.get_mut(at) {
					*byte ^= mask;
				}
			}
			Self::Huge(at, width, negative) => {
				let (at, fill) = (place(at), if *negative { 0xff } else { 0x7f });
				let end = bytes.len().min(at + usize::from(*width));
				if at < end {
					bytes[at..end].fill(fill);
				}
			}
			Self::Again(from, to, len) => {
				let (from, to) = (place(from), place(to));
				let end = bytes.len().min(from + usize::from(*len));
				let piece = bytes.get(from..end).unwrap_or_default().to_vec();
				let to = to.min(bytes.len());
				bytes.splice(to..to, piece);
			}
			Self::Lose(at, len) => {
				let at = place(at).min(bytes.len());
				let end = bytes.len().min(at + usize::from(*len));
				bytes.drain(at..end);
			}
			Self::Word(at, word) => {
				let at = place(at).min(bytes.len());
				bytes.splice(at..at, word.bytes());
			}
		}
	}
}

fn damage() -> impl Strategy<Value = Damage> {
	prop_oneof![
		any::<Index>().prop_map(Damage::Cut),
		(any::<Index>(), any::<u8>()).prop_map(|(at, mask)| Damage::Flip(at, mask)),
		(any::<Index>(), 1u8..9, any::<bool>())
			.prop_map(|(at, width, sign)| Damage::Huge(at, width, sign)),
		(any::<Index>(), any::<Index>(), 1u8..64)
			.prop_map(|(from, to, len)| Damage::Again(from, to, len)),
		(any::<Index>(), 1u8..64).prop_map(|(at, len)| Damage::Lose(at, len)),
		(any::<Index>(), prop::sample::select(&WORDS[..]))
			.prop_map(|(at, word)| Damage::Word(at, word)),
	]
}

/// Reads the seeds, then damaged ones; the same ones in every run.
fn check(name: &str, cases: u32) {
	let target = seeds::TARGETS.iter().find(|one| one.name == name).unwrap();
	let (reader, seeds) = (target.reader, (target.seeds)());
	for (number, seed) in seeds.iter().enumerate() {
		assert_eq!(reader(seed), Ok(()), "seed {number}");
	}
	let config = ProptestConfig {
		cases,
		failure_persistence: None,
		..ProptestConfig::default()
	};
	let random = prop::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
	let mut runner = TestRunner::new_with_rng(config, random);
	let damaged = (0..seeds.len(), prop::collection::vec(damage(), 1..5));
	runner
		.run(&damaged, |(seed, damages)| {
			let mut bytes = seeds[seed].clone();
			damages.iter().for_each(|damage| damage.apply(&mut bytes));
			// Most are refused; that is no news.
			drop(reader(&bytes));
			Ok(())
		})
		.unwrap();
}

#[test]
fn damaged_gguf_files_should_be_harmless() {
	check("gguf", 2000);
}

#[test]
fn damaged_folders_should_be_harmless() {
	check("folder", 1000);
}

#[test]
fn damaged_vocabularies_should_be_harmless() {
	check("vocabulary", 2000);
}

#[test]
fn damaged_tokenizer_files_should_be_harmless() {
	check("tokenizer", 1000);
}

#[test]
fn damaged_templates_should_be_harmless() {
	check("template", 2000);
}
