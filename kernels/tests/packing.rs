//! The I2_S layout, and input that is refused.

use aria_kernels::{PackError, Packing::TwoBit, TernaryMatrix};

/// I2_S bytes of `values`, written from the format's description and not from our reader.
fn i2_s(values: &[i8], scale: f32) -> Vec<u8> {
	let mut bytes = Vec::new();
	for block in values.chunks_exact(128) {
		for p in 0..32 {
			let code = |i: usize| (block[i] + 1) as u8;
			bytes.push((code(p) << 6) | (code(p + 32) << 4) | (code(p + 64) << 2) | code(p + 96));
		}
	}
	bytes.extend_from_slice(&scale.to_le_bytes());
	bytes.extend_from_slice(&[0xaa; 28]);
	bytes
}

#[test]
fn i2_s_known_answer() {
	// Byte 0 is 0b10_01_00_01: elements 0, 32, 64 and 96 are +1, 0, -1 and 0; all others are 0.
	let mut bytes = vec![0b01_01_01_01; 32];
	bytes[0] = 0b10_01_00_01;
	bytes[31] = 0b00_01_01_10;
	bytes.extend_from_slice(&0.75_f32.to_le_bytes());
	bytes.extend_from_slice(&[0; 28]);
	let w = TernaryMatrix::from_i2_s(&bytes, 1, 128, TwoBit).expect("a valid tensor");
	let mut expected = [0; 128];
	(expected[0], expected[64], expected[31], expected[127]) = (1, -1, -1, 1);
	assert_eq!((w.rows(), w.cols(), w.scale()), (1, 128, 0.75));
	assert_eq!(w.row(0), expected);
}

#[test]
fn i2_s_blocks_may_cross_rows() {
	// Rows of 96, 160 and 32 columns: blocks of 128 do not line up with them.
	for (rows, cols) in [(4, 96), (20, 160), (4, 32), (33, 128), (12, 2592)] {
		let values: Vec<i8> = (0..rows * cols)
			.map(|i| ((i * i + i / 7) % 3) as i8 - 1)
			.collect();
		let w = TernaryMatrix::from_i2_s(&i2_s(&values, 1.5), rows, cols, TwoBit).expect("valid");
		for (row, expected) in values.chunks_exact(cols).enumerate() {
			assert_eq!(w.row(row), expected, "row {row} of {rows}x{cols}");
		}
	}
}

#[test]
fn packed_bytes_counts_padding_of_the_last_panel() {
	let w = TernaryMatrix::from_ternary(&[0; 17 * 64], 17, 64, 1.0, TwoBit).expect("valid");
	assert_eq!(w.packed_bytes(), 32 * 64 / 4);
}

#[test]
fn rejects_code_three() {
	let mut bytes = i2_s(&[0; 4 * 96], 1.0);
	// Element 128 + 64 + 5 = 197: row 2, column 5.
	bytes[32 + 5] |= 0b00_00_11_00;
	let error = TernaryMatrix::from_i2_s(&bytes, 4, 96, TwoBit).unwrap_err();
	assert_eq!(error, PackError::Value { row: 2, col: 5 });
}

#[test]
fn rejects_wrong_length() {
	let bytes = i2_s(&[0; 256], 1.0);
	for bad in [
		&bytes[..0],
		&bytes[..bytes.len() - 1],
		&[&bytes[..], &[0]].concat()[..],
	] {
		assert_eq!(
			TernaryMatrix::from_i2_s(bad, 2, 128, TwoBit).unwrap_err(),
			PackError::Length {
				expected: 96,
				found: bad.len()
			},
		);
	}
	assert_eq!(
		TernaryMatrix::from_ternary(&[0; 63], 2, 32, 1.0, TwoBit).unwrap_err(),
		PackError::Length {
			expected: 64,
			found: 63
		},
	);
}

#[test]
fn rejects_bad_scale() {
	for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
		let error = TernaryMatrix::from_i2_s(&i2_s(&[0; 128], scale), 1, 128, TwoBit).unwrap_err();
		assert!(matches!(error, PackError::Scale(_)), "{scale}: {error}");
	}
}

#[test]
fn rejects_bad_shapes() {
	let shapes = [(0, 128), (1, 0), (1, 100), (1, 96), (1, (1 << 17) + 128)];
	for (rows, cols) in shapes
		.into_iter()
		.chain([(usize::MAX / 32, 128), (usize::MAX, 32)])
	{
		let error = TernaryMatrix::from_i2_s(&[], rows, cols, TwoBit).unwrap_err();
		assert_eq!(error, PackError::Shape { rows, cols });
	}
}

#[test]
fn rejects_values_that_are_not_ternary() {
	let mut values = [0; 64];
	values[40] = 2;
	let error = TernaryMatrix::from_ternary(&values, 2, 32, 1.0, TwoBit).unwrap_err();
	assert_eq!(error, PackError::Value { row: 1, col: 8 });
	assert_eq!(
		error.to_string(),
		"element at row 1, column 8 is not -1, 0 or 1"
	);
}
