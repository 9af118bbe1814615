//! What every fuzz target begins with, and what it runs.

mod readers;
mod seeds;

use seeds::Target;
use std::path::Path;

fn target(name: &str) -> Target {
	let mut targets = seeds::TARGETS.into_iter();
	targets.find(|target| target.name == name).expect("a target of this crate; qed")
}

/// Puts a target's seeds into its corpus. Panics are fatal from here on, but for those that the worker expects of a
/// library and catches.
pub fn begin(name: &str) {
	let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
	std::fs::create_dir_all(&corpus).expect("the corpus can be written");
	for (number, seed) in (target(name).seeds)().iter().enumerate() {
		let path = corpus.join(format!("seed-{number}"));
		std::fs::write(path, seed).expect("the corpus can be written");
	}
	let fatal = std::panic::take_hook();
	std::panic::set_hook(Box::new(move |info| {
		let file = info.location().map_or("", |location| location.file());
		if !file.contains("/tokenizers-") && !file.contains("/onig") {
			fatal(info);
		}
	}));
}

/// Runs a target's reader.
pub fn read(name: &str, bytes: &[u8]) {
	// Most are refused; that is no news.
	drop((target(name).reader)(bytes));
}
