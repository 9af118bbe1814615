//! Five weights in a byte.
//!
//! Five weights `a` to `e` of a row make `t = 81a + 27b + 9c + 3d + e` in -121..=121: a sign in the byte's
//! highest bit and seven bits for the magnitude. They are of every fourth column: four groups have twenty
//! columns, group `i` of them those from `i` on, so that four codes of consecutive columns come from four
//! bytes. For one token the dot product of five weights with five activations has only 122 values up to sign,
//! so a kernel builds a [`Table`] of them for each five columns and looks them up, 64 rows at a time, where the
//! CPU permutes bytes of two registers (`vpermi2b`, which ignores the highest bit of an index).
//!
//! A group is the five columns of a panel of 64 rows, a byte each, in the order of [`position`]. Four
//! panels stand together: the first group of each, then the second of each, so that four registers of
//! weights in a row share a table. The last ones may be fewer than four. First come 48 groups of all
//! panels, then the next 48: a thread that goes by blocks of columns, whose tables stay in the first-level cache,
//! so reads memory in order. The number of columns is padded to eight groups with zeros.

use super::{PANEL_ROWS, codes};

/// Columns in a group.
pub(crate) const GROUP_COLS: usize = 5;
/// Groups whose columns take turns.
pub(crate) const TURNS: usize = 4;
/// Their columns.
pub(crate) const TURN_COLS: usize = TURNS * GROUP_COLS;
/// Panels that stand together.
pub(crate) const PANELS: usize = 4;
/// Columns are padded to a multiple of this, eight groups.
const PADDED_COLS: usize = 2 * TURN_COLS;
/// Groups in a block of [`codes`].
pub(crate) const BLOCK_GROUPS: usize = codes::BLOCK_COLS / GROUP_COLS;
const _: () = assert!(codes::BLOCK_COLS.is_multiple_of(PADDED_COLS));

/// 64 rows by 5 columns.
pub(crate) type Group = [u8; PANEL_ROWS];

/// What five columns contribute to a row, for each magnitude of its weights.
///
/// A value `v`, between -635 and 635, is `v = 32 high + low` with `low` in -16..=15. Bytes 0..128
/// are the low parts by magnitude, bytes 128..256 the high parts; magnitudes above 121 do not occur.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Table(pub(crate) [i8; 256]);

/// Weight of the high part of a table's value.
pub(crate) const HIGH: i32 = 32;
/// A row's result is the sum of looked-up parts, all bits inverted where five weights are negative.
/// As `-v = !low + 1 + 32 (!high + 1)`, each negative five needs this much more.
pub(crate) const CORRECTION: i32 = 1 + HIGH;

/// Groups whose parts add up within a byte.
pub(crate) const FOLD_GROUPS: usize = 6;
const LARGEST: i32 = GROUP_COLS as i32 * 127;
const _: () = {
	let fold = FOLD_GROUPS as i32;
	let (least, most) = ((-LARGEST + 16) >> 5, (LARGEST + 16) >> 5);
	// Inverted, the largest part is below minus itself by one.
	assert!(fold * (most + 1) <= -(i8::MIN as i32) && fold * -least <= i8::MAX as i32);
	assert!(fold * 16 <= i8::MAX as i32);
	// The parts of a block, joined and perhaps inverted, add up within 16 bits.
	assert!(BLOCK_GROUPS as i32 * (LARGEST + CORRECTION) <= i16::MAX as i32);
	assert!(BLOCK_GROUPS.is_multiple_of(FOLD_GROUPS));
};

/// The weights of each magnitude, in balanced ternary; zeros for those that do not occur.
pub(crate) const DIGITS: [[i8; GROUP_COLS]; 128] = {
	let mut digits = [[0; GROUP_COLS]; 128];
	let mut t = 1;
	while t <= 121 {
		let mut rest = t as i32;
		let mut place = GROUP_COLS;
		while place > 0 {
			place -= 1;
			let digit = (rest + 1) % 3 - 1;
			digits[t][place] = digit as i8;
			rest = (rest - digit) / 3;
		}
		t += 1;
	}
	digits
};

/// Where a row of a panel stands in a group: fours of rows are transposed, so that interleaving bytes
/// within quarters of a register puts rows in order.
pub(crate) const fn position(row: usize) -> usize {
	row / 16 * 4 + row / 4 % 4 * 16 + row % 4
}

/// A token's values in the columns of each group, in turn; zeros where there are none.
#[inline(always)]
pub(crate) fn group_values(q: &[i8]) -> impl Iterator<Item = [i8; GROUP_COLS]> {
	q.chunks(TURN_COLS).flat_map(|q| {
		let value = |at: usize| q.get(at).copied().unwrap_or(0);
		(0..TURNS).map(move |group| core::array::from_fn(|i| value(group + i * TURNS)))
	})
}

/// Columns padded to what is stored.
pub(crate) fn padded_cols(cols: usize) -> usize {
	cols.next_multiple_of(PADDED_COLS)
}

/// Groups in a row.
pub(crate) fn groups(cols: usize) -> usize {
	padded_cols(cols) / GROUP_COLS
}

/// Bytes of a matrix.
pub(super) fn bytes(rows: usize, cols: usize) -> usize {
	rows.div_ceil(PANEL_ROWS) * groups(cols) * size_of::<Group>()
}

/// A matrix's bytes, for each four panels their blocks of columns.
pub(super) fn split(mut bytes: &mut [u8], rows: usize, cols: usize) -> Vec<Vec<&mut [u8]>> {
	let panels = rows.div_ceil(PANEL_ROWS);
	let mut fours: Vec<_> = (0..panels.div_ceil(PANELS)).map(|_| Vec::new()).collect();
	for block in 0..codes::blocks(cols) {
		let groups = BLOCK_GROUPS.min(groups(cols) - block * BLOCK_GROUPS);
		for (four, blocks) in fours.iter_mut().enumerate() {
			let together = PANELS.min(panels - four * PANELS);
			let len = together * groups * size_of::<Group>();
			let (part, rest) = std::mem::take(&mut bytes).split_at_mut(len);
			blocks.push(part);
			bytes = rest;
		}
	}
	fours
}

/// Stores the rows of up to four panels, `padded` codes each, and sets their corrections.
pub(super) fn put(blocks: &mut [&mut [u8]], codes: &[u8], padded: usize, corrections: &mut [i32]) {
	let rows = codes.chunks(PANEL_ROWS * padded);
	let panels = rows.len();
	for (panel, (codes, corrections)) in rows.zip(corrections.chunks_mut(PANEL_ROWS)).enumerate() {
		let mut negatives = [0; PANEL_ROWS];
		for index in 0..padded / PADDED_COLS {
			let columns = codes::columns::<PADDED_COLS>(codes, padded, index * PADDED_COLS);
			for group in 0..PADDED_COLS / GROUP_COLS {
				let first = group / TURNS * TURN_COLS + group % TURNS;
				let five: [_; GROUP_COLS] = core::array::from_fn(|i| &columns[first + i * TURNS]);
				let group = index * (PADDED_COLS / GROUP_COLS) + group;
				let (block, at) = (group / BLOCK_GROUPS, group % BLOCK_GROUPS);
				let groups: &mut [Group] = blocks[block].as_chunks_mut().0;
				let group = &mut groups[at * panels + panel];
				let mut bytes = [0; PANEL_ROWS];
				for row in 0..PANEL_ROWS {
					// Not above 242, and then 121 less.
					let t = five[1..].iter().fold(five[0][row], |t, c| 3 * t + c[row]);
					let t = t.wrapping_sub(121);
					let negative = ((t as i8) >> 7) as u8;
					bytes[row] = ((t ^ negative).wrapping_sub(negative)) | (negative & 0x80);
					negatives[row] += i32::from(negative & 1);
				}
				for (row, byte) in bytes.iter().enumerate() {
					group[position(row)] = *byte;
				}
			}
		}
		for (correction, negatives) in corrections.iter_mut().zip(negatives) {
			*correction = negatives * CORRECTION;
		}
	}
}

/// The weights of a byte.
fn digits(byte: u8) -> [i8; GROUP_COLS] {
	let sign = if byte < 0x80 { 1 } else { -1 };
	DIGITS[usize::from(byte & 0x7f)].map(|digit| sign * digit)
}

/// Reads the weights of a row.
pub(super) fn row(bytes: &[u8], rows: usize, row: usize, out: &mut [i8]) {
	let panel = panel(bytes, rows, out.len(), row / PANEL_ROWS);
	let at = position(row % PANEL_ROWS);
	for (col, out) in out.iter_mut().enumerate() {
		let group = col / TURN_COLS * TURNS + col % TURNS;
		let block = panel.block(group / BLOCK_GROUPS);
		let byte = block.group(group % BLOCK_GROUPS)[at];
		*out = digits(byte)[col % TURN_COLS / TURNS];
	}
}

/// The groups of a panel, or of it and those that stand with it after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PanelGroups<'a> {
	matrix: &'a [Group],
	/// Panels in the matrix, and the number of this one.
	panels: usize,
	panel: usize,
}

/// Some of the groups of a panel, and those of others between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PanelBlock<'a> {
	/// From the panel's first group to its last, or beyond that to its neighbours' last.
	groups: &'a [Group],
	/// How many panels stand together: the distance of a panel's groups.
	together: usize,
}

impl<'a> PanelGroups<'a> {
	/// The groups of one block of columns.
	pub(crate) fn block(&self, block: usize) -> PanelBlock<'a> {
		let before = block * BLOCK_GROUPS;
		let groups = BLOCK_GROUPS.min(self.matrix.len() / self.panels - before);
		let first = self.panel / PANELS * PANELS;
		let together = PANELS.min(self.panels - first);
		let block = &self.matrix[before * self.panels + first * groups..][..together * groups];
		PanelBlock {
			groups: &block[self.panel - first..],
			together,
		}
	}
}

impl<'a> PanelBlock<'a> {
	/// One group.
	pub(crate) fn group(&self, index: usize) -> &'a Group {
		&self.groups[index * self.together]
	}

	/// All groups.
	#[cfg(target_arch = "x86_64")]
	pub(crate) fn each(&self) -> impl Iterator<Item = &'a Group> {
		self.groups.iter().step_by(self.together)
	}

	/// How many panels stand together.
	pub(crate) fn together(&self) -> usize {
		self.together
	}

	/// The groups of the panel, and those of other panels between them.
	pub(crate) fn groups(&self) -> &'a [Group] {
		self.groups
	}
}

/// A panel of a matrix with `rows` rows.
pub(super) fn panel(bytes: &[u8], rows: usize, cols: usize, panel: usize) -> PanelGroups<'_> {
	let matrix: &[Group] = bytes.as_chunks().0;
	debug_assert_eq!(matrix.len(), rows.div_ceil(PANEL_ROWS) * groups(cols));
	PanelGroups {
		matrix,
		panels: rows.div_ceil(PANEL_ROWS),
		panel,
	}
}

/// Unpacks the first `cols` columns of the groups to codes; `cols` is a multiple of four.
#[inline(always)]
pub(crate) fn unpack(panel: PanelBlock<'_>, cols: usize, codes: &mut codes::Codes) {
	for (turn, steps) in codes.0[..cols / 4].chunks_mut(GROUP_COLS).enumerate() {
		for i in 0..TURNS {
			// Groups are padded to eight.
			let group = panel.group(turn * TURNS + i);
			for row in 0..PANEL_ROWS {
				let codes = byte_codes(group[position(row)]);
				for (step, code) in steps.iter_mut().zip(codes) {
					step[row][i] = code;
				}
			}
		}
	}
}

/// The weights of a byte, plus one.
#[inline(always)]
fn byte_codes(byte: u8) -> [u8; GROUP_COLS] {
	let inverse = (byte as i8 >> 7) as u8;
	// 121 plus or minus the magnitude, in 0..=242: five digits from 0 to 2, as fractions of 256.
	let t = (121 + (byte & 0x7f ^ inverse)).wrapping_sub(inverse);
	let mut rest = (u16::from(t) * 256).div_ceil(243);
	let mut codes = [0; GROUP_COLS];
	for code in &mut codes {
		rest *= 3;
		*code = (rest >> 8) as u8;
		rest &= 255;
	}
	codes
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn digits_are_balanced_ternary() {
		for (n, digits) in DIGITS.iter().enumerate().take(122) {
			assert_eq!(
				digits.iter().fold(0, |t, d| 3 * t + i32::from(*d)),
				n as i32
			);
		}
	}

	#[test]
	fn positions_are_a_permutation() {
		let mut seen = [false; PANEL_ROWS];
		(0..PANEL_ROWS).for_each(|row| seen[position(row)] = true);
		assert_eq!(seen, [true; PANEL_ROWS]);
	}

	#[test]
	fn every_byte_unpacks_to_its_digits() {
		for magnitude in 0..=121 {
			for byte in [magnitude, magnitude | 0x80] {
				let codes = byte_codes(byte).map(|code| code as i8 - 1);
				assert_eq!(codes, digits(byte), "byte {byte}");
			}
		}
	}

	#[test]
	fn tables_hold_every_sum_within_their_bounds() {
		for q in [
			[127; 5],
			[-127; 5],
			[127, -127, 127, -127, 127],
			[1, 2, 3, 4, 5],
			[-1, 0, 64, -3, 127],
		] {
			let mut tables = [Table([0; 256]); TURNS];
			let mut columns = [0; TURN_COLS];
			columns
				.iter_mut()
				.step_by(TURNS)
				.zip(q)
				.for_each(|(column, q)| *column = q);
			crate::portable::build_fives(&columns, &mut tables);
			for (n, digits) in DIGITS.iter().enumerate().take(122) {
				let (low, high) = (i32::from(tables[0].0[n]), i32::from(tables[0].0[128 + n]));
				let products = digits.iter().zip(q).map(|(d, q)| i32::from(*d) * q as i32);
				assert_eq!(HIGH * high + low, products.sum::<i32>());
				assert!((-16..=15).contains(&low));
			}
		}
	}
}
