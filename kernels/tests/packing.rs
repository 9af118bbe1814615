//! The layouts of files, and input that is refused.

use aria_kernels::{
	I2Block, PackError, PackOptions,
	Packing::{Dense, TwoBit},
	Q2Block::{B64, B128},
	RowOrder, TernaryMatrix,
	math::f32_to_f16,
};

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

/// Half-precision bits of 0.75 and of 1.5.
const SCALES: [[u8; 2]; 2] = [[0x00, 0x3a], [0x00, 0x3e]];

/// Some trits: all three, in no simple order.
fn trits(count: usize) -> Vec<i8> {
	(0..count)
		.map(|i| ((i * i + i / 5) % 3) as i8 - 1)
		.collect()
}

/// TQ2_0 blocks, from `quantize_row_tq2_0_ref`'s description.
fn tq2_0(values: &[i8], scale: [u8; 2]) -> Vec<u8> {
	let mut bytes = Vec::new();
	for block in values.chunks_exact(256) {
		for half in block.chunks_exact(128) {
			for m in 0..32 {
				let code = |n: usize| ((half[m + 32 * n] + 1) as u8) << (2 * n);
				bytes.push(code(0) | code(1) | code(2) | code(3));
			}
		}
		bytes.extend_from_slice(&scale);
	}
	bytes
}

/// TQ1_0 blocks: five trits, most significant first, as a fraction of 243 rounded up to 256ths.
fn tq1_0(values: &[i8], scale: [u8; 2]) -> Vec<u8> {
	let byte = |trits: &[i8]| {
		let mut q = trits.iter().fold(0_u32, |q, t| 3 * q + (t + 1) as u32);
		q *= 3_u32.pow(5 - trits.len() as u32);
		(q * 256).div_ceil(243) as u8
	};
	let mut bytes = Vec::new();
	for block in values.chunks_exact(256) {
		for (first, stride, digits) in [(0, 32, 5), (160, 16, 5), (240, 4, 4)] {
			for m in 0..stride {
				let trits: Vec<i8> = (0..digits).map(|n| block[first + m + n * stride]).collect();
				bytes.push(byte(&trits));
			}
		}
		bytes.extend_from_slice(&scale);
	}
	bytes
}

/// Q2_0 blocks: the scale first, four consecutive codes in a byte, lowest bits first.
fn q2_0(values: &[i8], weights: usize, scale: [u8; 2]) -> Vec<u8> {
	let mut bytes = Vec::new();
	for block in values.chunks_exact(weights) {
		bytes.extend_from_slice(&scale);
		for four in block.chunks_exact(4) {
			let code = |i: usize| ((four[i] + 1) as u8) << (2 * i);
			bytes.push(code(0) | code(1) | code(2) | code(3));
		}
	}
	bytes
}

fn check_rows(w: &TernaryMatrix, values: &[i8]) {
	for (row, expected) in values.chunks_exact(w.cols()).enumerate() {
		assert_eq!(w.row(row), expected, "row {row}");
	}
}

#[test]
fn block_formats_keep_every_element() {
	let (rows, cols) = (5, 768);
	let values = trits(rows * cols);
	for packing in [TwoBit, Dense] {
		let all = [
			TernaryMatrix::from_tq2_0(&tq2_0(&values, SCALES[0]), rows, cols, packing),
			TernaryMatrix::from_tq1_0(&tq1_0(&values, SCALES[0]), rows, cols, packing),
			TernaryMatrix::from_q2_0(&q2_0(&values, 64, SCALES[0]), rows, cols, B64, packing),
			TernaryMatrix::from_q2_0(&q2_0(&values, 128, SCALES[0]), rows, cols, B128, packing),
		];
		for w in all {
			let w = w.expect("valid");
			assert_eq!((w.rows(), w.cols(), w.scale()), (rows, cols, 0.75));
			check_rows(&w, &values);
		}
	}
}

#[test]
fn tq1_0_known_answer() {
	// 2 1 0 1 2 in base three is 194: 194 * 256 / 243 is 204.4, rounded up.
	let mut values = vec![-1; 256];
	for (digit, trit) in [1, 0, -1, 0, 1].into_iter().enumerate() {
		values[32 * digit] = trit;
	}
	let mut bytes = vec![0; 54];
	bytes[0] = 205;
	bytes[52..].copy_from_slice(&SCALES[1]);
	let w = TernaryMatrix::from_tq1_0(&bytes, 1, 256, Dense).expect("valid");
	assert_eq!((w.row(0), w.scale()), (values, 1.5));
}

#[test]
fn hugging_face_rows_are_a_quarter_apart() {
	let (rows, cols) = (8, 64);
	let values = trits(rows * cols);
	let mut bytes = vec![0; rows / 4 * cols];
	for (i, byte) in bytes.iter_mut().enumerate() {
		for quarter in 0..4 {
			let code = (values[i + quarter * rows / 4 * cols] + 1) as u8;
			*byte |= code << (2 * quarter);
		}
	}
	let w = TernaryMatrix::from_hf_packed(&bytes, rows, cols, 0.3, TwoBit).expect("valid");
	check_rows(&w, &values);
	bytes[65] |= 3 << 4;
	assert_eq!(
		TernaryMatrix::from_hf_packed(&bytes, rows, cols, 0.3, TwoBit).unwrap_err(),
		PackError::Value { row: 5, col: 1 }
	);
}

#[test]
fn blocks_without_scale_are_zeros() {
	let values = trits(512);
	let mut bytes = tq2_0(&values, SCALES[0]);
	bytes[64..66].fill(0);
	let w = TernaryMatrix::from_tq2_0(&bytes, 1, 512, Dense).expect("valid");
	assert_eq!(w.scale(), 0.75);
	assert_eq!(w.row(0)[..256], [0; 256]);
	assert_eq!(w.row(0)[256..], values[256..]);
}

#[test]
fn rejects_block_scales_that_are_no_factors() {
	for scale in [[0x00, 0xbc], [0x00, 0x7c], [0x01, 0x7e]] {
		let bytes = tq2_0(&trits(256), scale);
		let error = TernaryMatrix::from_tq2_0(&bytes, 1, 256, Dense).unwrap_err();
		assert!(matches!(error, PackError::Scale(_)), "{error}");
	}
}

#[test]
fn rejects_block_formats_of_another_shape() {
	let shape = |rows, cols| PackError::Shape { rows, cols };
	let error = |result: Result<TernaryMatrix, PackError>| result.unwrap_err();
	assert_eq!(
		error(TernaryMatrix::from_tq2_0(&[], 1, 128, Dense)),
		shape(1, 128)
	);
	assert_eq!(
		error(TernaryMatrix::from_tq1_0(&[], 0, 256, Dense)),
		shape(0, 256)
	);
	assert_eq!(
		error(TernaryMatrix::from_q2_0(&[], 1, 64, B128, Dense)),
		shape(1, 64)
	);
	assert_eq!(
		error(TernaryMatrix::from_hf_packed(&[0; 96], 6, 64, 1.0, Dense)),
		shape(6, 64)
	);
	assert_eq!(
		error(TernaryMatrix::from_tq1_0(&[0; 53], 1, 256, Dense)),
		PackError::Length {
			expected: 54,
			found: 53
		}
	);
}

#[test]
fn i2_s_of_arm_has_blocks_of_64() {
	for (rows, cols) in [(4, 96), (20, 160), (2, 32), (33, 128)] {
		let values = trits(rows * cols);
		let mut bytes = Vec::new();
		for block in values.chunks_exact(64) {
			for p in 0..16 {
				let code = |i: usize| (block[i] + 1) as u8;
				bytes.push(code(p) << 6 | code(p + 16) << 4 | code(p + 32) << 2 | code(p + 48));
			}
		}
		bytes.extend_from_slice(&0.5_f32.to_le_bytes());
		bytes.extend_from_slice(&[0; 28]);
		let w = TernaryMatrix::from_i2_s_blocks(&bytes, rows, cols, I2Block::B64, Dense);
		let w = w.expect("valid");
		assert_eq!(w.scale(), 0.5);
		check_rows(&w, &values);
		bytes[0] |= 0b1100_0000;
		assert_eq!(
			TernaryMatrix::from_i2_s_blocks(&bytes, rows, cols, I2Block::B64, TwoBit).unwrap_err(),
			PackError::Value { row: 0, col: 0 }
		);
	}
}

#[test]
fn blocks_with_different_scales_keep_them() {
	let (rows, cols) = (70, 512);
	let values = trits(rows * cols);
	// The scale of block i of all is i halves, so that some are 0.
	let half = |i: usize| f32_to_f16((i % 9) as f32 / 2.0).to_le_bytes();
	let scaled = |block: usize, bytes: usize, at: usize, mut tensor: Vec<u8>| {
		assert_eq!(tensor.len(), values.len() / block * bytes);
		for (i, block) in tensor.chunks_exact_mut(bytes).enumerate() {
			block[at..at + 2].copy_from_slice(&half(i));
		}
		tensor
	};
	let none = [0; 2];
	let order = RowOrder::FromPairs { head_dim: 14 };
	for order in [RowOrder::AsStored, order] {
		let options = PackOptions {
			observer: None,
			packing: Dense,
			order,
		};
		let all = [
			TernaryMatrix::from_tq2_0(
				&scaled(256, 66, 64, tq2_0(&values, none)),
				rows,
				cols,
				options,
			),
			TernaryMatrix::from_tq1_0(
				&scaled(256, 54, 52, tq1_0(&values, none)),
				rows,
				cols,
				options,
			),
			TernaryMatrix::from_q2_0(
				&scaled(64, 18, 0, q2_0(&values, 64, none)),
				rows,
				cols,
				B64,
				options,
			),
			TernaryMatrix::from_q2_0(
				&scaled(128, 34, 0, q2_0(&values, 128, none)),
				rows,
				cols,
				B128,
				options,
			),
		];
		for (w, block) in all.into_iter().zip([256, 256, 64, 128]) {
			let w = w.expect("valid");
			assert_eq!(
				(w.block(), w.packing(), w.scale()),
				(Some(block), TwoBit, 1.0)
			);
			for row in 0..rows {
				let stored = match order {
					RowOrder::AsStored => row,
					RowOrder::FromPairs { .. } => source_of_pairs(row, 14),
				};
				let expected = values[stored * cols..][..cols].chunks_exact(block);
				for (i, (found, expected)) in
					w.row(row).chunks_exact(block).zip(expected).enumerate()
				{
					let number = stored * (cols / block) + i;
					assert_eq!(w.block_scale(row, i), (number % 9) as f32 / 2.0);
					if number % 9 == 0 {
						assert_eq!(found, vec![0; block]);
					} else {
						assert_eq!(found, expected);
					}
				}
			}
		}
	}
}

/// Row of a file of llama.cpp in which row `row` of a checkpoint stands: its converter reshapes
/// rows to (heads, 2, head_dim / 2) and swaps the last two.
fn source_of_pairs(row: usize, head_dim: usize) -> usize {
	let (head, rest) = (row / head_dim, row % head_dim);
	let (j, d) = (rest / (head_dim / 2), rest % (head_dim / 2));
	head * head_dim + 2 * d + j
}

#[test]
fn permuted_heads_are_put_in_order() {
	let (rows, cols) = (6 * 24, 32);
	let values = trits(rows * cols);
	for packing in [TwoBit, Dense] {
		let options = PackOptions {
			observer: None,
			packing,
			order: RowOrder::FromPairs { head_dim: 24 },
		};
		let w = TernaryMatrix::from_ternary(&values, rows, cols, 1.0, options).expect("valid");
		for row in 0..rows {
			let stored = source_of_pairs(row, 24);
			assert_eq!(w.row(row), values[stored * cols..][..cols], "row {row}");
		}
	}
	for head_dim in [0, 5, 10, 48 * 5] {
		let options = PackOptions {
			observer: None,
			packing: Dense,
			order: RowOrder::FromPairs { head_dim },
		};
		assert_eq!(
			TernaryMatrix::from_ternary(&values, rows, cols, 1.0, options).unwrap_err(),
			PackError::Shape { rows, cols }
		);
	}
}

#[test]
fn first_bad_code_is_named() {
	for packing in [TwoBit, Dense] {
		let error = TernaryMatrix::from_codes(1000, 64, 1.0, packing, |row, codes| {
			codes.fill(if row % 300 == 299 { 3 } else { 2 });
		});
		assert_eq!(error.unwrap_err(), PackError::Value { row: 299, col: 0 });
	}
}

#[test]
fn rejects_blocks_that_do_not_fit() {
	let pack = |block: usize, scales: Vec<u16>| {
		TernaryMatrix::from_block_codes(2, 128, block, scales, TwoBit, |_, codes| codes.fill(0))
	};
	let shape = PackError::Shape { rows: 2, cols: 128 };
	for block in [0, 16, 48, 96, 256] {
		assert_eq!(pack(block, vec![0x3c00; 8]).unwrap_err(), shape);
	}
	assert_eq!(
		pack(64, vec![0x3c00; 3]).unwrap_err(),
		PackError::Length {
			expected: 4,
			found: 3
		}
	);
	assert_eq!(pack(64, vec![0x3c00; 4]).expect("valid").block(), None);
	let w = pack(64, vec![0x3c00, 0x3c00, 0, 0x3c00]).expect("valid");
	assert_eq!((w.block(), w.scale()), (None, 1.0));
	assert_eq!(w.row(1)[..65], [[0; 64].as_slice(), &[-1]].concat());
}
