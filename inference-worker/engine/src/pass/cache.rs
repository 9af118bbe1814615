//! Keys and values of past positions, in pages that sequences may share.

use crate::model::ModelConfig;
use aria_kernels::{Halves, KV_PAGE_ROWS};
use std::sync::{
	Arc, Mutex, PoisonError,
	atomic::{AtomicUsize, Ordering},
};

/// Keys and values of [`KV_PAGE_ROWS`] positions in all layers, in half precision.
pub struct Page {
	/// Per layer the keys, then the values.
	halves: Halves,
	counts: Arc<Counts>,
}

/// What pages and their pool share.
#[derive(Default)]
struct Counts {
	/// Pages in use.
	used: AtomicUsize,
	/// Memory of pages that are not: the system would take a millisecond to make it again.
	kept: Mutex<Vec<Halves>>,
}

impl Drop for Page {
	fn drop(&mut self) {
		let halves = std::mem::replace(&mut self.halves, Halves::zeroed(0));
		let mut kept = self
			.counts
			.kept
			.lock()
			.unwrap_or_else(PoisonError::into_inner);
		kept.push(halves);
		self.counts.used.fetch_sub(1, Ordering::Relaxed);
	}
}

/// No page is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory is left for keys and values")]
pub struct OutOfPages;

/// Hands out pages up to a limit.
#[derive(Clone)]
pub struct PagePool {
	layers: usize,
	/// Elements of a row: those of all key heads.
	width: usize,
	limit: usize,
	counts: Arc<Counts>,
}

impl PagePool {
	/// A pool of at most `bytes`, but always of enough pages for one full context.
	pub fn new(config: &ModelConfig, bytes: u64) -> Self {
		let mut pool = Self {
			layers: config.layers,
			width: config.kv_width(),
			limit: 0,
			counts: Arc::default(),
		};
		let pages = usize::try_from(bytes / pool.page_bytes()).unwrap_or(usize::MAX);
		pool.limit = pages.max(config.context.div_ceil(KV_PAGE_ROWS));
		pool
	}

	/// Elements of a page.
	fn page_len(&self) -> usize {
		self.layers * 2 * KV_PAGE_ROWS * self.width
	}

	/// Bytes of a page.
	pub fn page_bytes(&self) -> u64 {
		2 * self.page_len() as u64
	}

	/// Most pages.
	pub fn limit(&self) -> usize {
		self.limit
	}

	/// Pages in use, by sequences or by the prefix cache.
	pub fn used(&self) -> usize {
		self.counts.used.load(Ordering::Relaxed)
	}

	fn take(&self) -> Result<Arc<Page>, OutOfPages> {
		if self.used() >= self.limit {
			return Err(OutOfPages);
		}
		self.counts.used.fetch_add(1, Ordering::Relaxed);
		let mut kept = self
			.counts
			.kept
			.lock()
			.unwrap_or_else(PoisonError::into_inner);
		let kept = kept.pop();
		Ok(Arc::new(Page {
			halves: kept.unwrap_or_else(|| Halves::zeroed(self.page_len())),
			counts: self.counts.clone(),
		}))
	}
}

/// Keys and values of one sequence.
pub struct KvCache {
	pool: PagePool,
	pages: Vec<Arc<Page>>,
	len: usize,
}

impl KvCache {
	/// An empty cache.
	pub fn new(pool: &PagePool) -> Self {
		Self {
			pool: pool.clone(),
			pages: Vec::new(),
			len: 0,
		}
	}

	/// Positions computed.
	pub fn len(&self) -> usize {
		self.len
	}

	/// Whether nothing was computed.
	pub fn is_empty(&self) -> bool {
		self.len == 0
	}

	/// Page `index`, if all its rows were computed.
	pub fn full_page(&self, index: usize) -> Option<&Arc<Page>> {
		self.pages
			.get(index)
			.filter(|_| (index + 1) * KV_PAGE_ROWS <= self.len)
	}

	/// Appends a full page that another sequence computed.
	///
	/// # Panics
	///
	/// If the cache does not end with a full page.
	pub fn attach(&mut self, page: Arc<Page>) {
		assert_eq!(
			self.len,
			self.pages.len() * KV_PAGE_ROWS,
			"the last page is not full"
		);
		self.pages.push(page);
		self.len += KV_PAGE_ROWS;
	}

	/// Makes room for `count` more positions.
	///
	/// # Errors
	///
	/// [`OutOfPages`]; pages taken so far stay for the next attempt.
	pub fn reserve(&mut self, count: usize) -> Result<(), OutOfPages> {
		while self.pages.len() * KV_PAGE_ROWS < self.len + count {
			self.pages.push(self.pool.take()?);
		}
		Ok(())
	}

	/// Forgets positions from `len` on; their pages go back to the pool.
	pub fn truncate(&mut self, len: usize) {
		self.len = self.len.min(len);
		self.pages.truncate(self.len.div_ceil(KV_PAGE_ROWS));
	}

	/// Counts positions whose rows were written in every layer.
	pub(super) fn advance(&mut self, count: usize) {
		self.len += count;
	}

	/// Elements of the keys or of the values of a layer in a page.
	fn part(&self) -> usize {
		KV_PAGE_ROWS * self.pool.width
	}

	/// Where the key and the value of a position belong that was reserved but not computed: a page of keys, one of
	/// values, and the row in both.
	///
	/// # Panics
	///
	/// If the position was not reserved, or its page is shared: only full pages are.
	pub(super) fn row_mut(
		&mut self,
		layer: usize,
		position: usize,
	) -> (&mut [u16], &mut [u16], usize) {
		let part = self.part();
		let page = self
			.pages
			.get_mut(position / KV_PAGE_ROWS)
			.and_then(Arc::get_mut);
		let Some(page) = page else {
			panic!("position {position} is not reserved, or its page is shared");
		};
		let layer = &mut page.halves[2 * layer * part..][..2 * part];
		let (keys, values) = layer.split_at_mut(part);
		(keys, values, position % KV_PAGE_ROWS)
	}

	/// Pages of keys and of values of a layer.
	pub(super) fn layer(&self, layer: usize) -> (Vec<&[u16]>, Vec<&[u16]>) {
		let part = self.part();
		self.pages
			.iter()
			.map(|page| page.halves[2 * layer * part..][..2 * part].split_at(part))
			.unzip()
	}
}
