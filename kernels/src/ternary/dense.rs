//! Five bits for three weights.
//!
//! Three weights `a`, `b`, `c` of consecutive columns make `t = 9a + 3b + c` in -13..=13: a sign
//! bit and four bits for the magnitude. For one token the dot product of a triple with three
//! activations has only fourteen values up to sign, so a kernel builds a [`Table`] of them for each
//! triple of columns and looks them up, sixteen bytes by sixteen, with one byte shuffle.
//!
//! A group is 64 rows by 24 columns, eight triples, in 320 bytes. First the signs: bit `7 - i` of
//! byte `row` is set when triple `i` of the row is negative. Then four times 64 bytes: byte `row`
//! of part `k` holds the magnitude of triple `2k` in its low half and of `2k + 1` in its high half.
//! The number of columns is padded to whole groups with zeros.

use super::{PANEL_ROWS, codes};

/// Columns in a group.
pub(crate) const GROUP_COLS: usize = 24;
/// Triples of columns in a group.
pub(crate) const GROUP_TRIPLES: usize = GROUP_COLS / 3;

/// 64 rows by 24 columns.
pub(crate) type Group = [u8; PANEL_ROWS * GROUP_TRIPLES * 5 / 8];

/// What one triple of columns contributes to a row, for each magnitude of its weights.
///
/// A value `v`, between -381 and 381, is `v = 32 high + low` with `low` in -16..=15. Bytes 0..16
/// are the low parts by magnitude, bytes 16..32 the high parts; magnitudes 14 and 15 do not occur.
pub(crate) type Table = [i8; 32];

/// Weight of the high part of a table's value.
pub(crate) const HIGH: i32 = 32;
/// A row's result is the sum of looked-up parts, all bits inverted where the triple is negative.
/// As `-v = !low + 1 + 32 (!high + 1)`, each negative triple needs this much more.
pub(crate) const CORRECTION: i32 = 1 + HIGH;

/// Bounds of a part of a table's value, inverted or not.
pub(crate) const LOW: (i32, i32) = (-16, 15);
/// As [`LOW`], for the high part: `(v + 16) >> 5` for `v` in -381..=381, and its inverse.
pub(crate) const HIGH_PART: (i32, i32) = (-13, 12);
const _: () = {
	assert!((-381 + 16) >> 5 >= HIGH_PART.0 && (381 + 16) >> 5 <= HIGH_PART.1);
	assert!(!HIGH_PART.0 <= HIGH_PART.1 && !HIGH_PART.1 >= HIGH_PART.0);
	// The parts of a group add up within a byte.
	assert!(GROUP_TRIPLES as i32 * LOW.0 >= i8::MIN as i32);
	assert!(GROUP_TRIPLES as i32 * LOW.1 <= i8::MAX as i32);
	assert!(GROUP_TRIPLES as i32 * HIGH_PART.0 >= i8::MIN as i32);
	assert!(GROUP_TRIPLES as i32 * HIGH_PART.1 <= i8::MAX as i32);
};

/// Groups whose sums, `32 high + low`, add up within 16 bits.
pub(crate) const FOLD_GROUPS: usize = 8;
const _: () = {
	let largest = GROUP_TRIPLES as i32 * (HIGH * -HIGH_PART.0 - LOW.0);
	assert!(FOLD_GROUPS as i32 * largest <= i16::MAX as i32);
};

/// The weights of each magnitude, as `[a, b, c]` in balanced ternary; zeros for 14 and 15.
pub(crate) const DIGITS: [[i8; 3]; 16] = {
	let mut digits = [[0; 3]; 16];
	let mut t = 1;
	while t < 14 {
		let mut rest = t as i8;
		let mut place = 3;
		while place > 0 {
			place -= 1;
			let digit = (rest + 1) % 3 - 1;
			digits[t][place] = digit;
			rest = (rest - digit) / 3;
		}
		t += 1;
	}
	digits
};

/// Columns padded to whole groups.
pub(crate) fn padded_cols(cols: usize) -> usize {
	cols.next_multiple_of(GROUP_COLS)
}

/// Bytes of a matrix.
pub(super) fn bytes(rows: usize, cols: usize) -> usize {
	rows.div_ceil(PANEL_ROWS) * (padded_cols(cols) / GROUP_COLS) * size_of::<Group>()
}

/// Stores the rows of a panel, whole groups of codes each, and sets their corrections.
pub(super) fn put(bytes: &mut [u8], codes: &[u8], padded: usize, corrections: &mut [i32]) {
	let mut negatives = [0; PANEL_ROWS];
	let groups: &mut [Group] = bytes.as_chunks_mut().0;
	for (index, group) in groups.iter_mut().enumerate() {
		let columns = codes::columns::<GROUP_COLS>(codes, padded, index * GROUP_COLS);
		let (signs, parts) = group.as_chunks_mut::<PANEL_ROWS>().0.split_at_mut(1);
		let signs = &mut signs[0];
		let mut count = [0_u8; PANEL_ROWS];
		for (i, [a, b, c]) in columns.as_chunks::<3>().0.iter().enumerate() {
			let part = &mut parts[i / 2];
			for row in 0..PANEL_ROWS {
				let ab = a[row] + a[row] + a[row] + b[row];
				let t = (ab + ab + ab + c[row]).wrapping_sub(13);
				// All bits when negative.
				let negative = ((t as i8) >> 7) as u8;
				let magnitude = (t ^ negative).wrapping_sub(negative);
				signs[row] = signs[row] << 1 | negative & 1;
				part[row] |= magnitude << (i % 2 * 4);
				count[row] += negative & 1;
			}
		}
		for (all, count) in negatives.iter_mut().zip(count) {
			*all += i32::from(count);
		}
	}
	for (correction, negatives) in corrections.iter_mut().zip(negatives) {
		*correction = negatives * CORRECTION;
	}
}

/// Reads the weights of a row.
pub(super) fn row(bytes: &[u8], row: usize, out: &mut [i8]) {
	let per_panel = padded_cols(out.len()) / GROUP_COLS;
	let groups: &[Group] = &bytes.as_chunks().0[row / PANEL_ROWS * per_panel..][..per_panel];
	let at = row % PANEL_ROWS;
	for (group, out) in groups.iter().zip(out.chunks_mut(GROUP_COLS)) {
		for (i, out) in out.chunks_mut(3).enumerate() {
			let magnitude = group[PANEL_ROWS * (i / 2 + 1) + at] >> (i % 2 * 4) & 15;
			let sign = if group[at] >> (7 - i) & 1 == 1 { -1 } else { 1 };
			for (out, digit) in out.iter_mut().zip(DIGITS[usize::from(magnitude)]) {
				*out = sign * digit;
			}
		}
	}
}

/// The groups of a panel.
pub(super) fn panel(bytes: &[u8], cols: usize, panel: usize) -> &[Group] {
	let per_panel = padded_cols(cols) / GROUP_COLS;
	&bytes.as_chunks().0[panel * per_panel..][..per_panel]
}

/// Unpacks groups to codes, six steps of four columns for each.
#[inline(always)]
pub(crate) fn unpack(groups: &[Group], codes: &mut codes::Codes) {
	let steps = codes.0.as_chunks_mut::<{ GROUP_COLS / 4 }>().0;
	for (group, steps) in groups.iter().zip(steps) {
		let mut columns = [[0; PANEL_ROWS]; GROUP_COLS];
		let (signs, parts) = group.as_chunks::<PANEL_ROWS>().0.split_at(1);
		for i in 0..GROUP_TRIPLES {
			for row in 0..PANEL_ROWS {
				let magnitude = parts[i / 2][row] >> (i % 2 * 4) & 15;
				let inverse = ((signs[0][row] << i) as i8 >> 7) as u8;
				// 13 plus or minus the magnitude, in 0..=26: three digits from 0 to 2.
				let t = (13 + (magnitude ^ inverse)).wrapping_sub(inverse);
				let a = u8::from(t >= 9) + u8::from(t >= 18);
				let rest = t - 9 * a;
				let b = u8::from(rest >= 3) + u8::from(rest >= 6);
				columns[3 * i][row] = a;
				columns[3 * i + 1][row] = b;
				columns[3 * i + 2][row] = rest - 3 * b;
			}
		}
		for (step, columns) in steps.iter_mut().zip(columns.as_chunks::<4>().0) {
			for (row, four) in step.iter_mut().enumerate() {
				*four = [
					columns[0][row],
					columns[1][row],
					columns[2][row],
					columns[3][row],
				];
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn digits_are_balanced_ternary() {
		for (n, [a, b, c]) in DIGITS.iter().enumerate().take(14) {
			assert_eq!(9 * a + 3 * b + c, n as i8);
		}
	}

	#[test]
	fn tables_hold_every_sum_within_their_bounds() {
		for a in [-127, -1, 0, 64, 127] {
			for b in [-127, 0, 3, 127] {
				for c in -127..=127 {
					let mut tables = [[0; 32]];
					crate::portable::build_tables(&[a, b, c], &mut tables);
					for (n, digits) in DIGITS.iter().enumerate().take(14) {
						let low = i32::from(tables[0][n]);
						let high = i32::from(tables[0][16 + n]);
						let v: i32 = digits
							.iter()
							.zip([a, b, c])
							.map(|(d, q)| i32::from(*d) * i32::from(q))
							.sum();
						assert_eq!(HIGH * high + low, v);
						assert!((LOW.0..=LOW.1).contains(&low));
						assert!((HIGH_PART.0..=HIGH_PART.1).contains(&high));
					}
				}
			}
		}
	}
}
