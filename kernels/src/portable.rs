//! The kernels of [`Isa::Scalar`](crate::Isa): the specification, called row by row.

use crate::{
	head, math,
	ternary::{
		codes::Step,
		dense::{self, Group, Table},
		fives,
		two_bit::BLOCK_ROWS,
	},
};

/// Defines the kernels whose source is the same for every level, compiled with the given attributes.
///
/// One source gives equal bits; its sixteen lanes give wide registers.
macro_rules! shared_kernels {
	($(#[$attribute:meta])*) => {
		use $crate::{
			RopePairing, RopeTable, scalar,
			ternary::{PANEL_ROWS, Panel, codes::Codes, two_bit, unpack},
		};

		$(#[$attribute])*
		pub(crate) fn unpack(panel: Panel<'_>, cols: usize, block: usize, codes: &mut Codes) -> usize {
			unpack::unpack(panel, cols, block, codes)
		}

		$(#[$attribute])*
		pub(crate) fn unpack_two_bit(
			blocks: &[two_bit::Block],
			per_run: usize,
			columns: core::ops::Range<usize>,
			codes: &mut Codes,
		) -> usize {
			unpack::unpack_two_bit(blocks, per_run, columns, codes)
		}

		/// Adds the outputs of blocks of columns to those of sixteen rows, for one token.
		///
		/// `run` has the rows' weights, `q` the token's values; for each block of columns, `sums` and
		/// `inv` have their sum and factor, `scales` the rows' scales.
		$(#[$attribute])*
		pub(crate) fn two_bit_blocks_dots(
			run: &[two_bit::Block],
			q: &[i8],
			sums: &[i32],
			inv: &[f32],
			scales: &[[u16; two_bit::BLOCK_ROWS]],
			out: &mut [f32; two_bit::BLOCK_ROWS],
		) {
			let each = run.len() / sums.len();
			let run = run.chunks_exact(each).zip(q.chunks_exact(each * two_bit::BLOCK_COLS));
			for ((run, q), ((sum, a), scales)) in run.zip(sums.iter().zip(inv).zip(scales)) {
				let dots = two_bit_dots(run, q, *sum);
				let mut wide = [0.0; two_bit::BLOCK_ROWS];
				widen_f16(scales, &mut wide);
				for row in 0..two_bit::BLOCK_ROWS {
					out[row] += scalar::rescale(dots[row], *a, wide[row]);
				}
			}
		}

		/// Outputs of rows for one token: `sums` are products of codes, `sum` is the sum of the token's values.
		$(#[$attribute])*
		pub(crate) fn rescale_rows(sums: &[i32], sum: i32, a: f32, scale: f32, out: &mut [f32]) {
			for (out, dot) in out.iter_mut().zip(sums) {
				// Codes are weights plus one: Σ (c - 1) q = Σ c q - Σ q.
				*out = scalar::rescale(dot - sum, a, scale);
			}
		}

		/// Adds the output of a block of columns to those of a panel's rows, for one token: `sums` are
		/// products of codes, `sum` is the sum of the token's values, `a` their factor.
		$(#[$attribute])*
		pub(crate) fn add_block(
			sums: &[i32; PANEL_ROWS],
			sum: i32,
			a: f32,
			scales: &[f32; PANEL_ROWS],
			out: &mut [f32; PANEL_ROWS],
		) {
			for row in 0..PANEL_ROWS {
				// Codes are weights plus one: Σ (c - 1) q = Σ c q - Σ q.
				out[row] += scalar::rescale(sums[row] - sum, a, scales[row]);
			}
		}

		$(#[$attribute])*
		pub(crate) fn quantize_row(x: &[f32], q: &mut [i8]) -> Option<(f32, i32)> {
			scalar::quantize_row(x, q)
		}

		$(#[$attribute])*
		pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
			scalar::reduce_dot(a, b)
		}

		$(#[$attribute])*
		pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
			scalar::rms_norm(x, weight, eps, out);
		}

		$(#[$attribute])*
		pub(crate) fn rope_row(
			x: &mut [f32],
			head_dim: usize,
			table: &RopeTable,
			position: usize,
			pairing: RopePairing,
		) {
			scalar::rope_row(x, head_dim, table, position, pairing);
		}

		$(#[$attribute])*
		pub(crate) fn softmax(values: &mut [f32]) {
			$crate::scalar::softmax(values);
		}

		$(#[$attribute])*
		pub(crate) fn add(x: &mut [f32], y: &[f32]) {
			scalar::add(x, y);
		}

		$(#[$attribute])*
		pub(crate) fn squared_relu_mul(gate: &mut [f32], up: &[f32]) {
			scalar::squared_relu_mul(gate, up);
		}

		$(#[$attribute])*
		pub(crate) fn silu_mul(gate: &mut [f32], up: &[f32]) {
			scalar::silu_mul(gate, up);
		}
	};
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use shared_kernels;

shared_kernels!();

pub(crate) use crate::attention::portable::{attention_mix, attention_scores};

/// Half-precision row times one token.
pub(crate) fn dot_f16(a: &[u16], b: &[f32]) -> f32 {
	scalar::reduce_dot_f16(a, b)
}

/// Half precision to single, exactly.
pub(crate) fn widen_f16(a: &[u16], out: &mut [f32]) {
	for (a, out) in a.iter().zip(out) {
		*out = math::f16_to_f32(*a);
	}
}

/// Single precision to half; see [`math::f32_to_f16`].
pub(crate) fn narrow_f16(x: &[f32], out: &mut [u16]) {
	for (x, out) in x.iter().zip(out) {
		*out = math::f32_to_f16(*x);
	}
}

/// Dot products of the sixteen rows of a run of blocks with one token of `16 * blocks.len()` values.
///
/// `sum` is the sum of the token's values.
pub(crate) fn two_bit_dots(blocks: &[two_bit::Block], q: &[i8], sum: i32) -> [i32; BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * two_bit::BLOCK_COLS);
	let mut dots = [-sum; BLOCK_ROWS];
	for (block, q) in blocks
		.iter()
		.zip(q.as_chunks::<{ two_bit::BLOCK_COLS }>().0)
	{
		for (dot, bytes) in dots.iter_mut().zip(block.as_chunks::<4>().0) {
			for (column, q) in q.iter().enumerate() {
				let code = bytes[column % 4] >> (column / 4 * 2) & 3;
				*dot += i32::from(code) * i32::from(*q);
			}
		}
	}
	dots
}

/// Tables for the activations of one token, `3 * tables.len()` of them.
pub(crate) fn build_tables(q: &[i8], tables: &mut [Table]) {
	assert_eq!(q.len(), 3 * tables.len());
	for (table, q) in tables.iter_mut().zip(q.as_chunks::<3>().0) {
		let (low, high) = table.split_at_mut(16);
		for (n, digits) in dense::DIGITS.iter().enumerate() {
			let products = digits
				.iter()
				.zip(q)
				.map(|(d, q)| i32::from(*d) * i32::from(*q));
			let value: i32 = products.sum();
			// Rounded to the nearest, so that what is left is in -16..=15.
			let part = (value - dense::LOW.0) >> 5;
			high[n] = part as i8;
			low[n] = (value - dense::HIGH * part) as i8;
		}
	}
}

/// Dot products of the rows of a panel with one token, eight `tables` for each group.
pub(crate) fn dense_dots(
	groups: &[Group],
	tables: &[Table],
	corrections: &[i32; PANEL_ROWS],
) -> [i32; PANEL_ROWS] {
	assert_eq!(tables.len(), groups.len() * dense::GROUP_TRIPLES);
	let mut dots = *corrections;
	for (group, tables) in groups
		.iter()
		.zip(tables.as_chunks::<{ dense::GROUP_TRIPLES }>().0)
	{
		for (row, dot) in dots.iter_mut().enumerate() {
			for (i, table) in tables.iter().enumerate() {
				let magnitude = group[PANEL_ROWS * (i / 2 + 1) + row] >> (i % 2 * 4) & 15;
				let inverse = (group[row] << i) as i8 >> 7;
				let magnitude = usize::from(magnitude);
				*dot += i32::from(table[magnitude] ^ inverse)
					+ dense::HIGH * i32::from(table[16 + magnitude] ^ inverse);
			}
		}
	}
	dots
}

/// Tables for the activations of one token: those of a group's columns for each.
pub(crate) fn build_fives(q: &[i8], tables: &mut [fives::Table]) {
	let none = core::iter::repeat([0; fives::GROUP_COLS]);
	for (table, q) in tables.iter_mut().zip(fives::group_values(q).chain(none)) {
		let (low, high) = table.0.split_at_mut(128);
		for (n, digits) in fives::DIGITS.iter().enumerate() {
			let products = digits
				.iter()
				.zip(q)
				.map(|(d, q)| i32::from(*d) * i32::from(q));
			let value: i32 = products.sum();
			// Rounded to the nearest, so that what is left is in -16..=15.
			let part = (value + 16) >> 5;
			high[n] = part as i8;
			low[n] = (value - fives::HIGH * part) as i8;
		}
	}
}

/// Adds to the sums of `count` panels, of which `panels` is the first, the products of their groups with one token or
/// two; each has a table for each group. Each negative five adds [`fives::CORRECTION`] too little.
///
/// `_next` is read next, which kernels may prefetch.
pub(crate) fn fives_dots(
	panels: fives::PanelBlock<'_>,
	count: usize,
	tables: &[&[fives::Table]],
	_next: fives::PanelBlock<'_>,
	sums: &mut [[[i32; PANEL_ROWS]; fives::PANELS]],
) {
	for (tables, sums) in tables.iter().zip(sums) {
		let groups = panels.groups().chunks(panels.together());
		for (groups, table) in groups.zip(*tables) {
			for (group, sums) in groups.iter().zip(&mut sums[..count]) {
				for (row, sum) in sums.iter_mut().enumerate() {
					let byte = group[fives::position(row)];
					let magnitude = usize::from(byte & 0x7f);
					let inverse = byte as i8 >> 7;
					*sum += i32::from(table.0[magnitude] ^ inverse)
						+ fives::HIGH * i32::from(table.0[128 + magnitude] ^ inverse);
				}
			}
		}
	}
}

/// Adds to `sums[token][row]` the products of the codes of `steps` with that token's values.
///
/// Token `i` has its `4 * steps.len()` values at `i * stride` of `q`.
pub(crate) fn multiply(steps: &[Step], q: &[i8], stride: usize, sums: &mut [[i32; PANEL_ROWS]]) {
	for (token, sums) in sums.iter_mut().enumerate() {
		let q = &q[token * stride..][..4 * steps.len()];
		for (step, q) in steps.iter().zip(q.as_chunks::<4>().0) {
			for (sum, codes) in sums.iter_mut().zip(step) {
				for (code, q) in codes.iter().zip(q) {
					*sum += i32::from(*code) * i32::from(*q);
				}
			}
		}
	}
}

/// For each token, `8 * blocks.len()` values, products of the first plane of sixteen head rows with it.
pub(crate) fn head_high_dots(
	blocks: &[head::Block],
	tokens: &[&[i8]],
	out: &mut [[i32; head::BLOCK_ROWS]],
) {
	for (q, out) in tokens.iter().zip(out) {
		*out = high_dots(blocks, q);
	}
}

fn high_dots(blocks: &[head::Block], q: &[i8]) -> [i32; head::BLOCK_ROWS] {
	assert_eq!(q.len(), blocks.len() * head::BLOCK_COLS);
	let mut dots = [0; head::BLOCK_ROWS];
	for (block, q) in blocks.iter().zip(q.as_chunks::<{ head::BLOCK_COLS }>().0) {
		for (dot, bytes) in dots.iter_mut().zip(block.as_chunks::<4>().0) {
			for (j, byte) in bytes.iter().enumerate() {
				*dot += i32::from(byte & 15) * i32::from(q[j]);
				*dot += i32::from(byte >> 4) * i32::from(q[j + 4]);
			}
		}
	}
	dots
}

/// Product of the second plane of a head row with a token of `64 * parts.len()` values.
pub(crate) fn head_low_dot(parts: &[head::Part], q: &[i8]) -> i32 {
	assert_eq!(q.len(), parts.len() * head::PART_COLS);
	let mut dot = 0;
	for (part, q) in parts.iter().zip(q.as_chunks::<{ head::PART_COLS }>().0) {
		for (j, byte) in part.iter().enumerate() {
			dot += i32::from(byte & 15) * i32::from(q[j]);
			dot += i32::from(byte >> 4) * i32::from(q[j + 32]);
		}
	}
	dot
}
