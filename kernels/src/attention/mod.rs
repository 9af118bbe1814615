//! Attention over tiles of the cache: one source for every instruction set.
//!
//! [`scalar::attention_head`](crate::scalar::attention_head) waits for one chain of additions per
//! key. Here some queries meet some keys at once, so that as many chains are under way as additions
//! take cycles; every chain is the specification's. Rows of a tile are widened once, into the
//! first-level cache, for all queries that share them; a few queries take them as they are.
//!
//! Rows are padded with zeros to whole groups of sixteen elements. That changes no bit: lanes start
//! at +0.0, sums that start there are never -0.0, and x + 0.0 is x for every other x.

use crate::scalar::LANES;

pub(crate) mod portable;

/// Cached rows that are widened together.
pub(crate) const TILE_ROWS: usize = 16;
/// How far ahead of its use a row is prefetched: whole tiles.
pub(crate) const PREFETCH_ROWS: usize = 80;

/// Some consecutive rows of the cache, of one head or a part of it, in one page.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
	/// Half-precision bits, from the first row's first element on.
	pub(crate) halves: &'a [u16],
	/// Elements from one row to the next.
	pub(crate) stride: usize,
	/// Elements of a row.
	pub(crate) width: usize,
	/// Rows, 1 to [`TILE_ROWS`].
	pub(crate) rows: usize,
	/// Elements from the first row to the one that is read [`PREFETCH_ROWS`] later, in this page or in
	/// another; 0 when there is none.
	pub(crate) ahead: isize,
}

/// The lanes of eight sums.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Lanes(pub(crate) [[f32; LANES]; 8]);

/// Defines the kernels of a level with the given attributes.
///
/// `vector` in the invoking module has `LANES`, a divisor of 16, and for registers of as many floats
/// `zero`, `splat`, `load`, `half` (from half precision), `store`, `add` and `mul`; and `widen`, `prefetch` and `reduce`.
macro_rules! attention_kernels {
	($(#[$attribute:meta])*) => {
		use core::ops::Range;
		use $crate::{
			attention::{Lanes, TILE_ROWS, Tile},
			scalar,
		};

		/// Pairs of a query and a key under way at once: eight sums, the keys, a query and a product
		/// fit sixteen registers, and eight chains cover the latency of an addition.
		const PAIRS: usize = 8;

		/// Scores of some queries with the keys of a tile: `scores[query * TILE_ROWS + key]`.
		///
		/// `q` has whole rows of `width` padded to a multiple of 16. Scores after the tile's last row
		/// are without meaning. `wide` is scratch of [`TILE_ROWS`] padded rows.
		$(#[$attribute])*
		pub(crate) fn attention_scores(
			q: &[f32],
			keys: Tile<'_>,
			scale: f32,
			wide: &mut [f32],
			scores: &mut [f32],
		) {
			let padded = keys.width.next_multiple_of(scalar::LANES);
			if padded == keys.width {
				let tile = (keys, true);
				match q.len() / padded {
					1 => return dots::<1, 8, true>(q, wide, padded, scale, tile, scores),
					2 => return dots::<2, 4, true>(q, wide, padded, scale, tile, scores),
					3 => return dots::<3, 2, true>(q, wide, padded, scale, tile, scores),
					4 => return dots::<4, 2, true>(q, wide, padded, scale, tile, scores),
					_ => {}
				}
			}
			widen(keys, padded, wide);
			let (mut q, mut scores, mut first) = (q, scores, true);
			while !q.is_empty() {
				let taken = (q.len() / padded).min(4);
				let (q_now, q_rest) = q.split_at(taken * padded);
				let (scores_now, scores_rest) = scores.split_at_mut(taken * TILE_ROWS);
				match taken {
					1 => dots::<1, 8, false>(q_now, wide, padded, scale, (keys, first), scores_now),
					2 => dots::<2, 4, false>(q_now, wide, padded, scale, (keys, first), scores_now),
					3 => dots::<3, 2, false>(q_now, wide, padded, scale, (keys, first), scores_now),
					_ => dots::<4, 2, false>(q_now, wide, padded, scale, (keys, first), scores_now),
				}
				(q, scores, first) = (q_rest, scores_rest, false);
			}
		}

		/// `out += p v` for the rows of a tile in ascending order.
		///
		/// `p` has `stride` elements for each row of `out`, those of this tile first; rows of `out` are
		/// padded as in [`attention_scores`].
		$(#[$attribute])*
		pub(crate) fn attention_mix(
			p: &[f32],
			stride: usize,
			values: Tile<'_>,
			wide: &mut [f32],
			out: &mut [f32],
		) {
			let padded = values.width.next_multiple_of(scalar::LANES);
			if padded == values.width {
				let tile = (values, true);
				match out.len() / padded {
					1 => return mix::<1, 8, true>(p, stride, wide, padded, tile, out),
					2 => return mix::<2, 4, true>(p, stride, wide, padded, tile, out),
					3 => return mix::<3, 2, true>(p, stride, wide, padded, tile, out),
					4 => return mix::<4, 2, true>(p, stride, wide, padded, tile, out),
					_ => {}
				}
			}
			widen(values, padded, wide);
			let (mut p, mut out, mut first) = (p, out, true);
			while !out.is_empty() {
				let taken = (out.len() / padded).min(4);
				let (now, rest) = out.split_at_mut(taken * padded);
				match taken {
					1 => mix::<1, 8, false>(p, stride, wide, padded, (values, first), now),
					2 => mix::<2, 4, false>(p, stride, wide, padded, (values, first), now),
					3 => mix::<3, 2, false>(p, stride, wide, padded, (values, first), now),
					_ => mix::<4, 2, false>(p, stride, wide, padded, (values, first), now),
				}
				(p, out, first) = (p.get(taken * stride..).unwrap_or_default(), rest, false);
			}
		}

		/// Prefetches `rows` of the tile that comes soon; they need not exist.
		///
		/// Calls are spread over the arithmetic of a tile, because the CPU has room for few requests at a time.
		$(#[$attribute])*
		fn prefetch(tile: Tile<'_>, rows: Range<usize>) {
			for row in rows {
				let start = tile.ahead.wrapping_add_unsigned(row * tile.stride);
				vector::prefetch(tile.halves.as_ptr().wrapping_offset(start), tile.width);
			}
		}

		/// Whether the tile has all its rows, of `padded` elements each.
		fn whole_rows(tile: Tile<'_>, padded: usize) -> bool {
			tile.rows > 0 && tile.halves.len() >= (tile.rows - 1) * tile.stride + padded
		}

		/// Widens the rows of a tile, padded with zeros.
		$(#[$attribute])*
		fn widen(tile: Tile<'_>, padded: usize, wide: &mut [f32]) {
			for (row, wide) in wide.chunks_exact_mut(padded).take(tile.rows).enumerate() {
				let start = row * tile.stride;
				let halves = &tile.halves[start..][..tile.width];
				let (halves, halves_tail) = halves.as_chunks();
				let (wide, _) = wide.as_chunks_mut();
				for (halves, wide) in halves.iter().zip(&mut *wide) {
					vector::widen(halves, wide);
				}
				if !halves_tail.is_empty() {
					let mut halves = [0; scalar::LANES];
					halves[..halves_tail.len()].copy_from_slice(halves_tail);
					vector::widen(&halves, &mut wide[wide.len() - 1]);
				}
			}
		}

		/// `Q` queries with `K` keys at a time, from the cache if `DIRECT` and else from `wide`; prefetches later
		/// keys if `ahead`.
		$(#[$attribute])*
		fn dots<const Q: usize, const K: usize, const DIRECT: bool>(
			q: &[f32],
			wide: &[f32],
			padded: usize,
			scale: f32,
			(keys, ahead): (Tile<'_>, bool),
			scores: &mut [f32],
		) {
			const { assert!(Q * K <= PAIRS && TILE_ROWS % K == 0) };
			assert!(q.len() == Q * padded && wide.len() >= TILE_ROWS * padded);
			assert!(padded % scalar::LANES == 0 && keys.rows <= TILE_ROWS);
			assert!(!DIRECT || whole_rows(keys, padded));
			let mut lanes = Lanes::default();
			for first in (0..keys.rows).step_by(K) {
				if ahead {
					prefetch(keys, first..first + K);
				}
				for part in (0..scalar::LANES).step_by(vector::LANES) {
					let mut sums = [[vector::zero(); K]; Q];
					for column in (part..padded).step_by(scalar::LANES) {
						let mut wide_keys = [vector::zero(); K];
						for (k, key) in wide_keys.iter_mut().enumerate() {
							*key = if DIRECT {
								// After the last row, that row again.
								let row = (first + k).min(keys.rows - 1);
								// SAFETY: `column + LANES <= padded`, and all rows of the tile are whole.
								unsafe { vector::half(keys.halves.as_ptr().add(row * keys.stride + column)) }
							} else {
								let start = (first + k) * padded + column;
								// SAFETY: as above; `first + k < TILE_ROWS`, the rows of `wide`.
								unsafe { vector::load(wide.as_ptr().add(start)) }
							};
						}
						for (i, sums) in sums.iter_mut().enumerate() {
							// SAFETY: as above; `q` has `Q` rows of `padded` elements.
							let query = unsafe { vector::load(q.as_ptr().add(i * padded + column)) };
							for (sum, key) in sums.iter_mut().zip(wide_keys) {
								*sum = vector::add(*sum, vector::mul(query, key));
							}
						}
					}
					for (pair, sum) in sums.iter().flatten().enumerate() {
						// SAFETY: `part + LANES <= 16`, the length of one's lanes.
						unsafe { vector::store(lanes.0[pair].as_mut_ptr().add(part), *sum) };
					}
					// In memory: the compiler would keep them in the registers that the next part needs.
					core::hint::black_box(&mut lanes);
				}
				let dots = vector::reduce(&lanes.0);
				for (dots, scores) in dots.chunks_exact(K).zip(scores.chunks_exact_mut(TILE_ROWS)) {
					for (score, dot) in scores[first..][..K].iter_mut().zip(dots) {
						*score = dot * scale;
					}
				}
			}
		}

		/// `Q` rows of outputs, `C` registers of columns at a time, of values as [`dots`] takes keys; prefetches
		/// later values if `ahead`.
		$(#[$attribute])*
		fn mix<const Q: usize, const C: usize, const DIRECT: bool>(
			p: &[f32],
			stride: usize,
			wide: &[f32],
			padded: usize,
			(values, ahead): (Tile<'_>, bool),
			out: &mut [f32],
		) {
			let mut column = 0;
			while column < padded {
				let now = column;
				if padded - column >= C * vector::LANES {
					mix_columns::<Q, C, DIRECT>(p, stride, wide, padded, values, now, out);
					column += C * vector::LANES;
				} else {
					mix_columns::<Q, 1, DIRECT>(p, stride, wide, padded, values, now, out);
					column += vector::LANES;
				}
				if ahead {
					// The share of the rows that these columns are of all.
					prefetch(values, now * values.rows / padded..column * values.rows / padded);
				}
			}
		}

		$(#[$attribute])*
		fn mix_columns<const Q: usize, const C: usize, const DIRECT: bool>(
			p: &[f32],
			stride: usize,
			wide: &[f32],
			padded: usize,
			tile: Tile<'_>,
			column: usize,
			out: &mut [f32],
		) {
			let rows = tile.rows;
			assert!(column + C * vector::LANES <= padded && out.len() == Q * padded);
			assert!(p.len() >= (Q - 1) * stride + rows);
			assert!(if DIRECT { whole_rows(tile, padded) } else { wide.len() >= rows * padded });
			let mut sums = [[vector::zero(); C]; Q];
			for (q, sums) in sums.iter_mut().enumerate() {
				for (c, sum) in sums.iter_mut().enumerate() {
					let start = q * padded + column + c * vector::LANES;
					// SAFETY: `column + C LANES <= padded`, and `out` has `Q` rows of `padded` elements.
					*sum = unsafe { vector::load(out.as_ptr().add(start)) };
				}
			}
			for row in 0..rows {
				let mut values = [vector::zero(); C];
				for (c, value) in values.iter_mut().enumerate() {
					let column = column + c * vector::LANES;
					// SAFETY: as above; the tile and `wide` have `rows` rows of `padded` elements.
					*value = unsafe {
						if DIRECT {
							vector::half(tile.halves.as_ptr().add(row * tile.stride + column))
						} else {
							vector::load(wide.as_ptr().add(row * padded + column))
						}
					};
				}
				for (q, sums) in sums.iter_mut().enumerate() {
					// SAFETY: `p` has at least `(Q - 1) stride + rows` elements.
					let p = vector::splat(unsafe { *p.get_unchecked(q * stride + row) });
					for (sum, value) in sums.iter_mut().zip(values) {
						*sum = vector::add(*sum, vector::mul(p, value));
					}
				}
			}
			for (q, sums) in sums.iter().enumerate() {
				for (c, sum) in sums.iter().enumerate() {
					let start = q * padded + column + c * vector::LANES;
					// SAFETY: as for the loads.
					unsafe { vector::store(out.as_mut_ptr().add(start), *sum) };
				}
			}
		}
	};
}
pub(crate) use attention_kernels;
