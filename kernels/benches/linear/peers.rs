//! Other projects' kernels, measured beside ours from a library that is not part of this project.
//!
//! `ARIA_PEERS` names a shared library with this C interface:
//!
//! ```c
//! int aria_peer_count(void);
//! const char *aria_peer_name(int peer);
//! /* rows * cols weights, each -1, 0 or 1, row by row. NULL when the peer can't take the shape. */
//! void *aria_peer_pack(int peer, const signed char *weights, int rows, int cols, float scale);
//! void *aria_peer_quantize(int peer, const float *x, int tokens, int cols);
//! /* out[token * rows + row] for count rows from first_row (multiples of 32), on this thread. */
//! void aria_peer_multiply(const void *matrix, const void *activations, float *out, int first_row, int count);
//! void aria_peer_free_matrix(void *);
//! void aria_peer_free_activations(void *);
//! ```

use aria_kernels::{Pool, pool::share};
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_void};

/// Rows that a thread's share is a multiple of.
const ROWS: usize = 32;

type Handle = *mut c_void;

/// The functions of the library.
pub(crate) struct Peers {
	library: Library,
}

impl Peers {
	/// `None` when `ARIA_PEERS` is not set.
	pub(crate) fn from_env() -> Option<Self> {
		let path = std::env::var_os("ARIA_PEERS")?;
		// SAFETY: whoever sets the variable vouches for the library's initialisers.
		let library = unsafe { Library::new(&path) };
		Some(Self {
			library: library.expect("ARIA_PEERS names a library that can be loaded"),
		})
	}

	/// One function of the library.
	fn function<T: Copy>(&self, name: &str) -> T {
		// SAFETY: `T` is the type that the interface above gives the function.
		let symbol = unsafe { self.library.get::<T>(name) };
		*symbol.unwrap_or_else(|error| panic!("ARIA_PEERS: {error}"))
	}

	/// Every peer that takes rows of `cols` columns.
	pub(crate) fn iter(&self, cols: usize) -> impl Iterator<Item = Peer<'_>> {
		let count: extern "C" fn() -> c_int = self.function("aria_peer_count");
		(0..count())
			.map(|peer| Peer { peers: self, peer })
			.filter(move |peer| {
				!peer
					.pack(&vec![0; ROWS * cols], cols, 1)
					.matrices
					.is_empty()
			})
	}
}

/// One peer.
pub(crate) struct Peer<'a> {
	peers: &'a Peers,
	peer: c_int,
}

/// One peer's packed weights.
pub(crate) struct Packed<'a> {
	peers: &'a Peers,
	rows: usize,
	matrices: Vec<Handle>,
}

/// One peer's quantised activations.
pub(crate) struct Activations<'a> {
	peers: &'a Peers,
	handle: Handle,
}

impl<'a> Peer<'a> {
	pub(crate) fn name(&self) -> String {
		let name: extern "C" fn(c_int) -> *const c_char = self.peers.function("aria_peer_name");
		// SAFETY: the interface returns a string that ends in zero and is never freed.
		let name = unsafe { CStr::from_ptr(name(self.peer)) };
		format!("peer-{}", name.to_string_lossy().replace([' ', '/'], "-"))
	}

	/// Copies of the weights; none if the peer can't take the shape.
	pub(crate) fn pack(&self, weights: &[i8], cols: usize, copies: usize) -> Packed<'a> {
		let pack: extern "C" fn(c_int, *const i8, c_int, c_int, f32) -> Handle =
			self.peers.function("aria_peer_pack");
		let rows = weights.len() / cols;
		let (peer, weights) = (self.peer, weights.as_ptr());
		let packed = (0..copies).map(|_| pack(peer, weights, rows as c_int, cols as c_int, 0.01));
		Packed {
			peers: self.peers,
			rows,
			matrices: packed.take_while(|matrix| !matrix.is_null()).collect(),
		}
	}

	pub(crate) fn quantize(&self, x: &[f32], tokens: usize, cols: usize) -> Activations<'a> {
		let quantize: extern "C" fn(c_int, *const f32, c_int, c_int) -> Handle =
			self.peers.function("aria_peer_quantize");
		assert_eq!(x.len(), tokens * cols);
		let handle = quantize(self.peer, x.as_ptr(), tokens as c_int, cols as c_int);
		Activations {
			peers: self.peers,
			handle,
		}
	}
}

impl Packed<'_> {
	/// All copies of the weights times the activations; `out` has room for one product.
	pub(crate) fn multiply(&self, pool: &Pool, a: &Activations<'_>, out: &mut [f32]) {
		let multiply: extern "C" fn(usize, usize, usize, c_int, c_int) =
			self.peers.function("aria_peer_multiply");
		// Addresses, which threads may share: rows of different threads do not overlap.
		let (out, a) = (out.as_mut_ptr() as usize, a.handle as usize);
		let rows = self.rows;
		for matrix in self.matrices.iter().map(|matrix| *matrix as usize) {
			let threads = pool.threads();
			pool.run(threads, |thread| {
				let rows = share(rows / ROWS, thread, threads);
				let (first, count) = (rows.start * ROWS, rows.len() * ROWS);
				multiply(matrix, a, out, first as c_int, count as c_int);
			});
		}
	}
}

impl Drop for Packed<'_> {
	fn drop(&mut self) {
		let free: extern "C" fn(Handle) = self.peers.function("aria_peer_free_matrix");
		self.matrices.drain(..).for_each(|matrix| free(matrix));
	}
}

impl Drop for Activations<'_> {
	fn drop(&mut self) {
		let free: extern "C" fn(Handle) = self.peers.function("aria_peer_free_activations");
		free(self.handle);
	}
}
