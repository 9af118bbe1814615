//! Continuous batching: every pass takes a token of each answer under way, and pieces of the prompts that wait.
//!
//! No choice made here changes a bit of any answer: a token's states depend on its own sequence alone, and the sampler
//! on the position. So sequences can share passes and pages, be preempted and computed again, and be drafted ahead.

use super::{
	draft::Pace,
	request::{Claim, Prepared},
	sequence::{Sequence, Sink},
};
use crate::{
	error::EngineError,
	host::{Host, Lap},
	model::Model,
	pass::{
		cache::PagePool,
		forward::{ForwardError, Segment, Workspace},
		logits::Need,
		prefix::{self, PrefixCache},
	},
};
use aria_kernels::{Backend, KV_PAGE_ROWS};
use aria_primitives::energy::Energy;
use std::{collections::VecDeque, time::Duration};

/// Prompt tokens of a pass when no answer waits for its next token.
const PROMPT_TOKENS: usize = 256;
/// Prompt tokens of a pass beside answers, which wait that much longer for their next token.
const MIXED_TOKENS: usize = 32;
/// Time of a pass for grammars, if others wait for their next token meanwhile.
const GRAMMARS: Duration = Duration::from_millis(50);

/// Limits of a scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
	/// Bytes of keys and values, those kept for later prompts included; at least a full context's.
	pub cache_bytes: u64,
	/// Sequences that share passes.
	pub parallel: usize,
	/// Sequences that wait for a place.
	pub queue: usize,
	/// Whether prompts that begin as earlier ones use their keys and values.
	pub prefix_cache: bool,
	/// Whether tokens are drafted from what was said before.
	pub speculate: bool,
}

impl Default for Options {
	fn default() -> Self {
		Self {
			cache_bytes: 1 << 30,
			parallel: 32,
			queue: 64,
			prefix_cache: true,
			speculate: true,
		}
	}
}

/// Runs sequences on one model.
pub struct Scheduler<'a> {
	model: &'a Model,
	backend: &'a Backend,
	host: &'a dyn Host,
	options: Options,
	pool: PagePool,
	prefix: PrefixCache,
	workspace: Workspace,
	pace: Pace,
	waiting: VecDeque<Sequence>,
	running: Vec<Sequence>,
	/// Who of them is asked first whether its grammar has time.
	turn: usize,
	/// Energy of the sequences that are running.
	measured: Option<Box<dyn Lap + 'a>>,
}

impl<'a> Scheduler<'a> {
	/// A scheduler with nothing to do.
	pub fn new(
		model: &'a Model,
		backend: &'a Backend,
		host: &'a dyn Host,
		options: Options,
	) -> Self {
		Self {
			model,
			backend,
			host,
			options,
			pool: PagePool::new(model.config(), options.cache_bytes),
			prefix: PrefixCache::default(),
			workspace: Workspace::default(),
			pace: Pace::default(),
			waiting: VecDeque::new(),
			running: Vec::new(),
			turn: 0,
			measured: None,
		}
	}

	/// Whether there is nothing to do.
	pub fn is_idle(&self) -> bool {
		self.waiting.is_empty() && self.running.is_empty()
	}

	/// Sequences that wait for a place.
	pub fn waiting(&self) -> usize {
		self.waiting.len()
	}

	/// Sequences waiting or running.
	pub fn len(&self) -> usize {
		self.waiting.len() + self.running.len()
	}

	/// Whether there are no sequences.
	pub fn is_empty(&self) -> bool {
		self.is_idle()
	}

	/// Pages of keys and values in use, and how many there may be.
	pub fn pages(&self) -> (usize, usize) {
		(self.pool.used(), self.pool.limit())
	}

	/// Adds a request.
	pub fn generate(&mut self, prepared: Prepared, sink: Box<dyn Sink>) {
		let sequence = Sequence::answer(prepared, &self.pool, sink);
		self.waiting.push_back(sequence);
	}

	/// Adds a re-execution.
	pub fn recheck(&mut self, claim: Claim, sink: Box<dyn Sink>) {
		let sequence = Sequence::recheck(claim, &self.pool, sink);
		self.waiting.push_back(sequence);
	}

	/// Ends all answers with the tokens that they have.
	pub fn cancel(&mut self) {
		self.attribute();
		for mut sequence in self.waiting.drain(..).chain(self.running.drain(..)) {
			sequence.cancel();
			sequence.finish(self.model, self.host);
		}
	}

	/// One pass; how many tokens it took. Does nothing when idle.
	pub fn step(&mut self) -> usize {
		self.drop_closed();
		self.admit();
		if self.running.is_empty() {
			self.measured = None;
			return 0;
		}
		let host = self.host;
		self.measured.get_or_insert_with(|| host.measure());
		let plan = self.plan();
		let tokens = plan.iter().map(|(fed, _)| fed.len()).sum();
		if tokens == 0 {
			return 0;
		}
		let alone = match &self.running[..] {
			[sequence] => sequence.is_decoding(),
			_ => false,
		};
		let started = self.host.elapsed();
		match self.pass(&plan) {
			Ok(()) => {}
			Err(ForwardError::Cancelled) => return 0,
			Err(ForwardError::NotFinite { segment, .. }) => {
				let index = plan
					.iter()
					.enumerate()
					.filter(|(_, (fed, _))| !fed.is_empty());
				if let Some((index, _)) = index.clone().nth(segment) {
					self.running.remove(index).fail(EngineError::NotFinite);
				}
				return 0;
			}
		}
		if let [(fed, _)] = &plan[..]
			&& alone
		{
			let took = self.host.elapsed().saturating_sub(started);
			self.pace.observe(fed.len(), took);
		}
		self.settle(&plan);
		tokens
	}

	/// Ends sequences that nobody waits for.
	fn drop_closed(&mut self) {
		for index in (0..self.waiting.len()).rev() {
			if self.waiting[index].sink.is_closed()
				&& let Some(mut sequence) = self.waiting.remove(index)
			{
				sequence.cancel();
				sequence.finish(self.model, self.host);
			}
		}
		if self
			.running
			.iter()
			.any(|sequence| sequence.sink.is_closed())
		{
			self.attribute();
		}
		for index in (0..self.running.len()).rev() {
			if self.running[index].sink.is_closed() {
				let mut sequence = self.running.remove(index);
				sequence.cancel();
				sequence.finish(self.model, self.host);
			}
		}
	}

	/// Admits waiting sequences: clients with the fewest running first, then oldest first.
	fn admit(&mut self) {
		while self.running.len() < self.options.parallel.max(1) {
			let running = |client| {
				self.running
					.iter()
					.filter(|sequence| sequence.client() == client)
					.count()
			};
			let next = (0..self.waiting.len())
				.min_by_key(|index| (running(self.waiting[*index].client()), *index));
			let Some(next) = next.filter(|index| self.has_room(&self.waiting[*index])) else {
				return;
			};
			let Some(mut sequence) = self.waiting.remove(next) else {
				return;
			};
			self.attribute();
			sequence.start(self.host);
			if self.options.prefix_cache && sequence.cache.is_empty() {
				for (name, page, roots) in self.prefix.find(sequence.reusable()) {
					sequence.cache.attach(page);
					sequence.trace.extend(&roots);
					sequence.named = (name, sequence.named.1 + 1);
				}
				sequence.cached_tokens = sequence.cache.len() as u32;
			}
			self.running.push(sequence);
		}
	}

	/// Whether there are pages for all that is known of a sequence. Alone it always fits.
	fn has_room(&self, sequence: &Sequence) -> bool {
		let needed = sequence.tokens().len() / KV_PAGE_ROWS + 1;
		let free = self.pool.limit().saturating_sub(self.pool.used()) + self.prefix.unused();
		self.running.is_empty() || needed <= free
	}

	/// Divides the time for grammars: those that take long take turns.
	fn share_grammars(&mut self) {
		let count = self.running.len();
		let mut left = GRAMMARS;
		self.turn = self.turn.wrapping_add(1);
		for place in 0..count {
			let sequence = &mut self.running[(self.turn + place) % count];
			let each = sequence.grammar_time();
			sequence.choices = usize::MAX;
			if count > 1 && !each.is_zero() {
				let most = (left.as_nanos() / each.as_nanos()) as usize;
				// Whoever is first goes on, however long that takes.
				let most = most.max(usize::from(left == GRAMMARS));
				sequence.choices = most;
				let used = most.min(sequence.pending().min(MIXED_TOKENS));
				left = left.saturating_sub(each * used as u32);
			}
		}
	}

	/// What each running sequence feeds, and from which token on it wants states; pages are reserved.
	fn plan(&mut self) -> Vec<(Vec<u32>, usize)> {
		self.share_grammars();
		let decoding = self
			.running
			.iter()
			.filter(|sequence| sequence.is_decoding())
			.count();
		let mut prompts = self.running.len() - decoding;
		let mut left = if decoding > 0 {
			MIXED_TOKENS
		} else {
			PROMPT_TOKENS
		};
		// Several tokens of several answers are bound by arithmetic: drafts would not be free.
		let alone = self.running.len() == 1 && self.options.speculate;
		let mut plan = Vec::new();
		let mut index = 0;
		while index < self.running.len() {
			let sequence = &mut self.running[index];
			let limit = if sequence.is_decoding() {
				1
			} else {
				let share = left.div_ceil(prompts.max(1));
				prompts -= 1;
				share
			};
			let pace = alone.then_some(&self.pace);
			let (fed, states_from) = sequence.feed(limit, pace);
			if !sequence.is_decoding() {
				left -= fed.len().min(left);
			}
			plan.push((fed, states_from));
			if !self.reserve(index, plan[index].0.len()) {
				// No room: it is preempted, and computed again later.
				let mut sequence = self.running.remove(index);
				plan.remove(index);
				sequence.preempt();
				self.waiting.push_front(sequence);
				continue;
			}
			index += 1;
		}
		plan
	}

	/// Makes room for a sequence's tokens: evicts pages that nobody uses, then preempts younger sequences.
	fn reserve(&mut self, index: usize, count: usize) -> bool {
		loop {
			if self.running[index].cache.reserve(count).is_ok() {
				return true;
			}
			if self.prefix.evict() {
				continue;
			}
			if self.running.len() == index + 1 {
				return false;
			}
			if let Some(mut youngest) = self.running.pop() {
				youngest.preempt();
				self.waiting.push_front(youngest);
			}
		}
	}

	/// Feeds what was planned and makes the choices.
	fn pass(&mut self, plan: &[(Vec<u32>, usize)]) -> Result<(), ForwardError> {
		let mut segments = Vec::new();
		let mut sinks = Vec::new();
		for (sequence, (fed, states_from)) in self.running.iter_mut().zip(plan) {
			let Sequence {
				cache, trace, sink, ..
			} = sequence;
			sinks.push(&*sink);
			if !fed.is_empty() {
				segments.push(Segment {
					tokens: fed,
					cache,
					trace,
					states_from: *states_from,
				});
			}
		}
		let cancelled = || sinks.iter().all(|sink| sink.is_closed());
		let workspace = &mut self.workspace;
		self.model
			.weights
			.forward(self.backend, workspace, &mut segments, &cancelled)?;
		// For each row of states, its sequence and token index.
		let mut rows: Vec<(usize, usize)> = Vec::new();
		let mut needs: Vec<Need> = Vec::new();
		for (index, (fed, states_from)) in plan.iter().enumerate() {
			rows.extend((*states_from..fed.len()).map(|token| (index, token)));
			needs.resize(rows.len(), self.running[index].need());
		}
		let running = &mut self.running;
		let result = self.model.weights.logits(
			self.backend,
			self.workspace.states(),
			&needs,
			|row, logits| {
				let (index, token) = rows[row];
				running[index].choose(self.model, self.host, token, logits);
			},
		);
		if let Err(error) = result {
			// The states were finite: the head is damaged, and fails for everyone.
			for sequence in self.running.drain(..) {
				sequence.fail(error.clone());
			}
		}
		Ok(())
	}

	/// Keeps full pages, and finishes sequences that are complete.
	fn settle(&mut self, plan: &[(Vec<u32>, usize)]) {
		let cost = self.model.operations();
		for (sequence, (fed, states_from)) in self.running.iter_mut().zip(plan) {
			let chosen = (fed.len() - states_from) as u64;
			sequence.operations += cost.position * fed.len() as u64 + cost.head * chosen;
			sequence.settle();
			if self.options.prefix_cache && sequence.shares_pages() {
				name_pages(&mut self.prefix, sequence);
			}
		}
		if self.running.iter().any(Sequence::is_complete) {
			self.attribute();
		}
		let (complete, running) = std::mem::take(&mut self.running)
			.into_iter()
			.partition(Sequence::is_complete);
		self.running = running;
		for sequence in complete {
			sequence.finish(self.model, self.host);
		}
		if self.running.is_empty() {
			self.measured = None;
		}
	}

	/// Divides the energy since the last time among the running sequences, by their operations.
	fn attribute(&mut self) {
		let total: u64 = self
			.running
			.iter()
			.map(|sequence| sequence.operations)
			.sum();
		let Some(measured) = self.measured.as_mut().filter(|_| total > 0) else {
			return;
		};
		let energy = measured.energy();
		for sequence in &mut self.running {
			let part = u128::from(energy.microjoules) * u128::from(sequence.operations);
			sequence.operations = 0;
			let so_far = sequence.energy;
			sequence.energy = Energy {
				microjoules: so_far.microjoules + (part / u128::from(total)) as u64,
				// A sum has the grade of its weakest part: a battery may have been charged meanwhile.
				grade: if so_far.microjoules == 0 {
					energy.grade
				} else {
					so_far.grade.min(energy.grade)
				},
			};
		}
	}
}

/// Makes the full pages of a sequence known to later ones.
fn name_pages(cache: &mut PrefixCache, sequence: &mut Sequence) {
	let (mut name, mut count) = sequence.named;
	while let Some(page) = sequence.cache.full_page(count) {
		let range = count * KV_PAGE_ROWS..(count + 1) * KV_PAGE_ROWS;
		name = prefix::key(&name, &sequence.tokens()[range.clone()]);
		cache.insert(name, page, &sequence.trace.positions()[range], count);
		count += 1;
	}
	sequence.named = (name, count);
}
