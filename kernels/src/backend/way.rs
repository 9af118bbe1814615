//! Which way a linear layer is multiplied: the one place that chooses, from what is known before the first product.
//!
//! Every way gives the same bits, so that this is about speed alone. `docs/benchmarks/` has the measurements behind the
//! numbers. A test below holds the whole table as text and prints it:
//! `cargo test --release -p aria-kernels --lib way -- --nocapture`.

use super::Backend;
use crate::{Isa, ternary::Packing};
use std::ops::RangeInclusive;

/// The most tokens that look up dense weights one after the other: unpacking for all takes longer than they do.
const DENSE_TOKENS: usize = 7;
/// The same for two-bit weights, and where masks and dot products take a register of 64 bytes.
const TWO_BIT_TOKENS: usize = 3;
const TWO_BIT_TOKENS_512: usize = 6;
/// The same for five weights in a byte, two tokens at a time; more are faster by [`Way::FivesTables`].
const FIVES_TOKENS: usize = 13;

/// From how many tokens on tables pay with AVX2: three quarters of their lanes.
const TABLES_TOKENS: usize = 12;
/// From how many panels of a thread on: filling tables costs as much as multiplying two.
const TABLES_PANELS: usize = 4;

/// Tokens that look up five weights in a byte together: for fewer, lanes of the tables are idle; for more, unpacking pays.
pub(super) const FIVES_TABLES_TOKENS: RangeInclusive<usize> = 14..=16;
/// From how many panels of a thread on tables pay.
const FIVES_TABLES_PANELS: usize = 8;

/// From how many tokens on lookups pay beside dot products: fewer unpack weights for too little.
pub(super) const MIXED_TOKENS: usize = 8;
/// From how many panels of a thread on: fewer use tables too little.
const MIXED_PANELS: usize = 4;

/// A way to multiply a thread's panels of weights by all tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
	/// Token after token while a panel is in a cache: `linear.rs`.
	EachToken,
	/// Token after token, two at a time, by looking up five weights by their byte: `fives.rs`.
	EachFives,
	/// Weights are unpacked, and sixteen tokens together look up sums of columns: `lookup.rs`.
	Tables,
	/// Sixteen tokens together look up sums of columns by weights that stay packed: `fives_many.rs`.
	FivesTables,
	/// Weights are unpacked; some tokens look up, the others use dot products: `mixed.rs`.
	Mixed,
	/// Weights with a scale for each block of columns: `blocks.rs`.
	Blocks,
	/// Weights are unpacked and multiplied by all tokens: `linear.rs`.
	Unpacked,
}

impl Way {
	/// The fewest panels for which dividing the work further pays: ways that fill tables use them for all panels of a
	/// part.
	pub(super) fn grain(self) -> usize {
		match self {
			Self::EachFives | Self::Tables | Self::Mixed => 16,
			// Filling tables costs as much as some panels.
			Self::FivesTables => 48,
			Self::EachToken | Self::Blocks | Self::Unpacked => 1,
		}
	}
}

/// The fastest way to multiply `panels` panels, of the same packing and kind of scales, by `tokens` tokens.
///
/// `lookups_pay` says whether this CPU is faster with lookups beside dot products; it is asked only where that matters,
/// since the first answer takes a measurement.
fn way(
	isa: Isa,
	packing: Packing,
	tokens: usize,
	panels: usize,
	one_scale: bool,
	lookups_pay: fn() -> bool,
) -> Way {
	if !one_scale {
		return Way::Blocks;
	}
	match (packing, isa) {
		(Packing::TwoBit, Isa::Avx512 | Isa::Avx512Vbmi) if tokens <= TWO_BIT_TOKENS_512 => {
			return Way::EachToken;
		}
		(Packing::TwoBit, _) if tokens <= TWO_BIT_TOKENS => return Way::EachToken,
		(Packing::Dense, _) if tokens <= DENSE_TOKENS => return Way::EachToken,
		(Packing::Fives, Isa::Avx512Vbmi) if tokens <= FIVES_TOKENS => return Way::EachFives,
		(Packing::Fives, _) if tokens == 1 => return Way::EachFives,
		_ => {}
	}
	match isa {
		Isa::Avx2 if tokens >= TABLES_TOKENS && panels >= TABLES_PANELS => Way::Tables,
		Isa::Avx512Vbmi
			if packing == Packing::Fives
				&& FIVES_TABLES_TOKENS.contains(&tokens)
				&& panels >= FIVES_TABLES_PANELS =>
		{
			Way::FivesTables
		}
		Isa::Avx512 | Isa::Avx512Vbmi
			if tokens >= MIXED_TOKENS && panels >= MIXED_PANELS && lookups_pay() =>
		{
			Way::Mixed
		}
		_ => Way::Unpacked,
	}
}

impl Backend {
	/// See [`way`], for this CPU.
	pub(super) fn way(
		&self,
		packing: Packing,
		tokens: usize,
		panels: usize,
		one_scale: bool,
	) -> Way {
		#[cfg(target_arch = "x86_64")]
		let lookups_pay = super::mixed::lookups_pay;
		#[cfg(not(target_arch = "x86_64"))]
		let lookups_pay = || false;
		way(self.isa(), packing, tokens, panels, one_scale, lookups_pay)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::fmt::Write;

	const TABLE: &str = "\
scalar avxvnni neon dotprod i8mm
  two-bit                  1-3 tokens   1- panels  EachToken
  two-bit                   4- tokens   1- panels  Unpacked
  two-bit, block scales     1- tokens   1- panels  Blocks
  dense                    1-7 tokens   1- panels  EachToken
  dense                     8- tokens   1- panels  Unpacked
  fives                      1 tokens   1- panels  EachFives (parts of 16 panels)
  fives                     2- tokens   1- panels  Unpacked
avx2
  two-bit                  1-3 tokens   1- panels  EachToken
  two-bit                 4-11 tokens   1- panels  Unpacked
  two-bit                  12- tokens  1-3 panels  Unpacked
  two-bit                  12- tokens   4- panels  Tables (parts of 16 panels)
  two-bit, block scales     1- tokens   1- panels  Blocks
  dense                    1-7 tokens   1- panels  EachToken
  dense                   8-11 tokens   1- panels  Unpacked
  dense                    12- tokens  1-3 panels  Unpacked
  dense                    12- tokens   4- panels  Tables (parts of 16 panels)
  fives                      1 tokens   1- panels  EachFives (parts of 16 panels)
  fives                   2-11 tokens   1- panels  Unpacked
  fives                    12- tokens  1-3 panels  Unpacked
  fives                    12- tokens   4- panels  Tables (parts of 16 panels)
avx512
  two-bit                  1-6 tokens   1- panels  EachToken
  two-bit                    7 tokens   1- panels  Unpacked
  two-bit                   8- tokens  1-3 panels  Unpacked
  two-bit                   8- tokens   4- panels  Mixed (parts of 16 panels) where lookups pay, else Unpacked
  two-bit, block scales     1- tokens   1- panels  Blocks
  dense                    1-7 tokens   1- panels  EachToken
  dense                     8- tokens  1-3 panels  Unpacked
  dense                     8- tokens   4- panels  Mixed (parts of 16 panels) where lookups pay, else Unpacked
  fives                      1 tokens   1- panels  EachFives (parts of 16 panels)
  fives                    2-7 tokens   1- panels  Unpacked
  fives                     8- tokens  1-3 panels  Unpacked
  fives                     8- tokens   4- panels  Mixed (parts of 16 panels) where lookups pay, else Unpacked
avx512vbmi
  two-bit                  1-6 tokens   1- panels  EachToken
  two-bit                    7 tokens   1- panels  Unpacked
  two-bit                   8- tokens  1-3 panels  Unpacked
  two-bit                   8- tokens   4- panels  Mixed (parts of 16 panels) where lookups pay, else Unpacked
  two-bit, block scales     1- tokens   1- panels  Blocks
  dense                    1-7 tokens   1- panels  EachToken
  dense                     8- tokens  1-3 panels  Unpacked
  dense                     8- tokens   4- panels  Mixed (parts of 16 panels) where lookups pay, else Unpacked
  fives                   1-13 tokens   1- panels  EachFives (parts of 16 panels)
  fives                  14-16 tokens  1-3 panels  Unpacked
  fives                  14-16 tokens  4-7 panels  Mixed (parts of 16 panels) where lookups pay, else Unpacked
  fives                  14-16 tokens   8- panels  FivesTables (parts of 48 panels)
  fives                    17- tokens  1-3 panels  Unpacked
  fives                    17- tokens   4- panels  Mixed (parts of 16 panels) where lookups pay, else Unpacked
";

	/// Every number up to where all thresholds are passed, and the largest.
	fn numbers() -> impl Iterator<Item = usize> + Clone {
		(1..=64).chain([usize::MAX])
	}

	/// What is chosen, on CPUs of both kinds.
	fn choice(isa: Isa, packing: Packing, tokens: usize, panels: usize, one_scale: bool) -> String {
		let way = |lookups_pay| way(isa, packing, tokens, panels, one_scale, lookups_pay);
		let name = |way: Way| match way.grain() {
			1 => format!("{way:?}"),
			grain => format!("{way:?} (parts of {grain} panels)"),
		};
		let (slow, fast) = (way(|| false), way(|| true));
		if slow == fast {
			name(slow)
		} else {
			format!("{} where lookups pay, else {}", name(fast), name(slow))
		}
	}

	/// Numbers for which `f` gives the same, as `first-last` or `first-`.
	fn runs<T: PartialEq>(f: impl Fn(usize) -> T) -> Vec<(String, T)> {
		let mut runs: Vec<(usize, usize, T)> = Vec::new();
		for number in numbers() {
			let value = f(number);
			match runs.last_mut() {
				Some((_, last, same)) if *same == value => *last = number,
				_ => runs.push((number, number, value)),
			}
		}
		let text = |(first, last, value)| {
			let text = match last {
				usize::MAX => format!("{first}-"),
				_ if first == last => format!("{first}"),
				_ => format!("{first}-{last}"),
			};
			(text, value)
		};
		runs.into_iter().map(text).collect()
	}

	/// The choices of an instruction set, a line for each.
	fn lines(isa: Isa) -> String {
		let mut lines = String::new();
		for (packing, one_scale) in [
			(Packing::TwoBit, true),
			(Packing::TwoBit, false),
			(Packing::Dense, true),
			(Packing::Fives, true),
		] {
			let scales = if one_scale { "" } else { ", block scales" };
			let of_tokens = |tokens| runs(|panels| choice(isa, packing, tokens, panels, one_scale));
			for (tokens, of_panels) in runs(of_tokens) {
				for (panels, choice) in of_panels {
					writeln!(
						lines,
						"  {:22} {tokens:>5} tokens {panels:>4} panels  {choice}",
						format!("{packing}{scales}"),
					)
					.expect("a string takes all");
				}
			}
		}
		lines
	}

	/// Instruction sets that choose alike stand together.
	fn table() -> String {
		let mut table: Vec<(String, String)> = Vec::new();
		for isa in Isa::ALL {
			let lines = lines(isa);
			match table.iter_mut().find(|(_, same)| *same == lines) {
				Some((names, _)) => write!(names, " {isa}").expect("a string takes all"),
				None => table.push((isa.to_string(), lines)),
			}
		}
		let sets = table
			.iter()
			.map(|(names, lines)| format!("{names}\n{lines}"));
		sets.collect()
	}

	#[test]
	fn ways_are_those_of_the_table() {
		let table = table();
		println!("{table}");
		assert_eq!(table, TABLE);
	}
}
