//! Files: what is read, and that nothing else is.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use aria_engine::{
	gguf::{Gguf, GgufError, GgufWriter},
	model::Model,
};
use aria_kernels::Packing;
use std::path::PathBuf;

fn vectors(folder: &str) -> Option<PathBuf> {
	let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
		.join("../../../shared/vectors")
		.join(folder);
	if path.exists() {
		return Some(path);
	}
	println!("skipped: {} is absent", path.display());
	None
}

#[test]
fn rejects_other_formats_and_versions() {
	assert!(matches!(
		Gguf::parse(b"PK\x03\x04 and more"),
		Err(GgufError::Magic(_))
	));
	let mut bytes = GgufWriter::default().bytes();
	bytes[4] = 9;
	assert_eq!(Gguf::parse(&bytes), Err(GgufError::Version(9)));
}

#[test]
fn rejects_lying_counts_and_lengths() {
	for at in [8, 16] {
		let mut bytes = GgufWriter::default().bytes();
		bytes[at..at + 8].fill(0xff);
		assert!(matches!(Gguf::parse(&bytes), Err(GgufError::Limit { .. })));
	}
	let mut file = GgufWriter::default();
	file.text("key", "value");
	let mut bytes = file.bytes();
	bytes[24..32].copy_from_slice(&1000u64.to_le_bytes());
	assert!(matches!(
		Gguf::parse(&bytes),
		Err(GgufError::Truncated { .. })
	));
}

#[test]
fn rejects_tensors_that_are_unknown_misshapen_or_outside() {
	let with = |dims: &[u64], kind, len| {
		let mut file = GgufWriter::default();
		file.tensor("t", dims, kind, vec![0; len]);
		Gguf::parse(&file.bytes())
	};
	for (id, name) in [
		(38, "TL1"),
		(39, "TL2"),
		(41, "Q1_0"),
		(143, "PTQ1_0"),
		(12, "not ternary"),
		(77, "unknown"),
	] {
		let Err(GgufError::TensorType { kind, .. }) = with(&[128], id, 64) else {
			panic!("type {name} was taken");
		};
		assert!(kind.contains(name));
	}
	assert!(matches!(with(&[0], 0, 32), Err(GgufError::Shape(_))));
	assert!(matches!(
		with(&[u64::MAX, 9], 0, 32),
		Err(GgufError::Shape(_))
	));
	assert!(matches!(with(&[100], 36, 64), Err(GgufError::Shape(_))));
	assert!(matches!(
		with(&[1000], 0, 32),
		Err(GgufError::Position { .. })
	));
	let mut file = GgufWriter::default();
	file.tensor("a", &[64], 0, vec![0; 128]);
	file.tensor("b", &[32], 0, vec![0; 128]);
	assert!(matches!(
		Gguf::parse(&file.bytes()),
		Err(GgufError::Position { .. })
	));
	let mut file = GgufWriter::default();
	file.int("general.alignment", 24);
	assert_eq!(Gguf::parse(&file.bytes()), Err(GgufError::Alignment(24)));
	let mut file = GgufWriter::default();
	file.int("k", 1);
	file.int("k", 2);
	assert_eq!(
		Gguf::parse(&file.bytes()),
		Err(GgufError::Duplicate("k".into()))
	);
}

/// A container with these metadata entries: key, type and the bytes of the value.
fn container(entries: &[(&[u8], u32, Vec<u8>)]) -> Vec<u8> {
	let mut bytes = b"GGUF\x03\0\0\0".to_vec();
	bytes.extend(0u64.to_le_bytes());
	bytes.extend((entries.len() as u64).to_le_bytes());
	for (key, kind, value) in entries {
		bytes.extend((key.len() as u64).to_le_bytes());
		bytes.extend(*key);
		bytes.extend(kind.to_le_bytes());
		bytes.extend(value);
	}
	bytes
}

fn text(bytes: &[u8]) -> Vec<u8> {
	[&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

#[test]
fn takes_values_that_nobody_reads() {
	let list = |kind: u32, items: &[Vec<u8>]| {
		let mut bytes = kind.to_le_bytes().to_vec();
		bytes.extend((items.len() as u64).to_le_bytes());
		bytes.extend(items.concat());
		bytes
	};
	let large = [1u64.to_le_bytes().to_vec(), u64::MAX.to_le_bytes().to_vec()];
	let gguf = Gguf::parse(&container(&[
		(b"author", 8, text(b"Andr\xe9")),
		(b"tags", 9, list(8, &[text(b"fine"), text(b"\xff")])),
		(b"sizes", 9, list(10, &large)),
		(b"small", 9, list(10, &large[..1])),
		(b"a\0b", 8, text(b"x\0y")),
		(b"none", 9, list(4, &[])),
		(b"flag", 7, vec![2]),
		(b"last", 8, text(b"still read")),
	]))
	.unwrap();
	assert_eq!(gguf.text("last"), Some("still read"));
	assert_eq!(gguf.text("a\0b"), Some("x\0y"));
	assert_eq!(gguf.bool("flag"), Some(true));
	assert_eq!(gguf.ints("small"), Some(&[1][..]));
	assert_eq!(gguf.text("author"), None);
	assert_eq!(gguf.texts("tags"), None);
	assert_eq!(gguf.ints("sizes"), None);
	let key = Gguf::parse(&container(&[(b"\xff", 7, vec![1])]));
	assert!(matches!(key, Err(GgufError::Utf8(_))));
}

#[test]
fn names_what_a_file_is_instead() {
	let mut big = container(&[]);
	big[4..8].copy_from_slice(&3u32.to_be_bytes());
	assert_eq!(Gguf::parse(&big), Err(GgufError::BigEndian));
	let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
	assert_eq!(Gguf::parse(pointer), Err(GgufError::Pointer));
	for (kind, value) in [
		(8, text(b"32")),
		(6, 32f32.to_le_bytes().to_vec()),
		(5, (-32i32).to_le_bytes().to_vec()),
	] {
		let file = container(&[(b"general.alignment", kind, value)]);
		assert_eq!(Gguf::parse(&file), Err(GgufError::AlignmentType));
	}
	let long = Gguf::parse(&container(&[(
		b"k",
		8,
		(5u64 << 20).to_le_bytes().to_vec(),
	)]));
	let error = long.unwrap_err().to_string();
	assert!(error.contains("length of a metadata text"), "{error}");
	assert!(!error.contains("damaged"), "{error}");
}

#[test]
fn takes_matrices_with_dimensions_of_one_behind() {
	let bytes = |rest: &[u64]| {
		let mut file = support::synth::model(1);
		file.tensor("t.weight", &[&[32, 1], rest].concat(), 0, vec![0; 128]);
		file.bytes()
	};
	let error = |rest: &[u64]| {
		let model = Model::from_bytes(&bytes(rest), "", Packing::TwoBit);
		model.err().unwrap().to_string()
	};
	// As matrices they are looked for in the architecture, under their names there.
	assert!(error(&[1, 1]).contains("\"t\""), "{}", error(&[1, 1]));
	assert!(error(&[1]).contains("\"t\""));
	assert_eq!(error(&[]), error(&[1, 1]));
}

#[test]
fn quotes_files_in_brief() {
	let long = "x".repeat(100_000);
	let error = |change: &dyn Fn(&mut GgufWriter)| {
		let mut file = GgufWriter::default();
		change(&mut file);
		let model = Model::from_bytes(&file.bytes(), "", Packing::TwoBit);
		model.err().unwrap().to_string()
	};
	for error in [
		error(&|file| file.text("general.architecture", &long)),
		error(&|file| file.text("tokenizer.ggml.model", &long)),
	] {
		assert!(error.len() < 1000, "{} bytes: {error:.300}", error.len());
	}
}

#[test]
fn rejects_other_architectures_and_extra_tensors() {
	let mut file = GgufWriter::default();
	file.text("general.architecture", "qwen35");
	let error = Model::from_bytes(&file.bytes(), "", Packing::TwoBit)
		.err()
		.unwrap()
		.to_string();
	assert!(
		error.contains("qwen35") && error.contains("bitnet-b1.58"),
		"{error}"
	);
	let mut file = support::synth::model(1);
	file.tensor("blk.0.attn_q_norm.weight", &[32], 0, vec![0; 128]);
	assert!(
		Model::from_bytes(&file.bytes(), "", Packing::TwoBit)
			.err()
			.unwrap()
			.to_string()
			.contains("attn_q_norm")
	);
}

#[test]
fn rejects_what_would_change_the_arithmetic_unnoticed() {
	let error = |file: GgufWriter| {
		let model = Model::from_bytes(&file.bytes(), "", Packing::TwoBit);
		model.err().unwrap().to_string()
	};
	let mut pooled = support::synth::model(1);
	pooled.int("bitnet-b1.58.pooling_type", 1);
	assert!(error(pooled).contains("pooling_type"));
	let mut scaled = support::synth::model(1);
	scaled.tensor("token_embd.scale", &[1], 0, 3.0f32.to_le_bytes().to_vec());
	assert!(error(scaled).contains("token_embd.scale"));
	let mut lost = support::synth::model(1);
	lost.tensor("blk.9.attn_q.scale", &[1], 0, 3.0f32.to_le_bytes().to_vec());
	assert!(error(lost).contains("blk.9.attn_q"));
}

#[test]
fn file_of_bitnet_cpp_should_load() {
	let Some(folder) = vectors("bitnet-cpp") else {
		return;
	};
	let path = folder.join("tiny-i2s.gguf");
	let model = Model::open(&path, Packing::TwoBit).unwrap();
	assert_eq!((model.config().hidden, model.config().layers), (256, 2));
	for (name, linear) in model
		.weights
		.blocks
		.iter()
		.flat_map(|block| block.linears())
	{
		let ones: usize = linear
			.weight
			.row(0)
			.iter()
			.filter(|weight| **weight == 1)
			.count();
		let third = linear.weight.cols() / 3;
		assert!(
			ones.abs_diff(third) < third / 2,
			"{name}: {ones} of {third}"
		);
	}
}

#[test]
fn logits_should_agree_with_the_trainer() {
	use aria_engine::answers::evaluate::evaluate;
	use aria_kernels::{Backend, Isa};
	let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
	let (path, fixture) = (
		root.join("../models/aria-demo.gguf"),
		root.join("tests/fixtures/demo-logits.json"),
	);
	let model = Model::open(&path, Packing::Dense).unwrap();
	let fixture: serde_json::Value =
		serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
	let ids: Vec<u32> = serde_json::from_value(fixture["ids"].clone()).unwrap();
	let tolerance = fixture["tolerance"].as_f64().unwrap();
	assert_eq!(
		model
			.tokenizer
			.encode(fixture["text"].as_str().unwrap(), true, false)
			.unwrap(),
		ids
	);
	let top: Vec<Vec<(usize, f64)>> = serde_json::from_value(fixture["top"].clone()).unwrap();
	let last: Vec<f64> = serde_json::from_value(fixture["last"].clone()).unwrap();
	let backend = Backend::new(Isa::detect(), 2);
	let mut rows = Vec::new();
	evaluate(&model, &backend, &ids, |_, logits| {
		rows.push(logits.to_vec())
	})
	.unwrap();
	assert_eq!((rows.len(), top.len()), (ids.len(), ids.len()));
	for (position, (row, best)) in rows.iter().zip(&top).enumerate() {
		for (id, expected) in best {
			let difference = (f64::from(row[*id]) - expected).abs();
			assert!(
				difference < tolerance,
				"position {position}, token {id}: off by {difference}"
			);
		}
	}
	let final_row = rows.last().unwrap();
	assert_eq!(final_row.len(), last.len());
	for (found, expected) in final_row.iter().zip(&last) {
		assert!((f64::from(*found) - expected).abs() < tolerance);
	}
}
